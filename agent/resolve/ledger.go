package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/grigri/grigri/state"
)

// Unborn is the version of a ledger that has never been written. The version after any commit is one more than before it.
const Unborn state.Version = -1

// Commit returns the transaction that moves the unit's ledger from one Local to the next. Fence is the version of its head
// that from was loaded or committed at. It writes the head and what has changed, nothing else: a node for each
// relation, below it one for each related unit.
func Commit(m state.ModelID, u state.UnitName, from, to Local, fence state.Version) state.Txn {
	var t state.Txn
	if fence == Unborn {
		t.Create(m.LedgerPath(u), to.Ledger)
	} else {
		t.Set(m.LedgerPath(u), to.Ledger, fence)
	}
	for _, id := range slices.Sorted(maps.Keys(from.Relations)) {
		if _, still := to.Relations[id]; !still {
			for _, remote := range slices.Sorted(maps.Keys(from.Relations[id].Units)) {
				t.Delete(m.HeardUnitPath(u, id, remote), state.Any)
			}
			t.Delete(m.HeardPath(u, id), state.Any)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(to.Relations)) {
		before, known := from.Relations[id]
		after := to.Relations[id]
		put(&t, m.HeardPath(u, id), known, before.Heard != after.Heard, after.Heard)
		for _, remote := range slices.Sorted(maps.Keys(before.Units)) {
			if _, still := after.Units[remote]; !still {
				t.Delete(m.HeardUnitPath(u, id, remote), state.Any)
			}
		}
		for _, remote := range slices.Sorted(maps.Keys(after.Units)) {
			was, known := before.Units[remote]
			put(&t, m.HeardUnitPath(u, id, remote), known, was != after.Units[remote], after.Units[remote])
		}
	}
	return t
}

func put(t *state.Txn, path string, exists, changed bool, value any) {
	switch {
	case !exists:
		t.Create(path, value)
	case changed:
		t.Set(path, value, state.Any) // the head's version is the fence of them all
	}
}

// Load reads the unit's ledger and the version of its head: Unborn if there is none. Whatever changes while it
// reads has changed the head too, so that a Commit with the version fails.
func Load(ctx context.Context, tree state.Reader, m state.ModelID, u state.UnitName) (Local, state.Version, error) {
	head, err := state.Read[state.Ledger](ctx, tree, m.LedgerPath(u))
	if errors.Is(err, state.ErrNotFound) {
		return Local{}, Unborn, nil
	}
	if err != nil {
		return Local{}, Unborn, fmt.Errorf("read the ledger of %s: %w", u, err)
	}
	l := Local{Ledger: head.Value, Relations: map[state.RelationID]Heard{}}
	ids, err := tree.Children(ctx, head.Path)
	if err != nil {
		return Local{}, Unborn, fmt.Errorf("read the ledger of %s: %w", u, err)
	}
	for _, name := range ids {
		n, err := strconv.Atoi(name)
		if err != nil {
			return Local{}, Unborn, fmt.Errorf("read the ledger of %s: %s/%s is no relation", u, head.Path, name)
		}
		id := state.RelationID(n)
		if l.Relations[id], err = loadHeard(ctx, tree, m, u, id); err != nil {
			return Local{}, Unborn, fmt.Errorf("read what %s has heard in relation %d: %w", u, id, err)
		}
	}
	return l, head.Version, nil
}

func loadHeard(ctx context.Context, tree state.Reader, m state.ModelID, u state.UnitName, id state.RelationID) (Heard, error) {
	rec, err := state.Read[state.Heard](ctx, tree, m.HeardPath(u, id))
	if err != nil {
		return Heard{}, err
	}
	h := Heard{Heard: rec.Value, Units: map[state.UnitName]state.Stamp{}}
	names, err := tree.Children(ctx, rec.Path)
	if err != nil {
		return Heard{}, err
	}
	for _, name := range names {
		remote := state.UnitOfNode(name)
		rec, err := state.Read[state.Stamp](ctx, tree, m.HeardUnitPath(u, id, remote))
		if err != nil {
			return Heard{}, err
		}
		h.Units[remote] = rec.Value
	}
	return h, nil
}
