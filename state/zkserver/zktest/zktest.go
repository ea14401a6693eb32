// Package zktest gives tests a real ZooKeeper, as the product runs it.
package zktest

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state/zkserver"
)

const patience = 60 * time.Second // for a start, on a machine with much to do

// A Server is a running ZooKeeper. It is safe for several goroutines.
type Server struct {
	Addr      string        // host:port
	Dir       string        // its directory: its log is zookeeper.log
	Authority pki.Authority // the one that it trusts

	controller *tls.Config
	stop       context.CancelFunc
	group      *errgroup.Group
	ctx        context.Context // of the group: ends with the server

	mu  sync.Mutex
	pid int
}

// Start starts a ZooKeeper of the test's own, and stops it at the test's end. The test fails if that cannot be done.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := start(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Main runs the tests of a package with one ZooKeeper for all of them, which it puts in *s before. It is for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(zktest.Main(m, &server)) }
func Main(m *testing.M, s **Server) (code int) {
	dir, err := os.MkdirTemp("", "zktest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*s, err = start(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if err := (*s).close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Controller is for clients that may do everything.
func (s *Server) Controller() *tls.Config { return s.controller.Clone() }

// Client is for clients whose certificate names subject, such as pki.MachineName.
func (s *Server) Client(tb testing.TB, subject pkix.Name) *tls.Config {
	tb.Helper()
	conf, err := s.client(subject)
	if err != nil {
		tb.Fatal(err)
	}
	return conf
}

// Kill kills the server without warning. It is started again at the same address, with its data.
func (s *Server) Kill(tb testing.TB) { s.signal(tb, syscall.SIGKILL) }

// Pause makes the server silent, with all its connections open, until Resume or the test's end.
func (s *Server) Pause(tb testing.TB) {
	s.signal(tb, syscall.SIGSTOP)
	tb.Cleanup(func() { s.signal(tb, syscall.SIGCONT) })
}

// Resume ends a Pause.
func (s *Server) Resume(tb testing.TB) { s.signal(tb, syscall.SIGCONT) }

// PID is the process that runs now, or ran last.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// Wait returns when the server serves.
func (s *Server) Wait(tb testing.TB) {
	tb.Helper()
	if err := s.ready(); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if err := syscall.Kill(s.PID(), sig); err != nil {
		tb.Errorf("send %v to ZooKeeper: %v", sig, err)
	}
}

func start(dir string) (*Server, error) {
	authority, err := pki.NewAuthority("zktest", time.Now())
	if err != nil {
		return nil, err
	}
	identity, err := authority.Identity(pki.Request{
		Subject: pki.ZooKeeperName(), Use: pki.Server, Hosts: []string{pki.ZooKeeperHost}, Now: time.Now(),
	})
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: filepath.Join(dir, "zookeeper"), Authority: authority}
	if s.controller, err = s.client(pki.ControllerName()); err != nil {
		return nil, err
	}
	conf := zkserver.Config{
		Dir:      s.Dir,
		Listen:   "127.0.0.1:0",
		Identity: identity,
		Super:    pki.ControllerName().String(),
		Started: func(pid int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.pid = pid
		},
	}
	if s.Addr, err = zkserver.Prepare(conf); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.group, s.ctx = errgroup.WithContext(ctx)
	s.group.Go(func() error { return zkserver.Run(s.ctx, conf) })
	if err := s.ready(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	return zkserver.Ready(ctx, s.Addr, s.controller)
}

func (s *Server) close() error {
	s.stop()
	return s.group.Wait()
}

func (s *Server) client(subject pkix.Name) (*tls.Config, error) {
	id, err := s.Authority.Identity(pki.Request{Subject: subject, Use: pki.Client, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	return id.ClientTLS(pki.ZooKeeperHost)
}
