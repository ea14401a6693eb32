package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

type (
	notFound = state.NotFoundError
	exists   = state.ExistsError
	invalid  = state.InvalidError
	refused  = state.RefusedError
)

func TestModels(t *testing.T) {
	w := newWorld(t)
	founding := state.Founding{Controller: state.Controller{Name: "again"}, Admin: state.User{Name: "eve"}, Model: state.NewModel{UUID: "x"}}
	_, err := state.Bootstrap(ctx, w.s, w.by, founding)
	fails(t, "bootstrap twice", err, &exists{Kind: "controller", Name: "test"})
	for _, name := range []string{"", "Shop", "-x", "a_b", "a b", "a/b"} {
		_, _, err := state.AddModel(ctx, w.s, w.by, state.NewModel{UUID: "x", Name: name, Owner: "admin"})
		fails(t, "add model", err, &invalid{Text: fmt.Sprintf("%q is not a valid name: model names may only contain lowercase letters, digits and hyphens", name)})
	}
	_, _, err = state.AddModel(ctx, w.s, w.by, state.NewModel{UUID: "x", Name: "shop", Owner: "admin"})
	fails(t, "add a model twice", err, &exists{Text: "model \"shop\" for admin already exists (already exists)"})
	if id, err := state.FindModel(ctx, w.s, "admin", "shop"); id != m || err != nil {
		t.Errorf("found %s, %v", id, err)
	}
	_, err = state.FindModel(ctx, w.s, "eve", "shop")
	fails(t, "find a model", err, &notFound{Kind: "model", Name: "eve/shop"})
	_, _, err = state.DestroyModel(ctx, w.s, "00000000-0000-4000-8000-000000000000", w.by, state.Ending{}, false)
	fails(t, "destroy the controllers' model", err, &refused{Text: "\"controller\" is a controller; use 'juju destroy-controller' to destroy it"})

	txn, config, err := state.SetModelConfig(ctx, w.s, m, w.by, state.ModelConfig{"a": "1", "b": "2"}, nil)
	w.must(txn, err)
	if txn, config, err = state.SetModelConfig(ctx, w.s, m, w.by, state.ModelConfig{"a": "1"}, []string{"c"}); len(txn.Ops) > 0 || err != nil {
		t.Errorf("the same config is written again: %v, %v", txn, err)
	}
	txn, config, err = state.SetModelConfig(ctx, w.s, m, w.by, nil, []string{"a"})
	w.must(txn, err)
	if !reflect.DeepEqual(config, state.ModelConfig{"b": "2"}) {
		t.Errorf("config is %v", config)
	}

	txn, _, err = state.DestroyModel(ctx, w.s, m, w.by, state.Ending{}, false)
	w.must(txn, err)
	fails(t, "deploy into a model that goes", w.deploy(state.Deployment{Name: "db"}), &refused{Text: `deploy application "db": model "shop" is being destroyed`})
	if txn, _, err := state.DestroyModel(ctx, w.s, m, w.by, state.Ending{}, false); len(txn.Ops) > 0 || err != nil {
		t.Errorf("destroyed again: %v, %v", txn, err)
	}
	txn, model, err := state.DestroyModel(ctx, w.s, m, w.by, state.Ending{Force: true}, false)
	w.must(txn, err)
	if !model.Force || !model.Deadline.Equal(w.by.Now) {
		t.Errorf("forced: %+v", model.End)
	}
}

