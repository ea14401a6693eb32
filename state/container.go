package state

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/grigri/grigri/provider"
)

// A container on a machine is a machine of its own, 3/lxd/0, whose node is beside its host's. The host's agent makes it. What that agent
// needs for it the leader writes below the host's node; what has become of it the agent writes below that, and the leader takes from there.

// A Container is what the agent of a machine is told of one container that is to be there.
type Container struct {
	Start    provider.StartRequest       `json:"start"` // Init is in it until the container's agent has enrolled: a secret
	Rules    []provider.Rule             `json:"rules,omitempty"`
	Profiles map[string]provider.Profile `json:"profiles,omitempty"`
	Gone     bool                        `json:"gone,omitempty"`  // it is to end
	Kept     bool                        `json:"kept,omitempty"`  // it is left alone from now on: there is no machine any more that it is
	Again    int                         `json:"again,omitempty"` // counts how often a user did not want to wait for the next try
}

// A ContainerReport is what has become of it.
type ContainerReport struct {
	Instance
	Again   int    `json:"again,omitempty"`   // the Container.Again that it has heeded
	Problem string `json:"problem,omitempty"` // with its rules and profiles
}

// ContainersPath is the directory of the containers on a machine.
func (m ModelID) ContainersPath(host MachineID) string { return m.MachinePath(host) + "/containers" }

// ContainerPath is where the Container is, and ContainerReportPath the ContainerReport.
func (m ModelID) ContainerPath(id MachineID) string {
	host, _ := id.Host()
	return m.ContainersPath(host) + "/" + id.Node()
}
func (m ModelID) ContainerReportPath(id MachineID) string { return m.ContainerPath(id) + "/report" }

// containersACL: controllers say what containers there are to be, and their host what has become of them.
func containersACL(self []Principal, p []string) ACL {
	switch len(p) {
	case 0:
		return ACL{Read: self}
	case 1:
		return ACL{Read: self, Create: self}
	}
	return ACL{Read: self, Write: self}
}

// MachinesOf is every machine of the model, containers too.
func MachinesOf(ctx context.Context, r Reader, m ModelID) ([]MachineID, error) {
	nodes, err := ChildrenIf(ctx, r, m.MachinesPath())
	if err != nil {
		return nil, fmt.Errorf("list the machines of model %s: %w", m, err)
	}
	var out []MachineID
	for _, n := range nodes {
		out = append(out, MachineOfNode(n))
	}
	return out, nil
}

// CompareMachines orders machines as people count, each before its containers.
func CompareMachines(a, b MachineID) int {
	hostA, inA := a.Host()
	hostB, inB := b.Host()
	place := func(id MachineID, in bool) int {
		if !in {
			return -1
		}
		return id.number()
	}
	return cmp.Or(cmp.Compare(hostA.number(), hostB.number()), cmp.Compare(place(a, inA), place(b, inB)))
}

// number is the last number in the machine's name.
func (m MachineID) number() int {
	n, _ := strconv.Atoi(string(m[strings.LastIndexByte(string(m), '/')+1:]))
	return n
}

// berths numbers new machines and the containers on them within one transaction.
type berths struct {
	ctx      context.Context
	r        Reader
	m        ModelID
	key      Key
	machines *counter
	hosts    map[MachineID]*Record[Machine] // those whose containers have changed
	fresh    map[MachineID]*Machine         // those that are new, and have containers
	counters map[MachineID]*counter
}

func newBerths(ctx context.Context, r Reader, m ModelID, key Key) (*berths, error) {
	numbers, err := count(ctx, r, m, "machine", 0)
	return &berths{ctx, r, m, key, numbers, map[MachineID]*Record[Machine]{}, map[MachineID]*Machine{}, map[MachineID]*counter{}}, err
}

// add makes the machine: as want says a container, on a machine that is there or on a new one.
func (b *berths) add(t *Txn, want NewMachine, machine Machine) (MachineID, error) {
	machine.Constraints, machine.Base = want.Constraints, want.Base
	if !want.Container {
		machine.Placement = want.Placement
		id := MachineID(strconv.Itoa(b.machines.take()))
		addMachine(t, b.m, b.key, id, machine)
		return id, nil
	}
	host := want.On
	if host == "" {
		host = MachineID(strconv.Itoa(b.machines.take()))
		b.fresh[host] = &Machine{Constraints: want.Constraints, Base: want.Base, Placement: want.Placement, For: machine.For, Created: machine.Created}
	}
	if b.hosts[host] == nil && b.fresh[host] == nil {
		rec, err := Read[Machine](b.ctx, b.r, b.m.MachinePath(host))
		if err != nil {
			return "", missing(err, "machine", string(host))
		}
		if rec.Value.Life != Alive {
			return "", refused("machine %s is being removed", host)
		}
		b.hosts[host] = &rec
	}
	if b.counters[host] == nil {
		c, err := count(b.ctx, b.r, b.m, "container-"+host.Node(), 0)
		if err != nil {
			return "", err
		}
		b.counters[host] = c
	}
	id := host.Container(b.counters[host].take())
	at := b.fresh[host]
	if at == nil {
		at = &b.hosts[host].Value
	}
	at.Containers = append(at.Containers, id)
	machine.Constraints = containerConstraints(want.Constraints)
	addMachine(t, b.m, b.key, id, machine)
	return id, nil
}

