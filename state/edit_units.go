package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// addUnits makes n units, of which first is the first. Those that do not fit into the transaction it promises: KeepPromise makes them.
func addUnits(t *Txn, m ModelID, by By, app ApplicationName, numbers *counter, s *stores, promise Record[Promise], n int, first Unit, placements []string) NumberRange {
	all := numbers.takeAll(n)
	rest := all
	var units []UnitName
	for ; rest.From < rest.To && len(units) < s.unitsPerEdit(); rest.From++ {
		u, unit := app.Unit(rest.From), Unit{}
		if len(units) == 0 {
			unit = first
		}
		unit.Created = by.Now
		if i := len(units); i < len(placements) {
			unit.Placement = placements[i]
		}
		addUnit(t, m, s, u, unit)
		units = append(units, u)
	}
	if rest.From < rest.To {
		Put(t, m.PromisePath(app), promise, Promise{append(slices.Clone(promise.Value.Units), rest)})
	}
	s.save(t)
	tellUnits(t, m, app, units)
	return all
}

// tellUnits leaves tickets for new units.
func tellUnits(t *Txn, m ModelID, app ApplicationName, units []UnitName) {
	if len(units) > fewUnits {
		t.Tell(m, TicketApplication, string(app))
		return
	}
	for _, u := range units {
		t.Tell(m, TicketUnit, string(u))
	}
}

// KeepPromise makes the next units that the application was promised, if any are left: done.
func KeepPromise(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName) (t Txn, done bool, err error) {
	promise, err := ReadIf[Promise](ctx, r, m.PromisePath(name))
	if err != nil || !promise.Exists() {
		return t, true, err
	}
	app, err := ReadIf[Application](ctx, r, m.ApplicationPath(name))
	if err != nil || !app.Exists() || app.Value.Life != Alive {
		return t, true, err
	}
	t.Check(app.Path, app.Version)
	s, err := storesOf(ctx, r, m, by, app.Value)
	if err != nil {
		return Txn{}, false, err
	}
	left := slices.Clone(promise.Value.Units)
	var units []UnitName
	for len(left) > 0 && len(units) < s.unitsPerEdit() {
		u := name.Unit(left[0].From)
		addUnit(&t, m, s, u, Unit{Created: by.Now})
		units = append(units, u)
		if left[0].From++; left[0].From == left[0].To {
			left = left[1:]
		}
	}
	if len(left) == 0 {
		t.Delete(promise.Path, promise.Version)
	} else {
		t.Set(promise.Path, Promise{left}, promise.Version)
	}
	s.save(&t)
	tellUnits(&t, m, name, units)
	return t, false, nil
}

// fewUnits is how many units have a ticket each; of more the leader looks at the whole application.
const fewUnits = 20

// addUnit makes a unit with its storage. The caller saves s.
func addUnit(t *Txn, m ModelID, s *stores, u UnitName, unit Unit) {
	unit.StorageFor = s.rev
	s.fill(t, u, &unit)
	t.Create(m.UnitPath(u), unit)
	t.Create(m.TasksPath(Receiver(u)), nil)
}

// AddUnits makes n more units of the application. The first, which then must be the only one, gets the storage in attach.
func AddUnits(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName, n int, placements []string, attach ...StorageID) (Txn, Deployed, error) {
	var t Txn
	var out Deployed
	app, err := aliveApplication(ctx, r, m, name)
	if err != nil {
		return t, out, err
	}
	switch {
	case app.Value.Subordinate:
		return t, out, refused("cannot add units to subordinate application %q: its units follow those of the applications it is related to", name)
	case n < 1:
		return t, out, invalid("number of units must be at least 1, got %d", n)
	}
	s, err := storesOf(ctx, r, m, by, app.Value)
	if err != nil {
		return t, out, err
	}
	if err := checkNumber(n, placements, s); err != nil {
		return t, out, err
	}
	t.Check(app.Path, app.Version)
	if err := checkPlacements(ctx, r, &t, m, app.Value, placements); err != nil {
		return Txn{}, out, fmt.Errorf("add units to application %q: %w", name, err)
	}
	numbers, err := count(ctx, r, m, "unit-"+string(name), 0)
	if err != nil {
		return Txn{}, out, err
	}
	promise, err := ReadIf[Promise](ctx, r, m.PromisePath(name))
	if err != nil {
		return Txn{}, out, err
	}
	out.Base = app.Value.Base
	first, err := s.takeAll(ctx, r, &t, name.Unit(numbers.next), n, attach)
	if err != nil {
		return Txn{}, out, fmt.Errorf("add a unit to application %q: %w", name, err)
	}
	out.Units = addUnits(&t, m, by, name, numbers, s, promise, n, first, placements)
	numbers.save(&t)
	by.record(&t, m, "add-unit", keys(out.Units.Names(name)))
	return t, out, nil
}

