package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// shellQuote is the word so that a shell takes it for itself.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// commandText is the words as shell text: one word is text already, several are quoted and joined.
func commandText(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellQuote(w)
	}
	return strings.Join(quoted, " ")
}

func (c *cli) sshCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ssh [user@]unit|machine [command...]", Short: "Open a shell, or run a command, where a unit is.",
		Args: argCount(1, -1, "no target name specified"),
		Long: "Open a shell on the machine of a unit, or run a command there. What follows the target is the command."}
	cmd.Flags().SetInterspersed(false)
	modelFlag(cmd)
	cmd.Flags().Bool("no-host-key-checks", false, "do not check the host's key")
	cmd.Flags().Bool("proxy", false, "accepted for compatibility")
	cmd.Flags().Bool("pty", false, "accepted for compatibility")
	cmd.Flags().String("container", "", "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if _, after, ok := strings.Cut(name, "@"); ok {
			name = after
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		var shell userapi.Shell
		if digits.MatchString(name) {
			shell, err = m.MachineShell(cmd.Context(), state.MachineID(name))
		} else {
			shell, err = m.UnitShell(cmd.Context(), name)
		}
		if err != nil {
			return err
		}
		words := args[1:]
		if len(words) > 0 && words[0] == "--" {
			words = words[1:]
		}
		return c.openShell(cmd.Context(), name, shell, words)
	}
	return cmd
}

func (c *cli) openShell(ctx context.Context, name string, shell userapi.Shell, words []string) error {
	argv := shell.Command
	if shell.SSH {
		if len(shell.Addresses) == 0 {
			return fmt.Errorf("%s has no address yet", name)
		}
		argv = append([]string{"ssh", shell.Addresses[0]}, words...)
	} else if len(words) > 0 {
		argv = append(slices.Clone(argv), "-c", strings.Join(words, " "))
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = c.in, c.out, c.errw, shell.Dir
	cmd.Env = append(os.Environ(), shell.Env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exitError{exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("open a shell for %s on this host: %w", name, err)
	}
	return nil
}

func (c *cli) execCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "exec --unit unit command...", Short: "Run a command in the context of units' hooks.", Args: argCount(1, -1, "no commands specified")}
	modelFlag(cmd)
	f := cmd.Flags()
	units := f.StringSliceP("unit", "u", nil, "the units")
	apps := f.StringSliceP("application", "a", nil, "the applications, whose every unit is meant")
	f.StringSliceVar(apps, "app", nil, "the same as --application")
	machines := f.StringSlice("machine", nil, "the machines")
	all := f.Bool("all", false, "every unit of the model")
	wait := f.String("wait", "5m", "how long to wait for the results; a negative time for ever")
	background := f.Bool("background", false, "do not wait")
	f.Bool("parallel", true, "accepted for compatibility")
	f.String("execution-group", "", "accepted for compatibility")
	utc := f.Bool("utc", false, "show times in UTC")
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		patience, err := time.ParseDuration(*wait)
		if err != nil {
			return usagef("invalid value %q for option --wait: %v", *wait, err)
		}
		if *background && f.Changed("wait") {
			return usagef("cannot specify both --wait and --background")
		}
		if len(*units)+len(*apps)+len(*machines) == 0 && !*all {
			return usagef("You must specify a target, either through --all, --machine, --application or --unit")
		}
		if len(*machines) > 0 {
			return fmt.Errorf("cannot run commands on machines without a unit's context: use \"%s ssh %s\"", c.name, (*machines)[0])
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		op, err := m.Enqueue(cmd.Context(), userapi.Enqueue{Action: state.ExecAction, Params: map[string]any{"command": commandText(args)}, Units: *units, Apps: *apps, All: *all})
		if err != nil {
			return err
		}
		for _, target := range slices.Sorted(maps.Keys(op.Refused)) {
			fmt.Fprintf(c.errw, "%s\n", op.Refused[target])
		}
		if len(op.Tasks) == 0 {
			fmt.Fprintf(c.errw, "Operation %d failed to schedule any tasks:\n", op.ID)
			return nil
		}
		c.infof("Running operation %d with %d tasks", op.ID, len(op.Tasks))
		if *background {
			c.infof("Scheduled operation %d; see \"%s show-operation %d\"", op.ID, c.name, op.ID)
			return nil
		}
		if patience < 0 {
			patience = 100 * 365 * 24 * time.Hour
		}
		if op, err = m.Operation(cmd.Context(), op.ID, patience); err != nil {
			return err
		}
		return c.showTasks(o, op, *utc)
	}
	return cmd
}

