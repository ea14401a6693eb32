package view_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/controller/view"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// counting counts what is read through followers.
type counting struct {
	state.Store
	reads *atomic.Int64
}

func (c counting) Follow(ctx context.Context) state.Follower {
	return countingFollower{c.Store.Follow(ctx), c.reads}
}

type countingFollower struct {
	state.Follower
	reads *atomic.Int64
}

func (c countingFollower) Get(ctx context.Context, path string) (state.Node, error) {
	c.reads.Add(1)
	return c.Follower.Get(ctx, path)
}

func (c countingFollower) Children(ctx context.Context, path string) ([]string, error) {
	c.reads.Add(1)
	return c.Follower.Children(ctx, path)
}

// What is kept is what is there, whatever changes; and as much is read as has changed, however much there is.
func TestTheCacheIsTheTree(t *testing.T) {
	var costs [][]int64
	for _, n := range []int{5, 50} {
		costs = append(costs, cacheCosts(t, n))
	}
	if !slices.Equal(costs[0], costs[1]) {
		t.Errorf("with 5 units the changes cost %v reads, with 50 %v", costs[0], costs[1])
	}
	if most := slices.Max(costs[0]); most > 12 {
		t.Errorf("a change costs %d reads: %v", most, costs[0])
	}
}

// cacheCosts changes a model with n units, wants the cache to be what the tree is, and returns how much was read after each change.
func cacheCosts(t *testing.T, n int) (costs []int64) {
	ctx, store := t.Context(), memory.New().Connect(memory.Controller)
	grow(t, store, n)
	var reads atomic.Int64
	c := view.NewCache(ctx, counting{store, &reads})
	before := 0
	same := func(what string) {
		t.Helper()
		reads.Store(0)
		got, generation, err := c.Read(ctx, m)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		cost := reads.Load()
		want, err := view.Read(ctx, store, m)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*status.Snapshot{&got, &want} {
			for _, r := range s.Relations {
				slices.Sort(r.Members)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: kept is\n%+v\nthere is\n%+v", what, got, want)
		}
		if generation != before+1 {
			t.Errorf("%s: generation %d after %d", what, generation, before)
		}
		before = generation
		if again, g, err := c.Read(ctx, m); err != nil || g != generation || reads.Load() != cost || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: nothing changes, and %d more nodes are read, %v", what, reads.Load()-cost, err)
		}
		if before > 1 {
			costs = append(costs, cost)
		}
	}
	same("at first")
	change := func(what string, edit func(*state.Txn)) {
		t.Helper()
		var x state.Txn
		edit(&x)
		if _, err := store.Commit(ctx, x); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		same(what)
	}
	u := state.UnitName("web/1")
	change("a status", func(x *state.Txn) { x.Set(m.StatusPath(u), state.UnitStatus{Version: "2"}, state.Any) })
	change("an agent goes", func(x *state.Txn) { x.Delete(m.AgentPath(u), state.Any) })
	change("an agent comes", func(x *state.Txn) { x.Create(m.AgentPath(u), state.Presence{Boot: "c"}) })
	change("a machine", func(x *state.Txn) { x.Set(m.InstancePath("2"), state.Instance{Failures: 1}, state.Any) })
	change("a unit comes", func(x *state.Txn) { x.Create(m.UnitPath("web/100"), state.Unit{Placement: "7"}) })
	change("it reports", func(x *state.Txn) { x.Create(m.StatusPath("web/100"), state.UnitStatus{Said: true}) })
	change("it goes", func(x *state.Txn) {
		x.Delete(m.StatusPath("web/100"), state.Any)
		x.Delete(m.UnitPath("web/100"), state.Any)
	})
	change("it comes again", func(x *state.Txn) { x.Create(m.UnitPath("web/100"), state.Unit{Placement: "8"}) })
	change("an application", func(x *state.Txn) { x.Set(m.ExposedPath("web"), state.Exposed{Exposed: true}, state.Any) })
	change("a leader", func(x *state.Txn) { x.Create(m.ElectionPath("web")+"/web-0=boot:0000000009", state.Presence{}) })
	change("a relation", func(x *state.Txn) {
		x.Create(m.RelationPath(5), state.Relation{Endpoints: []relation.Endpoint{{Application: "web", Endpoint: charm.Endpoint{Name: "x"}}}})
		x.Create(m.SidePath(5, "web"), relation.Settings{})
	})
	change("a member", func(x *state.Txn) { x.Create(m.MemberPath(5, "", u), relation.Settings{}) })
	change("a storage", func(x *state.Txn) { x.Create(m.StoragePath("data/0"), state.Storage{}) })
	change("the settings", func(x *state.Txn) { x.Set(m.ConfigPath(), state.ModelConfig{"a": "b"}, state.Any) })
	return costs
}

// After a lost session everything is looked at again, and a model that has gone is forgotten.
func TestTheCacheOutlivesItsConnection(t *testing.T) {
	ctx, tree := t.Context(), memory.New()
	store, other := tree.Connect(memory.Controller), tree.Connect(memory.Controller)
	grow(t, other, 2)
	c := view.NewCache(ctx, store)
	status := func(want string) {
		t.Helper()
		s, _, err := c.Read(ctx, m)
		if err != nil || s.Units["web/1"].Status.Version != want {
			t.Errorf("version %q, %v; want %q", s.Units["web/1"].Status.Version, err, want)
		}
	}
	status("")
	for i := range 3 {
		store.Cut()
		var x state.Txn
		x.Set(m.StatusPath("web/1"), state.UnitStatus{Version: fmt.Sprint(i)}, state.Any)
		if _, err := other.Commit(ctx, x); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Read(ctx, m); err == nil {
			t.Error("it answers without a connection")
		}
		store.Heal()
		if i == 1 {
			store.Expire()
		}
		status(fmt.Sprint(i))
	}
	if _, _, err := c.Read(ctx, "nothing"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("a model that is not there: %v", err)
	}
	gone, cancel := context.WithTimeout(ctx, time.Minute)
	cancel()
	if _, _, err := c.Read(gone, m); err == nil {
		t.Error("it reads for nobody")
	}
}
