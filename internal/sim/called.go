package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
)

// What units are told to run beside their hooks: tasks of users, actions and commands, which lie in the tree and end there; and
// commands of callers on the machine, who wait at its agent.

// A task is one that a user has asked for.
type task struct {
	id        state.TaskID
	unit      state.UnitName
	operation state.OperationID
	action    string
	outcome   run.Outcome      // of its process; empty: that has not come to its end
	noted     bool             // that it has
	run       string           // names the run
	begun     bool             // the tree says so
	ran       bool             // its process has begun
	result    state.TaskResult // as it ended
}

// A call is a command of somebody on a machine.
type call struct {
	text   string
	unit   state.UnitName
	number int
	ran    bool
	done   bool   // it has ended well
	run    string // names the run in what it asked for; empty: that is nothing
	told   bool   // its caller has an answer
	gone   chan struct{}
	hungUp bool
	answer <-chan commands.Response
}

// task is a user who has something run on a unit, or wants it no more.
func (s *Sim) task(u state.UnitName) {
	if ids := slices.Sorted(maps.Keys(s.check.tasks)); len(ids) > 0 && s.chance(3) {
		last := ids[max(0, len(ids)-3):] // one of those that may not have ended
		s.cancel(last[s.rng.IntN(len(last))])
		return
	}
	by, action := s.by(), "backup"
	on := state.Call{On: state.Receiver(u), Action: action}
	if s.chance(2) {
		action = state.ExecAction
		on.Action, on.Params = action, map[string]any{"command": "true"}
	}
	s.do(fmt.Sprintf("run %s on %s", action, u), func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, made, err := state.EnqueueTasks(ctx, r, model, by, action, []state.Call{on})
		if err == nil { // it may be made although nobody hears of it
			for _, id := range made.Tasks {
				c := &task{id: id, unit: u, operation: made.Operation, action: action}
				s.check.tasks[id], s.check.results[model.TaskResultPath(on.On, id)] = c, c
			}
		}
		return t, err
	})
}

func (s *Sim) cancel(id state.TaskID) {
	by := s.by()
	s.do(fmt.Sprintf("cancel task %d", id), func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.CancelTask(ctx, r, model, by, id)
	})
}

// converse is somebody on the machine who has the unit run something, or hangs up.
func (h *host) converse(u state.UnitName) {
	s, l := h.s, h.units[u]
	if l == nil || !s.accident(25) {
		return
	}
	if len(l.calls) > 0 && s.chance(3) {
		l.calls[s.rng.IntN(len(l.calls))].hangUp(l)
		return
	}
	c := &call{text: s.id("call"), unit: u, gone: make(chan struct{})}
	c.number, c.answer = l.queue.Add(commands.Run{Text: c.text}, c.gone)
	s.log("somebody on machine %s has %s run %s", h.id, u, c.text)
	s.count("commands")
	l.calls, s.check.calls[c.text] = append(l.calls, c), c
}

func (c *call) hangUp(l *lodger) {
	if c.hungUp {
		return
	}
	c.hungUp = true
	close(c.gone)
	l.queue.Drop(c.number)
}

// called plays the process of a task or a command. It counts, as hooks do.
func (d *doer) called(ctx context.Context, r unit.Request) (run.Result, hooks.Effects, error) {
	s := d.s
	var e hooks.Effects
	have, err := r.Reader.State(ctx)
	if err != nil {
		return run.Result{}, e, err
	}
	n, id := next(have["n"]), s.id("run")
	if s.chance(2) {
		e.State = map[string]*string{"n": &n, "run": &id}
	}
	t, c := s.check.tasks[r.Hook.Task], s.check.calls[fmt.Sprint(r.Hook.ActionInput["command"])]
	isTask := r.Hook.Kind == hooks.Action
	if isTask {
		e.Action = &hooks.ActionOutcome{Results: map[string]any{"ran": id}}
		if s.accident(5) {
			s.cancel(t.id)
		}
	} else if s.accident(5) {
		c.hangUp(d.h.units[d.unit])
	}
	s.meanwhile()
	if d.link.alive() != nil || s.accident(12) {
		d.link.die("in the middle of what it was told to run")
		s.count("tasks and commands cut by a crash")
		return run.Result{}, hooks.Effects{}, errDied
	}
	res := run.Result{Outcome: run.Done, Handler: "played"}
	switch {
	case isTask && read[state.Task](s, model.TaskPath(state.Receiver(d.unit), t.id)).Value.Cancel, !isTask && c.hungUp:
		s.count("tasks and commands cancelled while they ran")
		res = run.Result{Outcome: run.Aborted, Code: -1, Reason: "aborted"}
	case s.accident(20):
		s.count("stops")
		d.h.units[d.unit].stop()
		res = run.Result{Outcome: run.Terminated, Code: -1, Reason: "signal: terminated"}
	case s.accident(5):
		res = run.Result{Outcome: run.Failed, Code: 1, Reason: "exit status 1"}
	}
	s.log("%s: %s is %s", d.unit, hookName(r.Hook), res.Outcome)
	if isTask {
		t.outcome, t.run = res.Outcome, id
	} else {
		c.done = res.Outcome == run.Done
		if e.State != nil && (c.done || res.Outcome == run.Failed) {
			c.run = id
		}
	}
	return res, e, nil
}

