package leader

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/state"
)

// fenced is t behind the check that this controller still leads.
func (c Config) fenced(t state.Txn) state.Txn {
	var out state.Txn
	out.Check(c.Fence, state.Any)
	out.Join(t)
	return out
}

// write commits t if this controller still leads. The error is ErrDeposed if it does not.
func (c Config) write(ctx context.Context, t state.Txn) error {
	if len(t.Ops) == 0 {
		return nil
	}
	_, err := c.Store.Commit(ctx, c.fenced(t))
	if errors.Is(err, state.ErrConflict) {
		if _, ferr := c.Store.Get(ctx, c.Fence); errors.Is(ferr, state.ErrNotFound) {
			return ErrDeposed
		}
	}
	return err
}

// commit is write, and in the same transaction the tickets go that asked to look at the item.
func (l *Leader) commit(ctx context.Context, it item, t state.Txn) error {
	tickets := l.tickets[it]
	if len(t.Ops) == 0 || len(tickets) > ticketsPerCommit || len(t.Ops)+len(tickets) >= state.MaxOps {
		return l.write(ctx, t) // the tickets are swept
	}
	for _, path := range tickets {
		t.Delete(path, state.Any)
	}
	if err := l.write(ctx, t); err != nil {
		return err
	}
	delete(l.tickets, it)
	for _, path := range tickets {
		delete(l.have, path)
	}
	return nil
}

const ticketsPerCommit = 200

// steps commits step after step until one is the last.
func (l *Leader) steps(ctx context.Context, it item, step func() (state.Txn, bool, error)) error {
	for {
		t, done, err := step()
		if err != nil {
			return err
		}
		if done {
			return l.commit(ctx, it, t)
		}
		if err := l.write(ctx, t); err != nil {
			return err
		}
	}
}

// quickTries is how often an item that met a conflict is looked at again without a pause.
const quickTries = 3

// settle deals with the outcome of looking at the item: it is done with, or will be looked at again.
// The error is ErrDeposed, or that of ctx.
func (l *Leader) settle(ctx context.Context, it item, err error) error {
	switch {
	case errors.Is(err, ErrDeposed):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		delete(l.failed, it)
		if tickets := l.tickets[it]; len(tickets) > 0 && !l.isHomeless(it) {
			delete(l.tickets, it)
			l.spent = append(l.spent, tickets...)
		}
		return nil
	}
	l.failed[it]++
	n := l.failed[it]
	if errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrUnknown) {
		l.relist[it.model] = true // tickets that are gone already would be in the way for ever
		l.dropTickets(it.model)
		if n <= quickTries {
			l.queue[it] = true
			return nil
		}
	}
	wait := plan.Backoff(n, 100*time.Millisecond, time.Minute)
	l.again(it, l.Now().Add(wait))
	l.Log.Warn("cannot settle "+it.String()+", will try again", "model", it.model, "err", err, "after", wait)
	return nil
}

func (l *Leader) isHomeless(it item) bool {
	return it.Kind == state.TicketUnit && l.homeless[it.model][state.UnitName(it.Name)]
}

// again has the item looked at at a time, or before.
func (l *Leader) again(it item, at time.Time) {
	if at.IsZero() {
		return
	}
	if have, ok := l.due[it]; !ok || at.Before(have) {
		l.due[it] = at
	}
}

// readTickets queues what the tickets of the model name.
func (l *Leader) readTickets(ctx context.Context, m state.ModelID) error {
	names, err := state.ChildrenIf(ctx, l.Store, m.ChangesPath())
	if err != nil {
		return err
	}
	for _, name := range names {
		path := m.ChangesPath() + "/" + name
		if l.have[path] {
			continue
		}
		l.have[path] = true
		ticket, ok := state.ParseTicket(name)
		if !ok {
			l.Log.Warn("a ticket names nothing", "model", m, "ticket", name)
			l.spent = append(l.spent, path)
			continue
		}
		it := item{m, ticket}
		l.tickets[it] = append(l.tickets[it], path)
		if _, waits := l.due[it]; !waits || l.failed[it] <= quickTries {
			l.queue[it] = true
		}
	}
	return nil
}

// dropTickets forgets which tickets there are: readTickets finds those that are left.
func (l *Leader) dropTickets(m state.ModelID) {
	of := func(path string) bool { other, ok := modelOfChanges(parent(path)); return ok && other == m }
	maps.DeleteFunc(l.tickets, func(it item, _ []string) bool { return it.model == m })
	maps.DeleteFunc(l.have, func(path string, _ bool) bool { return of(path) })
	l.spent = slices.DeleteFunc(l.spent, of)
}

// sweep deletes the tickets that are done with.
func (l *Leader) sweep(ctx context.Context) error {
	for batch := range slices.Chunk(l.spent, 500) {
		var t state.Txn
		for _, path := range batch {
			t.Delete(path, state.Any)
		}
		err := l.write(ctx, t)
		switch {
		case errors.Is(err, ErrDeposed):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // some may be gone: what is left is found again
			l.Log.Debug("cannot sweep tickets, will list them again", "err", err)
			l.spent = nil
			for m := range l.known {
				l.dropTickets(m)
				l.relist[m] = true
			}
			return nil
		}
		for _, path := range batch {
			delete(l.have, path)
		}
	}
	l.spent = nil
	return nil
}

func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "/"
}
