package resolve

import (
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// A Storage is one storage instance that the unit is to have, as last read.
type Storage struct {
	Kind     string
	Location string // where it is, once it is in its place
	Ready    bool   // it can be put there
	Mounted  bool   // it is there, since the agent has begun
	state.End
}

// The operations on storage.
type (
	// Mount puts storage in its place. It comes again for each run of the agent: a machine may have lost it.
	Mount struct{ Storage state.StorageID }
	// Unmount takes storage from its place. With Force that cannot fail for long.
	Unmount struct {
		Storage state.StorageID
		Force   bool
	}
)

func (Mount) isOp()   {}
func (Unmount) isOp() {}

func (o Mount) String() string { return "mount " + string(o.Storage) }
func (o Unmount) String() string {
	if o.Force {
		return "unmount " + string(o.Storage) + " by force"
	}
	return "unmount " + string(o.Storage)
}

// allStorage is every storage that the unit has or is to have, by number.
func allStorage(l Local, r Remote) []state.StorageID {
	all := map[state.StorageID]bool{}
	for id := range l.Storage {
		all[id] = true
	}
	for id := range r.Storage {
		all[id] = true
	}
	return slices.SortedFunc(maps.Keys(all), state.CompareStorage)
}

// leaves says whether the storage is on its way from the unit: it goes, or is no more, or the unit goes.
func leaves(r Remote, id state.StorageID) bool {
	want, wanted := r.Storage[id]
	return !wanted || want.Life != state.Alive || r.Life != state.Alive
}

// dueStorage is when what has failed with the storage, which leaves or comes, is tried again; in the past when nothing has.
func dueStorage(h state.Held, leaving bool) time.Time {
	if h.Problem == "" || h.Leaving != leaving {
		return time.Time{}
	}
	return h.At.Add(backoff(h.Failures))
}

// nextMount puts all storage in its place. What the charm has been told of must be there before anything runs: data written
// beside it would be lost.
func nextMount(l Local, r Remote, now time.Time) Op {
	var wait *Wait
	for _, id := range allStorage(l, r) {
		want, held := r.Storage[id], l.Storage[id]
		if leaves(r, id) || want.Mounted || !held.Attached && !slices.Contains(r.Stores, id.Name()) {
			continue
		}
		if want.Ready && !now.Before(dueStorage(held, false)) {
			return Mount{id}
		}
		if held.Attached && wait == nil {
			wait = &Wait{Reason: reasonOf(id, held)}
		}
	}
	if wait == nil {
		return nil
	}
	return *wait
}

func reasonOf(id state.StorageID, held state.Held) string {
	if held.Problem != "" {
		return "waiting for storage " + string(id) + ": " + held.Problem
	}
	return "waiting for storage " + string(id)
}

// nextStorage tells the charm of storage that has come and of storage that goes, and lets that go.
func nextStorage(l Local, r Remote, now time.Time) Op {
	for _, id := range allStorage(l, r) {
		want, wanted := r.Storage[id]
		held, has := l.Storage[id]
		switch {
		case !leaves(r, id):
			if has && want.Mounted && !held.Attached && slices.Contains(r.Stores, id.Name()) {
				return Run{storageHook(hooks.StorageAttached, id, held)}
			}
		case wanted && held.Attached:
			return Run{storageHook(hooks.StorageDetaching, id, held)}
		case has && r.Life == state.Alive && !now.Before(dueStorage(held, true)):
			return Unmount{id, !wanted || want.Force || late(want.End, now)}
		}
	}
	return nil
}

// nextFirstStorage is nextStorage before install, which waits until all that the charm needs is there.
func nextFirstStorage(l Local, r Remote, now time.Time) Op {
	if op := nextStorage(l, r, now); op != nil {
		return op
	}
	for _, id := range allStorage(l, r) {
		held := l.Storage[id]
		if !leaves(r, id) && !held.Attached && slices.Contains(r.Stores, id.Name()) {
			return Wait{Reason: reasonOf(id, held)}
		}
	}
	return nil
}

// letGo is the last of a unit that goes: its storage leaves its place, until the deadline. Whoever then removes what is left on the
// machine does not ask.
func letGo(l Local, r Remote, now time.Time) Op {
	if late(r.End, now) {
		return nil
	}
	for _, id := range allStorage(l, r) {
		held, has := l.Storage[id]
		switch {
		case !has:
		case !now.Before(dueStorage(held, true)):
			return Unmount{Storage: id}
		default:
			return Wait{r.Deadline, reasonOf(id, held)}
		}
	}
	return nil
}

func late(e state.End, now time.Time) bool { return !e.Deadline.IsZero() && !now.Before(e.Deadline) }

// sooner is the earlier of two moments, of which a zero one never comes.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// retryStorage is when the next storage that has failed is tried again; zero for never.
func retryStorage(l Local, r Remote, now time.Time) time.Time {
	var next time.Time
	for id, held := range l.Storage {
		if due := dueStorage(held, leaves(r, id)); due.After(now) && (leaves(r, id) || !r.Storage[id].Mounted) {
			next = sooner(next, due)
		}
	}
	return next
}

func storageHook(k hooks.Kind, id state.StorageID, held state.Held) hooks.Hook {
	return hooks.Hook{Kind: k, Storage: id, StorageKind: held.Kind, Location: held.Location}
}

// Misplaced returns what the unit has done when op, a Mount or an Unmount, has failed.
func Misplaced(l Local, r Remote, op Op, now time.Time, problem string) Local {
	var id state.StorageID
	leaving := false
	switch op := op.(type) {
	case Mount:
		id = op.Storage
	case Unmount:
		id, leaving = op.Storage, true
	}
	held, has := l.Storage[id]
	if !has {
		held = state.Held{Kind: r.Storage[id].Kind, Location: r.Storage[id].Location}
	}
	if held.Leaving != leaving {
		held.Failures = 0
	}
	held.Problem, held.Leaving, held.Failures, held.At = problem, leaving, held.Failures+1, now
	return holding(l, id, &held)
}

// mounted is l with the storage in its place.
func mounted(l Local, r Remote, id state.StorageID) Local {
	want := r.Storage[id]
	return holding(l, id, &state.Held{Kind: want.Kind, Location: want.Location, Attached: l.Storage[id].Attached})
}

// toldOf is l after a storage hook. Of storage that has gone meanwhile the charm need not be told again.
func toldOf(l Local, r Remote, h hooks.Hook) Local {
	held, has := l.Storage[h.Storage]
	if !has {
		return l
	}
	held.Attached = h.Kind == hooks.StorageAttached && !leaves(r, h.Storage)
	return holding(l, h.Storage, &held)
}

// holding is l with held in the place of what it has of the storage; nil is nothing.
func holding(l Local, id state.StorageID, held *state.Held) Local {
	l.Storage = maps.Clone(l.Storage)
	if held == nil {
		if delete(l.Storage, id); len(l.Storage) == 0 {
			l.Storage = nil
		}
		return l
	}
	if l.Storage == nil {
		l.Storage = map[state.StorageID]state.Held{}
	}
	l.Storage[id] = *held
	return l
}
