package state_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/state"
)

// TestAnyEdits makes changes at random, those of users and those of the leader. What is checked after each is in check: the
// changes themselves may be refused, but never for a reason that is not theirs.
func TestAnyEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		refused := 0
		t.Repeat(map[string]func(*rapid.T){
			"deploy": func(t *rapid.T) {
				name := rapid.SampledFrom([]state.ApplicationName{"web", "db", "logger", "one"}).Draw(t, "application")
				n := rapid.IntRange(0, 3).Draw(t, "units")
				if name == "logger" {
					n = 0
				}
				w.may(w.deploy(state.Deployment{Name: name, Units: n}), &refused)
			},
			"relate": func(t *rapid.T) {
				pair := rapid.SampledFrom([][2]string{{"web", "db:db"}, {"web", "db:admin"}, {"one", "db:db"}, {"one", "db:admin"}, {"logger", "web"}, {"db", "logger"}}).Draw(t, "pair")
				w.may(w.relate(pair[0], pair[1]), &refused)
			},
			"add unit": func(t *rapid.T) {
				txn, _, err := state.AddUnits(ctx, w.s, m, w.by, w.application(t), rapid.IntRange(1, 3).Draw(t, "units"), nil)
				w.may(w.apply(txn, err), &refused)
			},
			"remove unit": func(t *rapid.T) {
				txn, _, err := state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{w.unit(t)}, ending(t))
				w.may(w.apply(txn, err), &refused)
			},
			"remove application": func(t *rapid.T) {
				txn, _, err := state.RemoveApplication(ctx, w.s, m, w.by, w.application(t), ending(t))
				w.may(w.apply(txn, err), &refused)
			},
			"remove relation": func(t *rapid.T) {
				txn, _, err := state.RemoveRelationID(ctx, w.s, m, w.by, w.relation(t), ending(t))
				w.may(w.apply(txn, err), &refused)
			},
			"refresh": func(t *rapid.T) {
				txn, _, err := state.SetCharm(ctx, w.s, m, w.by, key, state.Refresh{Application: w.application(t), Charm: rapid.SampledFrom([]string{"web-0", "web-1", "web-2"}).Draw(t, "charm")})
				w.may(w.apply(txn, err), &refused)
			},
			"add machine": func(t *rapid.T) {
				txn, _, err := state.AddMachines(ctx, w.s, m, w.by, key, 1, state.NewMachine{})
				w.may(w.apply(txn, err), &refused)
			},
			"add container": func(t *rapid.T) {
				where := "lxd"
				if id := w.machine(t); !id.IsContainer() {
					where += ":" + string(id)
				}
				txn, _, err := state.AddMachines(ctx, w.s, m, w.by, key, rapid.IntRange(1, 2).Draw(t, "containers"), state.NewMachine{Placement: where})
				w.may(w.apply(txn, err), &refused)
			},
			"remove machine": func(t *rapid.T) {
				txn, _, err := state.RemoveMachine(ctx, w.s, m, w.by, w.machine(t), ending(t), false)
				w.may(w.apply(txn, err), &refused)
			},
			"assign": func(t *rapid.T) {
				txn, err := state.Assign(ctx, w.s, m, key, w.unit(t), w.machine(t))
				w.may(w.apply(txn, err), &refused)
			},
			"assign new": func(t *rapid.T) {
				txn, _, err := state.AssignNew(ctx, w.s, m, w.by, key, []state.NewHome{{Unit: w.unit(t)}, {Unit: w.unit(t), Want: w.berth(t)}, {Unit: w.unit(t), Want: w.berth(t)}})
				w.may(w.apply(txn, err), &refused)
			},
			"add subordinate": func(t *rapid.T) {
				u := w.unit(t)
				if read[state.Unit](w, m.UnitPath(u)).Value.Principal != "" {
					t.Skip("the leader gives subordinates to principals alone")
				}
				txn, err := state.AddSubordinate(ctx, w.s, m, w.by, key, u, "logger")
				w.may(w.apply(txn, err), &refused)
			},
			"bury unit": func(t *rapid.T) {
				u := w.unit(t)
				if unit := read[state.Unit](w, m.UnitPath(u)).Value; unit.Life == state.Alive || len(unit.Subordinates) > 0 {
					t.Skip("the leader does not bury it")
				}
				bury(w, u)
			},
			"remove relation tree": func(t *rapid.T) {
				id := w.relation(t)
				if read[state.Relation](w, m.RelationPath(id)).Value.Life == state.Alive {
					t.Skip("the leader does not remove it")
				}
				txn, _, err := state.RemoveRelationTree(ctx, w.s, m, w.by, id, "")
				w.may(w.apply(txn, err), &refused)
			},
			"bury application": func(t *rapid.T) {
				name := w.application(t)
				if units, _ := state.UnitsOf(ctx, w.s, m, name); len(units) > 0 {
					t.Skip("the leader does not bury it")
				}
				txn, _, err := state.BuryApplication(ctx, w.s, m, w.by, name)
				w.may(w.apply(txn, err), &refused)
			},
			"bury machine": func(t *rapid.T) {
				id := w.machine(t)
				if read[state.Machine](w, m.MachinePath(id)).Value.Life == state.Alive {
					t.Skip("the leader does not bury it")
				}
				txn, _, err := state.BuryMachine(ctx, w.s, m, w.by, id)
				w.may(w.apply(txn, err), &refused)
			},
			"": func(t *rapid.T) { w.by.Now = w.by.Now.Add(time.Second) },
		})
	})
}

// may lets a change be refused in one of the four ways.
func (w *world) may(err error, n *int) {
	w.Helper()
	var a *state.NotFoundError
	var b *state.ExistsError
	var c *state.InvalidError
	var d *state.RefusedError
	if err != nil && !errors.As(err, &a) && !errors.As(err, &b) && !errors.As(err, &c) && !errors.As(err, &d) {
		w.Fatalf("%v (%T)", err, err)
	}
	if err != nil {
		*n++
	}
	for _, op := range w.last.Ops {
		if op.Version == state.Any && op.Kind == state.OpSet {
			w.Fatalf("%s is written whatever it is", op.Path)
		}
	}
}

func ending(t *rapid.T) state.Ending { return state.Ending{Force: rapid.Bool().Draw(t, "force")} }

func (w *world) application(t *rapid.T) state.ApplicationName {
	return state.ApplicationName(pick(t, w.names(m.ApplicationsPath()), "application"))
}

func (w *world) unit(t *rapid.T) state.UnitName {
	return state.UnitOfNode(pick(t, w.names(m.UnitsPath()), "unit"))
}

func (w *world) machine(t *rapid.T) state.MachineID {
	return state.MachineOfNode(pick(t, w.names(m.MachinesPath()), "machine"))
}

// berth is a container on a machine that is there, or on a new one.
func (w *world) berth(t *rapid.T) state.NewMachine {
	want := state.NewMachine{Container: rapid.Bool().Draw(t, "in a container")}
	if id := w.machine(t); want.Container && !id.IsContainer() {
		want.On = id
	}
	return want
}

func (w *world) relation(t *rapid.T) state.RelationID {
	return state.RelationIDOf("/" + pick(t, w.names(m.RelationsPath()), "relation"))
}

func pick(t *rapid.T, names []string, what string) string {
	if len(names) == 0 {
		t.Skip("there is none")
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(t, what)
}
