package leader

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// opens is what a unit's agent writes when its hook has opened these ports.
func (w *world) opens(u state.UnitName, ports ...string) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		var t state.Txn
		var open []state.OpenPort
		for _, p := range ports {
			r, err := provider.ParsePort(p)
			if err != nil {
				return t, err
			}
			open = append(open, state.OpenPort{PortRange: r})
		}
		rec, err := state.ReadIf[[]state.OpenPort](ctx, r, model.PortsPath(u))
		state.Put(&t, model.PortsPath(u), rec, open)
		t.Tell(model, state.TicketUnit, string(u))
		return t, err
	})
}

func (w *world) expose(app string, cidrs ...string) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.Expose(ctx, r, model, w.by(), state.ApplicationName(app), map[string]state.ExposedEndpoint{"": {CIDRs: cidrs}})
	})
}

func (w *world) unexpose(app string) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.Unexpose(ctx, r, model, w.by(), state.ApplicationName(app), nil)
	})
}

func (w *world) reach(id provider.InstanceID, want string) {
	w.Helper()
	w.settle()
	if got := w.cloud.open[id]; got != want {
		w.Errorf("%s can be reached at %q, want %q\n%s", id, got, want, w.logs)
	}
}

func TestPortsAreOpenWhileTheyAreExposed(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.settle()
	w.opens("web/0", "80", "443")
	w.reach("i-1", "")
	if w.cloud.asked != 0 {
		t.Errorf("the provider was asked although nothing is exposed")
	}
	w.expose("web")
	w.reach("i-1", "80/tcp 443/tcp")
	w.expose("web", "10.0.0.0/8")
	w.reach("i-1", "80/tcp<10.0.0.0/8 443/tcp<10.0.0.0/8")
	w.opens("web/0", "443")
	w.reach("i-1", "443/tcp<10.0.0.0/8")
	w.deploy("db", 1, "0")
	w.settle()
	w.opens("db/0", "3306")
	w.reach("i-1", "443/tcp<10.0.0.0/8")
	w.expose("db")
	w.reach("i-1", "443/tcp<10.0.0.0/8 3306/tcp")
	w.removeUnit("db/0", state.Ending{})
	w.reach("i-1", "443/tcp<10.0.0.0/8")
	w.unexpose("web")
	w.reach("i-1", "")
	asked := w.cloud.asked
	w.elect()
	w.settle()
	w.pass(11 * time.Minute)
	if w.cloud.asked != asked {
		t.Errorf("the next leader asked for what is as it should be")
	}
}

func TestPortsAreTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.settle()
	w.opens("web/0", "80")
	w.cloud.portErr = errors.New("throttled")
	w.expose("web")
	w.reach("i-1", "")
	rec, err := state.Read[state.Fitting](t.Context(), w.store, model.FittingPath("0"))
	if err != nil || !strings.Contains(rec.Value.Error, "throttled") || rec.Value.Failures != 1 || !rec.Value.Retry.After(w.now) {
		t.Fatalf("noted: %+v, %v", rec.Value, err)
	}
	w.pass(4 * time.Second)
	if rec, err = state.Read[state.Fitting](t.Context(), w.store, model.FittingPath("0")); err != nil || rec.Value.Failures != 1 {
		t.Fatalf("tried before its time: %+v, %v", rec.Value, err)
	}
	w.pass(2 * time.Second)
	w.cloud.portErr = nil
	w.pass(time.Minute)
	w.reach("i-1", "80/tcp")
	if rec, err = state.Read[state.Fitting](t.Context(), w.store, model.FittingPath("0")); err != nil || rec.Value.Error != "" || rec.Value.Pending {
		t.Fatalf("after it was done: %+v, %v", rec.Value, err)
	}
}

