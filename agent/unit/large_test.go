package unit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// A relation's value of 64 KB arrives whole. What is more than fits is refused, and nothing of what was set before is lost.
func TestLargeValuesOfRelations(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 1)
	web, store := w.start("web/0"), w.start("store/0")
	web.settle()
	store.settle()
	id := w.relate("web", "store")
	const value = "head -c 65536 /dev/zero | tr '\\0' x"
	web.on("db-relation-joined", "relation-set small=1 large=$("+value+")\n"+ // an argument that Linux still takes
		"echo \"large: $("+value+")$("+value+")\" >file; relation-set --file file larger=2\n"+
		"head -c 500000 /dev/zero | tr '\\0' y >much; echo \"much: $(cat much)\" >file\n"+
		"relation-set --file file 2>error && exit 1; grep -q 'at most 409600 are allowed; nothing was changed' error\n"+
		"relation-get - web/0 --format=json | wc -c >size")
	store.on("sql-relation-changed", "relation-get large | wc -c >>sizes")
	web.settle()
	store.settle()
	web.settle()
	store.settle()
	s := get[relation.Settings](w, model.MemberPath(id, "", "web/0"))
	if len(s["large"]) != 2*65536 || s["small"] != "1" || s["larger"] != "2" || s["much"] != "" {
		t.Errorf("web has set large of %d, small %q, larger %q, much of %d bytes", len(s["large"]), s["small"], s["larger"], len(s["much"]))
	}
	sizes, _ := os.ReadFile(filepath.Join(store.paths.Agent, "sizes"))
	if got := strings.Fields(string(sizes)); len(got) == 0 || got[len(got)-1] != "131073" {
		t.Errorf("store has read values of %v bytes", got)
	}
	if f := get[state.Ledger](w, model.LedgerPath("web/0")).Failed; f != nil {
		t.Errorf("web has failed: %+v", f)
	}
}

// A noter is a charm that only notes which hooks run.
type noter struct {
	idle
	ran *[]string
}

func (n noter) Run(_ context.Context, r unit.Request) (run.Result, hooks.Effects, error) {
	*n.ran = append(*n.ran, strings.TrimSpace(r.Hook.Name()+" "+string(r.Hook.RemoteUnit)))
	return run.Result{Outcome: run.Done}, hooks.Effects{}, nil
}

// note runs an agent for the unit, whose hooks are noted, and returns a function that runs what is due and says what it was.
func (w *world) note(u state.UnitName, c charm.Charm) func() []string {
	w.Helper()
	var ran []string
	store := w.tree.Connect(model.ModelAgents(), model.UnitPrincipal(u), model.ApplicationPrincipal(u.Application()))
	agent, err := unit.New(w.Context(), unit.Config{Model: model, Unit: u, Store: store, API: w, Lock: w.lock,
		World: func() unit.World { return unit.World{Settings: w.settings, Network: w.network} },
		Run:   state.Presence{Boot: u.Node() + "-run", Since: w.now()}, Now: w.now, ID: w.id}, noter{idle{c}, &ran})
	w.must(err)
	return func() []string {
		w.Helper()
		ran = nil
		for {
			op, err := agent.Step(w.Context())
			w.must(err)
			if _, waits := op.(resolve.Wait); waits {
				return ran
			}
		}
	}
}

func TestManyRelationsOfOneUnit(t *testing.T) {
	const many = 500
	w := newWorld(t)
	hub := w.charm("name: hub\nsummary: x\ndescription: x\nprovides:\n  down: {interface: spoke}\n", "")
	spoke := w.charm("name: spoke\nsummary: x\ndescription: x\nrequires:\n  up: {interface: spoke}\n", "")
	deploy := func(app state.ApplicationName, c string, n int) {
		w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.Deploy(ctx, r, model, w.by(), w.key, state.Deployment{Name: app, Charm: c, Units: n, Force: true})
			return t, err
		})
	}
	deploy("hub", hub, 1)
	step := w.note("hub/0", get[state.Charm](w, model.CharmPath(hub)).Charm)
	step()
	var last state.RelationID
	for i := range many {
		app := state.ApplicationName(fmt.Sprintf("s%dx", i))
		deploy(app, spoke, 1)
		last = w.relate("hub", string(app))
		put(w, model.MemberPath(last, "", app.Unit(0)), relation.Settings{"n": fmt.Sprint(i)})
	}
	counts := map[string]int{}
	for _, name := range step() {
		hook, _, _ := strings.Cut(name, " ")
		counts[hook]++
	}
	for _, hook := range []string{"down-relation-created", "down-relation-joined", "down-relation-changed"} {
		if counts[hook] != many {
			t.Errorf("%s ran %d times for %d relations", hook, counts[hook], many)
		}
	}
	if n := len(get[state.Application](w, model.ApplicationPath("hub")).Relations); n != many {
		t.Errorf("the hub has %d relations", n)
	}
	put(w, model.MemberPath(last, "", "s499x/0"), relation.Settings{"n": "another"})
	w.same("one of them has news", step(), []string{"down-relation-changed s499x/0"})
	w.unrelate("hub", "s7x")
	w.same("one of them goes", step(), []string{"down-relation-departed s7x/0", "down-relation-broken"})
}

