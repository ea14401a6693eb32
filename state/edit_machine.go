package state

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

// A NewMachine is what a user or the leader wants of a new machine.
type NewMachine struct {
	Constraints provider.Constraints
	Base        charm.Base
	Placement   string // for the provider: "zone=a"
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
	case p.Container != "":
		return t, nil, refused("placement %q: containers on machines are not supported in this model", want.Placement)
	case p.Machine != "":
		return t, nil, invalid("placement %q: a machine cannot be put on a machine", want.Placement)
	}
	if err := checkContainer(want.Constraints); err != nil {
		return t, nil, err
	}
	want.Placement = p.Directive
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return Txn{}, nil, err
	}
	model, err := ReadIf[provider.Constraints](ctx, r, m.ConstraintsPath())
	if err != nil {
		return Txn{}, nil, fmt.Errorf("add machine: %w", err)
	}
	want.Constraints = provider.Merge(model.Value, want.Constraints)
	numbers, err := count(ctx, r, m, "machine", 0)
	if err != nil {
		return Txn{}, nil, err
	}
	var ids []MachineID
	for range n {
		id := MachineID(strconv.Itoa(numbers.take()))
		machine := Machine{Constraints: want.Constraints, Base: want.Base, Placement: want.Placement, Created: by.Now}
		addMachine(&t, m, key, id, machine)
		ids = append(ids, id)
	}
	numbers.save(&t)
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

func checkContainer(c provider.Constraints) error {
	if c.Container != nil && *c.Container != "" && *c.Container != "none" {
		return refused("constraint container=%s: containers on machines are not supported in this model", *c.Container)
	}
	return nil
}

// RemoveMachine begins the end of a machine. One that has units is refused unless the user forces it; then they go too.
// It returns the units that go.
func RemoveMachine(ctx context.Context, r Reader, m ModelID, by By, id MachineID, how Ending, keepInstance bool) (Txn, []UnitName, error) {
	var t Txn
	rec, err := Read[Machine](ctx, r, m.MachinePath(id))
	if err != nil {
		return t, nil, missing(err, "machine", string(id))
	}
	model, err := Read[Model](ctx, r, m.Path())
	if err != nil {
		return t, nil, missing(err, "model", string(m))
	}
	units := rec.Value.Units
	switch {
	case model.Value.Name == ControllerModel && id == "0":
		return t, nil, refused("cannot remove machine %s: the machine is required by the controller", id)
	case len(units) > 0 && !how.Force:
		return t, nil, refused("cannot remove machine %s: machine has unit %s assigned", id, strings.ReplaceAll(keys(units), " ", ", "))
	}
	machine := rec.Value
	machine.End = how.end(by, machine.End)
	machine.KeepInstance = machine.KeepInstance || keepInstance
	if !machine.End.same(rec.Value.End) || machine.KeepInstance != rec.Value.KeepInstance {
		t.Set(rec.Path, machine, rec.Version)
		t.Tell(m, TicketMachine, string(id))
	}
	for _, u := range units {
		if t.full() {
			break
		}
		if err := EndUnit(ctx, r, &t, m, u, machine.End); err != nil {
			return Txn{}, nil, fmt.Errorf("remove machine %s: %w", id, err)
		}
	}
	if len(t.Ops) > 0 {
		by.record(&t, m, "remove-machine", string(id))
	}
	return t, units, nil
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
