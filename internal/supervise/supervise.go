// Package supervise keeps one child process running, and never leaves it behind.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Config says what to run. Zero values of the optional fields are good.
type Config struct {
	Name string   // what it is, in logs and errors
	Path string   // the program
	Args []string // without the program's name
	Dir  string   // its working directory; ours if empty
	Env  []string // its whole environment; ours if nil

	Output  io.Writer                               // optional: gets all that it prints. An error of Write is of no consequence
	Grace   time.Duration                           // from SIGTERM to SIGKILL when the context ends; 5 s if zero
	Begin   func() error                            // optional: called before each life; one that it refuses has ended
	Started func(pid int)                           // optional: called in each life
	Judge   func(ended End) (why error, final bool) // optional: explains an end, in the log; if final, Run returns it
	Log     *slog.Logger                            // optional
}

// An End is how one life of the process ended.
type End struct {
	Err     error         // why it could not start or what it exited with; nil for exit 0
	Lived   time.Duration //
	Failed  int           // how many lives in a row, this one included, were too short to count as a start: below 10 s
	Settled bool          // whether any life, this one included, was longer
	Tail    string        // the last lines that it printed
}

// Exited says whether the process ended by itself, with an exit code: it was not killed, and it did start.
func (e End) Exited() bool {
	var exit *exec.ExitError
	return e.Err == nil || errors.As(e.Err, &exit) && exit.Exited()
}

const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 10 * time.Second
	settled    = 10 * time.Second // after so long, it has started well
)

// Run runs the process until ctx ends, and starts it again whenever it ends, after a growing, jittered delay.
// It returns nil when ctx has ended, and what Judge says when that is final. When it returns,
// the process and its process group are gone.
// The process dies with us even when we are killed, though then what it has started itself is its own affair.
func Run(ctx context.Context, c Config) error {
	// The kernel kills the child when the thread that forked it ends, so this thread must outlive it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if c.Grace == 0 {
		c.Grace = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var end End
	for {
		end = c.live(ctx).after(end)
		if ctx.Err() != nil {
			return nil
		}
		why, final := end.Err, false
		if c.Judge != nil {
			why, final = c.Judge(end)
		}
		if final {
			return fmt.Errorf("keep %s running: %w", c.Name, why)
		}
		d := delay(end.Failed, rand.Float64())
		c.Log.Warn("process ended, starting it again", "process", c.Name, "err", why, "lived", end.Lived, "in", d)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d):
		}
	}
}

// after completes e with what came before it.
func (e End) after(before End) End {
	long := e.Lived >= settled
	e.Settled = before.Settled || long
	e.Failed = before.Failed + 1
	if long {
		e.Failed = 0
	}
	return e
}

// live is one life of the process.
func (c Config) live(ctx context.Context) End {
	out := &tail{next: c.Output}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.Dir, c.Env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = c.Grace

	start := time.Now()
	if c.Begin != nil {
		if err := c.Begin(); err != nil {
			return End{Err: err, Lived: time.Since(start)}
		}
	}
	if err := cmd.Start(); err != nil {
		return End{Err: err, Lived: time.Since(start)}
	}
	c.Log.Info("process started", "process", c.Name, "pid", cmd.Process.Pid)
	if c.Started != nil {
		c.Started(cmd.Process.Pid)
	}
	awaitEnd(cmd.Process)
	// Not reaped yet, it keeps its number, so this hits what is left of its group and nothing else.
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	err := cmd.Wait()
	return End{Err: err, Lived: time.Since(start), Tail: out.String()}
}

// awaitEnd returns when the process has ended, and does not reap it.
func awaitEnd(p *os.Process) {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// delay is how long to wait after so many failures in a row; random is from 0 to below 1.
func delay(failed int, random float64) time.Duration {
	d := lastDelay
	if failed < 8 {
		d = min(firstDelay<<max(failed-1, 0), lastDelay)
	}
	return d/2 + time.Duration(random*float64(d/2))
}
