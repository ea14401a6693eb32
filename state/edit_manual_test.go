package state_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func host(target string) state.ManualMachine {
	return state.ManualMachine{Target: target, Base: charm.Base{Name: "debian", Channel: "12"}, Addresses: []string{"192.0.2.7"},
		Hardware: provider.Hardware{Arch: "amd64", Cores: 4, MemoryMiB: 8192}}
}

func TestManualMachine(t *testing.T) {
	w := newWorld(t)
	add := func(h state.ManualMachine) state.MachineID {
		t.Helper()
		txn, id, err := state.AddManualMachine(ctx, w.s, m, w.by, key, h)
		w.must(txn, err)
		return id
	}
	if id := add(host("root@h")); id != "0" {
		t.Fatalf("it is machine %s", id)
	}
	in := read[state.Instance](w, m.InstancePath("0")).Value
	if in.ID != "manual:root@h" || in.State != provider.Running || in.Hardware.Cores != 4 || in.Machine != "0" || in.Model != string(m) {
		t.Errorf("its instance is %+v", in)
	}
	if id := add(host("root@h")); id != "0" {
		t.Errorf("one that was interrupted is machine %s now", id)
	}
	if id := add(host("root@other")); id != "1" {
		t.Errorf("another one is machine %s", id)
	}
	var enrolled state.Txn
	enrolled.Create(m.EnrolPath("0"), state.Enrolment{KeyHash: "a key"})
	w.must(enrolled, nil)
	if id := add(host("root@h")); id != "2" {
		t.Errorf("beside one that is enrolled it is machine %s", id)
	}
	for _, h := range []state.ManualMachine{{}, {Target: "root@h"}, {Target: "h", Addresses: []string{"192.0.2.1"}}} {
		if _, _, err := state.AddManualMachine(ctx, w.s, m, w.by, key, h); err == nil {
			t.Errorf("%+v was added", h)
		}
	}

	// It stays when its last unit goes, and its agent is told to leave when its user removes it.
	w.deploy(state.Deployment{Name: "web", Units: 1})
	w.must(state.Assign(ctx, w.s, m, key, "web/0", "0"))
	if txn, err := state.ReleaseMachine(ctx, w.s, m, "0"); err != nil || len(txn.Ops) > 0 {
		t.Errorf("one that is alive was released: %v, %v", txn, err)
	}
	txn, _, err := state.BuryUnit(ctx, w.s, m, w.by, key, "web/0", "")
	w.must(txn, err)
	if rec := read[state.Machine](w, m.MachinePath("0")).Value; rec.Life != state.Alive || len(rec.Units) != 0 {
		t.Errorf("without units it is %+v", rec)
	}
	txn, _, err = state.RemoveMachine(ctx, w.s, m, w.by, "0", state.Ending{}, true)
	w.must(txn, err)
	w.must(state.ReleaseMachine(ctx, w.s, m, "0"))
	if rec := read[state.Machine](w, m.MachinePath("0")).Value; rec.Life != state.Dead {
		t.Errorf("released it is %+v", rec)
	}
	for range 2 { // the second time is nothing
		w.must(state.LeaveMachine(ctx, w.s, m, "0", w.by.Now.Add(time.Second)))
	}
	txn, done, err := state.BuryMachine(ctx, w.s, m, w.by, "0")
	w.must(txn, err)
	if there, _ := state.Exists(ctx, w.s, state.KeptInstancePath(m, "0")); !done || there {
		t.Errorf("buried=%t, kept=%t: a host is nobody's to keep", done, there)
	}
	w.must(state.LeaveMachine(ctx, w.s, m, "0", w.by.Now))
}

func TestRules(t *testing.T) {
	w := newWorld(t)
	txn, id, err := state.AddManualMachine(ctx, w.s, m, w.by, key, host("root@h"))
	w.must(txn, err)
	want := state.Rules{Peers: []string{"192.0.2.8"}, Ports: []provider.Rule{
		{PortRange: provider.PortRange{Protocol: provider.TCP, From: 80, To: 80}, Sources: []string{"192.0.2.0/24"}}}}
	w.must(state.SetRules(ctx, w.s, m, id, &want))
	if got := read[state.Rules](w, m.RulesPath(id)).Value; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if txn, err := state.SetRules(ctx, w.s, m, id, &want); err != nil || len(txn.Ops) > 0 {
		t.Errorf("the same again is %v, %v", txn, err)
	}
	for range 2 {
		w.must(state.SetRules(ctx, w.s, m, id, nil))
		if there, _ := state.Exists(ctx, w.s, m.RulesPath(id)); there {
			t.Error("they are still there")
		}
	}
}
