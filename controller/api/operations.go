package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// listOperations lists the newest operations that are asked for, the newest last.
func listOperations(ctx context.Context, s *Server, q *request) (any, error) {
	limit, err := q.number("limit")
	if err != nil {
		return nil, err
	}
	offset, err := q.number("offset")
	if err != nil {
		return nil, err
	}
	v := q.URL.Query()
	filter := userapi.OperationFilter{Actions: v["action"], Apps: v["application"], Units: v["unit"], Machines: v["machine"], Statuses: v["status"]}
	nodes, err := state.ChildrenIf(ctx, s.Store, q.model.UUID.OperationsPath())
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	var ids []int
	for _, n := range nodes {
		if id, err := strconv.Atoi(n); err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	out := []userapi.Operation{}
	for _, id := range slices.Backward(ids) {
		op, err := s.operation(ctx, q.model.UUID, state.OperationID(id))
		var missing *state.NotFoundError
		if errors.As(err, &missing) { // it has just been trimmed
			continue
		}
		if err != nil {
			return nil, err
		}
		if !filter.Chooses(op) {
			continue
		}
		if offset--; offset < 0 {
			out = append(out, op)
		}
		if limit > 0 && len(out) == limit {
			break
		}
	}
	slices.Reverse(out)
	return out, nil
}

func (s *Server) operation(ctx context.Context, m state.ModelID, id state.OperationID) (userapi.Operation, error) {
	rec, err := state.ReadIf[state.Operation](ctx, s.Store, m.OperationPath(id))
	if err != nil {
		return userapi.Operation{}, fmt.Errorf("read operation %d: %w", id, err)
	}
	if !rec.Exists() {
		return userapi.Operation{}, notFound("operation", strconv.Itoa(int(id)))
	}
	op := rec.Value
	out := userapi.Operation{ID: id, Summary: op.Summary, Action: op.Action, User: op.User, Enqueued: op.Created, Tasks: map[state.TaskID]userapi.Task{}}
	for tid, u := range op.Tasks {
		t, err := s.task(ctx, m, id, u, tid)
		if err != nil {
			return out, err
		}
		out.Tasks[tid] = t
		if !t.Started.IsZero() && (out.Started.IsZero() || t.Started.Before(out.Started)) {
			out.Started = t.Started
		}
		if t.Completed.After(out.Completed) {
			out.Completed = t.Completed
		}
	}
	out.Status = overall(out.Tasks)
	if !out.Done() {
		out.Completed = time.Time{}
	}
	return out, nil
}

// overall is the status of an operation: running while a task is, then the worst of its tasks'.
func overall(tasks map[state.TaskID]userapi.Task) string {
	for _, s := range []string{state.TaskRunning, state.TaskAborting, state.TaskPending, "error", state.TaskFailed, state.TaskAborted, state.TaskCancelled} {
		for _, t := range tasks {
			if t.Status != s {
				continue
			}
			if s == state.TaskAborting {
				return state.TaskRunning
			}
			return s
		}
	}
	return state.TaskCompleted
}

func (s *Server) task(ctx context.Context, m state.ModelID, o state.OperationID, u state.Receiver, id state.TaskID) (userapi.Task, error) {
	out := userapi.Task{ID: id, Operation: o}
	if unit, ok := u.Unit(); ok {
		out.Unit = unit
	} else {
		out.Machine = state.MachineID(u)
	}
	task, err := state.ReadTask(ctx, s.Store, m, o, u, id)
	if err != nil {
		return out, err
	}
	if task.Gone {
		out.Status, out.Message = "error", fmt.Sprintf("%s %q has been removed", u.Kind(), u)
		return out, nil
	}
	r := task.Result
	out.Action, out.Params, out.Enqueued = task.Task.Action, task.Task.Params, task.Task.Enqueued
	out.Status, out.Message, out.Results, out.Log, out.Started, out.Completed = r.Status, r.Message, r.Results, r.Log, r.Started, r.Completed
	switch {
	case out.Status == "":
		out.Status = state.TaskPending
	case out.Status == state.TaskRunning && task.Task.Cancel:
		out.Status = state.TaskAborting
	}
	return out, nil
}
