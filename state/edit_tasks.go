package state

import (
	"context"
	"fmt"
	"strconv"
)

// A Call is an action or a command that a unit is to run, or a command for a machine.
type Call struct {
	On     Receiver
	Action string // ExecAction for a command
	Params map[string]any
	Beside
}

// An Enqueued is an operation that has been given to its receivers; Tasks is in the order of the calls.
type Enqueued struct {
	Operation OperationID
	Tasks     []TaskID
}

// EnqueueTasks gives each receiver its call, all of one operation. Operations and tasks are numbered together, from 1.
func EnqueueTasks(ctx context.Context, r Reader, m ModelID, by By, summary string, calls []Call) (Txn, Enqueued, error) {
	var t Txn
	var out Enqueued
	if len(calls) == 0 {
		return t, out, invalid("no unit or machine to run anything on")
	}
	numbers, err := count(ctx, r, m, "operation", 1)
	if err != nil {
		return t, out, err
	}
	out.Operation = OperationID(numbers.take())
	op := Operation{Summary: summary, Action: calls[0].Action, Tasks: map[TaskID]Receiver{}, User: by.User, Created: by.Now}
	known := map[ApplicationName]Charm{}
	for _, c := range calls {
		if err := mayCall(ctx, r, m, known, c); err != nil {
			return Txn{}, Enqueued{}, err
		}
		id := TaskID(numbers.take())
		op.Tasks[id] = c.On
		out.Tasks = append(out.Tasks, id)
		t.Create(m.TaskPath(c.On, id), Task{Operation: out.Operation, Action: c.Action, Params: c.Params, Enqueued: by.Now, Beside: c.Beside})
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
	if _, err := r.Get(ctx, m.ReceiverPath(c.On)); err != nil {
		return missing(err, c.On.Kind(), string(c.On))
	}
	if c.Action == ExecAction {
		return nil
	}
	u, ok := c.On.Unit()
	if !ok {
		return invalid("machine %s has no actions: only units have", c.On)
	}
	name := u.Application()
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

// CancelTask ends a task that has not begun, and asks its receiver to give up one that is running.
func CancelTask(ctx context.Context, r Reader, m ModelID, by By, id TaskID) (Txn, error) {
	var t Txn
	_, u, err := FindTask(ctx, r, m, id)
	if err != nil {
		return t, err
	}
	rec, err := ReadIf[Task](ctx, r, m.TaskPath(u, id))
	if err != nil {
		return t, fmt.Errorf("cancel task %d: %w", id, err)
	}
	if !rec.Exists() {
		return t, refused("task %d has ended: %s %s is no more", id, u.Kind(), u)
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
	if !result.Exists() { // who begins it now finds this, or makes this fail
		t.Create(m.TaskResultPath(u, id), TaskResult{Status: TaskCancelled, Message: "cancelled before it began", Completed: by.Now})
	}
	by.record(&t, m, "cancel-task", strconv.Itoa(int(id)))
	return t, nil
}

// FindTask is the operation that the task is of, and the unit or machine that it was given to.
func FindTask(ctx context.Context, r Reader, m ModelID, id TaskID) (OperationID, Receiver, error) {
	names, err := ChildrenIf(ctx, r, m.OperationsPath())
	if err != nil {
		return 0, "", fmt.Errorf("find task %d: %w", id, err)
	}
	nearest := 0 // a task has the number of its operation or one soon after
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && n < int(id) && n > nearest {
			nearest = n
		}
	}
	if nearest > 0 {
		op, err := ReadIf[Operation](ctx, r, m.OperationPath(OperationID(nearest)))
		if err != nil {
			return 0, "", fmt.Errorf("find task %d: %w", id, err)
		}
		if u, ok := op.Value.Tasks[id]; ok {
			return OperationID(nearest), u, nil
		}
	}
	return 0, "", &NotFoundError{"task", strconv.Itoa(int(id))}
}

// A DoneTask is a task with how far it is. Gone says that nothing of it is left but its number.
type DoneTask struct {
	Task   Task
	Result TaskResult
	Gone   bool
}

// Size is how many bytes it takes in the tree.
func (d DoneTask) Size() int { return len(Encode(d.Task)) + len(Encode(d.Result)) }

// ReadTask reads a task of the operation: from its receiver, or from where it is kept when that is no more.
func ReadTask(ctx context.Context, r Reader, m ModelID, o OperationID, u Receiver, id TaskID) (DoneTask, error) {
	// The two change places in one transaction, from the first to the second.
	for _, path := range []string{m.TaskPath(u, id), m.KeptTaskPath(o, id)} {
		task, err := ReadIf[Task](ctx, r, path)
		if err != nil {
			return DoneTask{}, fmt.Errorf("read task %d: %w", id, err)
		}
		if !task.Exists() {
			continue
		}
		result, err := ReadIf[TaskResult](ctx, r, path+"/result")
		if err != nil {
			return DoneTask{}, fmt.Errorf("read task %d: %w", id, err)
		}
		return DoneTask{Task: task.Value, Result: result.Value}, nil
	}
	return DoneTask{Gone: true}, nil
}
