package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// A shownOperation is an operation as operations and show-operation print it.
type shownOperation struct {
	Summary string               `json:"summary"`
	Status  string               `json:"status"`
	Action  shownAction          `json:"action"`
	Timing  *timing              `json:"timing,omitempty"`
	Tasks   map[string]shownTask `json:"tasks,omitempty"`
}

type shownAction struct {
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

func (t teller) shownOperation(op userapi.Operation) shownOperation {
	s := shownOperation{Summary: op.Summary, Status: op.Status, Action: shownAction{Name: op.Action}, Tasks: map[string]shownTask{},
		Timing: &timing{t.clock(op.Enqueued), t.clock(op.Started), t.clock(op.Completed)}}
	for _, id := range slices.Sorted(maps.Keys(op.Tasks)) {
		task := t.shown(op.Tasks[id])
		task.Host, task.Unit, task.Machine = string(op.Tasks[id].On()), "", ""
		s.Tasks[task.ID] = task
		s.Action.Parameters = op.Tasks[id].Params
	}
	return s
}

func (c *cli) showOperationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-operation id", Short: "Show an operation and its tasks.", Args: argCount(1, 1, "no operation ID specified")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	utc := cmd.Flags().Bool("utc", false, "show times in UTC")
	wait := waitFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := parseID("operation", args[0])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		t := teller{cli: c, clock: c.clock(*utc)}
		tell := t.progress()
		op, err := m.FollowOperation(cmd.Context(), state.OperationID(n), wait(), func(op userapi.Operation) {
			if wait() == 0 {
				return
			}
			for _, id := range slices.Sorted(maps.Keys(op.Tasks)) {
				tell(op.Tasks[id], len(op.Tasks) > 1)
			}
		})
		if err != nil {
			return err
		}
		return o.write(t.shownOperation(op), nil)
	}
	return cmd
}

func (c *cli) operationsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "operations", Aliases: []string{"list-operations"}, Short: "List what has been run.", Args: argCount(0, 0, "")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	var filter userapi.OperationFilter
	f := cmd.Flags()
	f.StringSliceVar(&filter.Actions, "actions", nil, "only these actions")
	f.StringSliceVar(&filter.Apps, "applications", nil, "only what units of these applications run")
	f.StringSliceVar(&filter.Units, "units", nil, "only what these units run")
	f.StringSliceVar(&filter.Machines, "machines", nil, "only what these machines run")
	f.StringSliceVar(&filter.Statuses, "status", nil, "only those with one of these statuses")
	f.IntVar(&filter.Limit, "limit", 50, "at most so many, the newest; zero for all")
	f.IntVar(&filter.Offset, "offset", 0, "leave out so many, the newest")
	utc := f.Bool("utc", false, "show times in UTC")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		known := []string{state.TaskPending, state.TaskRunning, state.TaskCompleted, state.TaskFailed, state.TaskCancelled, state.TaskAborted, "error"}
		for _, s := range filter.Statuses {
			if !slices.Contains(known, s) {
				return usagef("invalid status %q: use some of %s", s, strings.Join(known, ", "))
			}
		}
		if filter.Limit < 0 || filter.Offset < 0 {
			return usagef("--limit and --offset must not be negative")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		ops, err := m.Operations(cmd.Context(), filter)
		if err != nil {
			return err
		}
		if len(ops) == 0 && o.format == "plain" {
			fmt.Fprintln(c.errw, "no matching operations")
			return nil
		}
		return o.operations(teller{cli: c, clock: c.clock(*utc)}, ops)
	}
	return cmd
}

func (o *output) operations(t teller, ops []userapi.Operation) error {
	shown := map[string]shownOperation{}
	rows := [][]string{{"ID", "Status", "Started", "Finished", "Task IDs", "Summary"}}
	for _, op := range ops {
		s := t.shownOperation(op)
		shown[strconv.Itoa(int(op.ID))] = s
		var ids []string
		for _, id := range slices.Sorted(maps.Keys(op.Tasks)) {
			ids = append(ids, strconv.Itoa(int(id)))
		}
		rows = append(rows, []string{strconv.Itoa(int(op.ID)), s.Status, s.Timing.Started, s.Timing.Completed, strings.Join(ids, ","), s.Summary})
	}
	return o.write(shown, func(w io.Writer) error { writeTable(w, rows); return nil })
}
