package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// The applications that users deploy. The second revision of each charm has one peer endpoint more.
var applications = []state.ApplicationName{"db", "web", "logger"}

// found makes the tree, the model and the charms.
func (s *Sim) found() {
	ctx := context.Background()
	commit := func(t state.Txn, err error) {
		s.must(err)
		_, err = s.admin.Commit(ctx, t)
		s.must(err)
	}
	commit(state.Bootstrap(ctx, s.admin, s.by(), state.Founding{
		Controller: state.Controller{UUID: "c", Name: "sim", Cloud: cloudName}, Admin: state.User{Name: "admin"},
		Model: state.NewModel{UUID: "00000000-0000-4000-8000-000000000000"}}))
	t, _, err := state.AddModel(ctx, s.admin, s.by(), state.NewModel{UUID: model, Name: "shop", Owner: "admin", Cloud: cloudName,
		Addresses: state.Addresses{API: []string{"127.0.0.1:17070"}}})
	commit(t, err)
	for _, name := range applications {
		for revision := range 2 {
			c := charmOf(name, revision)
			sum := fmt.Sprintf("%s-%d", name, revision)
			s.charms[sum] = c
			t, _, err := state.AddCharm(ctx, s.admin, model, s.by(), c, sum, 1)
			commit(t, err)
		}
	}
}

func charmOf(name state.ApplicationName, revision int) charm.Charm {
	eps := map[string]charm.Endpoint{}
	add := func(name, iface string, role charm.Role, scope charm.Scope) {
		eps[name] = charm.Endpoint{Name: name, Interface: iface, Role: role, Scope: scope}
	}
	switch name {
	case "db":
		add("db", "mysql", charm.Provider, charm.Global)
		add("cluster", "db", charm.Peer, charm.Global)
	case "web":
		add("db", "mysql", charm.Requirer, charm.Global)
	case "logger":
		add("info", "juju-info", charm.Requirer, charm.Container)
	}
	if revision > 0 {
		add("nodes", "nodes", charm.Peer, charm.Global)
	}
	meta := charm.Meta{Name: string(name), Subordinate: name == "logger", Endpoints: eps}
	if name == "db" {
		meta.Storage = stores()
	}
	return charm.Charm{
		Meta:    meta,
		Options: charm.Options{"size": {Type: "int", Default: int64(1)}},
		Actions: map[string]charm.Action{"backup": {}},
	}
}

func (s *Sim) by() state.By { return state.By{User: "admin", Now: s.now, ID: s.id("change")} }

type edit = func(context.Context, state.Reader) (state.Txn, error)

// do makes a change, if it can be made as things are.
func (s *Sim) do(what string, decide edit) {
	by := s.by()
	if s.accident(5) {
		s.users.LoseReply()
	}
	_, err := state.Apply(context.Background(), s.users, model, by, func(ctx context.Context, r state.Reader) (state.Txn, string, error) {
		t, err := decide(ctx, r)
		s.meanwhile()
		return t, "", err
	})
	var refused *state.RefusedError
	var exists *state.ExistsError
	var missing *state.NotFoundError
	switch {
	case err == nil:
		s.log("a user: %s", what)
		s.count("edits")
	case !errors.As(err, &refused) && !errors.As(err, &exists) && !errors.As(err, &missing):
		s.fail("a user: %s: %w", what, err)
	}
}

// how is how a user has something removed.
func (s *Sim) how() state.Ending {
	return state.Ending{Force: s.chance(10), Timeout: time.Duration(1+s.rng.IntN(10)) * time.Minute}
}

