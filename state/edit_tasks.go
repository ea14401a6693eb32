package state

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// Resolve answers the failed hook of a unit: skip leaves the hook behind, otherwise it is run again now.
func Resolve(ctx context.Context, r Reader, m ModelID, by By, u UnitName, skip bool) (Txn, error) {
	var t Txn
	rec, err := Read[Unit](ctx, r, m.UnitPath(u))
	if err != nil {
		return t, missing(err, "unit", string(u))
	}
	ledger, err := ReadIf[Ledger](ctx, r, m.LedgerPath(u))
	if err != nil {
		return t, fmt.Errorf("resolve unit %q: %w", u, err)
	}
	if ledger.Value.Failed == nil {
		return t, refused("unit %q is not in an error state", u)
	}
	rec.Value.Answer = Answer{Rev: rec.Value.Answer.Rev + 1, Skip: skip}
	t.Set(rec.Path, rec.Value, rec.Version)
	by.record(&t, m, "resolved", fmt.Sprintf("%s skip=%t", u, skip))
	return t, nil
}

// A Call is an action or a command that a unit is to run.
type Call struct {
	Unit   UnitName
	Action string // ExecAction for a command
	Params map[string]any
}

// An Enqueued is an operation that has been given to its units; Tasks is in the order of the calls.
type Enqueued struct {
	Operation OperationID
	Tasks     []TaskID
}

// EnqueueTasks gives each unit its call, all of one operation. Operations and tasks are numbered together, from 1.
func EnqueueTasks(ctx context.Context, r Reader, m ModelID, by By, summary string, calls []Call) (Txn, Enqueued, error) {
	var t Txn
	var out Enqueued
	if len(calls) == 0 {
		return t, out, invalid("no unit to run anything on")
	}
	numbers, err := count(ctx, r, m, "operation", 1)
	if err != nil {
		return t, out, err
	}
	out.Operation = OperationID(numbers.take())
	op := Operation{Summary: summary, Action: calls[0].Action, Tasks: map[TaskID]UnitName{}, User: by.User, Created: by.Now}
	known := map[ApplicationName]Charm{}
	for _, c := range calls {
		if err := mayCall(ctx, r, m, known, c); err != nil {
			return Txn{}, Enqueued{}, err
		}
		id := TaskID(numbers.take())
		op.Tasks[id] = c.Unit
		out.Tasks = append(out.Tasks, id)
		t.Create(m.TaskPath(c.Unit, id), Task{Operation: out.Operation, Action: c.Action, Params: c.Params, Enqueued: by.Now})
	}
	if len(t.Ops) > MaxOps-10 || t.Size() > MaxTxn*9/10 {
		return Txn{}, Enqueued{}, refused("too much for one operation: %d tasks of %d bytes together", len(calls), t.Size())
	}
	t.Create(m.OperationPath(out.Operation), op)
	numbers.save(&t)
	by.record(&t, m, "run", fmt.Sprintf("operation %d: %s", out.Operation, op.Action))
	return t, out, nil
}

func mayCall(ctx context.Context, r Reader, m ModelID, known map[ApplicationName]Charm, c Call) error {
	if _, err := r.Get(ctx, m.UnitPath(c.Unit)); err != nil {
		return missing(err, "unit", string(c.Unit))
	}
	if c.Action == ExecAction {
		return nil
	}
	name := c.Unit.Application()
	if _, ok := known[name]; !ok {
		app, err := application(ctx, r, m, name)
		if err != nil {
			return err
		}
		if known[name], err = readCharm(ctx, r, m, app.Value.Charm); err != nil {
			return err
		}
	}
	if _, ok := known[name].Charm.Actions[c.Action]; !ok {
		return &NotFoundError{"action", c.Action}
	}
	return nil
}

// CancelTask ends a task that has not begun, and asks the unit to give up one that is running.
func CancelTask(ctx context.Context, r Reader, m ModelID, by By, id TaskID) (Txn, error) {
	var t Txn
	u, err := UnitOfTask(ctx, r, m, id)
	if err != nil {
		return t, err
	}
	rec, err := Read[Task](ctx, r, m.TaskPath(u, id))
	if err != nil {
		return t, missing(err, "task", strconv.Itoa(int(id)))
	}
	result, err := ReadIf[TaskResult](ctx, r, m.TaskResultPath(u, id))
	if err != nil {
		return t, fmt.Errorf("cancel task %d: %w", id, err)
	}
	if !result.Value.Completed.IsZero() {
		return t, refused("task %d has ended: %s", id, result.Value.Status)
	}
	if rec.Value.Cancel {
		return t, nil
	}
	rec.Value.Cancel = true
	t.Set(rec.Path, rec.Value, rec.Version)
	if !result.Exists() { // a unit that begins it now finds this, or makes this fail
		t.Create(m.TaskResultPath(u, id), TaskResult{Status: TaskCancelled, Message: "cancelled before it began", Completed: by.Now})
	}
	by.record(&t, m, "cancel-task", strconv.Itoa(int(id)))
	return t, nil
}

// UnitOfTask is the unit that the task was given to.
func UnitOfTask(ctx context.Context, r Reader, m ModelID, id TaskID) (UnitName, error) {
	names, err := ChildrenIf(ctx, r, m.OperationsPath())
	if err != nil {
		return "", fmt.Errorf("find task %d: %w", id, err)
	}
	// A task has the number of its operation or one soon after, so the nearest operation before it is looked at first.
	var ops []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && n < int(id) {
			ops = append(ops, n)
		}
	}
	slices.Sort(ops)
	if len(ops) > 0 {
		op, err := ReadIf[Operation](ctx, r, m.OperationPath(OperationID(ops[len(ops)-1])))
		if err != nil {
			return "", fmt.Errorf("find task %d: %w", id, err)
		}
		if u, ok := op.Value.Tasks[id]; ok {
			return u, nil
		}
	}
	return "", &NotFoundError{"task", strconv.Itoa(int(id))}
}
