package state_test

import (
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func TestMachineNames(t *testing.T) {
	for _, c := range []struct {
		name       string
		node, host string
		ok         bool
	}{{"4", "4", "", true}, {"4/lxd/0", "4-lxd-0", "4", true}, {"40/lxd/12", "40-lxd-12", "40", true}, {"04", "", "", false}, {"4/lxd", "", "", false},
		{"4/kvm/0", "", "", false}, {"4/lxd/0/lxd/0", "", "", false}, {"", "", "", false}, {"4-lxd-0", "", "", false}, {"../4", "", "", false}} {
		id, err := state.ParseMachine(c.name)
		if (err == nil) != c.ok {
			t.Errorf("%q: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		host, in := id.Host()
		if id.Node() != c.node || state.MachineOfNode(c.node) != id || in != (c.host != "") || in && string(host) != c.host {
			t.Errorf("%s is the node %s of %s, on %s", c.name, id.Node(), state.MachineOfNode(id.Node()), host)
		}
		if model, back, ok := m.MachinePrincipal(id).Machine(); !ok || model != m || back != id {
			t.Errorf("the principal of %s is that of %s", id, back)
		}
		if tk, ok := state.ParseTicket("machine=" + id.Node() + ":0000000001"); !ok || tk.Name != c.name {
			t.Errorf("a ticket of %s is %v", id, tk)
		}
	}
	ids := []state.MachineID{"10", "2/lxd/10", "2", "10/lxd/0", "2/lxd/9"}
	slices.SortFunc(ids, state.CompareMachines)
	if !slices.Equal(ids, []state.MachineID{"2", "2/lxd/9", "2/lxd/10", "10", "10/lxd/0"}) {
		t.Errorf("in order they are %v", ids)
	}
}

// The host reads what it is to make, and says what has become of it. The container sees none of that but what it is itself, and neither sees what else is the other's.
func TestWhoSeesContainers(t *testing.T) {
	host, container, other := m.MachinePrincipal("4"), m.MachinePrincipal("4/lxd/0"), m.MachinePrincipal("5")
	for _, c := range []struct {
		path        string
		read, write []state.Principal
	}{
		{m.ContainersPath("4"), []state.Principal{host}, nil},
		{m.ContainerPath("4/lxd/0"), []state.Principal{host}, nil},
		{m.ContainerReportPath("4/lxd/0"), []state.Principal{host}, []state.Principal{host}},
		{m.MachinePath("4/lxd/0"), []state.Principal{container}, nil},
		{m.SecretsPath("4/lxd/0"), []state.Principal{container}, nil},
		{m.MachineReportPath("4/lxd/0"), []state.Principal{container}, []state.Principal{container}},
		{m.InstancePath("4/lxd/0"), []state.Principal{container}, nil},
		{m.EnrolPath("4/lxd/0"), nil, nil},
	} {
		if acl := state.ACLFor(c.path); !slices.Equal(acl.Read, c.read) || !slices.Equal(acl.Write, c.write) || slices.Contains(acl.Principals(), other) {
			t.Errorf("%s is open to %+v", c.path, acl)
		}
	}
}

func TestContainers(t *testing.T) {
	w := newWorld(t)
	add := func(where string, n int) []state.MachineID {
		t.Helper()
		mem, zones := 512, []string{"a"}
		txn, ids, err := state.AddMachines(ctx, w.s, m, w.by, key, n, state.NewMachine{Placement: where, Base: charm.Base{Name: "debian", Channel: "12"},
			Constraints: provider.Constraints{MemoryMiB: &mem, Zones: &zones}})
		w.must(txn, err)
		return ids
	}
	add("", 1)
	if got := add("lxd:0", 2); !slices.Equal(got, []state.MachineID{"0/lxd/0", "0/lxd/1"}) {
		t.Errorf("on machine 0 there are %v", got)
	}
	if got := add("lxd", 1); !slices.Equal(got, []state.MachineID{"1/lxd/0"}) {
		t.Errorf("on a new machine there is %v", got)
	}
	host, box := read[state.Machine](w, m.MachinePath("1")).Value, read[state.Machine](w, m.MachinePath("1/lxd/0")).Value
	if host.Constraints.String() != "mem=512M zones=a" || box.Constraints.String() != "mem=512M" || box.Base.String() != host.Base.String() {
		t.Errorf("the host is to have %s, the container %s", host.Constraints, box.Constraints)
	}
	// The number of one that has gone is not given again.
	txn, _, err := state.RemoveMachine(ctx, w.s, m, w.by, "0/lxd/1", state.Ending{}, false)
	w.must(txn, err)
	txn, _, err = state.BuryMachine(ctx, w.s, m, w.by, "0/lxd/1")
	w.must(txn, err)
	if got := add("lxd:0", 1); !slices.Equal(got, []state.MachineID{"0/lxd/2"}) {
		t.Errorf("after 0/lxd/1 comes %v", got)
	}
	_, _, err = state.AddMachines(ctx, w.s, m, w.by, key, 1, state.NewMachine{Placement: "0"})
	fails(t, "a machine on a machine", err, &invalid{Text: `placement "0": a machine cannot be put on a machine; for a container on it write lxd:0`})

	// Units go there.
	w.must(state.Txn{}, w.deploy(state.Deployment{Name: "db", Units: 3}))
	txn, ids, err := state.AssignNew(ctx, w.s, m, w.by, key, []state.NewHome{{Unit: "db/0", Want: state.NewMachine{Container: true, On: "0"}},
		{Unit: "db/1", Want: state.NewMachine{Container: true, On: "0"}}, {Unit: "db/2", Want: state.NewMachine{Container: true}}})
	w.must(txn, err)
	if !slices.Equal(ids, []state.MachineID{"0/lxd/3", "0/lxd/4", "2/lxd/0"}) {
		t.Errorf("units are put into %v", ids)
	}
	_, _, err = state.RemoveMachine(ctx, w.s, m, w.by, "0", state.Ending{}, false)
	fails(t, "a machine with containers", err, &refused{Text: "cannot remove machine 0: machine is hosting containers 0/lxd/0, 0/lxd/2, 0/lxd/3, 0/lxd/4"})
	txn, gone, err := state.RemoveMachine(ctx, w.s, m, w.by, "0", state.Ending{Force: true}, false)
	w.must(txn, err)
	if len(gone.Containers) != 4 || !slices.Equal(gone.Units, []state.UnitName{"db/0", "db/1"}) {
		t.Errorf("with machine 0 goes %+v", gone)
	}
	if end := read[state.Machine](w, m.MachinePath("0/lxd/3")).Value.End; !end.Force || end.Life != state.Dying {
		t.Errorf("the end of 0/lxd/3 is %+v", end)
	}
	_, _, err = state.BuryMachine(ctx, w.s, m, w.by, "0")
	if err == nil {
		t.Error("a machine is buried whose containers are there")
	}
	// A unit that leaves its container leaves it to end; the host it leaves alone.
	bury(w, "db/2")
	if got := read[state.Machine](w, m.MachinePath("2/lxd/0")).Value; got.Life != state.Dying {
		t.Errorf("machine 2/lxd/0 is %+v", got)
	}
	if got := read[state.Machine](w, m.MachinePath("2")).Value; got.Life != state.Alive {
		t.Errorf("machine 2 is %+v", got)
	}
}

// What its host is told of a container, and what comes back.
func TestContainerIsToldAndReported(t *testing.T) {
	w := newWorld(t)
	txn, _, err := state.AddMachines(ctx, w.s, m, w.by, key, 2, state.NewMachine{Placement: "lxd"})
	w.must(txn, err)
	const id state.MachineID = "0/lxd/0"
	want := state.Container{Start: provider.StartRequest{Machine: string(id), Init: provider.Init{Token: "secret"}}}
	tell := func() { t.Helper(); txn, err := state.TellContainer(ctx, w.s, m, id, want); w.must(txn, err) }
	tell()
	if txn, err := state.TellContainer(ctx, w.s, m, id, want); err != nil || len(txn.Ops) > 0 {
		t.Errorf("it is told again: %v, %v", txn, err)
	}
	report := func(r state.ContainerReport) {
		t.Helper()
		txn, err := state.ReportContainer(ctx, w.s, m, id, r)
		w.must(txn, err)
		if !slices.Contains(w.tickets(), "machine "+string(id)) {
			t.Errorf("the leader has the tickets %v", w.tickets())
		}
		txn, err = state.NoteContainer(ctx, w.s, m, id)
		w.must(txn, err)
		if got := read[state.Instance](w, m.InstancePath(id)).Value; string(state.Encode(got)) != string(state.Encode(r.Instance)) {
			t.Errorf("noted is %+v, want %+v", got, r.Instance)
		}
		if got := read[state.Fitting](w, m.FittingPath(id)).Value.Error; got != r.Problem {
			t.Errorf("the problem is %q, want %q", got, r.Problem)
		}
	}
	report(state.ContainerReport{Instance: state.Instance{Failures: 1, Error: "no LXD", Retry: w.by.Now.Add(time.Minute), Since: w.by.Now}})
	txn, _, err = state.RetryProvisioning(ctx, w.s, m, w.by, []state.MachineID{id}, false)
	w.must(txn, err)
	want.Start.Init = provider.Init{} // it has enrolled
	tell()
	if got := read[state.Container](w, m.ContainerPath(id)).Value; got.Again != 1 || got.Start.Init.Token != "" {
		t.Errorf("its host is told %+v", got)
	}
	report(state.ContainerReport{Again: 1, Problem: "no such device", Instance: state.Instance{Since: w.by.Now, Instance: provider.Instance{ID: "c0", State: provider.Running}}})

	// Kept, it is nobody's concern any more; otherwise nothing is left.
	for id, keep := range map[state.MachineID]bool{id: true, "1/lxd/0": false} {
		txn, err := state.TellContainer(ctx, w.s, m, id, want)
		w.must(txn, err)
		txn, _, err = state.RemoveMachine(ctx, w.s, m, w.by, id, state.Ending{}, keep)
		w.must(txn, err)
		txn, _, err = state.BuryMachine(ctx, w.s, m, w.by, id)
		w.must(txn, err)
		if told := read[state.Container](w, m.ContainerPath(id)); told.Exists() != keep || told.Value.Kept != keep || told.Value.Start.Machine != "" {
			t.Errorf("kept %t, its host is told %+v", keep, told)
		}
	}
	w.check()
}

// tickets is what the leader is told to look at.
func (w *world) tickets() []string {
	var out []string
	for _, node := range w.names(m.ChangesPath()) {
		if tk, ok := state.ParseTicket(node); ok {
			out = append(out, tk.Kind+" "+tk.Name)
		}
	}
	return out
}
