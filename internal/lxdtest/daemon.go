package lxdtest

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/pki"
)

// open takes a share in the daemon. The locks of the kernel are the count: they end with who holds them.
//
//	users       shared by all runs; whoever gets it alone is the last one, and stops the daemon
//	start       held while the daemon is started, set up and swept
//	runs/NAME   held as long as the run of that project lives
func (s *Server) open() (err error) {
	if err := s.configure(); err != nil {
		return err
	}
	if s.users, err = lock(filepath.Join(Root(), "users"), unix.LOCK_SH); err != nil {
		return err
	}
	start, err := lock(filepath.Join(Root(), "start"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer start.Close()
	if s.run, err = lock(s.runFile(s.Project), unix.LOCK_EX); err != nil {
		return err
	}
	if !s.alive() {
		if err := s.boot(); err != nil {
			return err
		}
	}
	s.sweep()
	if err := s.images(); err != nil {
		return err
	}
	address, err := s.lxc("", "config", "get", "core.https_address")
	if err != nil {
		return err
	}
	s.Address = strings.TrimSpace(address)
	return s.project()
}

// Close removes the run's project with all that is in it, and stops the daemon if nobody else uses it.
func (s *Server) Close() error {
	var errs []error
	if s.run != nil {
		errs = append(errs, s.remove(s.Project), s.run.Close())
	}
	errs = append(errs, s.forget(s.Project))
	if s.users != nil {
		if unix.Flock(int(s.users.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && s.alive() {
			s.sweep()
			errs = append(errs, s.distrust(), s.shutdown())
		}
		errs = append(errs, s.users.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("give back LXD in %s: %w", s.Dir, err)
	}
	return nil
}

// forget removes the files of a run.
func (s *Server) forget(project string) error {
	return errors.Join(os.RemoveAll(s.conf(project)), os.RemoveAll(s.runFile(project)))
}

func lock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

func (s *Server) runFile(project string) string { return filepath.Join(Root(), "runs", project) }
func (s *Server) conf(project string) string    { return filepath.Join(Root(), "clients", project) }

// configure makes the directories, and for lxc a configuration in which the run's project is the one it works in.
func (s *Server) configure() error {
	for _, dir := range []string{filepath.Join(Root(), "runs"), s.conf(s.Project)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	text := "default-remote: local\nremotes: {local: {addr: 'unix://', project: " + s.Project + "}}\n"
	return os.WriteFile(filepath.Join(s.conf(s.Project), "config.yml"), []byte(text), 0o600)
}

func (s *Server) alive() bool {
	c, err := net.Dial("unix", s.Socket)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// boot starts the daemon, as root and without systemd, and sees to the pool, the bridge and the HTTPS port.
func (s *Server) boot() error {
	if err := os.MkdirAll(s.Dir, 0o711); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(Root(), "lxd.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("lxd", "--group", "root")
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "LXD_DIR="+s.Dir), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it may outlive this run, in the service of others
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	if out, err := s.lxd("waitready", "--timeout=60"); err != nil {
		return fmt.Errorf("%w: %s; its log is %s", err, out, log.Name())
	}
	if _, err := s.lxc("", "storage", "show", Pool); err != nil {
		if _, err := s.lxc("", "storage", "create", Pool, "dir"); err != nil {
			return err
		}
	}
	var network named
	if err := s.get("/1.0/networks/"+Network, &network); err != nil {
		subnet, err := freeSubnet()
		if err != nil {
			return err
		}
		if _, err := s.lxc("", "network", "create", Network, "--project", "default", "ipv4.address="+subnet, "ipv4.nat=true", "ipv6.address=none",
			"dns.mode=none"); err != nil { // two runs may give an instance the same name
			return err
		}
		return s.listen(subnet)
	}
	return s.listen(network.Config["ipv4.address"])
}

// listen has the daemon listen for HTTPS on the bridge, where containers reach it too.
func (s *Server) listen(subnet string) error {
	ip, _, err := net.ParseCIDR(subnet)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		return err
	}
	free := l.Addr().String()
	l.Close()
	_, err = s.lxc("", "config", "set", "core.https_address", free)
	return err
}

// freeSubnet is a network that this host has no address in. LXD's own search asks the network, and believes any answer.
func freeSubnet() (string, error) {
	have, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
next:
	for i := range 256 {
		gateway := net.IPv4(10, 213, byte(i), 1)
		for _, a := range have {
			if n, ok := a.(*net.IPNet); ok && n.Contains(gateway) {
				continue next
			}
		}
		return gateway.String() + "/24", nil
	}
	return "", errors.New("this host has addresses in all of 10.213.0.0/16")
}

//go:embed image
var imageScript []byte

//go:embed tiny
var tinyScript []byte

// images sees to it that the images are there.
func (s *Server) images() (err error) {
	if s.Tiny, err = s.image("tiny", tinyScript); err != nil {
		return err
	}
	s.Image, err = s.image("image", imageScript)
	return err
}

// image is the alias of the image that the script makes.
func (s *Server) image(name string, text []byte) (string, error) {
	file, alias, err := imageFile(name, text)
	if err != nil {
		return "", err
	}
	if _, err := s.lxc("", "image", "show", alias, "--project", "default"); err == nil {
		return alias, nil
	}
	_, err = s.lxc("", "image", "import", file, "--alias", alias, "--project", "default")
	return alias, err
}

// imageFile has the script make its image, if it has not yet.
func imageFile(name string, text []byte, args ...string) (file, alias string, err error) {
	if err := os.MkdirAll(Root(), 0o755); err != nil {
		return "", "", err
	}
	script := filepath.Join(Root(), name+".sh")
	if err := pki.WriteFile(script, text); err != nil { // as a whole: another may be running it
		return "", "", err
	}
	cmd := exec.Command("bash", append([]string{script, filepath.Join(Root(), "images")}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("make the image %s: %w", name, err)
	}
	file = strings.TrimSpace(string(out))
	return file, "grigri-" + strings.TrimSuffix(filepath.Base(file), ".tar"), nil
}

func (s *Server) project() error {
	for _, args := range [][]string{
		{"project", "create", s.Project, "-c", "features.images=false"},
		{"profile", "device", "add", "default", "root", "disk", "path=/", "pool=" + Pool},
		{"profile", "device", "add", "default", "eth0", "nic", "name=eth0", "network=" + Network},
	} {
		if _, err := s.lxc("", args...); err != nil {
			return err
		}
	}
	return nil
}

// shutdown ends the daemon with all that it has started: its bridges and their dnsmasq too.
func (s *Server) shutdown() error {
	if _, err := s.lxc("", "config", "unset", "core.https_address"); err != nil {
		return err
	}
	if out, err := s.lxd("shutdown", "--timeout=60"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for end := time.Now().Add(time.Minute); s.alive(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("the daemon does not end")
		}
	}
	return s.endStrays()
}

// endStrays ends what the daemon has forgotten: the dnsmasq of a bridge that was removed while it was being made.
func (s *Server) endStrays() error {
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	leases := "\x00--dhcp-leasefile=" + filepath.Join(s.Dir, "networks") + "/"
	var errs []error
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(line), "dnsmasq\x00") || !strings.Contains(string(line), leases) {
			continue // or it has just ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			if err := syscall.Kill(pid, syscall.SIGTERM); !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Server) lxd(args ...string) (string, error) {
	cmd := exec.Command("lxd", args...)
	cmd.Env = s.Env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("lxd %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
