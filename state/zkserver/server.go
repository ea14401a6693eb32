package zkserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/supervise"
)

const logMax = 4 << 20 // bytes; twice that with the file before

// Prepare writes all that ZooKeeper needs to start, and returns the address that it will serve clients at.
// It may be called again, and always gives the same address for the same Dir and Listen.
func Prepare(c Config) (addr string, err error) {
	c, err = c.check()
	if err != nil {
		return "", err
	}
	if _, err := c.java(); err != nil {
		return "", err
	}
	if _, err := c.classPath(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(c.path(dataDir), 0o700); err != nil {
		return "", fmt.Errorf("prepare the directory of ZooKeeper: %w", err)
	}
	host, port, err := c.listen()
	if err == nil && port == 0 {
		port, err = c.keptPort(host)
	}
	if err != nil {
		return "", err
	}
	for name, data := range map[string][]byte{
		configFile:    []byte(c.properties(host, port)),
		loggingFile:   []byte(logging),
		serverFile:    append(append([]byte{}, c.Identity.Key...), c.Identity.Certificate...),
		authorityFile: c.Identity.Authority,
	} {
		if err := pki.WriteFile(c.path(name), data); err != nil {
			return "", fmt.Errorf("prepare ZooKeeper: %w", err)
		}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// keptPort is the port that Dir has kept, or a new free one. It is outside of the range from which the kernel
// picks ports for outgoing connections, so that none of these takes it while ZooKeeper is down.
func (c Config) keptPort(host string) (int, error) {
	if data, err := os.ReadFile(c.path(portFile)); err == nil {
		port, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil || port < 1 || port > 65535 {
			return 0, fmt.Errorf("read the port of ZooKeeper: %s holds %q: remove the file to pick another port", c.path(portFile), data)
		}
		return port, nil
	}
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("pick a port for ZooKeeper: %w", err)
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		return port, pki.WriteFile(c.path(portFile), []byte(strconv.Itoa(port)))
	}
	return 0, fmt.Errorf("pick a port for ZooKeeper on %s: 100 that were tried are all taken", host)
}

// Run prepares and runs ZooKeeper until ctx ends, and starts it again whenever it ends. It returns nil when ctx has
// ended, and an error when ZooKeeper cannot be started. When it returns, ZooKeeper is gone.
func Run(ctx context.Context, c Config) error {
	if _, err := Prepare(c); err != nil {
		return err
	}
	c, err := c.check()
	if err != nil {
		return err
	}
	java, err := c.java()
	if err != nil {
		return err
	}
	classPath, err := c.classPath()
	if err != nil {
		return err
	}
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	log := &supervise.LogFile{Path: c.path(logFile), Max: logMax}
	defer log.Close()
	return supervise.Run(ctx, supervise.Config{
		Name:    "zookeeper",
		Path:    java,
		Args:    c.arguments(classPath),
		Dir:     c.Dir,
		Env:     environment(),
		Output:  log,
		Begin:   c.clear,
		Started: c.Started,
		Judge:   c.judge,
		Log:     c.Log,
	})
}

// lock takes Dir for us alone until it is closed or we die.
func (c Config) lock() (*os.File, error) {
	f, err := os.OpenFile(c.path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory of ZooKeeper: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: another process runs a ZooKeeper there", c.Dir)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// judge gives up a ZooKeeper that three times in a row ends by itself soon after its start. One that is killed, or that
// has ever served for a while, is started again for ever: what it lacks may come back.
func (c Config) judge(end supervise.End) (why error, final bool) {
	err := end.Err
	if end.Exited() {
		err = fmt.Errorf("%s: %v: the log is %s", c.reason(end.Tail), end.Err, c.path(logFile))
	}
	return err, end.Exited() && end.Failed >= 3 && !end.Settled
}

// reason says in a user's words why a ZooKeeper ended whose last lines are tail.
func (c Config) reason(tail string) string {
	said := exception(tail)
	switch {
	case strings.Contains(tail, "Address already in use"):
		return fmt.Sprintf("another program listens on its port, that of %s or the one in %s", c.Listen, c.path(portFile))
	case strings.Contains(tail, "No space left on device"):
		return "the disk of " + c.Dir + " is full"
	case strings.Contains(tail, "OutOfMemoryError"):
		return fmt.Sprintf("its heap of %d MiB is too small", c.HeapMiB)
	case strings.Contains(said, c.path(dataDir)):
		return "it cannot use its data: " + said
	case said == "":
		return "it said nothing"
	}
	return said
}

// exception is the first error in what Java printed, or its last line.
func exception(tail string) string {
	var last string
	for line := range strings.Lines(tail) {
		last = strings.TrimSpace(line)
		name, _, _ := strings.Cut(last, ":")
		if strings.HasSuffix(name, "Exception") || strings.HasSuffix(name, "Error") {
			return last
		}
	}
	return last
}
