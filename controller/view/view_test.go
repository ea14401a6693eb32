package view_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/controller/view"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

const m = state.ModelID("m-uuid")

// grow makes a model with n units of web, each on a machine of its own and with all that a unit reports, in s.
func grow(tb testing.TB, s state.Store, n int) {
	tb.Helper()
	ctx := context.Background()
	commit := func(t state.Txn) {
		tb.Helper()
		if _, err := s.Commit(ctx, t); err != nil {
			tb.Fatal(err)
		}
	}
	founding := state.Founding{Controller: state.Controller{UUID: "c", Name: "c1", Cloud: "local"}, Admin: state.User{Name: "admin"}, Model: state.NewModel{UUID: "controller"}}
	t, err := state.Bootstrap(ctx, s, state.By{User: "admin"}, founding)
	if err != nil {
		tb.Fatal(err)
	}
	commit(t)
	by := state.By{User: "admin", Now: time.Now()}
	if t, _, err = state.AddModel(ctx, s, by, state.NewModel{UUID: m, Name: "shop", Owner: "admin", Cloud: "local"}); err != nil {
		tb.Fatal(err)
	}
	commit(t)
	meta := charm.Meta{Name: "web", Endpoints: map[string]charm.Endpoint{
		"cluster": {Name: "cluster", Interface: "c", Role: charm.Peer, Scope: charm.Global}}}
	t, id, err := state.AddCharm(ctx, s, m, by, charm.Charm{Meta: meta}, "hash", 1)
	if err != nil {
		tb.Fatal(err)
	}
	commit(t)
	if t, _, err = state.Deploy(ctx, s, m, by, state.Key("key"), state.Deployment{Name: "web", Charm: id.String(), Units: n}); err != nil {
		tb.Fatal(err)
	}
	commit(t)
	for i := range n {
		u, machine := state.ApplicationName("web").Unit(i), state.MachineID(fmt.Sprint(i))
		var t state.Txn
		t.Create(m.MachinePath(machine), state.Machine{Units: []state.UnitName{u}})
		t.Create(m.InstancePath(machine), state.Instance{})
		t.Create(m.MachineReportPath(machine), state.MachineReport{Hostname: "h"})
		t.Create(m.MachineAgentPath(machine), state.Presence{Boot: "b"})
		t.Create(m.StatusPath(u), state.UnitStatus{Workload: state.StatusInfo{Status: "active"}, Agent: state.StatusInfo{Status: "idle"}})
		t.Create(m.LedgerPath(u), state.Ledger{Phase: state.Started})
		t.Create(m.AddressPath(u), state.UnitAddress{Public: "10.0.0.1"})
		t.Create(m.PortsPath(u), []state.OpenPort{})
		t.Create(m.AgentPath(u), state.Presence{Boot: "b"})
		t.Create(m.MemberPath(0, "", u), relation.Settings{})
		commit(t)
	}
}

func TestItReadsAllThereIs(t *testing.T) {
	store := memory.New().Connect(memory.Controller)
	grow(t, store, 3)
	var tx state.Txn
	tx.Create(m.ElectionPath("web")+"/web-1=boot:0000000007", state.Presence{})
	tx.Create(m.ElectionPath("web")+"/web-0=boot:0000000009", state.Presence{})
	// A container-scoped relation, with a member that has left.
	ends := []relation.Endpoint{{Application: "web", Endpoint: charm.Endpoint{Name: "juju-info"}}, {Application: "log", Endpoint: charm.Endpoint{Name: "info"}}}
	tx.Create(m.RelationPath(5), state.Relation{Endpoints: ends, Scope: charm.Container})
	for _, side := range []state.ApplicationName{"web", "log"} {
		tx.Create(m.SidePath(5, side), relation.Settings{})
		tx.Create(m.SidePath(5, side)+"/"+state.GoneName, nil)
	}
	tx.Create(m.RelationPath(5)+"/web-0", nil)
	for _, u := range []state.UnitName{"web/0", "log/0"} {
		tx.Create(m.MembersPath(5, u.Application(), "web/0"), nil)
		tx.Create(m.MembersPath(5, u.Application(), "web/0")+"/"+state.GoneName, nil)
		tx.Create(m.MemberPath(5, "web/0", u), relation.Settings{})
	}
	tx.Create(m.GonePath(5, "web/0", "log/7"), relation.Settings{})
	if _, err := store.Commit(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	s, err := view.Read(t.Context(), store, m)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Units) != 3 || len(s.Machines) != 3 || len(s.Applications) != 1 || len(s.Charms) != 1 || s.Controller.Name != "c1" || s.Model.Name != "shop" {
		t.Errorf("read %+v", s)
	}
	if a := s.Applications["web"]; a.Leader != "web/1" || a.Status != nil {
		t.Errorf("web is %+v", a)
	}
	if u := s.Units["web/2"]; u.Status == nil || u.Ledger == nil || u.Agent == nil || u.Address == nil {
		t.Errorf("web/2 is %+v", u)
	}
	for id, want := range map[state.RelationID][]state.UnitName{0: {"web/0", "web/1", "web/2"}, 5: {"log/0", "web/0"}} {
		got := s.Relations[id].Members
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("relation %d has %v, want %v", id, got, want)
		}
	}
	if _, err := view.Read(t.Context(), store, "nothing"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("a model that is not there: %v", err)
	}
}

// A model may change while it is read.
func TestWhatGoesAwayIsLeftOut(t *testing.T) {
	store := memory.New().Connect(memory.Controller)
	grow(t, store, 1)
	s, err := view.Read(t.Context(), vanishing{store}, m)
	if err != nil || len(s.Units) != 0 || len(s.Machines) != 0 {
		t.Errorf("read %+v, %v", s, err)
	}
}

// vanishing lists units and machines, but when they are read they are gone.
type vanishing struct{ state.Reader }

func (v vanishing) Get(ctx context.Context, path string) (state.Node, error) {
	if path == m.UnitPath("web/0") || path == m.MachinePath("0") {
		return state.Node{}, state.ErrNotFound
	}
	return v.Reader.Get(ctx, path)
}

// The status of 50 units from a real ZooKeeper.
func BenchmarkStatus50(b *testing.B) {
	server := zktest.Start(b)
	store, err := zk.Open(b.Context(), zk.Config{Servers: []string{server.Addr}, TLS: server.Controller(), Controller: pki.ControllerName(), Machine: pki.MachineName,
		Secret: func(p state.Principal) (string, bool) { return state.Key("key").Credential(p).Secret, true }})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	if err := store.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	grow(b, store, 50)
	for b.Loop() {
		s, err := view.Read(b.Context(), store, m)
		if err != nil || len(s.Units) != 50 {
			b.Fatal(err)
		}
		status.Build(s, time.Now())
	}
}
