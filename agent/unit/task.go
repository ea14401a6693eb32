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

// A taskResult is how a task ended.
type taskResult struct{ state.TaskResult }

// refuse: the task ran, and what it asked for cannot be had.
func (r *taskResult) refuse(why error) {
	r.Status, r.Message = state.TaskFailed, errEffects.Error()
	r.Results = maps.Clone(r.Results)
	if r.Results == nil {
		r.Results = map[string]any{}
	}
	if _, coded := r.Results["stderr-encoding"]; coded {
		r.Message = why.Error()
		return
	}
	said, _ := r.Results["stderr"].(string)
	r.Results["stderr"] = said + why.Error() + "\n"
}

// terminated is the result of a task that was running when the agent ended: it does not run again.
func terminated(now time.Time) *taskResult {
	return &taskResult{state.TaskResult{Status: state.TaskFailed, Message: "action terminated", Started: now, Completed: now}}
}

// runTask runs an action or a command, and commits its result with what it asked for.
func (a *Agent) runTask(ctx context.Context, op resolve.RunTask, r resolve.Remote) error {
	task, err := state.ReadIf[state.Task](ctx, a.Store, a.Model.TaskPath(state.Receiver(a.Unit), op.Task))
	if err != nil {
		return fmt.Errorf("read task %d of %s: %w", op.Task, a.Unit, err)
	}
	was, err := state.ReadIf[state.TaskResult](ctx, a.Store, a.Model.TaskResultPath(state.Receiver(a.Unit), op.Task))
	if err != nil {
		return fmt.Errorf("read the result of task %d of %s: %w", op.Task, a.Unit, err)
	}
	if !task.Exists() || !was.Value.Completed.IsZero() { // it has been cancelled meanwhile
		a.taskDone(op.Task)
		return nil
	}
	h := hooks.Hook{Kind: hooks.Action, Task: op.Task, Action: task.Value.Action}
	o := &outcome{op: op, remote: trim(r, h)}
	if was.Exists() && a.begun != op.Task { // by an agent before this one, of which nothing else is known
		o.result = terminated(a.Now())
		return a.finish(ctx, o)
	}
	if h.ActionInput, err = a.input(task.Value); err != nil {
		now := a.Now()
		o.result = &taskResult{state.TaskResult{Status: state.TaskFailed, Message: err.Error(), Started: now, Completed: now}}
		return a.finish(ctx, o)
	}
	if !was.Exists() {
		if run, err := a.begin(ctx, op.Task); err != nil {
			return fmt.Errorf("begin task %d of %s: %w", op.Task, a.Unit, err)
		} else if !run {
			return nil
		}
	}
	note := Pending{From: a.local.Commit, Hook: h, Remote: o.remote}
	if err := a.do.Save(&note); err != nil {
		return err
	}
	req := a.request(ctx, h, op)
	req.Abort = func(ctx context.Context) bool { return a.cancelled(ctx, op.Task) }
	res, effects, err := a.do.Run(ctx, req)
	if err != nil {
		return errors.Join(err, a.do.Save(nil))
	}
	o.result, o.effects = a.result(h, res, effects), effects
	if res.Code != 0 && h.Action != state.ExecAction || res.Outcome == run.Terminated || res.Outcome == run.Aborted {
		o.effects = hooks.Effects{Action: effects.Action}
	}
	note.Ended, note.Effects, note.Result = true, o.effects, o.result
	if err := a.do.Save(&note); err != nil {
		return err
	}
	return a.finish(ctx, o)
}

// input is the parameters that the action gets. Its error says why it cannot run.
func (a *Agent) input(t state.Task) (map[string]any, error) {
	if t.Action == state.ExecAction {
		return t.Params, nil
	}
	action, declared := a.charm.Actions[t.Action]
	if !declared {
		return nil, fmt.Errorf("cannot run %q action: not defined", t.Action)
	}
	params, err := action.Input(t.Params)
	if err != nil {
		return nil, fmt.Errorf("cannot run %q action: %w", t.Action, err)
	}
	return params, nil
}