// user makes one change that a user could make.
func (s *Sim) user() {
	name := applications[s.rng.IntN(len(applications))]
	units := s.unitsOf(name)
	some := func() state.UnitName {
		if len(units) == 0 {
			return name.Unit(0)
		}
		return units[s.rng.IntN(len(units))]
	}
	by := s.by()
	switch s.rng.IntN(18) {
	case 0, 1, 2:
		s.deploy(name)
	case 3, 4:
		if name != "logger" && len(units) < 4 {
			s.do("add a unit of "+string(name), func(ctx context.Context, r state.Reader) (state.Txn, error) {
				t, _, err := state.AddUnits(ctx, r, model, by, name, 1, nil)
				return t, err
			})
		}
	case 5:
		u, how := some(), s.how()
		s.do(fmt.Sprintf("remove unit %s %+v", u, how), func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.RemoveUnits(ctx, r, model, by, []state.UnitName{u}, how)
			return t, err
		})
	case 6, 7, 8:
		pair := [][2]string{{"web:db", "db:db"}, {"logger:info", "web"}, {"logger:info", "db"}}[s.rng.IntN(3)]
		s.do("relate "+pair[0]+" "+pair[1], func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.Relate(ctx, r, model, by, key, pair[0], pair[1])
			return t, err
		})
	case 9:
		if ids := s.children(model.RelationsPath()); len(ids) > 0 {
			id, how := state.RelationIDOf("/"+ids[s.rng.IntN(len(ids))]), s.how()
			s.do(fmt.Sprintf("remove relation %d %+v", id, how), func(ctx context.Context, r state.Reader) (state.Txn, error) {
				t, _, err := state.RemoveRelationID(ctx, r, model, by, id, how)
				return t, err
			})
		}
	case 10:
		size := s.rng.IntN(3)
		s.do(fmt.Sprintf("config %s size=%d", name, size), func(ctx context.Context, r state.Reader) (state.Txn, error) {
			return state.SetConfig(ctx, r, model, by, name, map[string]any{"size": size}, nil)
		})
	case 11:
		to, force := fmt.Sprintf("%s-%d", name, s.rng.IntN(2)), s.chance(4)
		s.do(fmt.Sprintf("refresh %s to %s force=%t", name, to, force), func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.SetCharm(ctx, r, model, by, key, state.Refresh{Application: name, Charm: to, Force: force})
			return t, err
		})
	case 12, 13:
		s.resolve(some(), s.chance(3))
	case 14:
		s.task(some())
	case 15:
		if s.chance(4) {
			s.remove(name, s.how())
		}
	case 16, 17:
		if name == "db" {
			s.moveStorage(some())
		}
	}
}

func (s *Sim) deploy(name state.ApplicationName) {
	by, n := s.by(), 1+s.rng.IntN(2)
	if name == "logger" {
		n = 0
	}
	s.do("deploy "+string(name), func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.Deploy(ctx, r, model, by, key, state.Deployment{Name: name, Charm: string(name) + "-0", Units: n})
		return t, err
	})
}

func (s *Sim) remove(name state.ApplicationName, how state.Ending) {
	by := s.by()
	s.do(fmt.Sprintf("remove application %s %+v", name, how), func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveApplication(ctx, r, model, by, name, how)
		return t, err
	})
}

func (s *Sim) resolve(u state.UnitName, skip bool) {
	by := s.by()
	s.do(fmt.Sprintf("resolved %s skip=%t", u, skip), func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, err := state.Resolve(ctx, r, model, by, u, skip)
		if err == nil && skip {
			s.check.excuse(u)
		}
		return t, err
	})
}

// resolveAll has every failed hook run again now.
func (s *Sim) resolveAll() {
	for _, u := range s.allUnits() {
		if read[state.Ledger](s, model.LedgerPath(u)).Value.Failed != nil {
			s.resolve(u, false)
		}
	}
}

func (s *Sim) unitsOf(name state.ApplicationName) []state.UnitName {
	units, err := state.UnitsOf(context.Background(), s.admin, model, name)
	s.must(err)
	return units
}

func (s *Sim) allUnits() []state.UnitName {
	var out []state.UnitName
	for _, name := range applications {
		out = append(out, s.unitsOf(name)...)
	}
	return out
}
