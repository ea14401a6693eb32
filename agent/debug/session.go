package debug

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/socket"
)

// A Config is one session of debug-hooks or debug-code.
type Config struct {
	Unit    string   // web/0
	Dir     string   // its directory
	Names   []string // of the hooks and actions that are wanted; without any, or with *, all
	At      string   // of debug-code: JUJU_DEBUG_AT, and programs of the charm run by themselves. Empty: a shell in their place
	Install bool     // the machine is ours: tmux may be installed where it is missing
	Stdin   io.Reader
	Stdout  io.Writer // a terminal, as Stdin is
	Stderr  io.Writer
}

type session struct {
	Config
	home  string // a directory of its own
	tmux  string // the socket of its tmux
	waits errgroup.Group
}

// maxSocket is the longest path at which tmux can listen.
const maxSocket = 107

// ErrBusy: somebody else debugs the unit.
var ErrBusy = errors.New("the unit is already being debugged")

//go:embed tmux.conf
var tmuxConf string

// Run lets the person at the terminal debug the unit, until he leaves tmux or ctx ends. Hooks run as always after it; one whose window is open then
// has failed.
func Run(ctx context.Context, c Config) error {
	if err := c.needTmux(ctx); err != nil {
		return err
	}
	s := &session{Config: c, home: home(c.Dir)}
	lock, err := s.lock()
	if err != nil {
		return fmt.Errorf("debug %s: %w", c.Unit, err)
	}
	defer lock.Close()
	if err := os.MkdirAll(s.home, 0o700); err != nil {
		return fmt.Errorf("debug %s: %w", c.Unit, err)
	}
	defer os.RemoveAll(s.home)
	if s.tmux = filepath.Join(s.home, "tmux"); len(s.tmux) > maxSocket {
		short, err := os.MkdirTemp("", "debug-")
		if err != nil {
			return fmt.Errorf("debug %s: %w", c.Unit, err)
		}
		defer os.RemoveAll(short)
		s.tmux = filepath.Join(short, "tmux")
	}
	if _, err := s.do(ctx, "kill-server"); err == nil { // of a session that was killed
		fmt.Fprintln(c.Stderr, "an earlier session had been left open; it is closed")
	}
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("debug %s: %w", c.Unit, err)
	}
	defer func() { _, _ = s.do(context.WithoutCancel(ctx), "kill-server") }() // which has mostly ended by itself
	l, err := socket.Listen(socketPath(c.Dir), "hooks to debug")
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	var g errgroup.Group
	g.Go(func() error { return l.Run(ctx, s.answer) })
	err = s.attach(ctx)
	leave()
	return errors.Join(err, g.Wait(), s.waits.Wait())
}

// lock holds the session's place for as long as the file is open.
func (s *session) lock() (*os.File, error) {
	f, err := os.Open(s.Dir) // which stays when all that is ours goes
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrBusy
		}
		return nil, err
	}
	return f, nil
}

// needTmux sees to it that there is tmux.
func (c Config) needTmux(ctx context.Context) error {
	if _, err := exec.LookPath("tmux"); err == nil {
		return nil
	}
	const remedy = "tmux is not installed on the unit's machine: install it there, for example with \"apt-get install tmux\""
	if _, err := exec.LookPath("apt-get"); err != nil || !c.Install {
		return errors.New(remedy)
	}
	fmt.Fprintln(c.Stderr, "installing tmux")
	err := apt(ctx, "--no-install-recommends", "install", "tmux")
	if err != nil && apt(ctx, "update") == nil { // a new machine has no lists of packages yet, and an old one's name what has gone
		err = apt(ctx, "--no-install-recommends", "install", "tmux")
	}
	if err != nil {
		return fmt.Errorf("%s (%w)", remedy, err)
	}
	return nil
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-qqy", "-o", "DPkg::Lock::Timeout=120"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// open makes the session with its first window, in which no hook runs.
func (s *session) open(ctx context.Context) error {
	what := "Every hook and action of " + s.Unit
	if len(s.Names) > 0 && !slices.Contains(s.Names, "*") {
		what = strings.Join(s.Names, ", ") + " of " + s.Unit
	}
	if s.At != "" {
		what += ", with JUJU_DEBUG_AT=" + s.At + ","
	}
	text := "[ -r ~/.bashrc ] && . ~/.bashrc\ncat <<'END'\n" + what + " opens a window here.\n" +
		"Leave with ctrl-a d: hooks then run by themselves again.\nEND\n"
	welcome, conf := filepath.Join(s.home, "welcome"), filepath.Join(s.home, "tmux.conf")
	if err := errors.Join(os.WriteFile(welcome, []byte(text), 0o600), os.WriteFile(conf, []byte(tmuxConf), 0o600)); err != nil {
		return err
	}
	_, err := s.do(ctx, "-f", conf, "new-session", "-d", "-s", s.Unit, "-n", "debug", "-c", s.Dir, "/bin/bash", "--rcfile", welcome, "-i")
	return err
}

// attach shows the session at the terminal until he leaves it, which ends it. What the charm says is UTF-8, whatever the machine's locale is.
func (s *session) attach(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "tmux", "-u", "-S", s.tmux, "attach-session", "-t", s.target(), ";", "set-option", "destroy-unattached", "on")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = s.Stdin, s.Stdout, s.Stderr, environment()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // sent when the thread ends that starts it
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("show the session of %s: tmux: %w", s.Unit, err)
	}
	return nil
}

// do has the session's tmux do something and returns what it prints.
func (s *session) do(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-S", s.tmux}, args...)...)
	cmd.Env = environment()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("tmux: %s (%w)", strings.TrimSpace(string(exit.Stderr)), err)
	}
	return strings.TrimSpace(string(out)), err
}

func (s *session) target() string { return "=" + s.Unit + ":" }

// environment is ours, without what says that we are in a tmux already.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TMUX") })
}

// wants says whether the hook is one that is to be debugged. What the charm does not have cannot run by itself.
func (s *session) wants(h Hook) bool {
	if s.At != "" && h.Script == "" {
		return false
	}
	return len(s.Names) == 0 || slices.Contains(s.Names, "*") || slices.Contains(s.Names, h.Name)
}
