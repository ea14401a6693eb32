package debug

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// window lets the person run the hook in a window of its own, and returns the exit status with which that was left. When ctx ends
// the window is closed.
func (s *session) window(ctx context.Context, h Hook) (code int, err error) {
	dir, err := os.MkdirTemp(s.home, h.Name+"-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "hook.sh")
	if err := errors.Join(os.WriteFile(script, []byte(s.script(h, dir)), 0o700), os.WriteFile(filepath.Join(dir, "init.sh"), []byte(welcome(h)), 0o600)); err != nil {
		return 0, err
	}
	out, err := s.do(ctx, "new-window", "-P", "-F", "#{window_id} #{pane_pid}", "-t", s.target(), "-n", h.Name, "-c", h.Dir, "/bin/bash", script)
	if err != nil {
		return 0, fmt.Errorf("open a window of the debug session: %w", err)
	}
	id, process, _ := strings.Cut(out, " ")
	defer func() { _, _ = s.do(context.WithoutCancel(ctx), "kill-window", "-t", id) }() // which mostly has gone
	pid, err := strconv.Atoi(process)
	if err != nil {
		return 0, fmt.Errorf("open a window of the debug session: tmux says %q", out)
	}
	if err := ended(ctx, pid); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "hook_exit_status"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errors.New("the window of the debug session was closed before its shell was left")
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// script is what runs in the window: a shell with the hook's environment, or the charm's own program for it.
func (s *session) script(h Hook, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cd %s || exit\nenv -i", quote(h.Dir))
	for _, v := range h.Env {
		if !strings.HasPrefix(v, "TERM=") {
			b.WriteString(" " + quote(v))
		}
	}
	status := quote(filepath.Join(dir, "hook_exit_status"))
	fmt.Fprintf(&b, ` "TERM=$TERM" %s `, quote("JUJU_DEBUG="+dir))
	if s.At == "" {
		fmt.Fprintf(&b, "/bin/bash --noprofile --rcfile %s -i\necho $? >%s\n", quote(filepath.Join(dir, "init.sh")), status)
		return b.String()
	}
	fmt.Fprintf(&b, "%s %s\ncode=$?\n", quote("JUJU_DEBUG_AT="+s.At), quote(h.Script))
	fmt.Fprintf(&b, "[ $code = 0 ] || read -rp \"%s ended with exit status $code; press enter to go on\"\necho $code >%s\n", h.Name, status)
	return b.String()
}

// welcome is the shell's first file: what the person reads, and his prompt.
func welcome(h Hook) string {
	run := "The charm has no program for it."
	if h.Script != "" {
		run = "Run it with ./" + strings.TrimPrefix(h.Script, h.Dir+"/") + "."
	}
	return "cat <<'END'\nThis is the context of " + h.Name + ". It does not run by itself. " + run + `
"exit" ends the hook with the status of the last command, "exit 0" as done; "exit 1" as failed: what was set is lost.
Until then no other hook runs on this machine. Leave the whole session with ctrl-a d.
END
PS1="$JUJU_UNIT_NAME:${JUJU_DISPATCH_PATH} % "
`
}

// ended waits until the process has ended or ctx ends.
func ended(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	f := os.NewFile(uintptr(fd), "process")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