// checkNumber says whether n units with these placements can be asked for at once.
func checkNumber(n int, placements []string, s *stores) error {
	switch {
	case n > MaxUnits:
		return invalid("number of units must be at most %d, got %d", MaxUnits, n)
	case len(placements) > n:
		return invalid("%d placements given for %d units", len(placements), n)
	case len(placements) > s.unitsPerEdit():
		return invalid("at most %d placements can be given at once, got %d", s.unitsPerEdit(), len(placements))
	}
	return nil
}

// application is the record of an application that must be there.
func application(ctx context.Context, r Reader, m ModelID, name ApplicationName) (Record[Application], error) {
	rec, err := Read[Application](ctx, r, m.ApplicationPath(name))
	return rec, missing(err, "application", string(name))
}

// aliveApplication is an application that must be there and not going.
func aliveApplication(ctx context.Context, r Reader, m ModelID, name ApplicationName) (Record[Application], error) {
	rec, err := application(ctx, r, m, name)
	if err == nil && rec.Value.Life != Alive {
		err = refused("application %q is being removed", name)
	}
	return rec, err
}

// UnitsOf is the units of the application, by number.
func UnitsOf(ctx context.Context, r Reader, m ModelID, name ApplicationName) ([]UnitName, error) {
	nodes, err := ChildrenIf(ctx, r, m.UnitsPath())
	if err != nil {
		return nil, fmt.Errorf("list units of %s: %w", name, err)
	}
	var out []UnitName
	for _, node := range nodes {
		if u := UnitOfNode(node); u.Application() == name {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, CompareUnits)
	return out, nil
}

// CompareUnits orders units by application and number.
func CompareUnits(a, b UnitName) int {
	if c := strings.Compare(string(a.Application()), string(b.Application())); c != 0 {
		return c
	}
	return a.Number() - b.Number()
}

// keys names things for the history.
func keys[T ~string](lists ...[]T) string {
	var out []string
	for _, list := range lists {
		for _, k := range list {
			out = append(out, string(k))
		}
	}
	if len(out) > 20 {
		out = append(out[:20], fmt.Sprintf("and %d more", len(out)-20))
	}
	return strings.Join(out, " ")
}

// RemoveUnits begins the end of the units and their subordinates, at most UnitsPerEdit of them. It returns all that go.
// Of subordinates that do not fit into one transaction the leader ends the rest.
func RemoveUnits(ctx context.Context, r Reader, m ModelID, by By, units []UnitName, how Ending) (Txn, []UnitName, error) {
	var t Txn
	if len(units) > UnitsPerEdit {
		return t, nil, invalid("at most %d units can be removed at once, got %d", UnitsPerEdit, len(units))
	}
	var going []UnitName
	for _, u := range units {
		rec, err := Read[Unit](ctx, r, m.UnitPath(u))
		if err != nil {
			return Txn{}, nil, missing(err, "unit", string(u))
		}
		if rec.Value.Principal != "" {
			return Txn{}, nil, refused("unit %q is a subordinate of %q: remove that unit or the relation instead", u, rec.Value.Principal)
		}
		for _, v := range append([]UnitName{u}, rec.Value.Subordinates...) {
			if slices.Contains(going, v) {
				continue
			}
			going = append(going, v)
			if v != u && t.full() {
				continue
			}
			if err := EndUnit(ctx, r, &t, m, v, how.end(by, End{})); err != nil {
				return Txn{}, nil, err
			}
		}
	}
	if len(t.Ops) > 0 {
		by.record(&t, m, "remove-unit", keys(units))
	}
	return t, going, nil
}

// EndUnit begins the end of a unit, or brings it forward. A unit that is not there has ended.
func EndUnit(ctx context.Context, r Reader, t *Txn, m ModelID, u UnitName, end End) error {
	rec, err := ReadIf[Unit](ctx, r, m.UnitPath(u))
	if err != nil || !rec.Exists() {
		return err
	}
	was := rec.Value.End
	rec.Value.End = was.Sooner(end)
	if !rec.Value.End.same(was) {
		t.Set(rec.Path, rec.Value, rec.Version)
		t.Tell(m, TicketUnit, string(u))
	}
	return nil
}
