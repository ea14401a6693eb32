// Command grigrid is the controller's daemon.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/version"
)

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// errUsage is wrapped by errors of the command line.
var errUsage = errors.New("see grigrid --help")

// execute runs one command until it is done or the process is asked to end, and returns the exit code: 2 for a bad command line.
func execute(args []string, out, errw io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	root := &cobra.Command{Use: "grigrid", Short: "The grigri controller daemon.", Version: version.Grigri, SilenceErrors: true, SilenceUsage: true}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errw)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w; %w", err, errUsage) })
	debug := root.PersistentFlags().Bool("debug", false, "log more")
	log := func() *slog.Logger {
		level := slog.LevelInfo
		if *debug {
			level = slog.LevelDebug
		}
		return slog.New(slog.NewTextHandler(errw, &slog.HandlerOptions{Level: level}))
	}
	root.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q; %w", args[0], errUsage)
		}
		return nil
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.AddCommand(bootstrapCommand(), runCommand(log), destroyCommand(log), replaceCommand(), versionCommand(), tryCommand(log), watchCommand(log))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errw, "ERROR", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}
