package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A cli is one run of the program: where it reads and writes, and what its global flags say.
type cli struct {
	name           string // grigri or juju
	in             io.Reader
	out, errw      io.Writer
	quiet, verbose bool
	debug          bool
}

// usageError is a fault in the command line: exit status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError ends the program with a status and says nothing more: whoever made it has explained.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// Main runs the program with the arguments, whose first is its own name, and returns its exit status.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	c := &cli{name: "grigri", in: in, out: out, errw: errw}
	if strings.HasPrefix(filepath.Base(args[0]), "juju") {
		c.name = "juju"
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if known := os.Getenv(carry); known != "" {
		return c.status(ctx, c.carryFor(ctx, known, args[1:]))
	}
	root := c.root()
	args = c.expandAlias(args[1:])
	if status, done := c.other(ctx, root, args); done {
		return status
	}
	root.SetArgs(args)
	return c.status(ctx, root.ExecuteContext(ctx))
}

// status reports err as the contract has it and returns the exit status.
func (c *cli) status(ctx context.Context, err error) int {
	var silent exitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage):
		fmt.Fprintf(c.errw, "ERROR %v\n", err)
		return 2
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(c.errw, "ERROR interrupted: what has been asked for so far goes on; see \"%s status\"\n", c.name)
		return 130
	}
	fmt.Fprintf(c.errw, "ERROR %v\n", err)
	return 1
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           c.name,
		Short:         "Deploy, relate and scale applications, and live with them for years.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if version, _ := cmd.Flags().GetBool("version"); version {
				return c.printVersion(cmd)
			}
			return cmd.Help()
		},
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.errw)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help"})
	f := root.PersistentFlags()
	f.BoolVarP(&c.quiet, "quiet", "q", false, "say only what was asked for")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "say more")
	f.BoolVar(&c.debug, "debug", false, "say what is sent and received")
	f.Bool("show-log", false, "the same as --debug")
	f.String("logging-config", "", "accepted for compatibility")
	f.Bool("no-alias", false, "do not use the aliases file")
	f.Bool("description", false, "print the command's purpose in one line")
	f.StringP("environment", "e", "", "the model, as in 2011")
	for _, hidden := range []string{"logging-config", "show-log", "environment", "description"} {
		_ = f.MarkHidden(hidden)
	}
	root.Flags().Bool("version", false, "print the version")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{flagError(err)} })
	c.addCommands(root)
	for _, cmd := range root.Commands() {
		c.finish(cmd)
	}
	return root
}

// finish gives a command what all commands have.
func (c *cli) finish(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if d, _ := cmd.Flags().GetBool("description"); d {
				fmt.Fprintln(c.out, cmd.Short)
				return nil
			}
			if show, _ := cmd.Flags().GetBool("show-log"); show {
				c.debug = true
			}
			return run(cmd, args)
		}
	}
}

// flagError puts the words of pflag's errors as juju does.
func flagError(err error) error {
	var missing *pflag.NotExistError
	var value *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		if s := missing.GetSpecifiedShortnames(); s != "" {
			return fmt.Errorf("option provided but not defined: -%s", missing.GetSpecifiedName())
		}
		return fmt.Errorf("option provided but not defined: --%s", missing.GetSpecifiedName())
	case errors.As(err, &value):
		if s := value.GetSpecifiedShortnames(); s != "" {
			return fmt.Errorf("option needs an argument: -%s", value.GetSpecifiedName())
		}
		return fmt.Errorf("option needs an argument: --%s", value.GetSpecifiedName())
	case errors.As(err, &invalid):
		return fmt.Errorf("invalid value %q for option --%s: %w", invalid.GetValue(), invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	return err
}

// argCount checks the number of arguments; max -1 means any number. Missing is what to say when there are too few.
func argCount(min, max int, missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < min {
			return usagef("%s", missing)
		}
		if max >= 0 && len(args) > max {
			return usagef("unrecognized args: %q", args[max:])
		}
		return nil
	}
}

// infof says what is happening. It goes to stderr: stdout is for data alone.
func (c *cli) infof(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.errw, format+"\n", args...)
	}
}

// other handles what is no command of ours: a plugin, or a mistake.
func (c *cli) other(ctx context.Context, root *cobra.Command, args []string) (int, bool) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return 0, false
	}
	name := args[0]
	for _, cmd := range root.Commands() {
		if cmd.Name() == name || cmd.HasAlias(name) {
			return 0, false
		}
	}
	if strings.HasPrefix(name, "__complete") {
		return 0, false
	}
	for _, prefix := range []string{c.name, "juju"} {
		if path, err := exec.LookPath(prefix + "-" + name); err == nil {
			return c.plugin(ctx, path, args[1:]), true
		}
	}
	if why := absent(name); why != "" {
		fmt.Fprintf(c.errw, "ERROR %q is not supported: %s\n", name, why)
		return 1, true
	}
	fmt.Fprintf(c.errw, "%s: %q is not a %s command. See \"%s --help\".\n", c.name, name, c.name, c.name)
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(name); len(near) > 0 {
		fmt.Fprintf(c.errw, "\nDid you mean:\n\t%s\n", strings.Join(near, "\n\t"))
	}
	return 1, true
}

// plugin runs the program at path; the model and the controller that the flags name are in its environment.
func (c *cli) plugin(ctx context.Context, path string, args []string) int {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.errw
	cmd.Env = os.Environ()
	flags := pflag.NewFlagSet("plugin", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	model := flags.StringP("model", "m", "", "")
	controller := flags.StringP("controller", "c", "", "")
	_ = flags.Parse(args) // the plugin's own flags are its own to judge
	if *model != "" {
		cmd.Env = append(cmd.Env, "JUJU_MODEL="+*model, "GRIGRI_MODEL="+*model)
	}
	if *controller != "" {
		cmd.Env = append(cmd.Env, "JUJU_CONTROLLER="+*controller, "GRIGRI_CONTROLLER="+*controller)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintf(c.errw, "ERROR run %s: %v\n", path, err)
		return 1
	}
	return 0
}

// exclusive refuses a command line that gives more than one of the flags.
func exclusive(cmd *cobra.Command, names ...string) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		given := ""
		for _, name := range names {
			if !cmd.Flags().Changed(name) {
				continue
			}
			if given != "" {
				return usagef("cannot specify both --%s and --%s", given, name)
			}
			given = name
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
}
