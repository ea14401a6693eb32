package unit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
)

// Commands is what callers on the machine want a unit to run, in the order in which they came. It is safe for several goroutines.
type Commands struct {
	wake chan struct{} // gets a value when there is one more

	mu      sync.Mutex
	last    int
	waiting []*command
}

// NewCommands is a queue in which nothing waits.
func NewCommands() *Commands { return &Commands{wake: make(chan struct{}, 1)} }

// A command is one of them, until it is answered or nobody waits for it any more.
type command struct {
	commands.Run
	id     int
	gone   <-chan struct{} // closed when nobody waits
	answer chan commands.Response
}

// Handle answers a caller: it is a commands.Handler.
func (q *Commands) Handle(ctx context.Context, r commands.Request, reply func(commands.Response)) {
	if r.Run == nil {
		reply(commands.Fail(errors.New("a unit's agent runs commands and nothing else")))
		return
	}
	id, answer := q.Add(*r.Run, ctx.Done())
	select {
	case r := <-answer:
		reply(r)
	case <-ctx.Done():
		q.Drop(id)
	}
}

// Add puts a command into the queue, and returns its number. It has an answer once, unless it is dropped before it runs; gone is
// closed when nobody waits for that any more.
func (q *Commands) Add(r commands.Run, gone <-chan struct{}) (id int, answer <-chan commands.Response) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	c := &command{Run: r, id: q.last, gone: gone, answer: make(chan commands.Response, 1)}
	q.waiting = append(q.waiting, c)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return c.id, c.answer
}

// Drop takes a command that has not begun to run out of the queue.
func (q *Commands) Drop(id int) { q.take(id) }

// Waiting is those that wait, by number.
func (q *Commands) Waiting() []int {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []int
	for _, c := range q.waiting {
		out = append(out, c.id)
	}
	return out
}

// take takes one out of the queue; nil when its caller has gone.
func (q *Commands) take(id int) *command {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.waiting, func(c *command) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	c := q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return c
}

// news gets a value when there may be one more.
func (q *Commands) news() <-chan struct{} {
	if q == nil {
		return nil
	}
	return q.wake
}

// An answering is a command that has run, with what its caller is told when that is committed.
type answering struct {
	*command
	commands.Response
}

// refuse: the command ran, and what it asked for cannot be had.
func (a *answering) refuse(why error) {
	if a.Code == 0 {
		a.Code = 1
	}
	a.Stderr = fmt.Appendf(a.Stderr, "ERROR %v\n", why)
}

// send tells the caller.
func (a *answering) send() { a.answer <- a.Response }

// runCommand runs a command of somebody on this machine, and commits what it asked for, whatever its exit status is.
func (a *Agent) runCommand(ctx context.Context, op resolve.RunCommand, r resolve.Remote) error {
	c := a.Commands.take(op.Command)
	if c == nil {
		return nil
	}
	said := &answering{command: c, Response: commands.Fail(errors.New("the unit's agent could not run the command"))}
	h, err := a.commandHook(c.Run)
	if err != nil {
		said.Response = commands.Fail(err)
		said.send()
		return nil
	}
	note := Pending{From: a.local.Commit, Hook: h, Remote: trim(r, h)}
	if err := a.do.Save(&note); err != nil {
		said.send()
		return err
	}
	req := a.request(ctx, h, op)
	req.Abort = func(ctx context.Context) bool {
		select {
		case <-c.gone:
			return true
		case <-ctx.Done():
			return false
		}
	}
	res, effects, err := a.do.Run(ctx, req)
	if err != nil || res.Outcome == run.Terminated && ctx.Err() != nil {
		said.send()
		return errors.Join(err, a.do.Save(nil))
	}
	said.Response = told(res)
	o := &outcome{op: op, remote: note.Remote, effects: effects, call: said}
	switch res.Outcome {
	case run.Aborted, run.Terminated:
		o.effects = hooks.Effects{}
	case run.Rebooting:
		o.effects = hooks.Effects{Reboot: true}
	}
	if o.effects.Empty() {
		said.send()
		return a.do.Save(nil)
	}
	note.Ended, note.Effects = true, o.effects
	if err := a.do.Save(&note); err != nil {
		said.send()
		return err
	}
	return a.finish(ctx, o)
}

// told is what a caller is told of a process that has ended.
func told(res run.Result) commands.Response {
	out := commands.Response{Code: res.Code, Stdout: res.Stdout.Text, Stderr: res.Stderr.Text}
	if lost := res.Stdout.Lost + res.Stderr.Lost; lost > 0 {
		out.Stderr = fmt.Appendf(out.Stderr, "ERROR %d bytes of output were too much and are lost\n", lost)
	}
	switch {
	case res.Outcome == run.Rebooting:
		out.Stderr = fmt.Appendf(out.Stderr, "ERROR killed: the machine starts again\n")
	case res.Code < 0 && res.Outcome != run.Done:
		out.Stderr = fmt.Appendf(out.Stderr, "ERROR %s\n", res.Reason)
	}
	if out.Code < 0 {
		out.Code = 1
	}
	return out
}

// commandHook is the context that the command asks for. The only unit of the other side of its relation needs no mention.
func (a *Agent) commandHook(c commands.Run) (hooks.Hook, error) {
	h := hooks.Hook{Kind: hooks.Command, ActionInput: map[string]any{"command": c.Text}}
	if c.Relation == "" {
		if c.RemoteUnit != "" || c.RemoteApp != "" {
			return h, errors.New("a remote unit or application is one of a relation, and no relation is given")
		}
		return h, nil
	}
	id, err := a.relationNamed(c.Relation)
	if err != nil {
		return h, err
	}
	mine := a.local.Relations[id]
	h.Relation, h.Endpoint, h.RemoteApp = id, mine.Endpoint, mine.Remote
	if c.RemoteApp != "" && c.RemoteApp != string(mine.Remote) {
		return h, fmt.Errorf("application %q is not in relation %s:%d: its other side is %q", c.RemoteApp, mine.Endpoint, id, mine.Remote)
	}
	u := state.UnitName(c.RemoteUnit)
	if _, in := mine.Units[u]; u != "" && !in && !c.Force {
		return h, fmt.Errorf("unit %q is not in relation %s:%d; --force-remote-unit takes it all the same", u, mine.Endpoint, id)
	}
	if units := slices.Collect(maps.Keys(mine.Units)); u == "" && len(units) == 1 {
		u = units[0]
	}
	h.RemoteUnit = u
	return h, nil
}

// relationNamed is the unit's relation of this id: "7" or "db:7".
func (a *Agent) relationNamed(text string) (state.RelationID, error) {
	endpoint, number, named := strings.Cut(text, ":")
	if !named {
		endpoint, number = "", text
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0, fmt.Errorf("invalid relation id %q", text)
	}
	mine, ok := a.local.Relations[state.RelationID(n)]
	if !ok || named && mine.Endpoint != endpoint {
		return 0, fmt.Errorf("unit %s has no relation %q (relation not found)", a.Unit, text)
	}
	return state.RelationID(n), nil
}
