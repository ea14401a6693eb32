package state

import (
	"context"
	"fmt"
	"slices"
)

// LeaderUser is who the history names for what the leader does by itself.
const LeaderUser = "controller"

// Assign puts the unit onto the machine: the machine hears of it and gets its credentials. A unit that is there already
// changes nothing; one that is elsewhere is refused.
func Assign(ctx context.Context, r Reader, m ModelID, key Key, u UnitName, id MachineID) (Txn, error) {
	t, err := assign(ctx, r, m, key, u, id)
	if err != nil {
		return Txn{}, fmt.Errorf("assign %s to machine %s: %w", u, id, err)
	}
	return t, nil
}

func assign(ctx context.Context, r Reader, m ModelID, key Key, u UnitName, id MachineID) (t Txn, err error) {
	unit, err := Read[Unit](ctx, r, m.UnitPath(u))
	if err != nil {
		return t, missing(err, "unit", string(u))
	}
	switch {
	case unit.Value.Machine == id:
		return t, nil
	case unit.Value.Machine != "":
		return t, refused("the unit is on machine %s", unit.Value.Machine)
	}
	machine, err := Read[Machine](ctx, r, m.MachinePath(id))
	if err != nil {
		return t, missing(err, "machine", string(id))
	}
	if machine.Value.Life != Alive {
		return t, refused("the machine is being removed")
	}
	unit.Value.Machine = id
	t.Set(unit.Path, unit.Value, unit.Version)
	machine.Value.Units = withUnit(machine.Value.Units, u)
	return t, host(ctx, r, &t, m, key, id, machine)
}

func withUnit(units []UnitName, u UnitName) []UnitName {
	if slices.Contains(units, u) {
		return units
	}
	units = append(slices.Clone(units), u)
	slices.SortFunc(units, CompareUnits)
	return units
}

// host writes the machine, whose units have changed, and the credentials that go with them.
func host(ctx context.Context, r Reader, t *Txn, m ModelID, key Key, id MachineID, machine Record[Machine]) error {
	t.Set(machine.Path, machine.Value, machine.Version)
	secrets, err := ReadIf[MachineSecrets](ctx, r, m.SecretsPath(id))
	if err != nil {
		return err
	}
	Put(t, m.SecretsPath(id), secrets, secretsOf(m, key, machine.Value.Units))
	return nil
}

// A NewHome is a unit and the new machine that is to be made for it.
type NewHome struct {
	Unit UnitName
	Want NewMachine
}

// HomesPerEdit is how many NewHomes AssignNew takes at most.
const HomesPerEdit = 100

// AssignNew makes a new machine, or a container, for each unit and puts it there. A unit that is placed already, going or gone is passed over.
func AssignNew(ctx context.Context, r Reader, m ModelID, by By, key Key, homes []NewHome) (Txn, []MachineID, error) {
	var t Txn
	var ids []MachineID
	b, err := newBerths(ctx, r, m, key)
	if err != nil {
		return t, nil, err
	}
	seen := map[UnitName]bool{}
	for _, home := range homes[:min(len(homes), HomesPerEdit)] {
		if seen[home.Unit] {
			continue
		}
		seen[home.Unit] = true
		unit, err := ReadIf[Unit](ctx, r, m.UnitPath(home.Unit))
		if err != nil {
			return Txn{}, nil, fmt.Errorf("make a machine for %s: %w", home.Unit, err)
		}
		if !unit.Exists() || unit.Value.Machine != "" || unit.Value.Life != Alive {
			continue
		}
		id, err := b.add(&t, home.Want, Machine{For: home.Unit, Units: []UnitName{home.Unit}, Created: by.Now})
		if err != nil {
			return Txn{}, nil, fmt.Errorf("make a machine for %s: %w", home.Unit, err)
		}
		unit.Value.Machine = id
		t.Set(unit.Path, unit.Value, unit.Version)
		ids = append(ids, id)
	}
	if len(ids) > 0 {
		b.save(&t)
	}
	return t, ids, nil
}

// AddSubordinate makes the unit of a subordinate application that goes with the principal unit, on its machine.
// When there is one already, or either is going, nothing changes.
func AddSubordinate(ctx context.Context, r Reader, m ModelID, by By, key Key, principal UnitName, name ApplicationName) (Txn, error) {
	t, err := addSubordinate(ctx, r, m, by, key, principal, name)
	if err != nil {
		return Txn{}, fmt.Errorf("add a unit of %s to %s: %w", name, principal, err)
	}
	return t, nil
}

func addSubordinate(ctx context.Context, r Reader, m ModelID, by By, key Key, principal UnitName, name ApplicationName) (t Txn, err error) {
	unit, err := ReadIf[Unit](ctx, r, m.UnitPath(principal))
	if err != nil || !unit.Exists() || unit.Value.Life != Alive || unit.Value.Machine == "" {
		return t, err
	}
	app, err := ReadIf[Application](ctx, r, m.ApplicationPath(name))
	if err != nil || app.Value.Life != Alive || !app.Value.Subordinate {
		return t, err
	}
	for _, u := range unit.Value.Subordinates {
		if u.Application() == name {
			return t, nil
		}
	}
	machine, err := Read[Machine](ctx, r, m.MachinePath(unit.Value.Machine))
	if err != nil {
		return t, err
	}
	numbers, err := count(ctx, r, m, "unit-"+string(name), 0)
	if err != nil {
		return t, err
	}
	u := name.Unit(numbers.take())
	numbers.save(&t)
	t.Check(app.Path, app.Version)
	s, err := storesOf(ctx, r, m, by, app.Value)
	if err != nil {
		return Txn{}, err
	}
	addUnit(&t, m, s, u, Unit{Machine: unit.Value.Machine, Principal: principal, Created: by.Now})
	s.save(&t)
	unit.Value.Subordinates = withUnit(unit.Value.Subordinates, u)
	t.Set(unit.Path, unit.Value, unit.Version)
	machine.Value.Units = withUnit(machine.Value.Units, u)
	return t, host(ctx, r, &t, m, key, unit.Value.Machine, machine)
}
