package unit_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// idle is a charm that does nothing.
type idle struct{ charm charm.Charm }

func (idle) Unpack(context.Context, unit.API, charm.ID) error { return nil }
func (idle) Resource(context.Context, unit.API, state.UnitName, unit.WantedFile) (string, error) {
	return "", hooks.ErrNoResource
}
func (i idle) Charm() (charm.Charm, error) { return i.charm, nil }
func (idle) Save(*unit.Pending) error      { return nil }
func (idle) Load() (*unit.Pending, error)  { return nil, nil }
func (idle) Run(context.Context, unit.Request) (run.Result, hooks.Effects, error) {
	return run.Result{Outcome: run.Done}, hooks.Effects{}, nil
}

// observed counts what one agent asks of the tree, and knows its watches.
type observed struct {
	*memory.Client
	watches []state.Watch
	asked   *atomic.Int64
}

func (o *observed) Watch(ctx context.Context) state.Watch {
	w := o.Client.Watch(ctx)
	o.watches = append(o.watches, w)
	return w
}

func (o *observed) Get(ctx context.Context, p string) (state.Node, error) {
	o.asked.Add(1)
	return o.Client.Get(ctx, p)
}

func (o *observed) Children(ctx context.Context, p string) ([]string, error) {
	o.asked.Add(1)
	return o.Client.Children(ctx, p)
}

// woken says whether any watch has something to tell.
func (o *observed) woken() bool {
	for _, w := range o.watches {
		select {
		case <-w.C():
			return true
		default:
		}
	}
	return false
}

// Of a thousand agents an unrelated deploy wakes none, a setting of one application wakes its own units, and a unit's
// word in a relation those it is meant for.
func TestWhoIsWoken(t *testing.T) {
	const apps, each = 100, 10
	w := newWorld(t)
	w.settings["update-status-hook-interval"] = "0"
	c := w.charm("name: plain\nsummary: x\ndescription: x\nrequires:\n  up: {interface: chain}\nprovides:\n  down: {interface: chain}\n", "")
	ch := get[state.Charm](w, model.CharmPath(c)).Charm
	var asked atomic.Int64
	type one struct {
		name  state.UnitName
		store *observed
		agent *unit.Agent
	}
	var all []*one
	deploy := func(app state.ApplicationName) {
		w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.Deploy(ctx, r, model, w.by(), w.key, state.Deployment{Name: app, Charm: c, Units: each, Base: charm.Base{Name: "debian", Channel: "12"}, Force: true})
			return t, err
		})
	}
	for i := range apps {
		app := state.ApplicationName(fmt.Sprint("app", string(rune('a'+i/26)), string(rune('a'+i%26))))
		deploy(app)
		for n := range each {
			u := app.Unit(n)
			o := &one{name: u, store: &observed{Client: w.tree.Connect(model.ModelAgents(), model.UnitPrincipal(u), model.ApplicationPrincipal(app)), asked: &asked}}
			all = append(all, o)
		}
	}
	w.relate("appaa:up", "appab:down")
	settle := func(o *one) {
		if o.agent == nil {
			var err error
			o.agent, err = unit.New(t.Context(), unit.Config{Model: model, Unit: o.name, Store: o.store, API: w, Lock: w.lock,
				World: func() unit.World { return unit.World{Settings: w.settings, Network: w.network} },
				Run:   state.Presence{Boot: o.name.Node() + "-run", Since: w.now()}, Now: w.now, ID: w.id}, idle{ch})
			w.must(err)
		}
		for {
			op, err := o.agent.Step(t.Context())
			w.must(err)
			if _, waits := op.(resolve.Wait); waits {
				return
			}
		}
	}
	woken := func(what string, want func(state.UnitName) bool) {
		t.Helper()
		n, wanted := 0, 0
		for _, o := range all {
			is := o.store.woken()
			if is != want(o.name) {
				t.Errorf("%s: is %s woken? %v", what, o.name, is)
			}
			if want(o.name) {
				wanted++
			}
			if is {
				n++
				settle(o)
			}
		}
		t.Logf("%s wakes %d of %d agents", what, n, len(all))
	}
	for range 3 { // until all have met
		for _, o := range all {
			settle(o)
		}
	}
	for _, o := range all {
		o.store.woken()
	}
	asked.Store(0)
	deploy("unrelated")
	woken("an unrelated deploy", func(state.UnitName) bool { return false })
	if n := asked.Load(); n != 0 {
		t.Errorf("an unrelated deploy made agents ask the tree %d times", n)
	}
	app := get[state.Application](w, model.ApplicationPath("appba"))
	app.Config = map[string]any{"x": 1}
	put(w, model.ApplicationPath("appba"), app)
	woken("a setting", func(u state.UnitName) bool { return u.Application() == "appba" })
	put(w, model.MemberPath(0, "", "appaa/3"), map[string]string{"said": "something"})
	woken("a word in a relation", func(u state.UnitName) bool { return u.Application() == "appab" })
}

func (idle) Mount(context.Context, state.Attachment) error        { return nil }
func (idle) Unmount(context.Context, state.StorageID, bool) error { return nil }
func (idle) Placed() ([]state.StorageID, error)                   { return nil, nil }
func (idle) Location(s state.Attachment) string                   { return "/srv/" + string(s.ID) }