func TestManyPeers(t *testing.T) {
	const many = 300
	w := newWorld(t)
	c := w.charm("name: ring\nsummary: x\ndescription: x\npeers:\n  ring: {interface: ring}\n", "")
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.Deploy(ctx, r, model, w.by(), w.key, state.Deployment{Name: "ring", Charm: c, Units: many, Force: true})
		return t, err
	})
	ch := get[state.Charm](w, model.CharmPath(c)).Charm
	id := get[state.Application](w, model.ApplicationPath("ring")).Relations[0].Relation
	var steps []func() []string
	for i := range 3 { // three are real, the others are there
		steps = append(steps, w.note(state.ApplicationName("ring").Unit(i), ch))
	}
	for i := 3; i < many; i++ {
		put(w, model.MemberPath(id, "", state.ApplicationName("ring").Unit(i)), relation.Settings{"id": fmt.Sprint(i)})
	}
	counts := []map[string]int{{}, {}, {}}
	for range 3 { // until the three have met
		for i, step := range steps {
			for _, name := range step() {
				hook, _, _ := strings.Cut(name, " ")
				counts[i][hook]++
			}
		}
	}
	for i, c := range counts {
		if c["ring-relation-created"] != 1 || c["ring-relation-joined"] != many-1 || c["ring-relation-changed"] != many-1 || c["start"] != 1 {
			t.Errorf("ring/%d ran %v among %d peers", i, c, many)
		}
	}
	put(w, model.MemberPath(id, "", "ring/299"), relation.Settings{"id": "another"})
	for i, step := range steps {
		if got := step(); !slices.Equal(got, []string{"ring-relation-changed ring/299"}) {
			t.Errorf("one has news, and ring/%d runs %q", i, got)
		}
	}
}

// What status says while update-status runs is what it said before: it is not worth telling. Of other hooks it tells.
func TestUpdateStatusIsNotShown(t *testing.T) {
	w := newWorld(t)
	w.settings = state.ModelConfig{"update-status-hook-interval": "1m"}
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	shown := func() (out []string) {
		for _, c := range web.store.commits {
			for _, op := range c.Ops {
				if op.Path == model.StatusPath("web/0") && strings.Contains(string(op.Data), `"status":"executing"`) {
					out = append(out, string(op.Data))
				}
			}
		}
		web.store.commits = nil
		return out
	}
	shown()
	web.on("any", "sleep 0.3")
	w.pass(2 * 60e9)
	w.same("in time", web.settle(), []string{"update-status"})
	if got := shown(); len(got) != 0 {
		t.Errorf("update-status is shown: %s", got)
	}
	web.network.Private = "127.0.0.9"
	w.network.Private = "127.0.0.9"
	w.same("another address", web.settle(), []string{"config-changed"})
	if got := shown(); len(got) == 0 {
		t.Error("config-changed is not shown")
	}
}

func TestWhatAFailureSays(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 1)
	web, store := w.start("web/0"), w.start("store/0")
	web.settle()
	store.settle()
	id := w.relate("web", "store")
	web.settle()
	store.on("sql-relation-joined", "exit 1")
	store.settle()
	s := store.status()
	if s.Failure == nil || s.Failure.Status != "error" || s.Failure.Message != `hook failed: "sql-relation-joined"` {
		t.Fatalf("status is %+v", s)
	}
	want := map[string]string{"hook": "sql-relation-joined", "relation-id": id.String(), "remote-unit": "web/0"}
	if fmt.Sprint(s.Failure.Data) != fmt.Sprint(want) {
		t.Errorf("the failure's data is %v, want %v", s.Failure.Data, want)
	}
}

// Someone has deleted the charm: its hooks fail, and the next agent puts it in place again.
func TestADeletedCharmIsUnpackedAgain(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	web.must(os.RemoveAll(web.paths.CharmDir()))
	w.network.Private = "127.0.0.9"
	w.same("without files", web.settle(), nil)
	if s := web.status(); s.Failure == nil || s.Failure.Message != `hook failed: "config-changed"` {
		t.Errorf("status is %+v", s)
	}
	web.boot()
	w.pass(10 * 60e9)
	w.same("a new agent", web.settle(), []string{"config-changed"})
	if s := web.status(); s.Failure != nil {
		t.Errorf("status is %+v", s)
	}
}
