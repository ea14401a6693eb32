package state

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// keepTasks moves the tasks of a unit or a machine that is being buried to their operations, so that what came of them outlives
// it. All says that none is left to move; otherwise what t moves comes first.
func keepTasks(ctx context.Context, r Reader, t *Txn, m ModelID, by By, u Receiver) (all bool, err error) {
	names, err := ChildrenIf(ctx, r, m.TasksPath(u))
	if err != nil {
		return false, fmt.Errorf("keep the tasks of %s: %w", u, err)
	}
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			continue // no code of ours has made this
		}
		if err := keepTask(ctx, r, t, m, by, u, TaskID(n)); err != nil {
			return false, fmt.Errorf("keep task %d of %s: %w", n, u, err)
		}
		if t.full() {
			return false, nil
		}
	}
	return len(t.Ops) == 0, nil
}

func keepTask(ctx context.Context, r Reader, t *Txn, m ModelID, by By, u Receiver, id TaskID) error {
	task, err := ReadIf[Task](ctx, r, m.TaskPath(u, id))
	if err != nil || !task.Exists() {
		return err
	}
	result, err := ReadIf[TaskResult](ctx, r, m.TaskResultPath(u, id))
	if err != nil {
		return err
	}
	operation, err := Exists(ctx, r, m.OperationPath(task.Value.Operation))
	if err != nil {
		return err
	}
	if operation {
		t.Create(m.KeptTaskPath(task.Value.Operation, id), task.Value)
		t.Create(m.KeptResultPath(task.Value.Operation, id), bereaved(result.Value, u, by.Now))
	}
	if result.Exists() {
		t.Delete(result.Path, result.Version)
	}
	t.Delete(task.Path, task.Version)
	return nil
}

// bereaved is the result of a task whose receiver is no more: one that had not ended ends with it.
func bereaved(r TaskResult, u Receiver, now time.Time) TaskResult {
	switch {
	case !r.Completed.IsZero():
		return r
	case r.Started.IsZero():
		r.Status, r.Message = TaskCancelled, fmt.Sprintf("%s %q was removed before it began", u.Kind(), u)
	default:
		r.Status, r.Message = TaskFailed, fmt.Sprintf("action terminated: %s %q was removed", u.Kind(), u)
	}
	r.Completed = now
	return r
}

// TrimOperations removes operations made before a time, and then the oldest until what is left takes at most so many bytes, with
// what their tasks were and said. An operation with a task that has not ended stays. Done when no more need go.
func TrimOperations(ctx context.Context, r Reader, m ModelID, before time.Time, most int64) (Txn, bool, error) {
	t, done, err := trimOperations(ctx, r, m, before, most)
	if err != nil {
		return Txn{}, false, fmt.Errorf("trim operations: %w", err)
	}
	return t, done, nil
}

func trimOperations(ctx context.Context, r Reader, m ModelID, before time.Time, most int64) (t Txn, done bool, err error) {
	names, err := ChildrenIf(ctx, r, m.OperationsPath())
	if err != nil || len(names) == 0 {
		return t, true, err
	}
	var ids []OperationID
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			ids = append(ids, OperationID(n))
		}
	}
	slices.SortFunc(ids, func(a, b OperationID) int { return cmp.Compare(b, a) }) // the newest first: it counts against most last to go
	numbers, err := count(ctx, r, m, "operation", 1)
	if err != nil {
		return t, false, err
	}
	// Operations and tasks are numbered together, so that there can be no more of them than this: mostly nothing need be read for it.
	few := int64(numbers.next-int(ids[len(ids)-1]))*2*MaxValue <= most
	var size int64
	for _, id := range ids {
		rec, err := ReadIf[Operation](ctx, r, m.OperationPath(id))
		if err != nil {
			return t, false, err
		}
		old := rec.Value.Created.Before(before)
		if !rec.Exists() || few && !old {
			continue
		}
		ended, bytes, err := extent(ctx, r, m, id, rec.Value)
		if err != nil {
			return t, false, err
		}
		if size += bytes; !ended || !old && size <= most {
			continue
		}
		if err := removeOperation(ctx, r, &t, m, rec, id); err != nil {
			return t, false, err
		}
		if len(t.Ops) >= burialOps {
			return t, false, nil
		}
	}
	return t, true, nil
}

// extent is how many bytes an operation takes, and whether all of its tasks have ended.
func extent(ctx context.Context, r Reader, m ModelID, id OperationID, op Operation) (ended bool, bytes int64, err error) {
	ended, bytes = true, int64(len(Encode(op)))
	for task, u := range op.Tasks {
		d, err := ReadTask(ctx, r, m, id, u, task)
		if err != nil {
			return false, 0, err
		}
		bytes += int64(d.Size())
		ended = ended && (d.Gone || !d.Result.Completed.IsZero())
	}
	return ended, bytes, nil
}

func removeOperation(ctx context.Context, r Reader, t *Txn, m ModelID, op Record[Operation], id OperationID) error {
	for _, task := range slices.Sorted(maps.Keys(op.Value.Tasks)) {
		for _, path := range []string{m.TaskPath(op.Value.Tasks[task], task), m.KeptTaskPath(id, task)} {
			for _, p := range []string{path + "/result", path} {
				there, err := Exists(ctx, r, p)
				if err != nil {
					return err
				}
				if there {
					t.Delete(p, Any)
				}
			}
		}
	}
	t.Delete(op.Path, Any)
	return nil
}

// KeepResults is for how long the model keeps what came of its tasks, and how many bytes of it at most.
func (c ModelConfig) KeepResults() (age time.Duration, size int64) {
	age, size = 14*24*time.Hour, 5<<30
	if d, err := time.ParseDuration(c["max-action-results-age"]); err == nil && d > 0 {
		age = d
	}
	if n, err := ParseSize(c["max-action-results-size"]); err == nil {
		size = n
	}
	return age, size
}

// ParseSize reads a number of bytes such as 500K, 64M or 5G; without a letter it is of mebibytes.
func ParseSize(text string) (int64, error) {
	number, shift := text, 20
	if i := len(text) - 1; i >= 0 {
		switch text[i] {
		case 'k', 'K':
			number, shift = text[:i], 10
		case 'm', 'M':
			number = text[:i]
		case 'g', 'G':
			number, shift = text[:i], 30
		case 't', 'T':
			number, shift = text[:i], 40
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is not a size such as 64M or 5G", text)
	}
	return n << shift, nil
}