// save writes the hosts and the numbers that were taken.
func (b *berths) save(t *Txn) {
	for host, machine := range b.fresh {
		addMachine(t, b.m, b.key, host, *machine)
	}
	for _, rec := range b.hosts {
		t.Set(rec.Path, rec.Value, rec.Version)
	}
	for _, c := range b.counters {
		c.save(t)
	}
	b.machines.save(t)
}

// containerConstraints is those that a container itself can have; the others were about its host.
func containerConstraints(c provider.Constraints) provider.Constraints {
	return provider.Constraints{Arch: c.Arch, Cores: c.Cores, MemoryMiB: c.MemoryMiB, RootDiskMiB: c.RootDiskMiB}
}

// WantsContainer takes the constraint container out of c, and says whether it asked for one.
func WantsContainer(c provider.Constraints) (provider.Constraints, bool) {
	want := c.Container != nil && *c.Container == LXD
	c.Container = nil
	return c, want
}

// mayHaveContainer refuses a container on a machine that is not there, or not for long.
func mayHaveContainer(ctx context.Context, r Reader, t *Txn, m ModelID, text string, host MachineID) error {
	rec, err := Read[Machine](ctx, r, m.MachinePath(host))
	if err != nil {
		return missing(err, "machine", string(host))
	}
	if rec.Value.Life != Alive {
		return refused("placement %q: machine %s is being removed", text, host)
	}
	t.Check(rec.Path, rec.Version)
	return nil
}

// tryContainer has the host's agent try again at once what it could not do. For a machine that is no container it does nothing.
func tryContainer(ctx context.Context, r Reader, t *Txn, m ModelID, id MachineID) error {
	if !id.IsContainer() {
		return nil
	}
	rec, err := ReadIf[Container](ctx, r, m.ContainerPath(id))
	if err != nil || !rec.Exists() {
		return err
	}
	rec.Value.Again++
	t.Set(rec.Path, rec.Value, rec.Version)
	return nil
}

// TellContainer tells the agent of the host what the container is to be.
func TellContainer(ctx context.Context, r Reader, m ModelID, id MachineID, want Container) (Txn, error) {
	var t Txn
	host, _ := id.Host()
	if _, err := r.Get(ctx, m.MachinePath(host)); err != nil {
		return t, missing(err, "machine", string(host))
	}
	t.Check(m.MachinePath(id), Any)
	rec, err := ReadIf[Container](ctx, r, m.ContainerPath(id))
	if err != nil {
		return t, fmt.Errorf("tell machine %s of container %s: %w", host, id, err)
	}
	want.Again = rec.Value.Again
	if rec.Exists() && string(Encode(rec.Value)) == string(Encode(want)) {
		return Txn{}, nil
	}
	if dir, err := Exists(ctx, r, m.ContainersPath(host)); err != nil {
		return t, err
	} else if !dir {
		t.Create(m.ContainersPath(host), nil)
	}
	Put(&t, m.ContainerPath(id), rec, want)
	return t, nil
}

// ReportContainer is the host's agent's: it says what has become of a container, and tells the leader. A container of which it is told
// no more needs no report.
func ReportContainer(ctx context.Context, r Reader, m ModelID, id MachineID, report ContainerReport) (Txn, error) {
	var t Txn
	told, err := ReadIf[Container](ctx, r, m.ContainerPath(id))
	if err != nil || !told.Exists() {
		return t, err
	}
	rec, err := ReadIf[ContainerReport](ctx, r, m.ContainerReportPath(id))
	if err != nil {
		return t, fmt.Errorf("report on container %s: %w", id, err)
	}
	if rec.Exists() && string(Encode(rec.Value)) == string(Encode(report)) {
		return t, nil
	}
	Put(&t, m.ContainerReportPath(id), rec, report)
	t.Tell(m, TicketMachine, string(id))
	return t, nil
}

// NoteContainer is the leader's: what the host's agent says of a container is what is known of its instance.
func NoteContainer(ctx context.Context, r Reader, m ModelID, id MachineID) (Txn, error) {
	report, err := ReadIf[ContainerReport](ctx, r, m.ContainerReportPath(id))
	if err != nil || !report.Exists() {
		return Txn{}, err
	}
	t, err := editInstance(ctx, r, m, id, func(i *Instance) { *i = report.Value.Instance })
	if err != nil {
		return Txn{}, err
	}
	fitted, err := ReadIf[Fitting](ctx, r, m.FittingPath(id))
	if err != nil || fitted.Value.Error == report.Value.Problem {
		return t, err
	}
	Put(&t, m.FittingPath(id), fitted, Fitting{Instance: report.Value.ID, Error: report.Value.Problem, Since: report.Value.Since})
	return t, nil
}
