package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// Enqueue asks units to run an action or a command. Targets that can have no task are in Refused and are no error.
func (m Model) Enqueue(ctx context.Context, e userapi.Enqueue) (userapi.Operation, error) {
	var out userapi.Operation
	return out, m.do(ctx, call{route: userapi.EnqueueRoute, body: e}, &out)
}

// Operations is the last operations, the newest last. Zero means all.
func (m Model) Operations(ctx context.Context, limit int) ([]userapi.Operation, error) {
	var out []userapi.Operation
	return out, m.do(ctx, call{route: userapi.OperationsRoute, query: url.Values{"limit": {strconv.Itoa(limit)}}}, &out)
}

// Operation is the operation when all its tasks have ended, or as it is when wait has passed.
// A long wait is made of several requests.
func (m Model) Operation(ctx context.Context, id state.OperationID, wait time.Duration) (userapi.Operation, error) {
	return poll(ctx, wait, func(ctx context.Context, wait time.Duration) (userapi.Operation, bool, error) {
		var out userapi.Operation
		k := call{route: userapi.OperationRoute, path: []string{number(id)}, query: url.Values{"wait": {wait.String()}}}
		err := m.do(ctx, k, &out)
		return out, out.Status != "running" && out.Status != "pending", err
	})
}

// Task is the task when it has ended, or as it is when wait has passed.
func (m Model) Task(ctx context.Context, id state.TaskID, wait time.Duration) (userapi.Task, error) {
	return poll(ctx, wait, func(ctx context.Context, wait time.Duration) (userapi.Task, bool, error) {
		var out userapi.Task
		k := call{route: userapi.TaskRoute, path: []string{number(id)}, query: url.Values{"wait": {wait.String()}}}
		err := m.do(ctx, k, &out)
		return out, out.Done(), err
	})
}

// CancelTask cancels a task that has not begun.
func (m Model) CancelTask(ctx context.Context, id state.TaskID) (userapi.Task, error) {
	var out userapi.Task
	return out, m.do(ctx, call{route: userapi.CancelTaskRoute, path: []string{number(id)}}, &out)
}

// maxWait is how long one request may wait.
const maxWait = 20 * time.Second

// poll asks again until the thing is done or wait has passed. A negative wait is for ever.
func poll[T any](ctx context.Context, wait time.Duration, ask func(context.Context, time.Duration) (T, bool, error)) (T, error) {
	deadline := time.Now().Add(wait)
	for {
		step := maxWait
		if wait >= 0 {
			step = max(0, min(step, time.Until(deadline)))
		}
		v, done, err := ask(ctx, step)
		if err != nil || done || wait >= 0 && !time.Now().Before(deadline) {
			return v, err
		}
	}
}

// Logs calls line for each line of the model's log that f chooses, until there is no more, ctx ends, or line returns an error.
func (m Model) Logs(ctx context.Context, f userapi.LogFilter, line func(agentapi.LogLine) error) error {
	resp, err := m.client.send(ctx, call{route: userapi.LogsRoute, path: []string{m.name}, query: f.Query()})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var l agentapi.LogLine
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the log of model %s: %w", m.name, err)
		}
		if err := line(l); err != nil {
			return err
		}
	}
}