func (c *checker) taskBegins(u state.UnitName, h hooks.Hook) {
	t := c.tasks[h.Task]
	switch {
	case t == nil || t.unit != u:
		c.s.fail("%s: task %d runs, and nobody has asked for it", u, h.Task)
	case t.ran:
		c.s.fail("%s: task %d runs again", u, h.Task)
	case !t.result.Completed.IsZero():
		c.s.fail("%s: task %d runs, and has ended: %s", u, h.Task, t.result.Message)
	default:
		t.ran = true
		c.s.count("tasks")
	}
}

func (c *checker) callBegins(u state.UnitName, h hooks.Hook) {
	call := c.calls[fmt.Sprint(h.ActionInput["command"])]
	switch {
	case call == nil || call.unit != u:
		c.s.fail("%s: %s runs, and nobody has called", u, hookName(h))
	case call.ran:
		c.s.fail("%s: %s runs again", u, hookName(h))
	default:
		call.ran = true
	}
}

// endedBefore is the tasks whose results a commit writes, and those as they are before it.
func (c *checker) endedBefore(t state.Txn) map[string]state.TaskResult {
	out := map[string]state.TaskResult{}
	for _, op := range t.Ops {
		if c.results[op.Path] != nil && (op.Kind == state.OpCreate || op.Kind == state.OpSet) {
			out[op.Path] = read[state.TaskResult](c.s, op.Path).Value
		}
	}
	return out
}

// taskEnds: a task that had ended has not ended again, and one that has ended now ended as its process did.
func (c *checker) taskEnds(before map[string]state.TaskResult) {
	for path, was := range before {
		t, now := c.results[path], read[state.TaskResult](c.s, path).Value
		switch {
		case now.Completed.IsZero():
			t.begun = true
		case !was.Completed.IsZero() && string(state.Encode(was)) != string(state.Encode(now)):
			c.s.fail("%s: task %d was %s and is %s", t.unit, t.id, was.Status, now.Status)
		case was.Completed.IsZero():
			if want := t.end(); now.Status != want || want == state.TaskCompleted && now.Results["ran"] != t.run {
				c.s.fail("%s: task %d is %s (%s, %v), want %s of %s", t.unit, t.id, now.Status, now.Message, now.Results, want, t.run)
			}
			t.result = now
		}
	}
}

// end is how the task must be told to have ended.
func (t *task) end() string {
	switch {
	case !t.begun:
		return state.TaskCancelled
	case !t.noted, t.outcome == run.Terminated:
		return state.TaskFailed
	case t.outcome == run.Aborted:
		return state.TaskAborted
	case t.outcome == run.Failed && t.action != state.ExecAction:
		return state.TaskFailed
	}
	return state.TaskCompleted
}

// answers takes the answers that a unit's agent has given.
func (c *checker) answers(l *lodger) {
	for _, call := range l.calls {
		select {
		case r := <-call.answer:
			call.told = true
			if call.run != "" && !c.runs[call.run] {
				c.s.fail("%s: the caller of %s is told, and what it asked for is not committed", call.unit, call.text)
			}
			if well := r.Code == 0 && r.Error == ""; well != call.done {
				c.s.fail("%s: the caller of %s is told %+v", call.unit, call.text, r)
			}
		default:
		}
	}
}

// calledAtRest: all that was asked for has ended, as it once did, and all who called have an answer.
func (s *Sim) calledAtRest() {
	for _, id := range slices.Sorted(maps.Keys(s.check.tasks)) {
		t := s.check.tasks[id]
		if made := read[state.Operation](s, model.OperationPath(t.operation)); made.Value.Tasks[id] != state.Receiver(t.unit) {
			continue // it could not be made
		}
		now, err := state.ReadTask(context.Background(), s.admin, model, t.operation, state.Receiver(t.unit), id)
		s.must(err)
		switch {
		case now.Gone || now.Result.Completed.IsZero():
			s.fail("at rest: task %d of %s has not ended: %+v", id, t.unit, now.Result)
		case !t.result.Completed.IsZero() && now.Result.Status != t.result.Status:
			s.fail("at rest: task %d of %s is %s, and ended as %s", id, t.unit, now.Result.Status, t.result.Status)
		}
	}
	for _, h := range s.allHosts() {
		for _, u := range h.names() {
			for _, c := range h.units[u].calls {
				if !c.told && !c.hungUp && !h.units[u].agent.Gone() {
					s.fail("at rest: who had %s run %s waits still", u, c.text)
				}
			}
		}
	}
}