// Wherever a leader dies, the next one makes the ports what they should be.
func TestPortsAfterACrash(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := 1; at <= 4; at++ {
			w := newWorld(t)
			w.deploy("web", 1)
			w.settle()
			w.opens("web/0", "80")
			w.expose("web")
			w.store.dieAt, w.store.after = w.store.commits+at, after
			w.settle()
			w.store.dieAt = 0
			w.reach("i-1", "80/tcp")
			w.unexpose("web")
			w.store.dieAt = w.store.commits + at
			w.settle()
			w.store.dieAt = 0
			w.reach("i-1", "")
		}
	}
}

// The agent of a host that its user has added is told what its firewall is to be while the model's setting says so.
func TestHostFirewall(t *testing.T) {
	w := newWorld(t)
	add := func(target, address string) {
		edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.AddManualMachine(ctx, r, model, w.by(), key, state.ManualMachine{Target: target, Addresses: []string{address},
				Base: charm.Base{Name: "ubuntu", Channel: "22.04"}, Hardware: provider.Hardware{Arch: "amd64"}})
			return t, err
		})
	}
	rules := func(want string) {
		t.Helper()
		w.settle()
		rec, err := state.ReadIf[state.Rules](t.Context(), w.store, model.RulesPath("0"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if rec.Exists() {
			got = string(state.Encode(rec.Value))
		}
		if got != want {
			t.Errorf("got %s, want %s\n%s", got, want, w.logs)
		}
	}
	set := func(on string) {
		edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.SetModelConfig(ctx, r, model, w.by(), state.ModelConfig{"manual-firewall": on}, nil)
			return t, err
		})
	}
	add("root@h:2222", "192.0.2.1")
	rules("")
	set("true")
	rules(`{"ssh":2222}`)
	w.deploy("web", 1, "0")
	w.settle()
	w.opens("web/0", "80")
	rules(`{"ssh":2222}`)
	w.expose("web", "10.0.0.0/8")
	rules(`{"ports":[{"protocol":"tcp","from":80,"to":80,"sources":["10.0.0.0/8"]}],"ssh":2222}`)
	add("root@other", "192.0.2.2")
	rules(`{"ports":[{"protocol":"tcp","from":80,"to":80,"sources":["10.0.0.0/8"]}],"peers":["192.0.2.2"],"ssh":2222}`)
	w.elect() // the next leader knows all this again
	w.unexpose("web")
	rules(`{"peers":["192.0.2.2"],"ssh":2222}`)
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveMachine(ctx, r, model, w.by(), "1", state.Ending{}, false)
		return t, err
	})
	rules(`{"ssh":2222}`)
	set("false")
	rules("")
}

func TestRetryProvisioningDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.cloud.startErr = errors.New("no quota")
	w.deploy("web", 2)
	w.settle()
	retry := func(all bool, ids ...state.MachineID) (again []state.MachineID, err error) {
		err = state.Edit(t.Context(), w.store.Client, func(ctx context.Context, r state.Reader) (tx state.Txn, err error) {
			tx, again, err = state.RetryProvisioning(ctx, r, model, w.by(), ids, all)
			return tx, err
		})
		return again, err
	}
	if _, err := retry(false, "7"); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a machine that is not there: %v", err)
	}
	w.cloud.startErr = nil
	if got, err := retry(false, "0"); err != nil || len(got) != 1 {
		t.Fatalf("got %v, %v", got, err)
	}
	w.settle()
	if got := w.cloud.machines(); got != "0" {
		t.Fatalf("started without waiting: %q", got)
	}
	if _, err := retry(false, "0"); err == nil || !strings.Contains(err.Error(), "not in a provisioning error") {
		t.Errorf("a machine that runs: %v", err)
	}
	if got, err := retry(true); err != nil || len(got) != 1 || got[0] != "1" {
		t.Fatalf("all: %v, %v", got, err)
	}
	w.settle()
	if got := w.cloud.machines(); got != "0 1" {
		t.Fatalf("started without waiting: %q", got)
	}
	if got, err := retry(true); err != nil || len(got) != 0 {
		t.Errorf("all, when none has failed: %v, %v", got, err)
	}
}
