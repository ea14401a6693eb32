package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// A patience is how long a command waits for what it has started.
type patience struct {
	text       string
	background bool
	wait       time.Duration
	given      func() bool
}

func patienceFlags(cmd *cobra.Command, byDefault string) *patience {
	p := &patience{given: func() bool { return cmd.Flags().Changed("wait") }}
	cmd.Flags().StringVar(&p.text, "wait", byDefault, "how long to wait for the results; a negative time for ever")
	cmd.Flags().BoolVar(&p.background, "background", false, "do not wait")
	return p
}

func (p *patience) check() (err error) {
	if p.wait, err = time.ParseDuration(p.text); err != nil {
		return usagef("invalid value %q for option --wait: %v", p.text, err)
	}
	if p.background && p.given() {
		return usagef("cannot specify both --wait and --background")
	}
	return nil
}

// A teller tells what tasks say, while they run and at their end.
type teller struct {
	*cli
	clock func(time.Time) string
	plain func(w io.Writer, t teller, tasks map[string]shownTask) error
}

// clock is how times are written: in UTC in the ISO form, otherwise in the user's zone.
func (c *cli) clock(utc bool) func(time.Time) string {
	loc, utc := c.location(utc)
	layout := "2006-01-02 15:04:05 -0700 MST"
	if utc {
		layout = "2006-01-02T15:04:05Z"
	}
	return func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(loc).Format(layout)
	}
}

// runTasks gives units what they are to run, waits for them as long as p says, and prints what came of it.
func (c *cli) runTasks(ctx context.Context, m client.Model, want userapi.Enqueue, p *patience, o *output, t teller) error {
	op, err := m.Enqueue(ctx, want)
	if err != nil {
		return err
	}
	var refused []string
	for _, target := range slices.Sorted(maps.Keys(op.Refused)) {
		refused = append(refused, op.Refused[target])
	}
	if len(op.Tasks) == 0 {
		fmt.Fprintf(c.errw, "Operation %d failed to schedule any tasks:\n%s\n", op.ID, strings.Join(refused, "\n"))
		return nil
	}
	for _, why := range refused {
		fmt.Fprintln(c.errw, why)
	}
	ids := slices.Sorted(maps.Keys(op.Tasks))
	if p.background {
		c.scheduled(op.ID, ids)
		return nil
	}
	c.infof("Running operation %d with %d %s", op.ID, len(ids), plural(len(ids), "task"))
	for _, id := range ids {
		c.infof("  - task %d on %s", id, op.Tasks[id].On().Tag())
	}
	c.infof("")
	for _, id := range ids {
		c.infof("Waiting for task %d...", id)
	}
	tell := t.progress()
	id := op.ID
	op, err = m.FollowOperation(ctx, id, p.wait, func(op userapi.Operation) {
		for _, id := range ids {
			tell(op.Tasks[id], len(ids) > 1)
		}
	})
	if ctx.Err() != nil { // interrupted
		c.goesOn(id, ids)
	}
	if err != nil {
		return err
	}
	return t.showTasks(o, op)
}

func plural(n int, thing string) string {
	if n == 1 {
		return thing
	}
	return thing + "s"
}

func (c *cli) scheduled(op state.OperationID, ids []state.TaskID) {
	var names []string
	for _, id := range ids {
		names = append(names, strconv.Itoa(int(id)))
	}
	c.infof("Scheduled operation %d with %s %s", op, plural(len(ids), "task"), strings.Join(names, ", "))
	c.goesOn(op, ids)
}

// goesOn says how to see what becomes of an operation that nobody waits for.
func (c *cli) goesOn(op state.OperationID, ids []state.TaskID) {
	c.infof("Check operation status with '%s show-operation %d'", c.name, op)
	for _, id := range ids {
		c.infof("Check task status with '%s show-task %d'", c.name, id)
	}
}

// progress is a function that tells the lines of a task's log that it has not told before.
func (t teller) progress() func(task userapi.Task, named bool) {
	told := map[state.TaskID]int{}
	return func(task userapi.Task, named bool) {
		for _, line := range task.Log[min(told[task.ID], len(task.Log)):] {
			text := line.Message
			if named {
				text = task.On().Tag() + ": " + text
			}
			t.infof("%s %s", t.clock(line.When), text)
		}
		told[task.ID] = len(task.Log)
	}
}

