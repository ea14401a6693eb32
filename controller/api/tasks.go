package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func enqueue(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.Enqueue
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	m := q.model.UUID
	if len(want.Machines) > 0 || want.All {
		if want.Action != state.ExecAction {
			return nil, invalid(fmt.Sprintf("machines have no action %q: only units have actions", want.Action))
		}
	}
	units, refused, err := s.targets(ctx, m, want)
	if err != nil {
		return nil, err
	}
	if len(units) == 0 {
		return userapi.Operation{Action: want.Action, User: q.user.Name, Refused: refused, Tasks: map[state.TaskID]userapi.Task{}}, nil
	}
	calls := make([]state.Call, 0, len(units))
	for _, u := range units {
		params, err := s.params(ctx, m, u, want)
		if err != nil {
			return nil, err
		}
		calls = append(calls, state.Call{On: u, Action: want.Action, Params: params, Beside: want.Beside})
	}
	summary := want.Action + " run on " + strings.Join(names(units), ",")
	if want.Action == state.ExecAction {
		command, _ := want.Params["command"].(string)
		summary = fmt.Sprintf("run %s on %s", firstLine(command), strings.Join(names(units), ","))
	}
	done, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Enqueued, error) {
		return state.EnqueueTasks(ctx, r, m, by, summary, calls)
	})
	if err != nil {
		return nil, err
	}
	op, err := s.operation(ctx, m, done.Operation)
	op.Refused = refused
	return op, err
}

func firstLine(text string) string {
	line, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	if r := []rune(line); len(r) > 60 || more {
		line = string(r[:min(60, len(r))]) + "..."
	}
	return strconv.Quote(line)
}

func names(units []state.Receiver) []string {
	var out []string
	for _, u := range units {
		out = append(out, string(u))
	}
	return out
}

// targets is the units and machines that a request means, and why those that can have no task cannot.
func (s *Server) targets(ctx context.Context, m state.ModelID, want userapi.Enqueue) ([]state.Receiver, map[string]string, error) {
	units, refused, err := s.unitTargets(ctx, m, want)
	if err != nil {
		return nil, nil, err
	}
	machines, err := s.machineTargets(ctx, m, want, refused)
	return append(receivers(machines), receivers(units)...), refused, err
}

func receivers[T ~string](names []T) []state.Receiver {
	var out []state.Receiver
	for _, n := range names {
		out = append(out, state.Receiver(n))
	}
	return out
}

func (s *Server) machineTargets(ctx context.Context, m state.ModelID, want userapi.Enqueue, refused map[string]string) ([]state.MachineID, error) {
	there, err := state.MachinesOf(ctx, s.Store, m)
	if err != nil {
		return nil, err
	}
	var out []state.MachineID
	for _, id := range there {
		if want.All || slices.Contains(want.Machines, string(id)) {
			out = append(out, id)
		}
	}
	for _, id := range want.Machines {
		if !slices.Contains(there, state.MachineID(id)) {
			refused[id] = fmt.Sprintf("machine %q not found", id)
		}
	}
	slices.SortFunc(out, state.CompareMachines)
	return out, nil
}

// unitTargets is the units that a request means.
func (s *Server) unitTargets(ctx context.Context, m state.ModelID, want userapi.Enqueue) ([]state.UnitName, map[string]string, error) {
	nodes, err := state.ChildrenIf(ctx, s.Store, m.UnitsPath())
	if err != nil {
		return nil, nil, fmt.Errorf("list units: %w", err)
	}
	there := map[state.UnitName]bool{}
	var all []state.UnitName
	for _, n := range nodes {
		there[state.UnitOfNode(n)] = true
		all = append(all, state.UnitOfNode(n))
	}
	slices.SortFunc(all, state.CompareUnits)
	refused := map[string]string{}
	var out []state.UnitName
	for _, text := range want.Units {
		u := state.UnitName(text)
		if app, ok := strings.CutSuffix(text, "/leader"); ok {
			if u, err = s.leader(ctx, m, app); err != nil {
				var own *userapi.Error
				var missing *state.NotFoundError
				if !errors.As(err, &own) && !errors.As(err, &missing) {
					return nil, nil, err
				}
				refused[text] = err.Error()
				continue
			}
		}
		if !there[u] {
			refused[text] = fmt.Sprintf("unit %q not found", text)
			continue
		}
		out = append(out, u)
	}
	for _, u := range all {
		if slices.Contains(want.Apps, string(u.Application())) {
			out = append(out, u)
		}
	}
	for _, a := range want.Apps {
		if !slices.ContainsFunc(all, func(u state.UnitName) bool { return string(u.Application()) == a }) {
			refused[a] = fmt.Sprintf("application %q not found, or without units", a)
		}
	}
	slices.SortStableFunc(out, state.CompareUnits)
	return slices.Compact(out), refused, nil
}

