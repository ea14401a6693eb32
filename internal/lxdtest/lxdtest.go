// Package lxdtest gives tests a real LXD: a daemon with an image of Debian 12, and a project of the test's own in it.
//
//	var lxd lxdtest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(lxd.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		c := lxd.Server(t).Launch(t, "web", lxdtest.Options{UserData: "#cloud-config\n..."})
//		c.Exec(t, "systemctl", "is-active", "ssh")
//		conn, err := net.Dial("tcp", c.Address+":22")
//	}
//
// One daemon of a host, with its directory Root, serves all tests of all packages, checkouts and users at the same
// time: who comes first starts it, who goes last stops it, and a run that was killed is cleaned up after by the next one.
// Names clash with nobody's: instances, profiles and volumes are in the project of the run. The image is made by the
// script beside this file, once for each version of it, which takes two minutes.
//
// A script gets the same from lxdenv: go run ./internal/lxdtest/lxdenv COMMAND...
//
// It needs root, and the packages that internal/demo/deps lxd installs. Without them a test is skipped, and fails where CI is set.
package lxdtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Names of what the daemon has, for all runs.
const (
	Pool    = "grigri"      // a storage pool, of the kind dir
	Network = "grigritest0" // a bridge with DHCP and NAT; 10.213.x.1/24 is the host's
)

// Root is the directory of the daemon, the images and the locks. It stays: what is in it makes the next run quicker.
func Root() string {
	if dir := os.Getenv("GRIGRI_LXDTEST_DIR"); dir != "" {
		return dir
	}
	return "/var/cache/grigri-lxdtest"
}

// A Server is a running LXD as one run of tests sees it. It is safe for several goroutines.
type Server struct {
	Dir     string // LXD_DIR, for the program lxc
	Socket  string // the daemon's unix socket
	Address string // where it listens for HTTPS, for the host and containers: IP:port
	Project string // of this run; its default profile has a root disk in Pool and eth0 in Network
	Image   string // the alias of the image of Debian 12
	Tiny    string // the alias of one of busybox alone, whose containers start in less than a second

	users, run *os.File
}

// A Shared is the server of all tests of a package. It is started when the first one asks.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs the tests of a package and gives back the server that they have used.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	if s.server != nil {
		if err := s.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// Server is the package's server.
func (s *Shared) Server(tb testing.TB) *Server {
	tb.Helper()
	need(tb)
	s.once.Do(func() { s.server, s.err = Acquire() })
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.server
}

// Start is a server for one test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	need(tb)
	s, err := Acquire()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func need(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("slow: it needs LXD")
	}
	if err := missing(); err != nil && os.Getenv("CI") != "" {
		tb.Fatal(err)
	} else if err != nil {
		tb.Skip(err)
	}
}

func missing() error {
	if os.Getuid() != 0 {
		return errors.New("LXD is started by root only")
	}
	for _, name := range []string{"lxd", "lxc", "dnsmasq", "nft", "debootstrap", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("the program %s is not there: run internal/demo/deps lxd", name)
		}
	}
	return nil
}

// Acquire starts the daemon if it does not run, and makes a project in it. Who calls it calls Close in the end.
func Acquire() (*Server, error) {
	if err := missing(); err != nil {
		return nil, err
	}
	s := &Server{Dir: filepath.Join(Root(), "lxd"), Project: fmt.Sprintf("gt-%d-%x", os.Getpid(), time.Now().UnixNano()&0xffffff)}
	s.Socket = filepath.Join(s.Dir, "unix.socket")
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("start LXD in %s: %w", s.Dir, err), s.Close())
	}
	return s, nil
}

// Env is the environment of programs that are to use the server, such as lxc: in the run's project, unless they are told another.
func (s *Server) Env() []string {
	return append(os.Environ(), "LXD_DIR="+s.Dir, "LXD_CONF="+s.conf(s.Project))
}

// LXC runs the program lxc in the run's project and returns what it printed. The test fails if that fails.
func (s *Server) LXC(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := s.Try(args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Try is LXC for those who want the error.
func (s *Server) Try(args ...string) (string, error) { return s.lxc("", args...) }

// TryInput is Try for an lxc that reads.
func (s *Server) TryInput(stdin string, args ...string) (string, error) { return s.lxc(stdin, args...) }

func (s *Server) lxc(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "lxc", args...)
	cmd.Env = s.Env()
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("lxc %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