// A shownTask is a task as run, exec and show-task print it.
type shownTask struct {
	ID      string         `json:"id"`
	Status  string         `json:"status"`
	Unit    string         `json:"unit,omitempty"`
	Machine string         `json:"machine,omitempty"`
	Host    string         `json:"host,omitempty"` // either of them, as the tasks of an operation name it
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

func (t teller) shown(task userapi.Task) shownTask {
	out := shownTask{ID: strconv.Itoa(int(task.ID)), Status: task.Status, Unit: string(task.Unit), Machine: string(task.Machine), Results: task.Results, Message: task.Message,
		Timing: &timing{t.clock(task.Enqueued), t.clock(task.Started), t.clock(task.Completed)}}
	for _, line := range task.Log {
		out.Log = append(out.Log, t.clock(line.When)+" "+line.Message)
	}
	return out
}

// showTasks prints the results of an operation. Its error says which tasks failed or did not end.
func (t teller) showTasks(o *output, op userapi.Operation) error {
	shown := map[string]shownTask{}
	var late, failed []string
	for _, id := range slices.Sorted(maps.Keys(op.Tasks)) {
		task := op.Tasks[id]
		if !task.Done() {
			late = append(late, task.On().Kind()+" "+string(task.On()))
			continue
		}
		shown[string(task.On())] = t.shown(task)
		if why := failure(task); why != "" {
			failed = append(failed, fmt.Sprintf(" - id \"%d\" %s", id, why))
		}
	}
	if len(late) > 0 {
		return fmt.Errorf("timed out waiting for results from: %s", strings.Join(late, ", "))
	}
	if err := o.write(shown, func(w io.Writer) error { return t.plain(w, t, shown) }); err != nil {
		return err
	}
	if len(failed) == 0 {
		return nil
	}
	fmt.Fprintf(t.errw, "ERROR the following %s failed:\n%s\n\nuse '%s show-task' to inspect the failures\n", plural(len(failed), "task"), strings.Join(failed, "\n"), t.name)
	return exitError{1}
}

// failure says how a task has failed, as the exit status of the command tells it: an action that has said so itself has run.
func failure(t userapi.Task) string {
	code, ran := returnCode(t.Results)
	switch {
	case code != 0:
		return fmt.Sprintf("with return code %d", code)
	case !ran && t.Status != state.TaskCompleted:
		return t.Status + ": " + t.Message
	}
	return ""
}

func returnCode(results map[string]any) (code int, ran bool) {
	switch v := results["return-code"].(type) {
	case float64:
		return int(v), true
	case json.Number:
		n, _ := v.Int64()
		return int(n), true
	}
	return 0, false
}

// plainCommands prints what commands have said: of one as it is, of several under the names of their units.
func plainCommands(w io.Writer, t teller, tasks map[string]shownTask) error {
	for _, unit := range slices.Sorted(maps.Keys(tasks)) {
		if len(tasks) == 1 {
			t.says(w, tasks[unit])
			continue
		}
		stdout, _ := tasks[unit].Results["stdout"].(string)
		stderr, _ := tasks[unit].Results["stderr"].(string)
		fmt.Fprintf(w, "%s:\n%s%s\n", unit, stdout, stderr)
	}
	return nil
}

// plainActions prints the results of one action and what it has said; of several all that is known.
func plainActions(w io.Writer, t teller, tasks map[string]shownTask) error {
	if len(tasks) != 1 {
		return writeYAML(w, tasks)
	}
	for _, task := range tasks {
		own := maps.Clone(task.Results)
		maps.DeleteFunc(own, func(key string, _ any) bool { return key == "return-code" || key == "stdout" || key == "stderr" })
		if len(own) > 0 {
			if err := writeYAML(w, own); err != nil {
				return err
			}
		}
		t.says(w, task)
	}
	return nil
}

// says prints both streams of one task, each to its own, and what is to be said of its end.
func (t teller) says(w io.Writer, task shownTask) {
	stdout, _ := task.Results["stdout"].(string)
	stderr, _ := task.Results["stderr"].(string)
	_, _ = io.WriteString(w, stdout)
	_, _ = io.WriteString(t.errw, stderr)
	if task.Message != "" {
		fmt.Fprintf(t.errw, "Task %s %s: %s\n", task.ID, task.Status, task.Message)
	}
}

func parseID(what, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, usagef("%q is not a valid %s ID: want a number", text, what)
	}
	return n, nil
}

func (c *cli) showTaskCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-task id", Short: "Show a task and its results.", Args: argCount(1, 1, "no task ID specified")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	utc := cmd.Flags().Bool("utc", false, "show times in UTC")
	wait := waitFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := parseID("task", args[0])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		t := teller{c, c.clock(*utc), plainActions}
		tell := t.progress()
		task, err := m.FollowTask(cmd.Context(), state.TaskID(n), wait(), func(task userapi.Task) {
			if o.format == "plain" {
				tell(task, false)
			}
		})
		if err != nil {
			return err
		}
		shown := t.shown(task)
		return o.write(shown, func(w io.Writer) error {
			if !task.Done() {
				c.infof("Task %d is %s", task.ID, task.Status)
			}
			return t.plain(w, t, map[string]shownTask{string(task.On()): shown})
		})
	}
	return cmd
}

// waitFlags adds the flags of commands that show what may be running.
func waitFlags(cmd *cobra.Command) func() time.Duration {
	wait := cmd.Flags().Duration("wait", 0, "how long to wait for its end; a negative time for ever")
	watch := cmd.Flags().Bool("watch", false, "wait for its end for ever, and tell what it says meanwhile")
	exclusive(cmd, "wait", "watch")
	return func() time.Duration {
		if *watch {
			return -1
		}
		return *wait
	}
}

func (c *cli) cancelTaskCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "cancel-task id...", Short: "Cancel tasks: those that have not begun never will, those that run are killed.",
		Args: argCount(1, -1, "no task ID specified")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	utc := cmd.Flags().Bool("utc", false, "show times in UTC")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var ids []state.TaskID
		for _, text := range args {
			n, err := parseID("task", text)
			if err != nil {
				return err
			}
			ids = append(ids, state.TaskID(n))
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		t := teller{cli: c, clock: c.clock(*utc)}
		var shown []shownTask
		var failed []error
		for _, id := range ids {
			task, err := m.CancelTask(cmd.Context(), id)
			if err != nil {
				failed = append(failed, fmt.Errorf("cancel task %d: %w", id, err))
				continue
			}
			shown = append(shown, t.shown(task))
		}
		if len(shown) > 0 {
			if err := o.write(shown, nil); err != nil {
				return err
			}
		}
		return errors.Join(failed...)
	}
	return cmd
}