// params is the parameters for the unit's action, by its charm's schema.
func (s *Server) params(ctx context.Context, m state.ModelID, on state.Receiver, want userapi.Enqueue) (map[string]any, error) {
	if want.Action == state.ExecAction {
		if command, ok := want.Params["command"].(string); !ok || command == "" {
			return nil, invalid("no command to run")
		}
		return want.Params, nil
	}
	u, _ := on.Unit()
	app, err := state.Read[state.Application](ctx, s.Store, m.ApplicationPath(u.Application()))
	if err != nil {
		return nil, fmt.Errorf("read the application of unit %s: %w", u, err)
	}
	c, err := s.charmOf(ctx, s.Store, m, app.Value.Charm.String())
	if err != nil {
		return nil, err
	}
	action, ok := c.Charm.Actions[want.Action]
	if !ok {
		return nil, &userapi.Error{Code: userapi.NotFound, Message: fmt.Sprintf("action %q not defined for unit %q (not found)", want.Action, u)}
	}
	input, err := action.Input(want.Params)
	if err != nil {
		return nil, invalid(fmt.Sprintf("cannot run %q action on unit %q: %v", want.Action, u, err))
	}
	return input, nil
}

func showOperation(ctx context.Context, s *Server, q *request) (any, error) {
	id, err := strconv.Atoi(q.PathValue("operation"))
	if err != nil {
		return nil, notFound("operation", q.PathValue("operation"))
	}
	return await(ctx, s, q, func(ctx context.Context) (userapi.Operation, []string, error) {
		op, err := s.operation(ctx, q.model.UUID, state.OperationID(id))
		var paths []string
		for _, t := range op.Tasks {
			if !t.Done() {
				paths = append(paths, q.model.UUID.TaskResultPath(t.On(), t.ID))
			}
		}
		return op, paths, err
	})
}

func showTask(ctx context.Context, s *Server, q *request) (any, error) {
	id, err := q.task()
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	o, u, err := state.FindTask(ctx, s.Store, m, id)
	if err != nil {
		return nil, err
	}
	return await(ctx, s, q, func(ctx context.Context) (userapi.Task, []string, error) {
		t, err := s.task(ctx, m, o, u, id)
		return t, []string{m.TaskResultPath(u, id)}, err
	})
}

func (q *request) task() (state.TaskID, error) {
	id, err := strconv.Atoi(q.PathValue("task"))
	if err != nil {
		return 0, notFound("task", q.PathValue("task"))
	}
	return state.TaskID(id), nil
}

// A running is a task or an operation.
type running interface {
	Done() bool
	Lines() int
}

// await reads a thing until it is done, until it has said more of its progress than the request knows, or as long as the request
// says. It reads again when one of the paths changes.
func await[T running](ctx context.Context, s *Server, q *request, read func(context.Context) (T, []string, error)) (T, error) {
	var none T
	wait, err := q.duration("wait")
	if err != nil {
		return none, err
	}
	seen, err := q.number("lines")
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := s.Store.Watch(ctx)
	timeout := time.NewTimer(min(wait, maxWait))
	defer timeout.Stop()
	for {
		v, paths, err := read(ctx)
		if err != nil || v.Done() || wait == 0 || q.URL.Query().Has("lines") && v.Lines() > seen {
			return v, err
		}
		for _, p := range paths {
			watch.Data(p)
		}
		select {
		case <-watch.C():
			watch.Take()
		case <-timeout.C:
			return v, nil
		case <-s.ending.Done():
			return v, nil
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

func cancelTask(ctx context.Context, s *Server, q *request) (any, error) {
	id, err := q.task()
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	if _, err := s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.CancelTask(ctx, r, m, by, id)
	}); err != nil {
		return nil, err
	}
	o, u, err := state.FindTask(ctx, s.Store, m, id)
	if err != nil {
		return nil, err
	}
	return s.task(ctx, m, o, u, id)
}