// A shownTask is a task as exec and show-task print it.
type shownTask struct {
	ID      string         `json:"id"`
	Status  string         `json:"status"`
	Unit    string         `json:"unit"`
	Results map[string]any `json:"results,omitempty"`
	Message string         `json:"message,omitempty"`
	Log     []string       `json:"log,omitempty"`
	Timing  *timing        `json:"timing,omitempty"`
}

type timing struct {
	Enqueued  string `json:"enqueued,omitempty"`
	Started   string `json:"started,omitempty"`
	Completed string `json:"completed,omitempty"`
}

func showTask(t userapi.Task, loc *time.Location) shownTask {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(loc).Format("2006-01-02 15:04:05 -0700 MST")
	}
	return shownTask{ID: strconv.Itoa(int(t.ID)), Status: t.Status, Unit: string(t.Unit), Results: t.Results, Message: t.Message, Log: t.Log,
		Timing: &timing{at(t.Enqueued), at(t.Started), at(t.Completed)}}
}

// showTasks prints the results of an operation. Its error says which tasks failed or did not end.
func (c *cli) showTasks(o *output, op userapi.Operation, utc bool) error {
	loc, _ := c.location(utc)
	shown := map[string]shownTask{}
	var late, failed []string
	for _, id := range slices.Sorted(maps.Keys(op.Tasks)) {
		t := op.Tasks[id]
		if !t.Done() {
			late = append(late, string(t.Unit))
			continue
		}
		shown[string(t.Unit)] = showTask(t, loc)
		if code := returnCode(t.Results); code != 0 {
			failed = append(failed, fmt.Sprintf(" - id \"%d\" with return code %d", id, code))
		}
	}
	if len(late) > 0 {
		return fmt.Errorf("timed out waiting for results from: unit %s", strings.Join(late, ", unit "))
	}
	if err := o.write(shown, func(w io.Writer) error { return plainTasks(w, c.errw, shown) }); err != nil {
		return err
	}
	if len(failed) == 0 {
		return nil
	}
	what := "task"
	if len(failed) > 1 {
		what = "tasks"
	}
	fmt.Fprintf(c.errw, "ERROR the following %s failed:\n%s\n\nuse \"%s show-task\" to inspect the failures\n", what, strings.Join(failed, "\n"), c.name)
	return exitError{1}
}

func plainTasks(w, errw io.Writer, tasks map[string]shownTask) error {
	for _, unit := range slices.Sorted(maps.Keys(tasks)) {
		t := tasks[unit]
		stdout, _ := t.Results["stdout"].(string)
		stderr, _ := t.Results["stderr"].(string)
		if len(tasks) == 1 {
			_, _ = io.WriteString(w, stdout)
			_, _ = io.WriteString(errw, stderr)
			if t.Message != "" {
				fmt.Fprintln(errw, t.Message)
			}
			continue
		}
		fmt.Fprintf(w, "%s:\n%s%s\n", unit, stdout, stderr)
	}
	return nil
}

func returnCode(results map[string]any) int {
	switch v := results["return-code"].(type) {
	case float64:
		return int(v)
	case int:
		return v
	case json.Number:
		n, _ := v.Int64()
		return int(n)
	}
	return 0
}

