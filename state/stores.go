package state

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/grigri/grigri/charm"
)

// A stores makes the storage of one application's units, in one transaction.
type stores struct {
	m       ModelID
	by      By
	charm   charm.Meta
	want    map[string]Directive
	rev     int             // Application.StorageRev
	pools   map[string]Pool // users' own
	numbers *counter        // nil when nothing is wanted
}

// openStores reads what it takes to make storage for units of the application. The charm is app's, which may not be in the tree yet.
func openStores(ctx context.Context, r Reader, m ModelID, by By, app Application, ch charm.Meta) (*stores, error) {
	s := &stores{m: m, by: by, charm: ch, want: app.Storage, rev: app.StorageRev, pools: map[string]Pool{}}
	if len(app.Storage) == 0 {
		return s, nil
	}
	for _, d := range app.Storage {
		rec, err := ReadIf[Pool](ctx, r, m.PoolPath(d.Pool))
		if err != nil {
			return nil, fmt.Errorf("read storage pool %s: %w", d.Pool, err)
		}
		s.pools[d.Pool] = rec.Value
	}
	var err error
	s.numbers, err = count(ctx, r, m, "storage", 0)
	return s, err
}

// storesOf is openStores for an application that is there.
func storesOf(ctx context.Context, r Reader, m ModelID, by By, app Application) (*stores, error) {
	if len(app.Storage) == 0 {
		return openStores(ctx, r, m, by, app, charm.Meta{})
	}
	ch, err := readCharm(ctx, r, m, app.Charm)
	if err != nil {
		return nil, err
	}
	return openStores(ctx, r, m, by, app, ch.Charm.Meta)
}

// unitsPerEdit is how many units with their storage fit into one transaction.
func (s *stores) unitsPerEdit() int {
	n := 0
	for _, d := range s.want {
		n += d.Count
	}
	return max(1, min(UnitsPerEdit, 2*UnitsPerEdit/(2+n)))
}

// fill gives a unit what it is still to have of each storage.
func (s *stores) fill(t *Txn, u UnitName, unit *Unit) {
	for _, name := range slices.Sorted(maps.Keys(s.want)) {
		s.add(t, u, unit, name, s.want[name], s.want[name].Count-unit.has(name))
	}
}

// add gives a unit n more instances of a storage.
func (s *stores) add(t *Txn, u UnitName, unit *Unit, name string, d Directive, n int) {
	for range n {
		id := StorageID(fmt.Sprintf("%s/%d", name, s.numbers.take()))
		stored := Storage{Kind: s.charm.Storage[name].Type, Pool: d.Pool, Type: d.Type, Attributes: s.pools[d.Pool].Attributes,
			SizeMiB: d.SizeMiB, Persistent: persistent(d.Type), Created: s.by.Now}
		s.attach(unit, id, &stored, u)
		t.Create(s.m.StoragePath(id), stored)
	}
}

// attach makes the storage the unit's.
func (s *stores) attach(unit *Unit, id StorageID, stored *Storage, u UnitName) {
	declared := s.charm.Storage[id.Name()]
	stored.Unit = u
	a := Attachment{ID: id, Kind: stored.Kind, Type: stored.Type, Attributes: stored.Attributes, SizeMiB: stored.SizeMiB,
		ReadOnly: declared.ReadOnly, Location: declared.Location, Persistent: stored.Persistent}
	if a.Location != "" && declared.Max != 1 {
		a.Location += "/" + strconv.Itoa(id.Number())
	}
	unit.Storage = append(slices.Clone(unit.Storage), a)
	slices.SortFunc(unit.Storage, func(a, b Attachment) int { return CompareStorage(a.ID, b.ID) })
}

// takeAll is the first of n units with the storage that it is given from the start.
func (s *stores) takeAll(ctx context.Context, r Reader, t *Txn, u UnitName, n int, ids []StorageID) (Unit, error) {
	var unit Unit
	if len(ids) > 0 && n != 1 {
		return unit, invalid("storage can be attached to one new unit only, not to %d", n)
	}
	for _, id := range ids {
		if _, twice := unit.Attachment(id); twice {
			return unit, invalid("storage %s is given twice", id)
		}
		if err := s.take(ctx, r, t, u, &unit, id); err != nil {
			return unit, err
		}
	}
	return unit, nil
}

// take attaches storage that is there and that nobody has.
func (s *stores) take(ctx context.Context, r Reader, t *Txn, u UnitName, unit *Unit, id StorageID) error {
	stored, err := Read[Storage](ctx, r, s.m.StoragePath(id))
	if err != nil {
		return missing(err, "storage", string(id))
	}
	declared, ok := s.charm.Storage[id.Name()]
	switch {
	case !ok:
		return invalid("charm %q has no store called %q", s.charm.Name, id.Name())
	case stored.Value.Life != Alive:
		return refused("storage %s is being removed", id)
	case stored.Value.Unit != "":
		return refused("storage %s is attached to unit %s: detach it first", id, stored.Value.Unit)
	case stored.Value.Kind != declared.Type:
		return invalid("storage %s is of kind %s, and store %q of charm %q is of kind %s", id, stored.Value.Kind, id.Name(), s.charm.Name, declared.Type)
	case stored.Value.SizeMiB < declared.MinimumMiB:
		return invalid("storage %s has %s, and store %q of charm %q needs %s", id, mib(stored.Value.SizeMiB), id.Name(), s.charm.Name, mib(declared.MinimumMiB))
	}
	if err := checkMore(s.what(id.Name()), declared, *unit, id.Name(), 1); err != nil {
		return err
	}
	s.attach(unit, id, &stored.Value, u)
	t.Set(stored.Path, stored.Value, stored.Version)
	return nil
}

func (s *stores) what(name string) string {
	return fmt.Sprintf("charm %q store %q", s.charm.Name, name)
}

// save makes the numbers that were taken taken for ever.
func (s *stores) save(t *Txn) {
	if s.numbers != nil && s.numbers.next != s.numbers.rec.Value {
		s.numbers.save(t)
	}
}

// persistent says whether what is in pools of the type outlives units and machines.
func persistent(poolType string) bool {
	return poolType != RootFS && poolType != TmpFS && poolType != Loop
}

// has is how many instances of a storage the unit has that are not going.
func (u Unit) has(name string) int {
	n := 0
	for _, a := range u.Storage {
		if a.ID.Name() == name && a.Life == Alive {
			n++
		}
	}
	return n
}

// Attachment is the storage as the unit has it.
func (u Unit) Attachment(id StorageID) (Attachment, bool) {
	i := slices.IndexFunc(u.Storage, func(a Attachment) bool { return a.ID == id })
	if i < 0 {
		return Attachment{}, false
	}
	return u.Storage[i], true
}

// withAttachment is the unit with a in the place of what it has of the storage.
func (u Unit) withAttachment(a Attachment) Unit {
	u.Storage = slices.Clone(u.Storage)
	for i := range u.Storage {
		if u.Storage[i].ID == a.ID {
			u.Storage[i] = a
		}
	}
	return u
}

// withoutStorage is the unit without the storage.
func (u Unit) withoutStorage(id StorageID) Unit {
	u.Storage = slices.DeleteFunc(slices.Clone(u.Storage), func(a Attachment) bool { return a.ID == id })
	return u
}