func TestDeploy(t *testing.T) {
	w := newWorld(t)
	mem := 1024
	txn, ids, err := state.AddMachines(ctx, w.s, m, w.by, key, 2, state.NewMachine{Base: charm.Base{Name: "ubuntu", Channel: "24.04"}})
	w.must(txn, err)
	if !slices.Equal(ids, []state.MachineID{"0", "1"}) {
		t.Errorf("machines %v", ids)
	}
	for _, test := range []struct {
		about string
		d     state.Deployment
		want  error
	}{
		{"no such charm", state.Deployment{Name: "web", Charm: "nope-0"}, &notFound{Kind: "charm", Name: "local:nope-0"}},
		{"bad name", state.Deployment{Name: "web-1", Charm: "web-0"}, &invalid{Text: `invalid application name "web-1": use lowercase letters, digits and hyphens, and after a hyphen not only digits`}},
		{"unknown option", state.Deployment{Name: "web", Config: map[string]any{"nope": 1}}, &invalid{Text: `unknown option "nope"`}},
		{"wrong type", state.Deployment{Name: "web", Config: map[string]any{"port": "abc"}}, &invalid{Text: `option "port" expected int, got "abc"`}},
		{"unknown machine", state.Deployment{Name: "db", Units: 1, Placements: []string{"7"}}, &notFound{Kind: "machine", Name: "7"}},
		{"machine of another base", state.Deployment{Name: "web", Units: 1, Placements: []string{"1"}}, &refused{Text: `placement "1": machine 1 has base ubuntu@24.04, the application has ubuntu@22.04`}},
		{"container on no machine", state.Deployment{Name: "db", Units: 1, Placements: []string{"lxd:7"}}, &notFound{Kind: "machine", Name: "7"}},
		{"container in a container", state.Deployment{Name: "db", Units: 1, Placements: []string{"lxd:1/lxd/0"}}, &invalid{Text: `invalid placement "lxd:1/lxd/0": a container cannot have containers`}},
		{"bad placement", state.Deployment{Name: "db", Units: 1, Placements: []string{"kvm:1"}}, &invalid{Text: `invalid placement "kvm:1": expected a machine (3, or 3/lxd/0 for a container), "new", KEY=VALUE for the cloud, "lxd" or "lxd:MACHINE"`}},
		{"more places than units", state.Deployment{Name: "db", Units: 1, Placements: []string{"0", "1"}}, &invalid{Text: "2 placements given for 1 units"}},
		{"a scaled subordinate", state.Deployment{Name: "logger", Units: 2}, &invalid{Text: "cannot use --num-units or --to with subordinate application"}},
		{"a placed subordinate", state.Deployment{Name: "logger", Placements: []string{"0"}}, &invalid{Text: "cannot use --num-units or --to with subordinate application"}},
		{"a constrained subordinate", state.Deployment{Name: "logger", Constraints: provider.Constraints{MemoryMiB: &mem}}, &invalid{Text: "cannot use --constraints with subordinate application"}},
		{"a base the charm has not", state.Deployment{Name: "web", Base: charm.Base{Name: "ubuntu", Channel: "24.04"}}, &invalid{Text: `base "ubuntu@24.04" is not supported by charm "web"; supported: ubuntu@22.04`}},
		{"a negative number", state.Deployment{Name: "db", Units: -1}, &invalid{Text: "number of units must not be negative, got -1"}},
	} {
		before := w.tree.Paths()
		err := w.deploy(test.d)
		fails(t, test.about, errors.Unwrap(err), test.want)
		if !slices.Equal(before, w.tree.Paths()) {
			t.Errorf("%s: something is left", test.about)
		}
	}

	if err := w.deploy(state.Deployment{Name: "web", Units: 3, Placements: []string{"new", "zone=a"}, Config: map[string]any{"port": "81", "debug": true}, Trust: true}); err != nil {
		t.Fatal(err)
	}
	web := read[state.Application](w, m.ApplicationPath("web")).Value
	if web.Charm.String() != "web-0" || web.CharmRev != 1 || web.Base.String() != "ubuntu@22.04" || web.Config["port"] != json.Number("81") || !web.Trust || len(web.Relations) != 1 {
		t.Errorf("web is %+v", web)
	}
	if u := read[state.Unit](w, m.UnitPath("web/1")).Value; u.Placement != "zone=a" || u.Machine != "" {
		t.Errorf("web/1 is %+v", u)
	}
	fails(t, "twice", w.deploy(state.Deployment{Name: "web"}), &exists{Text: `deploy application "web": application "web" already exists`})
	if err := w.deploy(state.Deployment{Name: "forced", Charm: "web-0", Base: charm.Base{Name: "ubuntu", Channel: "24.04"}, Force: true}); err != nil {
		t.Error(err)
	}
	if err := w.deploy(state.Deployment{Name: "logger", Units: 1}); err != nil || len(w.names(m.UnitsPath())) != 3 {
		t.Errorf("a subordinate has units of its own: %v, %v", w.names(m.UnitsPath()), err)
	}
}

func TestCharmRevisions(t *testing.T) {
	w := newWorld(t)
	txn, id, err := state.AddCharm(ctx, w.s, m, w.by, charm.Charm{Meta: charm.Meta{Name: "web"}}, "sha", 1)
	w.must(txn, err)
	if id.Revision != 4 {
		t.Errorf("the fifth upload of web is %s", id)
	}
}

