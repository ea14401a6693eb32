package state

import (
	"context"
	"fmt"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

// A NewMachine is what a user or the leader wants of a new machine.
type NewMachine struct {
	Constraints provider.Constraints
	Base        charm.Base
	Placement   string // for the provider: "zone=a"
	Container   bool   // not a machine, but a container: on the machine On, or if that is empty on a new one
	On          MachineID
}

// AddMachines makes n machines for units to come.
func AddMachines(ctx context.Context, r Reader, m ModelID, by By, key Key, n int, want NewMachine) (Txn, []MachineID, error) {
	var t Txn
	if n < 1 || n > UnitsPerEdit/2 {
		return t, nil, invalid("number of machines must be from 1 to %d, got %d", UnitsPerEdit/2, n)
	}
	p, err := ParsePlacement(want.Placement)
	switch {
	case err != nil:
		return t, nil, err
	case p.Machine != "" && !p.Container:
		return t, nil, invalid("placement %q: a machine cannot be put on a machine; for a container on it write lxd:%[1]s", want.Placement)
	}
	want.Placement, want.Container, want.On = p.Directive, p.Container, p.Machine
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return Txn{}, nil, err
	}
	model, err := ReadIf[provider.Constraints](ctx, r, m.ConstraintsPath())
	if err != nil {
		return Txn{}, nil, fmt.Errorf("add machine: %w", err)
	}
	boxed := false
	want.Constraints, boxed = WantsContainer(provider.Merge(model.Value, want.Constraints))
	want.Container = want.Container || boxed
	b, err := newBerths(ctx, r, m, key)
	if err != nil {
		return Txn{}, nil, err
	}
	var ids []MachineID
	for range n {
		id, err := b.add(&t, want, Machine{Created: by.Now})
		if err != nil {
			return Txn{}, nil, fmt.Errorf("add a machine: %w", err)
		}
		ids = append(ids, id)
	}
	b.save(&t)
	by.record(&t, m, "add-machine", keys(ids))
	return t, ids, nil
}

func addMachine(t *Txn, m ModelID, key Key, id MachineID, machine Machine) {
	t.Create(m.MachinePath(id), machine)
	t.Create(m.SecretsPath(id), secretsOf(m, key, machine.Units))
	t.Create(m.TasksPath(Receiver(id)), nil)
	t.Tell(m, TicketMachine, string(id))
}

// secretsOf is the credentials that a machine with these units needs.
func secretsOf(m ModelID, key Key, units []UnitName) MachineSecrets {
	out := MachineSecrets{}
	prove := func(p Principal) { out[p] = key.Credential(p).Secret }
	prove(Agents)
	prove(m.ModelAgents())
	for _, u := range units {
		prove(m.UnitPrincipal(u))
		prove(m.ApplicationPrincipal(u.Application()))
	}
	return out
}

// A RemovedMachine is all that goes with a machine.
type RemovedMachine struct {
	Containers []MachineID
	Units      []UnitName // also those on its containers
}

