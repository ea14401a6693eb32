package state_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// TestTrimCharms: of a charm that is given again and again, only what is used and the newest are kept.
func TestTrimCharms(t *testing.T) {
	w := newWorld(t)
	var ids []charm.ID
	for range state.KeptCharms + 4 {
		txn, id, err := state.AddCharm(ctx, w.s, m, w.by, charm.Charm{Meta: charm.Meta{Name: "often"}}, "sha", 1)
		w.must(txn, err)
		ids = append(ids, id)
	}
	others := len(w.names(m.CharmsPath())) - len(ids)
	w.must(state.Txn{}, w.deploy(state.Deployment{Name: "a", Charm: ids[0].String(), Units: 1}))
	var held state.Txn
	held.Create(m.LedgerPath("a/0"), state.Ledger{Charm: ids[1]})
	w.must(held, nil)

	trim := func(before time.Time) state.Txn {
		t.Helper()
		txn, err := state.TrimCharms(ctx, w.s, m, before)
		if err != nil {
			t.Fatal(err)
		}
		return txn
	}
	if txn := trim(w.by.Now); len(txn.Ops) > 0 {
		t.Errorf("what has just come goes: %v", txn)
	}
	late, _, err := state.Deploy(ctx, w.s, m, w.by, key, state.Deployment{Name: "b", Charm: ids[2].String()})
	w.must(state.Txn{}, err)
	w.must(trim(w.by.Now.Add(time.Second)), nil)
	if _, err := w.s.Commit(ctx, late); !errors.Is(err, state.ErrConflict) {
		t.Errorf("an application is given what goes: %v", err)
	}
	want := append([]string{ids[0].String(), ids[1].String()}, names(ids[4:])...)
	got := w.names(m.CharmsPath())
	got = slices.DeleteFunc(got, func(name string) bool { return !slices.Contains(names(ids), name) })
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(w.names(m.CharmsPath())) != others+len(want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	txn, id, err := state.AddCharm(ctx, w.s, m, w.by, charm.Charm{Meta: charm.Meta{Name: "often"}}, "sha", 1)
	w.must(txn, err)
	if id.Revision != len(ids) {
		t.Errorf("the next revision is %d", id.Revision)
	}
}

func names(ids []charm.ID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}
