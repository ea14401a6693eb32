package state_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

const m = state.ModelID("00000000-0000-4000-8000-000000000001")

var (
	key = state.Key("a key for tests")
	ctx = context.Background()
)

// tb is what a test and a property have in common.
type tb interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// A world is a tree with the model "shop" and some charms.
type world struct {
	tb
	tree *memory.Tree
	s    *memory.Client
	by   state.By
	last state.Txn       // of apply
	ever map[string]bool // every unit, machine and relation that there has been
}

func newWorld(t tb) *world {
	w := &world{tb: t, tree: memory.New(), by: state.By{User: "ada", Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, ever: map[string]bool{}}
	w.s = w.tree.Connect(memory.Controller)
	w.must(state.Bootstrap(ctx, w.s, w.by, state.Founding{
		Controller: state.Controller{UUID: "c", Name: "test", Cloud: "cloud"}, Admin: state.User{Name: "admin"},
		Model: state.NewModel{UUID: "00000000-0000-4000-8000-000000000000"}}))
	txn, _, err := state.AddModel(ctx, w.s, w.by, state.NewModel{UUID: m, Name: "shop", Owner: "admin", Cloud: "cloud"})
	w.must(txn, err)
	for _, c := range charms() {
		txn, _, err := state.AddCharm(ctx, w.s, m, w.by, c, "sha", 1)
		w.must(txn, err)
	}
	return w
}

func charms() []charm.Charm {
	options := charm.Options{"port": {Type: charm.Int, Default: int64(80)}, "title": {Type: charm.String}, "debug": {Type: charm.Boolean}}
	jammy := []charm.Base{{Name: "ubuntu", Channel: "22.04"}}
	web := charm.Charm{Meta: charm.Meta{Name: "web", Endpoints: eps("cluster web peer", "db mysql requirer", "site http provider")}, Options: options,
		Actions: map[string]charm.Action{"backup": {}}, Bases: jammy}
	broken := charm.Charm{Meta: charm.Meta{Name: "web", Endpoints: eps("cluster web peer", "site http provider")}, Options: options}
	better := charm.Charm{Meta: charm.Meta{Name: "web", Endpoints: eps("cluster web peer", "gossip web peer", "db mysql requirer", "site http provider")},
		Options: charm.Options{"port": {Type: charm.String}, "title": {Type: charm.Boolean}, "debug": {Type: charm.Boolean}}}
	sub := charm.Charm{Meta: charm.Meta{Name: "logger", Subordinate: true, Endpoints: eps("info juju-info requirer", "logs syslog requirer")}}
	sub.Meta.Endpoints["info"] = withScope(sub.Meta.Endpoints["info"])
	one := charm.Charm{Meta: charm.Meta{Name: "one", Endpoints: eps("db mysql requirer")}}
	ep := one.Meta.Endpoints["db"]
	ep.Limit = 1
	one.Meta.Endpoints["db"] = ep
	return []charm.Charm{web, broken, better, sub, one,
		{Meta: charm.Meta{Name: "db", Endpoints: eps("db mysql provider", "admin mysql provider")}},
		{Meta: charm.Meta{Name: "web", Subordinate: true, Endpoints: eps("cluster web peer", "db mysql requirer")}}, // web-3
	}
}

func eps(texts ...string) map[string]charm.Endpoint {
	out := map[string]charm.Endpoint{}
	for _, text := range texts {
		f := strings.Fields(text)
		out[f[0]] = charm.Endpoint{Name: f[0], Interface: f[1], Role: charm.Role(f[2]), Scope: charm.Global}
	}
	return out
}

func withScope(ep charm.Endpoint) charm.Endpoint { ep.Scope = charm.Container; return ep }

// apply commits what an edit has decided, and says what became of it.
func (w *world) apply(t state.Txn, err error) error {
	w.Helper()
	if err != nil {
		if len(t.Ops) > 0 {
			w.Errorf("an error and a transaction: %v", err)
		}
		return err
	}
	w.last = t
	if err := t.Valid(); err != nil {
		w.Fatalf("transaction of %d changes: %v", len(t.Ops), err)
	}
	paths, err := w.s.Commit(ctx, t)
	if err != nil {
		w.Fatalf("commit %+v: %v", t.Ops, err)
	}
	for _, path := range paths {
		w.born(path)
	}
	w.check()
	return nil
}

func (w *world) must(t state.Txn, err error) {
	w.Helper()
	if err := w.apply(t, err); err != nil {
		w.Fatalf("%v", err)
	}
}

// born holds that a name is given once.
func (w *world) born(path string) {
	for _, dir := range []string{m.UnitsPath(), m.MachinesPath(), m.RelationsPath(), m.OperationsPath(), m.CharmsPath()} {
		if name, ok := strings.CutPrefix(path, dir+"/"); ok && !strings.Contains(name, "/") {
			if w.ever[path] {
				w.Errorf("%s is given again", path)
			}
			w.ever[path] = true
		}
	}
}

func read[T any](w *world, path string) state.Record[T] {
	rec, err := state.ReadIf[T](ctx, w.s, path)
	if err != nil {
		w.Fatalf("%v", err)
	}
	return rec
}

func (w *world) names(dir string) []string {
	names, err := state.ChildrenIf(ctx, w.s, dir)
	if err != nil {
		w.Fatalf("%v", err)
	}
	return names
}

// check holds the whole model to what is always true of it: every name leads somewhere, and back.
func (w *world) check() {
	if !read[state.Model](w, m.Path()).Exists() {
		return
	}
	apps := map[state.ApplicationName]state.Application{}
	for _, name := range w.names(m.ApplicationsPath()) {
		apps[state.ApplicationName(name)] = read[state.Application](w, m.ApplicationPath(state.ApplicationName(name))).Value
	}
	w.checkRelations(apps)
	w.checkUnits(apps)
	for _, id := range w.names(m.MachinesPath()) {
		w.checkMachine(state.MachineOfNode(id))
	}
}

func (w *world) checkRelations(apps map[state.ApplicationName]state.Application) {
	for _, name := range w.names(m.RelationsPath()) {
		id := state.RelationIDOf("/" + name)
		rel := read[state.Relation](w, m.RelationPath(id)).Value
		if len(rel.Endpoints) == 2 && rel.Endpoints[0].Role != charm.Provider {
			w.Errorf("relation %d begins with %s", id, rel.Endpoints[0])
		}
		for _, ep := range rel.Endpoints {
			n := 0
			for _, have := range apps[state.ApplicationName(ep.Application)].Relations {
				if have.Relation == id {
					n++
					if have.Life != rel.Life || have.Endpoint != ep.Name || have.Secret != key.Credential(m.RelationPrincipal(id)).Secret {
						w.Errorf("%s sees relation %d as %+v", ep.Application, id, have)
					}
				}
			}
			if n != 1 {
				w.Errorf("relation %d is %d times in %s", id, n, ep.Application)
			}
		}
	}
	for name, app := range apps {
		for _, have := range app.Relations {
			if !read[state.Relation](w, m.RelationPath(have.Relation)).Exists() {
				w.Errorf("%s is in relation %d, which is not there", name, have.Relation)
			}
		}
		for _, dir := range []string{m.ElectionPath(name), m.LeaderPath(name), m.ExposedPath(name), m.ApplicationStatusPath(name)} {
			if there, _ := state.Exists(ctx, w.s, dir); !there && app.Life == state.Alive {
				w.Errorf("there is no %s", dir)
			}
		}
	}
}

func (w *world) checkUnits(apps map[state.ApplicationName]state.Application) {
	for _, node := range w.names(m.UnitsPath()) {
		u := state.UnitOfNode(node)
		unit := read[state.Unit](w, m.UnitPath(u)).Value
		if _, ok := apps[u.Application()]; !ok {
			w.Errorf("%s is of no application", u)
		}
		if unit.Machine != "" && !slices.Contains(read[state.Machine](w, m.MachinePath(unit.Machine)).Value.Units, u) {
			w.Errorf("%s is on machine %s, which does not know it", u, unit.Machine)
		}
		for _, s := range unit.Subordinates {
			if sub := read[state.Unit](w, m.UnitPath(s)); !sub.Exists() || sub.Value.Principal != u || sub.Value.Machine != unit.Machine {
				w.Errorf("%s has the subordinate %s, which is %+v", u, s, sub.Value)
			}
		}
		if p := unit.Principal; p != "" && !slices.Contains(read[state.Unit](w, m.UnitPath(p)).Value.Subordinates, u) {
			w.Errorf("%s has the principal %s, which does not know it", u, p)
		}
	}
}

func (w *world) checkMachine(id state.MachineID) {
	machine := read[state.Machine](w, m.MachinePath(id)).Value
	want := []state.Principal{state.Agents, m.ModelAgents()}
	for _, u := range machine.Units {
		if unit := read[state.Unit](w, m.UnitPath(u)); !unit.Exists() || unit.Value.Machine != id {
			w.Errorf("machine %s has %s, which is %+v", id, u, unit.Value)
		}
		want = append(want, m.UnitPrincipal(u), m.ApplicationPrincipal(u.Application()))
	}
	for _, c := range machine.Containers {
		if host, _ := c.Host(); host != id || !read[state.Machine](w, m.MachinePath(c)).Exists() {
			w.Errorf("machine %s has the container %s", id, c)
		}
	}
	if host, in := id.Host(); in && !slices.Contains(read[state.Machine](w, m.MachinePath(host)).Value.Containers, id) {
		w.Errorf("machine %s does not know its container %s", host, id)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	secrets := read[state.MachineSecrets](w, m.SecretsPath(id)).Value
	if got := slices.Sorted(maps.Keys(secrets)); !slices.Equal(got, want) {
		w.Errorf("machine %s has the secrets of %v, want %v", id, got, want)
	}
	for p, secret := range secrets {
		if secret != key.Credential(p).Secret {
			w.Errorf("machine %s has a wrong secret of %s", id, p)
		}
	}
}

func (w *world) deploy(d state.Deployment) error {
	w.Helper()
	if d.Charm == "" {
		d.Charm = string(d.Name) + "-0"
	}
	t, _, err := state.Deploy(ctx, w.s, m, w.by, key, d)
	return w.apply(t, err)
}

func (w *world) relate(a, b string) error {
	w.Helper()
	t, _, err := state.Relate(ctx, w.s, m, w.by, key, a, b)
	return w.apply(t, err)
}

// failsWith says whether err is of the kind of want and has its text.
func failsWith(err, want error) bool {
	var none *state.NotFoundError
	var is *state.ExistsError
	var bad *state.InvalidError
	var no *state.RefusedError
	kind := func(err error) string {
		switch {
		case errors.As(err, &none):
			return "not found"
		case errors.As(err, &is):
			return "exists"
		case errors.As(err, &bad):
			return "invalid"
		case errors.As(err, &no):
			return "refused"
		}
		return fmt.Sprintf("%T", err)
	}
	return err != nil && kind(err) == kind(want) && err.Error() == want.Error()
}

func fails(t *testing.T, about string, err, want error) {
	t.Helper()
	if !failsWith(err, want) {
		t.Errorf("%s:\ngot  %v (%T)\nwant %v (%T)", about, err, err, want, want)
	}
}
