package unit

import (
	"context"
	"fmt"
	"maps"

	"github.com/grigri/grigri/agent/place"
	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// Mount implements Doer.
func (h *Host) Mount(ctx context.Context, s state.Attachment) error {
	return place.Open(h.Storage).Mount(ctx, s)
}

// Unmount implements Doer.
func (h *Host) Unmount(ctx context.Context, id state.StorageID, force bool) error {
	return place.Open(h.Storage).Unmount(ctx, id, force)
}

// Placed implements Doer.
func (h *Host) Placed() ([]state.StorageID, error) { return place.Open(h.Storage).All() }

// Location implements Doer.
func (h *Host) Location(s state.Attachment) string { return place.Open(h.Storage).Location(s) }

// storage is the unit's storage as it is wanted.
func (a *Agent) storage() map[state.StorageID]resolve.Storage {
	out := map[state.StorageID]resolve.Storage{}
	for _, s := range a.view.unit.Value.Storage {
		out[s.ID] = resolve.Storage{Kind: s.Kind, Location: a.do.Location(s), Ready: s.Ready(), Mounted: a.placed[s.ID], End: s.End}
	}
	return out
}

// clear takes storage from its place that was put there and has gone from the unit before that was committed: neither its
// charm nor the ledger knows of it. It is false when some is left.
func (a *Agent) clear(ctx context.Context) bool {
	done := true
	for id := range a.around {
		_, wanted := a.view.unit.Value.Attachment(id)
		if _, held := a.local.Storage[id]; wanted || held || !a.view.unit.Exists() {
			continue
		}
		if err := a.do.Unmount(ctx, id, true); err != nil {
			a.Log.Warn("storage that is no longer the unit's is in its place, another try follows", "storage", id, "err", err)
			done = false
			continue
		}
		delete(a.around, id)
		delete(a.placed, id)
	}
	return done
}

// move puts storage in its place, or takes it from there. That it cannot be is no error here: the ledger says so, and when it is
// tried again.
func (a *Agent) move(ctx context.Context, op resolve.Op, r resolve.Remote) error {
	var err error
	switch op := op.(type) {
	case resolve.Mount:
		s, wanted := a.view.unit.Value.Attachment(op.Storage)
		if !wanted {
			return fmt.Errorf("mount storage %s of %s: it is no longer the unit's", op.Storage, a.Unit)
		}
		a.around[op.Storage] = true
		if err = a.do.Mount(ctx, s); err == nil {
			a.placed[op.Storage] = true
			if held, has := a.local.Storage[op.Storage]; has && held.Problem == "" && held.Location == r.Storage[op.Storage].Location {
				return nil // it was there before the agent began, and is again
			}
		}
	case resolve.Unmount:
		delete(a.placed, op.Storage)
		if err = a.do.Unmount(ctx, op.Storage, op.Force); err == nil {
			delete(a.around, op.Storage)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	o := &outcome{op: op, remote: r}
	if err != nil {
		a.Log.Warn("storage is not where it should be, another try follows", "op", op.String(), "err", err)
		o.failed = &failure{Reason: err.Error()}
	}
	return a.finish(ctx, o)
}

// asked is what the unit's hooks have asked for, ever, with what one more has.
func asked(ever, more map[string]int) map[string]int {
	if len(more) == 0 {
		return ever
	}
	out := maps.Clone(ever)
	if out == nil {
		out = map[string]int{}
	}
	for name, n := range more {
		out[name] += n
	}
	return out
}

// tellStorage tells the leader what it waits for: storage that has left the unit, and storage that is asked for.
func (a *Agent) tellStorage(d *draft, o *outcome) {
	if op, ok := o.op.(resolve.Unmount); ok && o.failed == nil {
		d.txn.Tell(a.Model, state.TicketStorage, string(op.Storage))
	}
	if o.failed == nil && len(o.effects.Storage) > 0 {
		d.txn.Tell(a.Model, state.TicketUnit, string(a.Unit))
	}
}

func (r *reader) Storage(context.Context) (hooks.Storage, error) {
	unit, l := r.a.view.unit.Value, r.a.local
	out := hooks.Storage{Asked: map[string]int{}}
	for _, s := range unit.Storage {
		held := l.Storage[s.ID]
		out.Instances = append(out.Instances, hooks.StorageInstance{ID: s.ID, Kind: s.Kind, Location: r.a.do.Location(s),
			Attached: held.Attached, Going: s.Life != state.Alive})
	}
	for name, n := range l.StorageAsked {
		if n -= unit.StorageGiven[name]; n > 0 {
			out.Asked[name] = n
		}
	}
	return out, nil
}