func TestDefaultBase(t *testing.T) {
	w := newWorld(t)
	txn, _, err := state.SetModelConfig(ctx, w.s, m, w.by, state.ModelConfig{"default-base": "ubuntu@24.04/stable"}, nil)
	w.must(txn, err)
	for name, want := range map[string]string{"db": "ubuntu@24.04", "web": "ubuntu@22.04"} {
		if err := w.deploy(state.Deployment{Name: state.ApplicationName(name)}); err != nil {
			t.Fatal(err)
		}
		if got := read[state.Application](w, m.ApplicationPath(state.ApplicationName(name))).Value.Base.String(); got != want {
			t.Errorf("%s has base %s, want %s", name, got, want)
		}
	}
}

func TestManyUnits(t *testing.T) {
	w := newWorld(t)
	txn, out, err := state.Deploy(ctx, w.s, m, w.by, key, state.Deployment{Name: "db", Charm: "db-0", Units: 1200})
	w.must(txn, err)
	if n := len(w.names(m.UnitsPath())); n != state.UnitsPerEdit || out.Units != (state.NumberRange{To: 1200}) {
		t.Errorf("%d units after the one transaction for %v", n, out.Units)
	}
	txn, out, err = state.AddUnits(ctx, w.s, m, w.by, "db", 600, nil) // while the first are still promised
	w.must(txn, err)
	if out.Units != (state.NumberRange{From: 1200, To: 1800}) {
		t.Errorf("added %v", out.Units)
	}
	for done := false; !done; {
		txn, done, err = state.KeepPromise(ctx, w.s, m, w.by, "db")
		w.must(txn, err)
	}
	if n := len(w.names(m.UnitsPath())); n != 1800 {
		t.Errorf("%d units", n)
	}
	if there, err := state.Exists(ctx, w.s, m.PromisePath("db")); there || err != nil {
		t.Errorf("a promise is left, %v", err)
	}
	for range 4 {
		txn, _, err := state.RemoveApplication(ctx, w.s, m, w.by, "db", state.Ending{})
		w.must(txn, err)
	}
	for _, node := range w.names(m.UnitsPath()) {
		if read[state.Unit](w, m.UnitsPath()+"/"+node).Value.Life != state.Dying {
			t.Fatalf("%s does not go", node)
		}
	}
}

func TestUnits(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "db", Units: 1})
	w.deploy(state.Deployment{Name: "logger"})
	_, _, err := state.AddUnits(ctx, w.s, m, w.by, "nope", 1, nil)
	fails(t, "add to nothing", err, &notFound{Kind: "application", Name: "nope"})
	_, _, err = state.AddUnits(ctx, w.s, m, w.by, "db", 0, nil)
	fails(t, "add none", err, &invalid{Text: "number of units must be at least 1, got 0"})
	_, _, err = state.AddUnits(ctx, w.s, m, w.by, "logger", 1, nil)
	fails(t, "add a subordinate", err, &refused{Text: `cannot add units to subordinate application "logger": its units follow those of the applications it is related to`})
	_, _, err = state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{"db/9"}, state.Ending{})
	fails(t, "remove nothing", err, &notFound{Kind: "unit", Name: "db/9"})

	txn, going, err := state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{"db/0"}, state.Ending{})
	w.must(txn, err)
	unit := read[state.Unit](w, m.UnitPath("db/0")).Value
	if len(going) != 1 || unit.Life != state.Dying || !unit.Deadline.Equal(w.by.Now.Add(10*time.Minute)) {
		t.Errorf("going: %v, %+v", going, unit.End)
	}
	if txn, _, err = state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{"db/0"}, state.Ending{}); len(txn.Ops) > 0 || err != nil {
		t.Errorf("removed again: %v %v", txn, err)
	}
	w.by.Now = w.by.Now.Add(time.Minute)
	txn, _, err = state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{"db/0"}, state.Ending{Timeout: time.Minute})
	w.must(txn, err)
	if got := read[state.Unit](w, m.UnitPath("db/0")).Value.Deadline; !got.Equal(w.by.Now.Add(time.Minute)) {
		t.Errorf("the deadline does not come nearer: %s", got)
	}
	bury(w, "db/0")
	txn, out, err := state.AddUnits(ctx, w.s, m, w.by, "db", 1, nil)
	w.must(txn, err)
	if !slices.Equal(out.Units.Names("db"), []state.UnitName{"db/1"}) {
		t.Errorf("the next unit is %v", out.Units)
	}
}

