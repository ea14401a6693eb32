package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/grigri/grigri/agent/debug"
)

// debugUnit lets the person at the terminal run the hooks of a unit: it is what "grigri debug-hooks" and "grigri debug-code" call
// on the unit's machine.
func debugUnit(ctx context.Context, args []string, stderr io.Writer) error {
	f := pflag.NewFlagSet("debug", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	c := debug.Config{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: stderr, Install: dataDir() == ownDataDir}
	f.StringVar(&c.Unit, "unit", "", "the unit")
	f.StringVar(&c.At, "at", "", "run what the charm has, with this as JUJU_DEBUG_AT")
	if err := f.Parse(args); err != nil {
		return usageError{errors.New(optionError(err.Error()))}
	}
	if c.Unit == "" {
		return usageError{errors.New("option --unit is missing")}
	}
	c.Names = f.Args()
	var err error
	if c.Dir, err = unitDir(c.Unit); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal has gone
	defer stop()
	return debug.Run(ctx, c)
}
