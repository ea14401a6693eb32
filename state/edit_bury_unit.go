package state

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/relation"
)

// Burials remove what has ended, with all below it. Much can lie there, so a burial is a step that is taken until it says
// done: each step is one transaction, children before parents, and whoever begins again goes on where the last one
// ended. All are for fenced transactions, because they delete whatever is there.

// burialOps is how many deletions a step makes at most. The step that ends a burial may have a few more.
const burialOps = 1000

// prune adds to t deletions of what lies below path, and says whether that is all. It makes t no longer than burialOps.
func prune(ctx context.Context, r Reader, t *Txn, path string) (bool, error) {
	names, err := ChildrenIf(ctx, r, path)
	if err != nil {
		return false, fmt.Errorf("list %s: %w", path, err)
	}
	for _, name := range names {
		child := path + "/" + name
		all, err := prune(ctx, r, t, child)
		if err != nil || !all {
			return false, err
		}
		if len(t.Ops) >= burialOps {
			return false, nil
		}
		t.Delete(child, Any)
	}
	return true, nil
}

// Exists says whether there is a node at path.
func Exists(ctx context.Context, r Reader, path string) (bool, error) {
	_, err := r.Get(ctx, path)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// BuryUnit removes a unit: it leaves the relations it is still in, its machine and its principal. A machine that loses its
// last unit with it begins its own end. Why is put into the history if it is not empty.
func BuryUnit(ctx context.Context, r Reader, m ModelID, by By, key Key, u UnitName, why string) (Txn, bool, error) {
	t, done, err := buryUnit(ctx, r, m, by, key, u, why)
	if err != nil {
		return Txn{}, false, fmt.Errorf("bury unit %s: %w", u, err)
	}
	return t, done, nil
}

func buryUnit(ctx context.Context, r Reader, m ModelID, by By, key Key, u UnitName, why string) (t Txn, done bool, err error) {
	unit, err := ReadIf[Unit](ctx, r, m.UnitPath(u))
	if err != nil || !unit.Exists() {
		return t, true, err
	}
	all, err := keepTasks(ctx, r, &t, m, by, Receiver(u))
	if err == nil && all {
		all, err = prune(ctx, r, &t, unit.Path)
	}
	if err == nil && all {
		all, err = leaveRelations(ctx, r, &t, m, u, unit.Value)
	}
	if err != nil {
		return t, false, err
	}
	if !all {
		if unit.Value.Life != Dead { // its ledger may go now, so nobody must ask it any more
			unit.Value.Life = Dead
			t.Set(unit.Path, unit.Value, unit.Version)
		}
		return t, false, nil
	}
	t.Delete(unit.Path, unit.Version)
	if err := freeAll(ctx, r, &t, m, by, unit.Value); err != nil {
		return t, false, err
	}
	if p := unit.Value.Principal; p != "" {
		principal, err := ReadIf[Unit](ctx, r, m.UnitPath(p))
		if err != nil {
			return t, false, err
		}
		if principal.Exists() {
			principal.Value.Subordinates = slices.DeleteFunc(slices.Clone(principal.Value.Subordinates), func(v UnitName) bool { return v == u })
			t.Set(principal.Path, principal.Value, principal.Version)
			t.Tell(m, TicketUnit, string(p))
		}
	}
	if err := vacate(ctx, r, &t, m, by, key, u, unit.Value.Machine); err != nil {
		return t, false, err
	}
	if why != "" {
		by.record(&t, m, "unit removed", fmt.Sprintf("%s: %s", u, why))
	}
	app, err := ReadIf[Application](ctx, r, m.ApplicationPath(u.Application()))
	if app.Value.Life != Alive {
		t.Tell(m, TicketApplication, string(u.Application()))
	}
	return t, true, err
}

// vacate takes the unit from its machine.
func vacate(ctx context.Context, r Reader, t *Txn, m ModelID, by By, key Key, u UnitName, id MachineID) error {
	if id == "" {
		return nil
	}
	machine, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
	if err != nil || !machine.Exists() {
		return err
	}
	v := &machine.Value
	v.Units = slices.DeleteFunc(slices.Clone(v.Units), func(w UnitName) bool { return w == u })
	if len(v.Units) == 0 && len(v.Containers) == 0 {
		model, err := Read[Model](ctx, r, m.Path())
		if err != nil {
			return err
		}
		if model.Value.Name != ControllerModel || id != "0" {
			if v.Manual == "" { // a host that its user added by hand stays until he removes it
				v.End = Ending{}.end(by, v.End)
			}
			t.Tell(m, TicketMachine, string(id))
		}
	}
	return host(ctx, r, t, m, key, id, machine)
}

// leaveRelations takes the unit out of every relation it is in scope of. What it has set stays readable.
func leaveRelations(ctx context.Context, r Reader, t *Txn, m ModelID, u UnitName, unit Unit) (bool, error) {
	app, err := ReadIf[Application](ctx, r, m.ApplicationPath(u.Application()))
	if err != nil {
		return false, err
	}
	for _, have := range app.Value.Relations {
		principal := Scoped(have.Scope, u, unit)
		if have.Life != Alive { // it may have waited for this unit alone
			t.Tell(m, TicketRelation, have.Relation.String())
		}
		if principal == u { // no one else is left in its directory
			dir := m.RelationPath(have.Relation) + "/" + u.Node()
			if all, err := prune(ctx, r, t, dir); err != nil || !all {
				return false, err
			}
			if there, err := Exists(ctx, r, dir); err != nil {
				return false, err
			} else if there {
				t.Delete(dir, Any)
			}
			continue
		}
		if err := Depart(ctx, r, t, m, have.Relation, principal, u); err != nil {
			return false, err
		}
		if t.full() {
			return false, nil
		}
	}
	return true, nil
}

// Scoped is the principal unit between which and its subordinate a relation of this scope is, seen from unit u:
// empty in a global one.
func Scoped(scope charm.Scope, u UnitName, unit Unit) UnitName {
	switch {
	case scope != charm.Container:
		return ""
	case unit.Principal != "":
		return unit.Principal
	}
	return u
}

// Depart takes the unit out of scope of a relation if it is in. What it has set stays readable.
func Depart(ctx context.Context, r Reader, t *Txn, m ModelID, id RelationID, principal, u UnitName) error {
	path := m.MemberPath(id, principal, u)
	member, err := ReadIf[relation.Settings](ctx, r, path)
	if err != nil || !member.Exists() {
		return err
	}
	dir := m.MembersPath(id, u.Application(), principal) + "/" + GoneName
	if there, err := Exists(ctx, r, dir); err != nil {
		return err
	} else if !there {
		t.Create(dir, nil)
	}
	gone, err := ReadIf[relation.Settings](ctx, r, m.GonePath(id, principal, u))
	if err != nil {
		return err
	}
	t.Delete(path, member.Version)
	Put(t, m.GonePath(id, principal, u), gone, member.Value)
	return nil
}