func bury(w *world, u state.UnitName) {
	w.Helper()
	for done := false; !done; {
		var t state.Txn
		var err error
		t, done, err = state.BuryUnit(ctx, w.s, m, w.by, key, u, "")
		w.must(t, err)
	}
}

func TestNumbersOutliveTheirApplication(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 2})
	txn, _, err := state.RemoveApplication(ctx, w.s, m, w.by, "web", state.Ending{})
	w.must(txn, err)
	bury(w, "web/0")
	bury(w, "web/1")
	for done := false; !done; {
		txn, done, err = state.BuryApplication(ctx, w.s, m, w.by, "web")
		w.must(txn, err)
	}
	if left := w.names(m.RelationsPath()); len(left) > 0 {
		t.Errorf("relations %v are left", left)
	}
	w.deploy(state.Deployment{Name: "web", Units: 1})
	if got := w.names(m.UnitsPath()); !slices.Equal(got, []string{"web-2"}) {
		t.Errorf("units %v", got)
	}
	if got := w.names(m.RelationsPath()); !slices.Equal(got, []string{"1"}) {
		t.Errorf("relations %v", got)
	}
}

func TestRelate(t *testing.T) {
	w := newWorld(t)
	for _, name := range []state.ApplicationName{"web", "db", "logger", "one"} {
		w.deploy(state.Deployment{Name: name})
	}
	fails(t, "unknown application", w.relate("nope", "db"), &notFound{Kind: "application", Name: "nope"})
	fails(t, "nothing fits", w.relate("web:site", "db"), &invalid{Text: "no compatible endpoints found between applications"})
	fails(t, "too much fits", w.relate("web", "db"), &invalid{Text: `ambiguous relation: "web db" could refer to "web:db db:admin"; "web:db db:db"`})
	fails(t, "bad endpoint", w.relate("a:b:c", "db"), &invalid{Text: `invalid endpoint "a:b:c": more than one colon, expected APPLICATION or APPLICATION:ENDPOINT`})
	if err := w.relate("web", "db:db"); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{"web", "db:db"}, {"db:db", "web:db"}} {
		fails(t, "again", w.relate(pair[0], pair[1]), &exists{Text: `cannot add relation "web:db db:db": relation "web:db db:db" already exists`})
	}
	if err := w.relate("one", "db:db"); err != nil {
		t.Fatal(err)
	}
	fails(t, "limit", w.relate("one", "db:admin"), &refused{Text: `cannot add relation "one:db db:admin": establishing a new relation for one:db would exceed its maximum relation limit of 1`})
	if err := w.relate("logger", "web"); err != nil {
		t.Fatal(err)
	}
	web := read[state.Application](w, m.ApplicationPath("web")).Value
	if r := web.Relations[2]; r.Scope != charm.Container || !r.Implicit || r.Endpoint != "juju-info" || r.Remote.Scope != charm.Container {
		t.Errorf("web sees its logger as %+v", r)
	}
	if r := read[state.Application](w, m.ApplicationPath("logger")).Value.Relations[0]; r.Implicit || r.Endpoint != "info" {
		t.Errorf("logger sees web as %+v", r)
	}
	w.deploy(state.Deployment{Name: "other", Charm: "logger-0", Base: charm.Base{Name: "ubuntu", Channel: "24.04"}})
	fails(t, "another base", w.relate("other", "web"), &refused{Text: `cannot add relation "other:info web:juju-info": principal and subordinate applications' bases must match: web has ubuntu@22.04, other has ubuntu@24.04`})
}