// begin says in the tree that the task runs, before it does: then no other agent runs it, and to cancel it is to stop it.
// It is not to run when it has been cancelled meanwhile.
func (a *Agent) begin(ctx context.Context, id state.TaskID) (run bool, err error) {
	var t state.Txn
	t.Check(a.Model.LedgerPath(a.Unit), a.version)
	t.Create(a.Model.TaskResultPath(state.Receiver(a.Unit), id), state.TaskResult{Status: state.TaskRunning, Started: a.Now()})
	_, err = a.Store.Commit(ctx, t)
	if !errors.Is(err, state.ErrConflict) {
		if err == nil || errors.Is(err, state.ErrUnknown) {
			a.begun = id
		}
		return err == nil, err
	}
	head, err := state.ReadIf[state.Ledger](ctx, a.Store, a.Model.LedgerPath(a.Unit))
	if err == nil && head.Exists() && head.Version != a.version {
		err = errFenced
	}
	return false, err
}

// cancelled waits until the task is cancelled, or ctx ends.
func (a *Agent) cancelled(ctx context.Context, id state.TaskID) bool {
	watch := a.Store.Watch(ctx)
	watch.Data(a.Model.TaskPath(state.Receiver(a.Unit), id))
	for {
		select {
		case <-ctx.Done():
			return false
		case <-watch.C():
		}
		for _, path := range watch.Take() {
			task, err := state.ReadIf[state.Task](ctx, a.Store, path)
			if err != nil && ctx.Err() == nil { // with a new connection the path is dirty again
				a.Log.Debug("cannot see whether a task is cancelled", "op", id, "err", err)
			}
			if task.Value.Cancel {
				return true
			}
		}
	}
}

// action is what op runs, if it is a task.
func (a *Agent) action(op resolve.Op) string {
	t, _ := op.(resolve.RunTask)
	return a.view.actions[t.Task].action
}

// result is what is told of a task that has run. A command that fails has been run all the same: its status is completed.
func (a *Agent) result(h hooks.Hook, res run.Result, e hooks.Effects) *taskResult {
	out := state.TaskResult{Status: state.TaskCompleted, Results: map[string]any{}, Completed: a.Now()}
	if e.Action != nil {
		maps.Copy(out.Results, e.Action.Results)
		if e.Action.Failed {
			out.Status, out.Message = state.TaskFailed, e.Action.Message
		}
	}
	maps.Copy(out.Results, res.Results())
	switch {
	case res.Outcome == run.Aborted:
		out.Status, out.Message = state.TaskAborted, "cancelled while it was running"
	case res.Outcome == run.Terminated:
		out.Status, out.Message = state.TaskFailed, "action terminated"
	case res.Outcome == run.Failed && (h.Action != state.ExecAction || res.Code < 0):
		out.Status = state.TaskFailed
		if out.Message == "" {
			out.Message = res.Reason
		}
	}
	return &taskResult{out}
}

// addResult adds the result of the task, in the place of what has been told while it was running. The task may be no more.
func (a *Agent) addResult(ctx context.Context, d *draft, id state.TaskID, r *taskResult) error {
	if task, err := state.ReadIf[any](ctx, a.Store, a.Model.TaskPath(state.Receiver(a.Unit), id)); err != nil || !task.Exists() {
		return err
	}
	path := a.Model.TaskResultPath(state.Receiver(a.Unit), id)
	was, err := state.ReadIf[state.TaskResult](ctx, a.Store, path)
	if err != nil || !was.Value.Completed.IsZero() {
		return err
	}
	value := r.TaskResult
	value.Log = was.Value.Log
	if was.Exists() {
		value.Started = was.Value.Started
	}
	if len(state.Encode(value)) > state.MaxValue { // its output is bounded: what is too large is what it has set
		value.Results, value.Log = nil, nil
		value.Status, value.Message = state.TaskFailed, "the results are too large to be kept"
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
	path := a.Model.TaskResultPath(state.Receiver(a.Unit), id)
	rec, err := state.Read[state.TaskResult](ctx, a.Store, path)
	if err != nil {
		return err
	}
	rec.Value.Log = append(rec.Value.Log, state.TaskLine{When: a.Now(), Message: line})
	if len(state.Encode(rec.Value)) > state.MaxValue/2 {
		return errors.New("the log of the action is full")
	}
	var t state.Txn
	t.Set(path, rec.Value, rec.Version)
	_, err = a.Store.Commit(ctx, t)
	return err
}
