package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// TestWhoWakes counts the agents whose watches report anything, with 1,000 unit agents and the watches of their machines:
// what concerns other applications wakes none of them, and a relation wakes the units of its two applications.
func TestWhoWakes(t *testing.T) {
	w := newSleepers(t)
	const apps, each = 50, 20
	for i := range apps {
		name := state.ApplicationName(fmt.Sprintf("web%d", i))
		if i%10 == 9 {
			name = state.ApplicationName(fmt.Sprintf("db%d", i))
		}
		w.deploy(name, each)
	}
	w.relate("web0:db", "db9:db")
	w.settle()
	if len(w.agents) != apps*each {
		t.Fatalf("%d agents", len(w.agents))
	}
	asleep := w.known()
	w.none("at rest", asleep)

	w.deploy("db", 3)
	w.none("db is deployed", asleep)
	w.deploy("web", 3)
	w.settleBut(asleep)
	w.none("web is deployed", asleep)
	w.relate("web:db", "db:db")
	w.none("web and db are integrated", asleep)
	w.settleBut(asleep)
	w.none("web and db have conversed", asleep)
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		return state.SetConfig(ctx, r, model, by, "db", map[string]any{"size": 7}, nil)
	})
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		return state.Expose(ctx, r, model, by, "web", map[string]state.ExposedEndpoint{"": {CIDRs: []string{"0.0.0.0/0"}}})
	})
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.AddMachines(ctx, r, model, by, key, 2, state.NewMachine{})
		return t, err
	})
	w.settleBut(asleep)
	w.none("settings, exposure and machines have changed", asleep)
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.RemoveApplication(ctx, r, model, by, "db", state.Ending{})
		return t, err
	})
	w.settleBut(asleep)
	w.none("db is removed", asleep)

	w.relate("web1:db", "db19:db")
	want := w.unitsOf("web1", "db19")
	if got := w.woken(asleep); !slices.Equal(got, want) {
		t.Errorf("the relation of web1 and db19 wakes %v", got)
	}
	rest := slices.DeleteFunc(asleep, func(u state.UnitName) bool { return slices.Contains(want, u) })
	w.settleBut(rest)
	w.none("web1 and db19 have conversed", rest)
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.AddUnits(ctx, r, model, by, "web2", 1, []string{string(w.machines["web2"])})
		return t, err
	})
	w.machineOf("web2")
	w.none("web2 has one unit more", rest)
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		return state.SetConfig(ctx, r, model, by, "web3", map[string]any{"size": 3}, nil)
	})
	if got, want := w.woken(rest), w.unitsOf("web3"); !slices.Equal(got, want) {
		t.Errorf("the settings of web3 wake %v", got)
	}
	w.oneCommit("web3/0")
}

// A sleepers is an environment in which the agents of units, with what their machines watch, are stepped only when the test says so.
type sleepers struct {
	*testing.T
	*Sim
	agents   map[state.UnitName]*sleeper
	machines map[state.ApplicationName]state.MachineID
}

// A sleeper is the agent of a unit, with all watches that it has made.
type sleeper struct {
	*unit.Agent
	store   *counted
	machine state.Watch // what the agent of its machine watches
}

// counted is a client whose commits are counted and whose watches are known.
type counted struct {
	*memory.Client
	commits int
	watches []state.Watch
}

// Commit implements state.Store.
func (c *counted) Commit(ctx context.Context, t state.Txn) ([]string, error) {
	c.commits++
	return c.Client.Commit(ctx, t)
}

// Watch implements state.Store.
func (c *counted) Watch(ctx context.Context) state.Watch {
	w := c.Client.Watch(ctx)
	c.watches = append(c.watches, w)
	return w
}

func newSleepers(t *testing.T) *sleepers {
	return &sleepers{T: t, Sim: New(1), agents: map[state.UnitName]*sleeper{}, machines: map[state.ApplicationName]state.MachineID{}}
}

// edit makes a user's change, and lets the leader do all that follows.
func (w *sleepers) edit(decide func(context.Context, state.Reader, state.By) (state.Txn, error)) {
	w.Helper()
	by := w.by()
	t, err := decide(context.Background(), w.users, by)
	if err == nil {
		_, err = w.users.Commit(context.Background(), t)
	}
	if err != nil {
		w.Fatal(err)
	}
	w.control.finish()
	if w.err != nil {
		w.Fatal(w.err)
	}
}

// deploy makes an application whose units are all on one machine of its own.
func (w *sleepers) deploy(name state.ApplicationName, n int) {
	w.Helper()
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, ids, err := state.AddMachines(ctx, r, model, by, key, 1, state.NewMachine{})
		w.machines[name] = ids[0]
		return t, err
	})
	ch := "web-0"
	if name[0] == 'd' {
		ch = "db-0"
	}
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.Deploy(ctx, r, model, by, key, state.Deployment{Name: name, Charm: ch, Units: n,
			Placements: slices.Repeat([]string{string(w.machines[name])}, n)})
		return t, err
	})
}

func (w *sleepers) relate(a, b string) {
	w.Helper()
	w.edit(func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.Relate(ctx, r, model, by, key, a, b)
		return t, err
	})
}

func (w *sleepers) settle() { w.settleBut(nil) }