func TestRemoveRelation(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web"})
	w.deploy(state.Deployment{Name: "db"})
	remove := func(a, b string) error {
		txn, _, err := state.RemoveRelation(ctx, w.s, m, w.by, a, b, state.Ending{})
		return w.apply(txn, err)
	}
	fails(t, "not related", remove("web", "db"), &notFound{Kind: "relation", Name: "web db"})
	fails(t, "no application", remove("web", "nope"), &notFound{Kind: "application", Name: "nope"})
	w.relate("web", "db:db")
	w.relate("web", "db:admin")
	fails(t, "two relations", remove("web", "db"), &invalid{Text: `ambiguous relation: "web db" could refer to "web:db db:db"; "web:db db:admin"`})
	_, _, err := state.RemoveRelationID(ctx, w.s, m, w.by, 0, state.Ending{})
	fails(t, "a peer relation", err, &refused{Text: `cannot remove relation "web:cluster": it is a peer relation and lives as long as its application`})
	_, _, err = state.RemoveRelationID(ctx, w.s, m, w.by, 77, state.Ending{})
	fails(t, "no relation", err, &notFound{Kind: "relation", Name: "77"})
	if err := remove("db:db", "web"); err != nil {
		t.Fatal(err)
	}
	if rel := read[state.Relation](w, m.RelationPath(1)).Value; rel.Life != state.Dying {
		t.Errorf("relation 1 is %+v", rel)
	}
	fails(t, "related while it goes", w.relate("web", "db:db"), &refused{Text: `cannot add relation "web:db db:db": relation "web:db db:db" is being removed, try again when it is gone`})
	txn, done, err := state.RemoveRelationTree(ctx, w.s, m, w.by, 1, "")
	w.must(txn, err)
	if !done || len(w.names(m.RelationsPath())) != 2 {
		t.Errorf("left are %v", w.names(m.RelationsPath()))
	}
}

func TestConfig(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web"})
	set := func(set map[string]any, reset ...string) error {
		txn, err := state.SetConfig(ctx, w.s, m, w.by, "web", set, reset)
		return w.apply(txn, err)
	}
	fails(t, "unknown", set(map[string]any{"nope": "1"}), &invalid{Text: `unknown option "nope"`})
	fails(t, "unknown reset", set(nil, "nope"), &invalid{Text: `unknown option "nope"`})
	fails(t, "wrong type", set(map[string]any{"port": "abc"}), &invalid{Text: `option "port" expected int, got "abc"`})
	_, err := state.SetConfig(ctx, w.s, m, w.by, "nope", nil, nil)
	fails(t, "no application", err, &notFound{Kind: "application", Name: "nope"})
	for i, step := range []struct {
		set   map[string]any
		reset []string
		want  state.Config
		ops   int
	}{
		{map[string]any{"port": "81"}, nil, state.Config{"port": json.Number("81")}, 2},
		{map[string]any{"port": 81.0}, nil, state.Config{"port": json.Number("81")}, 0},
		{map[string]any{"title": "x"}, []string{"port"}, state.Config{"title": "x"}, 2},
		{map[string]any{"title": nil}, nil, nil, 2},
		{nil, []string{"title"}, nil, 0},
	} {
		if err := set(step.set, step.reset...); err != nil {
			t.Fatal(err)
		}
		if got := read[state.Application](w, m.ApplicationPath("web")).Value.Config; !reflect.DeepEqual(got, step.want) || len(w.last.Ops) != step.ops {
			t.Errorf("step %d: config is %v after %d changes", i, got, len(w.last.Ops))
		}
	}
}

func TestSetCharm(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Config: map[string]any{"port": 81, "title": "x", "debug": true}})
	w.deploy(state.Deployment{Name: "db"})
	w.relate("web", "db:db")
	refresh := func(f state.Refresh) (state.Refreshed, error) {
		f.Application = "web"
		txn, out, err := state.SetCharm(ctx, w.s, m, w.by, key, f)
		return out, w.apply(txn, err)
	}
	_, err := refresh(state.Refresh{Charm: "nope-0"})
	fails(t, "no charm", errors.Unwrap(err), &notFound{Kind: "charm", Name: "local:nope-0"})
	_, err = refresh(state.Refresh{Charm: "web-1"})
	fails(t, "an endpoint in use is gone", err, &refused{Text: `cannot refresh application "web" to charm "local:web-1": would break relation "web:db db:db"`})
	_, err = refresh(state.Refresh{Charm: "web-3"})
	fails(t, "subordinate", errors.Unwrap(err), &refused{Text: "the new charm is subordinate and the application is not"})
	_, err = refresh(state.Refresh{Charm: "web-2", Config: map[string]any{"nope": 1}})
	fails(t, "unknown option", errors.Unwrap(err), &invalid{Text: `unknown option "nope"`})
	out, err := refresh(state.Refresh{Charm: "web-2", Config: map[string]any{"port": "eighty"}})
	if err != nil {
		t.Fatal(err)
	}
	web := read[state.Application](w, m.ApplicationPath("web")).Value
	if web.Charm.Revision != 2 || web.CharmRev != 2 || !reflect.DeepEqual(web.Config, state.Config{"port": "eighty", "debug": true}) {
		t.Errorf("web is %+v", web)
	}
	if !slices.Equal(out.Dropped, []string{"port", "title"}) || out.Was.Revision != 0 || out.Is.Revision != 2 {
		t.Errorf("refreshed: %+v", out)
	}
	if last := web.Relations[len(web.Relations)-1]; len(web.Relations) != 3 || last.Endpoint != "gossip" || last.Role != charm.Peer {
		t.Errorf("the new peer relation: %+v", web.Relations)
	}
}

