// Package reaper is the first process of a machine that has none of its own: it keeps one command running, takes in
// every process that loses its parent, and lets nothing outlive it.
package reaper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what to keep running.
type Config struct {
	Command []string        // started again whenever it ends, but for an end with status 0
	Dir     string          // where it runs
	Env     func() []string // its whole environment; asked for when the machine starts, which it does again after RebootStatus
	Grace   time.Duration   // how long processes have to end when asked to; zero means 10 s
	Log     *slog.Logger
}

// RebootStatus is the exit status with which the command asks for the machine to start again: everything that was started under
// it ends, and it begins anew.
const RebootStatus = 3

// The delays between two starts of a command that keeps failing. One that has run for steady starts afresh.
const (
	minDelay = 100 * time.Millisecond
	maxDelay = 10 * time.Second
	steady   = 10 * time.Second
)

// Run keeps the command running until it ends with status 0 or ctx ends. When Run returns no process that was started
// under it is left. It may be called once in a process, which must have no other children.
func Run(ctx context.Context, c Config) error {
	if len(c.Command) == 0 {
		return errors.New("keep a command running: there is no command")
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	runtime.LockOSThread() // the command is told of the death of the thread that started it
	defer runtime.UnlockOSThread()
	k := &keeper{Config: c, env: c.Env(), chld: make(chan os.Signal, 1)}
	signal.Notify(k.chld, unix.SIGCHLD)
	defer signal.Stop(k.chld)
	err := k.keep(ctx)
	k.clear()
	return err
}

// A keeper is the state of one Run.
type keeper struct {
	Config
	env     []string
	chld    chan os.Signal
	pid     int // of the command; 0 while it does not run
	started time.Time
	status  unix.WaitStatus
}

func (k *keeper) keep(ctx context.Context) error {
	delay := minDelay
	for {
		if err := k.start(); err != nil {
			k.Log.Warn("the command does not start and will be tried again", "op", k.Command[0], "err", err)
		}
		for k.pid != 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-k.chld:
				k.reap()
			}
		}
		switch {
		case k.status.Exited() && k.status.ExitStatus() == 0 && !k.started.IsZero():
			return nil
		case k.status.Exited() && k.status.ExitStatus() == RebootStatus && !k.started.IsZero():
			k.Log.Info("the machine starts again", "op", k.Command[0])
			k.clear()
			k.env, delay = k.Env(), minDelay
			continue
		case time.Since(k.started) >= steady:
			delay = minDelay
		}
		k.Log.Warn("the command ended and will be started again", "op", k.Command[0], "status", describe(k.status), "delay", delay)
		next := time.NewTimer(delay)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				next.Stop()
				return nil
			case <-k.chld:
				k.reap()
			case <-next.C:
				waiting = false
			}
		}
		delay = min(2*delay, maxDelay)
	}
}

func (k *keeper) start() error {
	k.started = time.Time{}
	pid, err := syscall.ForkExec(k.Command[0], k.Command, &syscall.ProcAttr{
		Dir:   k.Dir,
		Env:   k.env,
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", k.Command[0], err)
	}
	k.pid, k.started = pid, time.Now()
	return nil
}

// reap takes in every child that has ended, and says whether any is left.
func (k *keeper) reap() (left bool) {
	for {
		var st unix.WaitStatus
		pid, err := unix.Wait4(-1, &st, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false
		case pid == 0:
			return true
		case pid == k.pid:
			k.pid, k.status = 0, st
		}
	}
}

// clear asks the command to end, then everything that is left, then kills. A child cannot be mistaken for another
// process: its id is its own until it is reaped.
func (k *keeper) clear() {
	deadline := time.Now().Add(k.Grace)
	if k.pid != 0 {
		unix.Kill(k.pid, unix.SIGTERM)
		k.await(deadline, func() bool { return k.pid == 0 })
	}
	signalChildren(unix.SIGTERM)
	k.await(time.Now().Add(min(k.Grace, time.Second)), func() bool { return !k.reap() })
	for k.reap() {
		signalChildren(unix.SIGKILL)
		k.await(time.Now().Add(50*time.Millisecond), func() bool { return !k.reap() })
	}
}

func (k *keeper) await(deadline time.Time, done func() bool) {
	for k.reap(); !done(); k.reap() {
		left := time.Until(deadline)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, 20*time.Millisecond))
		select {
		case <-k.chld:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func describe(st unix.WaitStatus) string {
	if st.Signaled() {
		return "signal " + st.Signal().String()
	}
	return fmt.Sprintf("exit status %d", st.ExitStatus())
}