// taskCommands show what has been run, and cancel it.
func (c *cli) taskCommands() []*cobra.Command {
	id := func(args []string) (int, error) {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return 0, usagef("%q is not a valid id: want a number", args[0])
		}
		return n, nil
	}
	show := &cobra.Command{Use: "show-task id", Short: "Show a task and its results.", Args: argCount(1, 1, "no task ID specified")}
	modelFlag(show)
	so := c.outputFlags(show, "yaml", "json")
	utc := show.Flags().Bool("utc", false, "show times in UTC")
	wait := show.Flags().Duration("wait", 0, "how long to wait for its end")
	show.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := id(args)
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		t, err := m.Task(cmd.Context(), state.TaskID(n), *wait)
		if err != nil {
			return err
		}
		loc, _ := c.location(*utc)
		return so.write(showTask(t, loc), nil)
	}
	cancel := &cobra.Command{Use: "cancel-task id...", Short: "Cancel tasks that have not begun.", Args: argCount(1, -1, "no task ID specified")}
	modelFlag(cancel)
	co := c.outputFlags(cancel, "yaml", "json")
	cancel.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		out := map[string]shownTask{}
		for i := range args {
			n, err := id(args[i:])
			if err != nil {
				return err
			}
			t, err := m.CancelTask(cmd.Context(), state.TaskID(n))
			if err != nil {
				return err
			}
			out[string(t.Unit)] = showTask(t, time.Local)
		}
		return co.write(out, nil)
	}
	return []*cobra.Command{show, cancel, c.operationsCommand(), c.showOperationCommand(id)}
}

// A shownOperation is an operation as operations and show-operation print it.
type shownOperation struct {
	Summary string               `json:"summary"`
	Status  string               `json:"status"`
	Timing  *timing              `json:"timing,omitempty"`
	Tasks   map[string]shownTask `json:"tasks,omitempty"`
}

func showOperation(op userapi.Operation, loc *time.Location) shownOperation {
	s := shownOperation{Summary: op.Summary, Status: op.Status, Tasks: map[string]shownTask{}}
	whole := showTask(userapi.Task{Enqueued: op.Enqueued, Started: op.Started, Completed: op.Completed}, loc)
	s.Timing = whole.Timing
	for id, t := range op.Tasks {
		s.Tasks[strconv.Itoa(int(id))] = showTask(t, loc)
	}
	return s
}

func (c *cli) showOperationCommand(id func([]string) (int, error)) *cobra.Command {
	cmd := &cobra.Command{Use: "show-operation id", Short: "Show an operation and its tasks.", Args: argCount(1, 1, "no operation ID specified")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	wait := cmd.Flags().Duration("wait", 0, "how long to wait for its end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := id(args)
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		op, err := m.Operation(cmd.Context(), state.OperationID(n), *wait)
		if err != nil {
			return err
		}
		return o.write(map[string]shownOperation{args[0]: showOperation(op, time.Local)}, nil)
	}
	return cmd
}

func (c *cli) operationsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "operations", Aliases: []string{"list-operations"}, Short: "List what has been run.", Args: argCount(0, 0, "")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	limit := cmd.Flags().Int("limit", 50, "at most so many, the newest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		ops, err := m.Operations(cmd.Context(), *limit)
		if err != nil {
			return err
		}
		shown := map[string]shownOperation{}
		rows := [][]string{{"ID", "Status", "Started", "Finished", "Task IDs", "Summary"}}
		for _, op := range ops {
			s := showOperation(op, time.Local)
			shown[strconv.Itoa(int(op.ID))] = s
			var ids []string
			for _, id := range slices.Sorted(maps.Keys(op.Tasks)) {
				ids = append(ids, strconv.Itoa(int(id)))
			}
			rows = append(rows, []string{strconv.Itoa(int(op.ID)), s.Status, s.Timing.Started, s.Timing.Completed, strings.Join(ids, ","), s.Summary})
		}
		if len(ops) == 0 && o.format == "plain" {
			fmt.Fprintln(c.errw, "no matching operations")
			return nil
		}
		return o.write(shown, func(w io.Writer) error { writeTable(w, rows); return nil })
	}
	return cmd
}