func TestExpose(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web"})
	expose := func(eps map[string]state.ExposedEndpoint) error {
		txn, err := state.Expose(ctx, w.s, m, w.by, "web", eps)
		return w.apply(txn, err)
	}
	fails(t, "unknown endpoint", expose(map[string]state.ExposedEndpoint{"nope": {}}), &notFound{Kind: "endpoint", Name: "nope"})
	if err := expose(nil); err != nil {
		t.Fatal(err)
	}
	if err := expose(nil); err != nil || len(w.last.Ops) > 0 {
		t.Errorf("exposed again: %v", w.last)
	}
	expose(map[string]state.ExposedEndpoint{"site": {CIDRs: []string{"10.0.0.0/8"}}})
	for _, want := range []int{2, 1} {
		if got := read[state.Exposed](w, m.ExposedPath("web")).Value; len(got.Endpoints) != want || !got.Exposed {
			t.Errorf("exposed %+v", got)
		}
		txn, err := state.Unexpose(ctx, w.s, m, w.by, "web", []string{"site"})
		w.must(txn, err)
	}
	txn, err := state.Unexpose(ctx, w.s, m, w.by, "web", nil)
	w.must(txn, err)
	if got := read[state.Exposed](w, m.ExposedPath("web")).Value; got.Exposed || len(got.Endpoints) > 0 {
		t.Errorf("unexposed: %+v", got)
	}
}

func TestResolve(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 1})
	resolve := func(u state.UnitName) error {
		txn, err := state.Resolve(ctx, w.s, m, w.by, u, true)
		return w.apply(txn, err)
	}
	fails(t, "no unit", resolve("web/7"), &notFound{Kind: "unit", Name: "web/7"})
	fails(t, "not failed", resolve("web/0"), &refused{Text: `unit "web/0" is not in an error state`})
	var t2 state.Txn
	t2.Create(m.LedgerPath("web/0"), state.Ledger{Failed: &state.Failure{Name: "install"}})
	w.must(t2, nil)
	if err := resolve("web/0"); err != nil {
		t.Fatal(err)
	}
	if a := read[state.Unit](w, m.UnitPath("web/0")).Value.Answer; a != (state.Answer{Rev: 1, Skip: true}) {
		t.Errorf("answer %+v", a)
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 2})
	names := w.names(m.HistoryPath())
	last := read[state.Change](w, m.HistoryPath()+"/"+names[len(names)-1]).Value
	if last.User != "ada" || last.What != "deploy" || last.Details != "web from local:web-0" || !last.When.Equal(w.by.Now) {
		t.Errorf("the last change is %+v", last)
	}
	for range 300 {
		w.by.Now = w.by.Now.Add(time.Second)
		txn, err := state.SetTrust(ctx, w.s, m, w.by, "web", !read[state.Application](w, m.ApplicationPath("web")).Value.Trust)
		w.must(txn, err)
	}
	txn, done, err := state.TrimHistory(ctx, w.s, m, 10, w.by.Now.Add(-time.Hour))
	w.must(txn, err)
	if n := len(w.names(m.HistoryPath())); !done || n != 200 {
		t.Errorf("%d records are left, done %t", n, done)
	}
}

func TestApplyAfterALostReply(t *testing.T) {
	w := newWorld(t)
	deploy := func(by state.By) (state.Deployed, error) {
		w.s.LoseReply()
		return state.Apply(ctx, w.s, m, by, func(ctx context.Context, r state.Reader) (state.Txn, state.Deployed, error) {
			return state.Deploy(ctx, r, m, by, key, state.Deployment{Name: "web", Charm: "web-0", Units: 2})
		})
	}
	by := w.by
	by.ID = "request 1"
	out, err := deploy(by)
	if err != nil || len(out.Units.Names("db")) != 2 || len(w.names(m.UnitsPath())) != 2 {
		t.Errorf("got %+v, %v", out, err)
	}
	by.ID = "request 2"
	_, err = deploy(by)
	fails(t, "another change", err, &exists{Text: `deploy application "web": application "web" already exists`})
}

