// Package run runs what a charm brings: hooks, actions, and commands in a hook's place.
package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A Config is one run of one hook. All paths are absolute.
type Config struct {
	Hook     hooks.Hook
	Token    string // of the session that answers its tools
	Facts    Facts
	CharmDir string // where the charm's files are; also the working directory
	ToolsDir string // where InstallTools has put the links
	Socket   string // where the session's server listens

	// Log takes each line of output; "unit.web/0.install" is a module. It is called from two goroutines. Nil: lines are lost.
	Log func(module, level, line string)
	// Mask takes out of a text what no log may hold, before it is logged, kept for the record of a failure, or the output of an action.
	// Nil: nothing.
	Mask func(text string) string
	// Debug offers a hook or an action to whoever debugs the unit, who may run it in our place. Nil: nobody does.
	Debug func(ctx context.Context, w Window) (code int, taken bool, err error)
	// Grace is how long the processes have between SIGTERM and SIGKILL when ctx ends. Zero: DefaultGrace.
	Grace time.Duration
}

// DefaultGrace is long enough for a package manager to come to a safe point.
const DefaultGrace = 10 * time.Second

// An Outcome is how a run ended.
type Outcome string

// The outcomes.
const (
	Done       Outcome = "done"
	Skipped    Outcome = "skipped"    // the charm has no such hook: as good as done
	Failed     Outcome = "failed"     // the charm's fault
	Terminated Outcome = "terminated" // killed, and so neither: run it again. Actions are not run again
	Aborted    Outcome = "aborted"    // killed because ctx has ended with ErrAborted
	Rebooting  Outcome = "rebooting"  // killed because ctx has ended with ErrReboot: it runs again after that
)

// ErrAborted is the cause with which ctx ends when nobody wants what is running any more: it is killed at once.
var ErrAborted = errors.New("aborted")

// ErrReboot is the cause with which ctx ends when what is running wants the machine to start again at once: it is killed.
var ErrReboot = errors.New("the machine is to start again")

// A Result is how a run ended and what it said.
type Result struct {
	Outcome Outcome
	Code    int      // exit status; -1 when there was none
	Reason  string   // of what is not Done: "exit status 1", "signal: killed", "dispatch is not executable"
	Handler string   // as the log names it: "hook dispatching script: dispatch"; empty when nothing ran
	Tail    []string // the last lines of output, both streams
	Stdout  Capture  // of actions and commands only
	Stderr  Capture
}

// drain is how long output is still read after the process has ended: a daemon that it left may hold the pipe for ever.
const drain = 100 * time.Millisecond

// Run runs the hook and returns when its process has ended. Daemons that it started live on.
// When ctx ends, the process group is asked to end and then killed, and the outcome is Terminated; or Aborted, without asking.
// An error means that we could not do our part; what a charm does wrong is in the Result.
func Run(ctx context.Context, c Config) (Result, error) {
	h, fail := find(c)
	h.dir, h.env = c.CharmDir, Environment(c)
	if res, taken := debug(ctx, c, h, fail == nil); taken {
		return res, nil
	}
	if fail != nil {
		return *fail, nil
	}
	res, err := execute(ctx, c, h)
	if err != nil {
		return Result{}, fmt.Errorf("run %s of %s: %w", c.Hook.RunName(), c.Facts.Unit, err)
	}
	res.Handler = h.kind
	return res, nil
}

func execute(ctx context.Context, c Config, h handler) (Result, error) {
	if ctx.Err() != nil {
		return cut(ctx), nil
	}
	var asked Outcome // how it ends, when we have asked it to
	cmd := exec.CommandContext(ctx, h.path)
	cmd.Args, cmd.Dir, cmd.Env = h.args, h.dir, h.env
	cmd.Cancel = func() error {
		how, signal := end(ctx)
		asked = how
		return syscall.Kill(-cmd.Process.Pid, signal)
	}
	cmd.WaitDelay = cmp.Or(c.Grace, DefaultGrace)
	// A hook dies with its agent, for nobody could commit what it did. The signal comes when the thread ends
	// that started it, which is why this goroutine keeps it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: h.user}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if h.script != "" {
		stdin, err := memoryFile(h.script)
		if err != nil {
			return Result{}, err
		}
		defer stdin.Close()
		cmd.Stdin = stdin
	}
	out, err := openOutput(c)
	if err != nil {
		return Result{}, err
	}
	defer out.close()
	cmd.Stdout, cmd.Stderr = out.stdout.write, out.stderr.write
	if err := cmd.Start(); err != nil {
		return startFailed(err)
	}
	out.closeWriters()

	var readers errgroup.Group
	readers.Go(out.stdout.read)
	readers.Go(out.stderr.read)
	waitErr := cmd.Wait()
	if asked != "" {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what the leader has left behind
	}
	out.endIn(drain)
	if err := readers.Wait(); err != nil {
		return Result{}, err
	}
	if cmd.ProcessState == nil {
		return Result{}, waitErr
	}
	res := classify(cmd.ProcessState, asked)
	res.Tail = out.tail.all()
	res.Stdout, res.Stderr = out.stdout.capture, out.stderr.capture
	if c.Mask != nil && c.Hook.Action != state.ExecAction { // what a user has run tells him what it says
		res.Stdout.Text = []byte(c.Mask(string(res.Stdout.Text)))
		res.Stderr.Text = []byte(c.Mask(string(res.Stderr.Text)))
	}
	return res, nil
}

// end is how what runs is ended when ctx ends.
func end(ctx context.Context) (Outcome, syscall.Signal) {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrAborted):
		return Aborted, syscall.SIGKILL
	case errors.Is(cause, ErrReboot):
		return Rebooting, syscall.SIGKILL
	}
	return Terminated, syscall.SIGTERM
}

// cut is the result of what has no process of ours when ctx has ended.
func cut(ctx context.Context) Result {
	how, _ := end(ctx)
	return Result{Outcome: how, Code: -1, Reason: context.Cause(ctx).Error()}
}

// startFailed tells what is wrong with the charm from what is wrong with the machine.
func startFailed(err error) (Result, error) {
	for _, ours := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, ours) {
			return Result{}, err
		}
	}
	return Result{Outcome: Failed, Code: -1, Reason: err.Error()}, nil
}

func classify(p *os.ProcessState, asked Outcome) Result {
	status := p.Sys().(syscall.WaitStatus)
	switch sig := status.Signal(); {
	case asked == Rebooting:
		return Result{Outcome: Rebooting, Code: p.ExitCode(), Reason: p.String()}
	case asked == Aborted && status.Signaled(): // else it has ended by itself before
		return Result{Outcome: Aborted, Code: p.ExitCode(), Reason: p.String()}
	case asked == Terminated || status.Signaled() && (sig == syscall.SIGTERM || sig == syscall.SIGKILL):
		return Result{Outcome: Terminated, Code: p.ExitCode(), Reason: p.String()}
	case p.Success():
		return Result{Outcome: Done}
	}
	return Result{Outcome: Failed, Code: p.ExitCode(), Reason: p.String()}
}

// module is what output is logged as.
func (c Config) module() string {
	if c.Facts.Unit == "" {
		return "machine." + c.Hook.RunName()
	}
	return "unit." + string(c.Facts.Unit) + "." + c.Hook.RunName()
}

// memoryFile is an open file that holds text and has no name.
func memoryFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("commands", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hold the commands: %w", err)
	}
	f := os.NewFile(uintptr(fd), "commands")
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
