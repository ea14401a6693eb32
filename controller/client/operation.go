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

// Operations is the operations that the filter chooses, the newest last.
func (m Model) Operations(ctx context.Context, f userapi.OperationFilter) ([]userapi.Operation, error) {
	var out []userapi.Operation
	return out, m.do(ctx, call{route: userapi.OperationsRoute, query: f.Query()}, &out)
}

// Operation is the operation when all its tasks have ended, or as it is when wait has passed. A negative wait is for ever.
// A long wait is made of several requests.
func (m Model) Operation(ctx context.Context, id state.OperationID, wait time.Duration) (userapi.Operation, error) {
	return m.FollowOperation(ctx, id, wait, func(userapi.Operation) {})
}

// FollowOperation is Operation; it calls each with what is known whenever a task has said something of its progress, and
// at the end.
func (m Model) FollowOperation(ctx context.Context, id state.OperationID, wait time.Duration, each func(userapi.Operation)) (userapi.Operation, error) {
	return poll(ctx, wait, each, func(ctx context.Context, q url.Values, out *userapi.Operation) error {
		return m.do(ctx, call{route: userapi.OperationRoute, path: []string{number(id)}, query: q}, out)
	})
}

// Task is the task when it has ended, or as it is when wait has passed. A negative wait is for ever.
func (m Model) Task(ctx context.Context, id state.TaskID, wait time.Duration) (userapi.Task, error) {
	return m.FollowTask(ctx, id, wait, func(userapi.Task) {})
}

// FollowTask is Task; it calls each with what is known whenever the task has said something of its progress, and at the end.
func (m Model) FollowTask(ctx context.Context, id state.TaskID, wait time.Duration, each func(userapi.Task)) (userapi.Task, error) {
	return poll(ctx, wait, each, func(ctx context.Context, q url.Values, out *userapi.Task) error {
		return m.do(ctx, call{route: userapi.TaskRoute, path: []string{number(id)}, query: q}, out)
	})
}

// CancelTask ends a task that has not begun, and asks for the end of one that is running.
func (m Model) CancelTask(ctx context.Context, id state.TaskID) (userapi.Task, error) {
	var out userapi.Task
	return out, m.do(ctx, call{route: userapi.CancelTaskRoute, path: []string{number(id)}}, &out)
}

// maxWait is how long one request may wait.
const maxWait = 20 * time.Second

// A running is a task or an operation.
type running interface {
	Done() bool
	Lines() int
}

// poll asks again until the thing is done or wait has passed.
func poll[T running](ctx context.Context, wait time.Duration, each func(T), ask func(context.Context, url.Values, *T) error) (T, error) {
	deadline := time.Now().Add(wait)
	for seen := 0; ; {
		step := maxWait
		if wait >= 0 {
			step = max(0, min(step, time.Until(deadline)))
		}
		var v T
		if err := ask(ctx, url.Values{"wait": {step.String()}, "lines": {strconv.Itoa(seen)}}, &v); err != nil {
			return v, err
		}
		seen = v.Lines()
		each(v)
		if v.Done() || wait >= 0 && !time.Now().Before(deadline) {
			return v, nil
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