// TestApplyWithoutARecord: of a change that is in no history nobody knows whether it came; it is not made again for ever.
func TestApplyWithoutARecord(t *testing.T) {
	w := newWorld(t)
	by := w.by
	by.ID = "request 1"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	w.s.LoseReply()
	_, err := state.Apply(ctx, w.s, m, by, func(context.Context, state.Reader) (t state.Txn, _ struct{}, err error) {
		t.Create(m.StoragesPath()+"/x-0", 1)
		return t, struct{}{}, nil
	})
	if !errors.Is(err, state.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestAssign(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 2})
	w.deploy(state.Deployment{Name: "logger"})
	txn, ids, err := state.AssignNew(ctx, w.s, m, w.by, key, []state.NewHome{{Unit: "web/0"}, {Unit: "web/1"}, {Unit: "web/9"}})
	w.must(txn, err)
	if len(ids) != 2 {
		t.Errorf("machines %v", ids)
	}
	txn, err = state.Assign(ctx, w.s, m, key, "web/0", "0")
	w.must(txn, err)
	if len(txn.Ops) > 0 {
		t.Errorf("assigned again: %v", txn)
	}
	_, err = state.Assign(ctx, w.s, m, key, "web/0", "1")
	fails(t, "elsewhere", err, &refused{Text: "assign web/0 to machine 1: the unit is on machine 0"})
	w.relate("logger", "web")
	for range 2 {
		txn, err = state.AddSubordinate(ctx, w.s, m, w.by, key, "web/0", "logger")
		w.must(txn, err)
	}
	if got := read[state.Machine](w, m.MachinePath("0")).Value.Units; !slices.Equal(got, []state.UnitName{"logger/0", "web/0"}) {
		t.Errorf("machine 0 has %v", got)
	}
	_, _, err = state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{"logger/0"}, state.Ending{})
	fails(t, "remove a subordinate", err, &refused{Text: `unit "logger/0" is a subordinate of "web/0": remove that unit or the relation instead`})
	txn, going, err := state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{"web/0"}, state.Ending{})
	w.must(txn, err)
	if !slices.Equal(going, []state.UnitName{"web/0", "logger/0"}) {
		t.Errorf("going are %v", going)
	}
	_, _, err = state.RemoveMachine(ctx, w.s, m, w.by, "0", state.Ending{}, false)
	fails(t, "a machine with units", err, &refused{Text: "cannot remove machine 0: machine has unit logger/0, web/0 assigned"})
	bury(w, "logger/0")
	bury(w, "web/0")
	if got := read[state.Machine](w, m.MachinePath("0")).Value; got.Life != state.Dying || len(got.Units) > 0 {
		t.Errorf("machine 0 is %+v", got)
	}
}

// TestBuryInSteps buries a unit that has heard more than one transaction can forget.
func TestBuryInSteps(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 1})
	var first state.Txn
	first.Create(m.LedgerPath("web/0"), state.Ledger{Phase: state.Gone})
	first.Create(m.HeardPath("web/0", 0), state.Heard{})
	w.must(first, nil)
	for i := range 3 {
		var more state.Txn
		for j := range 1000 {
			more.Create(m.HeardUnitPath("web/0", 0, state.ApplicationName("x").Unit(i*1000+j)), state.Stamp(1))
		}
		w.must(more, nil)
	}
	steps := 0
	for done := false; !done; steps++ {
		var txn state.Txn
		var err error
		txn, done, err = state.BuryUnit(ctx, w.s, m, w.by, key, "web/0", "")
		w.must(txn, err)
		if unit := read[state.Unit](w, m.UnitPath("web/0")); !done && unit.Value.Life != state.Dead {
			t.Errorf("half buried and %q", unit.Value.Life)
		}
	}
	if steps < 3 {
		t.Errorf("only %d steps", steps)
	}
	for _, path := range w.tree.Paths() {
		if strings.HasPrefix(path, m.UnitPath("web/0")) {
			t.Errorf("%s is left", path)
		}
	}
}

