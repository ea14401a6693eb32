package state_test

import (
	"errors"
	"testing"

	"github.com/grigri/grigri/state"
)

// TestRaces decides a change, lets another one come first, and wants the change to fail with it.
func TestRaces(t *testing.T) {
	type edit func(*world) (state.Txn, error)
	deploy := func(name state.ApplicationName, to ...string) edit {
		return func(w *world) (state.Txn, error) {
			t, _, err := state.Deploy(ctx, w.s, m, w.by, key, state.Deployment{Name: name, Charm: "db-0", Units: 1, Placements: to})
			return t, err
		}
	}
	relate := func(a, b string) edit {
		return func(w *world) (state.Txn, error) {
			t, _, err := state.Relate(ctx, w.s, m, w.by, key, a, b)
			return t, err
		}
	}
	addUnit := func(w *world) (state.Txn, error) {
		t, _, err := state.AddUnits(ctx, w.s, m, w.by, "web", 1, nil)
		return t, err
	}
	addMachine := func(w *world) (state.Txn, error) {
		t, _, err := state.AddMachines(ctx, w.s, m, w.by, key, 1, state.NewMachine{})
		return t, err
	}
	assign := func(w *world) (state.Txn, error) { return state.Assign(ctx, w.s, m, key, "web/0", "1") }
	assignNew := func(w *world) (state.Txn, error) {
		t, _, err := state.AssignNew(ctx, w.s, m, w.by, key, []state.NewHome{{Unit: "web/0"}})
		return t, err
	}
	subordinate := func(w *world) (state.Txn, error) {
		return state.AddSubordinate(ctx, w.s, m, w.by, key, "web/1", "logger")
	}
	config := func(value string) edit {
		return func(w *world) (state.Txn, error) {
			return state.SetConfig(ctx, w.s, m, w.by, "web", map[string]any{"title": value}, nil)
		}
	}
	refresh := func(w *world) (state.Txn, error) {
		t, _, err := state.SetCharm(ctx, w.s, m, w.by, key, state.Refresh{Application: "web", Charm: "web-1"})
		return t, err
	}
	destroy := func(w *world) (state.Txn, error) {
		t, _, err := state.DestroyModel(ctx, w.s, m, w.by, state.Ending{}, false)
		return t, err
	}
	remove := func(name state.ApplicationName) edit {
		return func(w *world) (state.Txn, error) {
			t, _, err := state.RemoveApplication(ctx, w.s, m, w.by, name, state.Ending{})
			return t, err
		}
	}
	removeMachine := func(w *world) (state.Txn, error) {
		t, _, err := state.RemoveMachine(ctx, w.s, m, w.by, "1", state.Ending{}, false)
		return t, err
	}
	for _, test := range []struct {
		about         string
		first, second edit
	}{
		{"deploy the same name", deploy("x"), deploy("x")},
		{"deploy into a model that goes", destroy, deploy("x")},
		{"deploy onto a machine that goes", removeMachine, deploy("x", "1")},
		{"add a unit to an application that goes", remove("web"), addUnit},
		{"two units at once", addUnit, addUnit},
		{"two machines at once", addMachine, addMachine},
		{"a machine for a model that goes", destroy, addMachine},
		{"relate twice", relate("web", "db:db"), relate("web", "db:db")},
		{"two relations at once", relate("web", "db:db"), relate("logger", "web")},
		{"relate an application that goes", remove("db"), relate("web", "db:db")},
		{"relate in a model that goes", destroy, relate("web", "db:db")},
		{"relate an endpoint that a refresh takes away", refresh, relate("web", "db:db")},
		{"take away an endpoint that is related", relate("web", "db:db"), refresh},
		{"assign to a machine that goes", removeMachine, assign},
		{"assign a unit that goes", remove("web"), assign},
		{"assign twice", assignNew, assign},
		{"make a machine for a unit that goes", remove("web"), assignNew},
		{"a subordinate of an application that goes", remove("logger"), subordinate},
		{"a subordinate for a unit that goes", remove("web"), subordinate},
		{"two subordinates", subordinate, subordinate},
		{"two settings at once", config("a"), config("b")},
	} {
		t.Run(test.about, func(t *testing.T) {
			w := newWorld(t)
			w.deploy(state.Deployment{Name: "web", Units: 2})
			w.deploy(state.Deployment{Name: "db"})
			w.deploy(state.Deployment{Name: "logger"})
			w.must(addMachine(w))
			w.must(addMachine(w))
			txn, err := state.Assign(ctx, w.s, m, key, "web/1", "0")
			w.must(txn, err)
			late, err := test.second(w)
			if err != nil {
				t.Fatal(err)
			}
			w.must(test.first(w))
			if _, err := w.s.Commit(ctx, late); !errors.Is(err, state.ErrConflict) {
				t.Errorf("it comes second and gets %v", err)
			}
		})
	}
}
