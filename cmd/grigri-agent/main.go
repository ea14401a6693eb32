// Command grigri-agent is all that runs on a machine: its agent with the agents of its units, what enrols it, and what keeps
// it running where there is no systemd. Called as jujud it answers what charms ask of that: its version. Called as juju-exec or
// juju-run it runs commands with the context of a unit, as juju_machine_lock it tells what hooks wait for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/grigri/grigri/agent/machine"
	"github.com/grigri/grigri/internal/reaper"
	"github.com/grigri/grigri/internal/version"
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

const usage = `grigri-agent runs a machine of a grigri model. Its commands are called by programs.

  grigri-agent run --data-dir DIR        run the agent of the machine that is enrolled below DIR
  grigri-agent enrol --data-dir DIR ...  trade the token in GRIGRI_TOKEN for the machine's identity
  grigri-agent supervise --dir DIR -- COMMAND...
                                         keep COMMAND running, and end all that it has started
  grigri-agent debug --unit UNIT [--at WHERE] [NAME...]
                                         run hooks of the unit by hand, in a tmux at this terminal
  grigri-agent version                   print the version
`

// The exit statuses. Whoever keeps the agent running starts it again after any but the first.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitReboot  = reaper.RebootStatus        // the machine is to start again
	exitStopped = 128 + int(syscall.SIGTERM) // it was told to end
)

// run does what the command line says and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	command := ""
	if len(args) > 1 {
		command = args[1]
	}
	switch name := filepath.Base(args[0]); name {
	case "jujud":
		if command != "version" && command != "--version" {
			fmt.Fprintln(stderr, "jujud: only version is known here")
			return exitUsage
		}
		fmt.Fprintf(stdout, "%s-%s-%s\n", version.Juju, system(), runtime.GOARCH)
		return exitDone
	case "juju-exec", "juju-run":
		return execCommand(ctx, name, args[1:], stdout, stderr)
	case "juju_machine_lock":
		command = name
	}
	var err error
	switch command {
	case "juju_machine_lock":
		err = machineLock(ctx, stdout)
	case "run":
		err = runMachine(ctx, args[2:], stderr)
	case "enrol":
		err = enrol(ctx, args[2:], stderr)
	case "debug":
		err = debugUnit(ctx, args[2:], stderr)
	case "supervise":
		err = reaper.Main(ctx, args[2:], func() []string { return append(os.Environ(), bootVariable+"="+newID()) }, stderr)
	case "version", "--version":
		fmt.Fprintln(stdout, version.Grigri)
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	var bad usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &bad):
		fmt.Fprintln(stderr, "ERROR "+err.Error())
		return exitUsage
	case errors.Is(err, machine.ErrReboot):
		return exitReboot
	case ctx.Err() != nil:
		return exitStopped
	case err != nil:
		fmt.Fprintln(stderr, "ERROR "+err.Error())
		return exitFailed
	}
	return exitDone
}

// A usageError is about the command line.
type usageError struct{ error }

// parse parses the options of a command, all of which are required and take no arguments beside them.
func parse(fs *flag.FlagSet, args []string, stderr io.Writer) error {
	fs.SetOutput(stderr)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if fs.NArg() > 0 {
		return usageError{fmt.Errorf("unrecognized args: %q", fs.Args())}
	}
	var missing error
	fs.VisitAll(func(f *flag.Flag) {
		if f.Value.String() == "" && missing == nil {
			missing = usageError{fmt.Errorf("option --%s is missing: %s", f.Name, f.Usage)}
		}
	})
	return missing
}