func TestInstances(t *testing.T) {
	w := newWorld(t)
	txn, _, err := state.AddMachines(ctx, w.s, m, w.by, key, 1, state.NewMachine{})
	w.must(txn, err)
	open := func(now time.Time) state.Enrolment {
		txn, e, err := state.OpenEnrolment(ctx, w.s, m, key, "0", now)
		w.must(txn, err)
		return e
	}
	first := open(w.by.Now)
	if first.TokenHash != state.HashToken(key.EnrolmentToken(m, "0")) || !first.Expires.Equal(w.by.Now.Add(state.EnrolmentLasts)) {
		t.Errorf("enrolment %+v", first)
	}
	if open(w.by.Now.Add(time.Hour)) != first || len(w.last.Ops) > 0 {
		t.Errorf("the enrolment is renewed too early")
	}
	var enrolled state.Txn
	enrolled.Set(m.EnrolPath("0"), state.Enrolment{TokenHash: first.TokenHash, Expires: first.Expires, KeyHash: "the key"}, state.Any)
	w.must(enrolled, nil)
	if again := open(first.Expires); again.KeyHash != "the key" || !again.Expires.After(first.Expires) {
		t.Errorf("renewed it is %+v", again)
	}

	now := w.by.Now
	txn, err = state.FailInstance(ctx, w.s, m, "0", "no", now, now.Add(time.Second))
	w.must(txn, err)
	txn, err = state.FailInstance(ctx, w.s, m, "0", "still no", now, now.Add(time.Minute))
	w.must(txn, err)
	in := func() state.Instance { return read[state.Instance](w, m.InstancePath("0")).Value }
	if got := in(); got.Failures != 2 || got.Error != "still no" || !got.Retry.Equal(now.Add(time.Minute)) {
		t.Errorf("failed: %+v", got)
	}
	txn, err = state.SetInstance(ctx, w.s, m, "0", provider.Instance{ID: "i-1", State: provider.Running}, now)
	w.must(txn, err)
	if got := in(); got.Failures != 0 || got.Error != "" || !got.Retry.IsZero() || got.ID != "i-1" {
		t.Errorf("started: %+v", got)
	}
	txn, err = state.LoseInstance(ctx, w.s, m, "0", now)
	w.must(txn, err)
	if got := in(); got.ID != "i-1" || got.State != provider.Gone {
		t.Errorf("lost: %+v", got)
	}
	_, err = state.SetInstance(ctx, w.s, m, "7", provider.Instance{}, now)
	fails(t, "no machine", err, &notFound{Kind: "machine", Name: "7"})
}

func TestAnnotate(t *testing.T) {
	w := newWorld(t)
	w.must(state.Txn{}, w.deploy(state.Deployment{Name: "web", Charm: "web-0", Units: 1}))
	note := func(set state.Annotations) error { return w.apply(state.Annotate(ctx, w.s, m, w.by, set)) }
	web := func(words map[string]string) map[state.ApplicationName]map[string]string {
		return map[state.ApplicationName]map[string]string{"web": words}
	}
	if err := note(state.Annotations{Applications: web(map[string]string{"who": "us", "row": "1"})}); err != nil {
		t.Fatal(err)
	}
	if err := note(state.Annotations{Applications: web(map[string]string{"row": "", "why": "so"})}); err != nil {
		t.Fatal(err)
	}
	fails(t, "a key with a dot", note(state.Annotations{Applications: web(map[string]string{"who": "them", "a.b": "c"})}),
		&state.InvalidError{Text: `invalid annotation key "a.b": it cannot be empty, nor have "." or "$" in it`})
	fails(t, "a machine that is not there", note(state.Annotations{Applications: web(map[string]string{"who": "them"}),
		Machines: map[state.MachineID]map[string]string{"7": {"a": "b"}}}), &state.NotFoundError{Kind: "machine", Name: "7"})
	got, err := state.ReadAnnotations(ctx, w.s, m)
	if want := web(map[string]string{"who": "us", "why": "so"}); err != nil || !reflect.DeepEqual(got.Applications, want) || len(got.Machines) > 0 {
		t.Errorf("annotations are %v, %v", got, err)
	}
	same, err := state.Annotate(ctx, w.s, m, w.by, state.Annotations{Applications: web(map[string]string{"who": "us"})})
	if err != nil || len(same.Ops) > 0 {
		t.Errorf("the same again writes %v, %v", same.Ops, err)
	}
}
