package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/state"
)

const execUsage = `Usage: %[1]s [options] unit commands

Run shell commands on this machine with the context that a unit's hooks have. They run when no hook does; what they ask for
with hook tools takes effect whatever their exit status is, which is also that of %[1]s.

Options:
`

// juju-exec and juju-run: name is which of the two.
func execCommand(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	err := callUnit(ctx, name, args, stdout, stderr)
	var status exitStatus
	var bad usageError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case ctx.Err() != nil:
		return exitStopped
	}
	fmt.Fprintln(stderr, "ERROR "+err.Error())
	if errors.As(err, &bad) {
		return exitUsage
	}
	return exitFailed
}

// An exitStatus is that of a process of which nothing more is to be said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func callUnit(ctx context.Context, name string, args []string, stdout, stderr io.Writer) error {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	unit := f.StringP("unit", "u", "", "the unit; otherwise it is the first argument")
	var c commands.Run
	f.StringVarP(&c.Relation, "relation", "r", "", "the relation whose context is wanted: db:7 or 7")
	f.StringVar(&c.RemoteUnit, "remote-unit", "", "the unit of the relation's other side that the commands are about; its only one needs no mention")
	f.StringVar(&c.RemoteApp, "remote-app", "", "the application of the relation's other side")
	f.BoolVar(&c.Force, "force-remote-unit", false, "the remote unit need not be in the relation")
	plain := f.Bool("no-context", false, "run without any unit, when no hook runs")
	f.Bool("operator", false, "accepted for compatibility")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			fmt.Fprintf(stdout, execUsage+f.FlagUsages(), name)
			return err
		}
		return usageError{errors.New(optionError(err.Error()))}
	}
	// A hook that waited for itself would wait for ever.
	if id := os.Getenv("JUJU_CONTEXT_ID"); id != "" {
		return fmt.Errorf("%s cannot be called from within a hook, have context %q", name, id)
	}
	words := f.Args()
	if *unit == "" && !*plain && len(words) > 1 {
		*unit, words = words[0], words[1:]
	}
	switch {
	case *plain && (*unit != "" || c.Relation != "" || c.RemoteUnit != "" || c.RemoteApp != ""):
		return usageError{errors.New("--no-context is for commands without a unit and without a relation")}
	case len(words) > 1:
		return usageError{fmt.Errorf("unrecognized args: %q", words[1:])}
	case len(words) == 0 || words[0] == "":
		return usageError{errors.New("missing commands")}
	case c.Force && c.RemoteUnit == "":
		return usageError{errors.New("--force-remote-unit is about a remote unit: give it with --remote-unit")}
	}
	c.Text = words[0]
	if *plain {
		return underLock(ctx, name, c.Text)
	}
	dir, err := unitDir(*unit)
	if err != nil {
		return err
	}
	answer, err := commands.Do(ctx, dir, commands.Request{Run: &c})
	if err != nil {
		return err
	}
	defer answer.Close()
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	_, err = stdout.Write(answer.Stdout)
	_, err2 := stderr.Write(answer.Stderr)
	if answer.Code != 0 {
		return exitStatus(answer.Code)
	}
	return errors.Join(err, err2)
}

// optionError is the complaint about an option in the words of juju's tools.
func optionError(text string) string {
	if flag, ok := strings.CutPrefix(text, "unknown flag: "); ok {
		return "option provided but not defined: " + flag
	}
	if rest, ok := strings.CutPrefix(text, "unknown shorthand flag: '"); ok {
		return "option provided but not defined: -" + rest[:1]
	}
	return text
}

// underLock runs the commands as a child of ours while no hook runs.
func underLock(ctx context.Context, name, text string) error {
	dir, err := machineDir()
	if err != nil {
		return err
	}
	lock, err := commands.Do(ctx, dir, commands.Request{Lock: fmt.Sprintf("%s: process %d", name, os.Getpid())})
	if err != nil {
		return err
	}
	defer lock.Close()
	if lock.Error != "" {
		return errors.New(lock.Error)
	}
	cmd := exec.CommandContext(ctx, "/bin/bash", "-c", text)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		return exitStatus(ended.ExitCode())
	}
	return err
}

// machineLock prints who holds the locks of the machine.
func machineLock(ctx context.Context, stdout io.Writer) error {
	dir, err := machineDir()
	if err != nil {
		return err
	}
	answer, err := commands.Do(ctx, dir, commands.Request{Show: true})
	if err != nil {
		return err
	}
	defer answer.Close()
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	_, err = stdout.Write(answer.Stdout)
	return err
}

// ownDataDir is the data directory on machines that are ours alone.
const ownDataDir = "/var/lib/juju"

// dataDir is where the machine's agents keep what is theirs: we are installed below it.
func dataDir() string {
	if exe, err := os.Executable(); err == nil {
		if tools := filepath.Dir(filepath.Dir(exe)); filepath.Base(tools) == "tools" {
			return filepath.Dir(tools)
		}
	}
	return ownDataDir
}

// unitDir is the directory of a unit: web/0 or unit-web-0. Without a name it is that of the only one.
func unitDir(name string) (string, error) {
	data := dataDir()
	if name == "" {
		dirs, err := filepath.Glob(filepath.Join(data, "agents", "unit-*"))
		if err != nil || len(dirs) != 1 {
			return "", usageError{errors.New("missing unit-name: this machine has not exactly one unit")}
		}
		return dirs[0], nil
	}
	u := state.UnitName(name)
	if node, ok := strings.CutPrefix(name, "unit-"); ok {
		u = state.UnitOfNode(node)
	}
	if _, err := state.ParseUnit(string(u)); err != nil {
		return "", usageError{err}
	}
	dir := filepath.Join(data, "agents", u.Tag())
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("unit %q not found on this machine", u)
	}
	return dir, nil
}

func machineDir() (string, error) {
	dirs, err := filepath.Glob(filepath.Join(dataDir(), "agents", "machine-*"))
	if err == nil && len(dirs) == 0 {
		err = fmt.Errorf("there is no machine's agent below %s", dataDir())
	}
	if err != nil {
		return "", err
	}
	return dirs[0], nil
}
