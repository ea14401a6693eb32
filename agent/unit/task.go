package unit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
)

// The ends of a task.
const (
	taskRunning   = "running"
	taskCompleted = "completed"
	taskFailed    = "failed"
	taskCancelled = "cancelled"
)

// A taskResult is how a task ended.
type taskResult struct{ state.TaskResult }

// refuse: the task ran, and what it asked for cannot be had.
func (r *taskResult) refuse(why error) {
	r.Status, r.Message = taskFailed, why.Error()
}

// terminated is the result of a task that was running when the agent ended: it does not run again.
func terminated(now time.Time) state.TaskResult {
	return state.TaskResult{Status: taskFailed, Message: "action terminated", Started: now, Completed: now}
}

// runTask runs an action or a command, and commits its result with what it asked for.
func (a *Agent) runTask(ctx context.Context, op resolve.RunTask, r resolve.Remote) error {
	task, err := state.ReadIf[state.Task](ctx, a.Store, a.Model.TaskPath(a.Unit, op.Task))
	if err != nil {
		return fmt.Errorf("read task %d of %s: %w", op.Task, a.Unit, err)
	}
	if !task.Exists() {
		a.taskDone(op.Task)
		return nil
	}
	h := hooks.Hook{Kind: hooks.Action, Task: op.Task, Action: task.Value.Action, ActionInput: task.Value.Params}
	o := &outcome{op: op, remote: trim(r, h)}
	started := a.Now()
	if why := a.refusal(task.Value); why != nil {
		o.result = why
		return a.finish(ctx, o)
	}
	note := Pending{From: a.local.Commit, Hook: h, Remote: o.remote}
	if err := a.do.Save(&note); err != nil {
		return err
	}
	res, effects, err := a.do.Run(ctx, a.request(ctx, h, op))
	if err != nil {
		return errors.Join(err, a.do.Save(nil))
	}
	o.result, o.effects = result(res, effects), effects
	o.result.Started, o.result.Completed = started, a.Now()
	if res.Code != 0 && task.Value.Action != state.ExecAction || res.Outcome == run.Terminated {
		o.effects = hooks.Effects{Action: effects.Action}
	}
	note.Ended, note.Effects, note.Result = true, o.effects, o.result
	if err := a.do.Save(&note); err != nil {
		return err
	}
	return a.finish(ctx, o)
}

// refusal is the result of a task that is not to run at all, or nil.
func (a *Agent) refusal(t state.Task) *taskResult {
	no := func(status, format string, args ...any) *taskResult {
		now := a.Now()
		return &taskResult{state.TaskResult{Status: status, Message: fmt.Sprintf(format, args...), Started: now, Completed: now}}
	}
	if t.Cancel {
		return no(taskCancelled, "cancelled before it started")
	}
	if _, declared := a.charm.Actions[t.Action]; !declared && t.Action != state.ExecAction {
		return no(taskFailed, "cannot run %q action: not defined", t.Action)
	}
	return nil
}

// result is what is told of a task that has run.
func result(res run.Result, e hooks.Effects) *taskResult {
	out := state.TaskResult{Status: taskCompleted, Results: map[string]any{}}
	if e.Action != nil {
		maps.Copy(out.Results, e.Action.Results)
		if e.Action.Failed {
			out.Status, out.Message = taskFailed, e.Action.Message
		}
	}
	maps.Copy(out.Results, res.Results())
	switch {
	case res.Outcome == run.Terminated:
		out.Status, out.Message = taskFailed, "action terminated"
	case res.Outcome == run.Failed && out.Message == "":
		out.Status, out.Message = taskFailed, res.Reason
	}
	return &taskResult{out}
}

// addResult adds the result of the task, in the place of what has been told while it was running.
func (a *Agent) addResult(ctx context.Context, d *draft, id state.TaskID, r *taskResult) error {
	path := a.Model.TaskResultPath(a.Unit, id)
	was, err := state.ReadIf[state.TaskResult](ctx, a.Store, path)
	if err != nil {
		return err
	}
	value := r.TaskResult
	value.Log = was.Value.Log
	if len(state.Encode(value)) > state.MaxValue { // its output is bounded: what is too large is what it has set
		value.Results, value.Log = nil, nil
		value.Status, value.Message = taskFailed, "the results are too large to be kept"
	}
	write(&d.txn, path, was.Exists(), value)
	return nil
}

func (a *Agent) taskDone(id state.TaskID) {
	a.view.finished[id] = true
	a.view.tasks = slices.DeleteFunc(a.view.tasks, func(t state.TaskID) bool { return t == id })
}

// logTask adds a line to the progress of a running task.
func (a *Agent) logTask(ctx context.Context, id state.TaskID, line string) error {
	path := a.Model.TaskResultPath(a.Unit, id)
	rec, err := state.ReadIf[state.TaskResult](ctx, a.Store, path)
	if err != nil {
		return err
	}
	now := a.Now()
	if !rec.Exists() {
		rec.Value = state.TaskResult{Status: taskRunning, Started: now}
	}
	rec.Value.Log = append(rec.Value.Log, now.UTC().Format("2006-01-02 15:04:05 -0700 MST")+" "+line)
	if len(state.Encode(rec.Value)) > state.MaxValue/2 {
		return errors.New("the log of the action is full")
	}
	var t state.Txn
	state.Put(&t, path, rec, rec.Value)
	_, err = a.Store.Commit(ctx, t)
	return err
}