// RemoveMachine begins the end of a machine. One that has units or containers is refused unless the user forces it; then they go too.
// Of what does not fit into one transaction the leader ends the rest.
func RemoveMachine(ctx context.Context, r Reader, m ModelID, by By, id MachineID, how Ending, keepInstance bool) (Txn, RemovedMachine, error) {
	var t Txn
	var out RemovedMachine
	rec, err := Read[Machine](ctx, r, m.MachinePath(id))
	if err != nil {
		return t, out, missing(err, "machine", string(id))
	}
	model, err := Read[Model](ctx, r, m.Path())
	if err != nil {
		return t, out, missing(err, "model", string(m))
	}
	out.Units = rec.Value.Units
	switch {
	case model.Value.Name == ControllerModel && id == "0":
		return t, out, refused("cannot remove machine %s: the machine is required by the controller", id)
	case len(out.Units) > 0 && !how.Force:
		return t, out, refused("cannot remove machine %s: machine has unit %s assigned", id, strings.ReplaceAll(keys(out.Units), " ", ", "))
	case len(rec.Value.Containers) > 0 && !how.Force:
		return t, out, refused("cannot remove machine %s: machine is hosting containers %s", id, strings.ReplaceAll(keys(rec.Value.Containers), " ", ", "))
	}
	if keepInstance && !rec.Value.KeepInstance {
		ending, err := endsAlready(ctx, r, m, id, rec.Value)
		if err != nil {
			return t, out, err
		}
		if ending {
			return t, out, refused("cannot keep the instance of machine %s: the machine is being removed already, and its instance is ending", id)
		}
	}
	machine := rec.Value
	machine.End = how.end(by, machine.End)
	machine.KeepInstance = machine.KeepInstance || keepInstance
	if !machine.End.same(rec.Value.End) || machine.KeepInstance != rec.Value.KeepInstance {
		t.Set(rec.Path, machine, rec.Version)
		t.Tell(m, TicketMachine, string(id))
	}
	for _, c := range machine.Containers {
		units, err := endContainer(ctx, r, &t, m, c, machine.End)
		if err != nil {
			return Txn{}, out, fmt.Errorf("remove machine %s: %w", id, err)
		}
		out.Containers = append(out.Containers, c)
		out.Units = append(out.Units[:len(out.Units):len(out.Units)], units...)
	}
	for _, u := range out.Units {
		if t.full() {
			break
		}
		if err := EndUnit(ctx, r, &t, m, u, machine.End); err != nil {
			return Txn{}, out, fmt.Errorf("remove machine %s: %w", id, err)
		}
	}
	if len(t.Ops) > 0 {
		by.record(&t, m, "remove-machine", string(id))
	}
	return t, out, nil
}

// endsAlready says whether the end of the machine's instance has begun, or that of the container which it is.
func endsAlready(ctx context.Context, r Reader, m ModelID, id MachineID, machine Machine) (bool, error) {
	if !id.IsContainer() {
		return machine.Stopping, nil
	}
	told, err := ReadIf[Container](ctx, r, m.ContainerPath(id))
	return told.Value.Gone, err
}

// StopMachine says that the provider is about to be told to end the instance of a machine that is going. It refuses one that is to be kept.
func StopMachine(ctx context.Context, r Reader, m ModelID, id MachineID) (Txn, error) {
	var t Txn
	rec, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
	switch {
	case err != nil || !rec.Exists() || rec.Value.Stopping:
		return t, err
	case rec.Value.Life == Alive || rec.Value.Stays() || len(rec.Value.Units) > 0:
		return t, fmt.Errorf("stop machine %s: %w", id, refused("it is not going, or its instance stays"))
	}
	rec.Value.Stopping = true
	t.Set(rec.Path, rec.Value, rec.Version)
	return t, nil
}

// endContainer begins the end of a container that goes with its host, and returns its units.
func endContainer(ctx context.Context, r Reader, t *Txn, m ModelID, id MachineID, end End) ([]UnitName, error) {
	rec, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
	if err != nil || !rec.Exists() {
		return nil, err
	}
	was := rec.Value.End
	rec.Value.End = was.Sooner(end)
	if !rec.Value.End.same(was) && !t.full() {
		t.Set(rec.Path, rec.Value, rec.Version)
		t.Tell(m, TicketMachine, string(id))
	}
	return rec.Value.Units, nil
}

// EndMachine begins the end of a machine, or brings it forward. A machine that is not there has ended.
func EndMachine(ctx context.Context, r Reader, m ModelID, id MachineID, end End) (Txn, error) {
	var t Txn
	rec, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
	if err != nil || !rec.Exists() {
		return t, err
	}
	was := rec.Value.End
	rec.Value.End = was.Sooner(end)
	if !rec.Value.End.same(was) {
		t.Set(rec.Path, rec.Value, rec.Version)
		t.Tell(m, TicketMachine, string(id))
	}
	return t, nil
}