// settleBut makes the agents that are missing, and lets all but these go on until they wait.
func (w *sleepers) settleBut(asleep []state.UnitName) {
	w.Helper()
	ctx := context.Background()
	still := map[state.UnitName]bool{}
	for _, u := range asleep {
		still[u] = true
	}
	for busy := true; busy; {
		busy = false
		for _, node := range w.children(model.UnitsPath()) {
			if u := state.UnitOfNode(node); w.agents[u] == nil {
				w.wake(u)
			}
		}
		for _, u := range w.known() {
			a := w.agents[u]
			if still[u] || a.Gone() {
				continue
			}
			a.machine.Take()
			for waits := false; !waits && !a.Gone(); {
				op, err := a.Step(ctx)
				if err != nil {
					w.Fatalf("%s: %v", u, err)
				}
				if _, waits = op.(resolve.Wait); !waits {
					busy = true
				}
			}
		}
		w.control.finish()
	}
}

// wake makes the agent of the unit, and watches what the agent of its machine does.
func (w *sleepers) wake(u state.UnitName) {
	w.Helper()
	ctx := w.Context()
	m := read[state.Unit](w.Sim, model.UnitPath(u)).Value.Machine
	if m == "" {
		w.Fatalf("%s has no machine", u)
	}
	s := &sleeper{store: &counted{Client: w.tree.Connect(model.MachinePrincipal(m), state.Agents, model.ModelAgents(),
		model.UnitPrincipal(u), model.ApplicationPrincipal(u.Application()))}}
	var err error
	s.Agent, err = unit.New(ctx, unit.Config{
		Model: model, Unit: u, Machine: m, Store: s.store, Lock: unit.NewLock(w.clock), Now: w.clock, Boot: "boot",
		World: func() unit.World { return unit.World{Settings: state.ModelConfig{"update-status-hook-interval": "0"}} },
		Run:   state.Presence{Boot: w.id("run"), Since: w.now}, ID: func() string { return w.id("commit") },
	}, quiet{w.Sim, new(disk)})
	if err != nil {
		w.Fatal(err)
	}
	machine := s.store.Watch(ctx)
	for _, path := range []string{model.MachinePath(m), model.SecretsPath(m), model.ConfigPath(), model.AddressesPath()} {
		machine.Data(path)
	}
	s.machine = machine
	w.agents[u] = s
}

// quiet is a host whose hooks do nothing.
type quiet struct {
	s    *Sim
	disk *disk
}

func (q quiet) Unpack(_ context.Context, _ unit.API, id charm.ID) error {
	q.disk.charm = q.s.charms[id.SHA256]
	return nil
}

func (q quiet) Resource(context.Context, unit.API, state.UnitName, unit.WantedFile) (string, error) {
	return "", hooks.ErrNoResource
}

func (q quiet) Charm() (charm.Charm, error)                          { return q.disk.charm, nil }
func (q quiet) Load() (*unit.Pending, error)                         { return q.disk.note, nil }
func (q quiet) Mount(context.Context, state.Attachment) error        { return nil }
func (q quiet) Unmount(context.Context, state.StorageID, bool) error { return nil }
func (q quiet) Placed() ([]state.StorageID, error)                   { return nil, nil }
func (q quiet) Location(s state.Attachment) string                   { return "/srv/" + string(s.ID) }
func (q quiet) Save(note *unit.Pending) error                        { q.disk.note = note; return nil }

func (q quiet) Run(context.Context, unit.Request) (run.Result, hooks.Effects, error) {
	return run.Result{Outcome: run.Done}, hooks.Effects{}, nil
}

// known is all units that have an agent.
func (w *sleepers) known() []state.UnitName {
	return slices.SortedFunc(maps.Keys(w.agents), state.CompareUnits)
}

func (w *sleepers) unitsOf(names ...state.ApplicationName) []state.UnitName {
	return slices.DeleteFunc(w.known(), func(u state.UnitName) bool { return !slices.Contains(names, u.Application()) })
}

// woken is those of the units for whose agents some watch has a report.
func (w *sleepers) woken(of []state.UnitName) (out []state.UnitName) {
	for _, u := range of {
		if slices.ContainsFunc(w.agents[u].store.watches, func(watch state.Watch) bool { return len(watch.C()) > 0 }) {
			out = append(out, u)
		}
	}
	return out
}

func (w *sleepers) none(when string, of []state.UnitName) {
	w.Helper()
	if got := w.woken(of); len(got) > 0 {
		w.Errorf("when %s, %d of %d agents are woken: %v ...", when, len(got), len(of), got[:min(len(got), 5)])
	}
}

// machineOf hears, in the place of the agent of the application's machine, what that is told.
func (w *sleepers) machineOf(name state.ApplicationName) {
	w.Helper()
	for _, u := range w.unitsOf(name) {
		if len(w.agents[u].machine.Take()) == 0 {
			w.Errorf("the machine of %s has not heard of a new unit", u)
		}
	}
}

// oneCommit wants the next step of the agent to be a hook, its commit to be one transaction, and nothing to follow.
func (w *sleepers) oneCommit(u state.UnitName) {
	w.Helper()
	a, ctx := w.agents[u], context.Background()
	before := a.store.commits
	op, err := a.Step(ctx)
	if r, ok := op.(resolve.Run); err != nil || !ok || r.Hook.Kind != hooks.ConfigChanged {
		w.Fatalf("%s does %v, %v", u, op, err)
	}
	if n := a.store.commits - before; n != 1 {
		w.Errorf("a hook that does nothing takes %d commits", n)
	}
	if op, err = a.Step(ctx); err != nil || op.String() == "" {
		w.Fatal(err)
	}
	if _, waits := op.(resolve.Wait); !waits || a.store.commits-before != 1 {
		w.Errorf("after a hook that does nothing comes %v, and there were %d commits", op, a.store.commits-before)
	}
}
