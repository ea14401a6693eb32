package state

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

// AddStorage gives a unit more instances of a storage of its charm: one, or as many as d counts.
func AddStorage(ctx context.Context, r Reader, m ModelID, by By, has provider.Storage, u UnitName, name string, d Directive) (Txn, []StorageID, error) {
	t, ids, err := addStorage(ctx, r, m, by, has, u, name, d)
	if err != nil {
		return Txn{}, nil, fmt.Errorf("add storage %q to %s: %w", name, u, err)
	}
	return t, ids, nil
}

func addStorage(ctx context.Context, r Reader, m ModelID, by By, has provider.Storage, u UnitName, name string, d Directive) (t Txn, ids []StorageID, err error) {
	rec, app, meta, err := storageUnit(ctx, r, &t, m, u)
	if err != nil {
		return t, nil, err
	}
	declared, ok := meta.Storage[name]
	if !ok {
		return t, nil, invalid("charm %q has no store called %q", meta.Name, name)
	}
	n := max(1, d.Count)
	d.Count = 0
	what := fmt.Sprintf("charm %q store %q", meta.Name, name)
	if err := checkMore(what, declared, rec.Value, name, n); err != nil {
		return t, nil, err
	}
	merged := app.Storage[name].over(d)
	merged.Count = max(1, declared.Min)
	if merged, err = complete(ctx, r, &t, m, has, meta, name, merged); err != nil {
		return t, nil, err
	}
	s, err := openStores(ctx, r, m, by, Application{Storage: map[string]Directive{name: merged}}, meta)
	if err != nil {
		return t, nil, err
	}
	before := rec.Value
	s.add(&t, u, &rec.Value, name, merged, n)
	s.save(&t)
	t.Set(rec.Path, rec.Value, rec.Version)
	t.Tell(m, TicketUnit, string(u))
	for _, a := range rec.Value.Storage {
		if _, had := before.Attachment(a.ID); !had {
			ids = append(ids, a.ID)
		}
	}
	by.record(&t, m, "add-storage", fmt.Sprintf("%s to %s", keys(ids), u))
	return t, ids, nil
}

// checkMore says whether the unit may have n more instances of a storage.
func checkMore(what string, declared charm.Storage, u Unit, name string, n int) error {
	if declared.Shared {
		return refused("%s: shared storage is not supported", what)
	}
	if total := u.has(name) + n; declared.Max >= 0 && total > declared.Max {
		return invalid("%s: at most %d instances supported, %d specified", what, declared.Max, total)
	}
	if total := len(u.Storage) + n; total > MaxStorage {
		return invalid("%s: a unit can have at most %d instances of storage, it would have %d", what, MaxStorage, total)
	}
	return nil
}

// storageUnit is a unit that can be given storage, with its application and charm.
func storageUnit(ctx context.Context, r Reader, t *Txn, m ModelID, u UnitName) (rec Record[Unit], app Application, meta charm.Meta, err error) {
	if _, err := aliveModel(ctx, r, t, m); err != nil {
		return rec, app, meta, err
	}
	if rec, err = Read[Unit](ctx, r, m.UnitPath(u)); err != nil {
		return rec, app, meta, missing(err, "unit", string(u))
	}
	if rec.Value.Life != Alive {
		return rec, app, meta, refused("unit %q is being removed", u)
	}
	owner, err := application(ctx, r, m, u.Application())
	if err != nil {
		return rec, app, meta, err
	}
	t.Check(owner.Path, owner.Version)
	ch, err := readCharm(ctx, r, m, owner.Value.Charm)
	return rec, owner.Value, ch.Charm.Meta, err
}

// AttachStorage gives a unit persistent storage that nobody has.
func AttachStorage(ctx context.Context, r Reader, m ModelID, by By, u UnitName, ids []StorageID) (Txn, error) {
	t, err := attachStorage(ctx, r, m, by, u, ids)
	if err != nil {
		return Txn{}, fmt.Errorf("attach %s to %s: %w", keys(ids), u, err)
	}
	return t, nil
}

func attachStorage(ctx context.Context, r Reader, m ModelID, by By, u UnitName, ids []StorageID) (t Txn, err error) {
	rec, _, meta, err := storageUnit(ctx, r, &t, m, u)
	if err != nil {
		return t, err
	}
	s := &stores{m: m, by: by, charm: meta}
	changed := false
	for _, id := range ids {
		if a, has := rec.Value.Attachment(id); has && a.Life == Alive {
			continue
		}
		if err := s.take(ctx, r, &t, u, &rec.Value, id); err != nil {
			return t, err
		}
		changed = true
	}
	if !changed {
		return Txn{}, nil
	}
	t.Set(rec.Path, rec.Value, rec.Version)
	t.Tell(m, TicketUnit, string(u))
	by.record(&t, m, "attach-storage", fmt.Sprintf("%s to %s", keys(ids), u))
	return t, nil
}

// DetachStorage begins to take persistent storage from the unit that has it. The storage stays.
func DetachStorage(ctx context.Context, r Reader, m ModelID, by By, id StorageID, how Ending) (Txn, error) {
	var t Txn
	stored, err := Read[Storage](ctx, r, m.StoragePath(id))
	switch {
	case err != nil:
		return t, missing(err, "storage", string(id))
	case stored.Value.Unit == "":
		return t, refused("storage %s is not attached", id)
	case !stored.Value.Persistent:
		return t, refused("storage %s cannot be detached: storage of type %s is part of its machine; 'remove-storage --force' ends it", id, stored.Value.Type)
	}
	if err := detach(ctx, r, &t, m, id, stored.Value.Unit, how.end(by, End{})); err != nil {
		return Txn{}, fmt.Errorf("detach storage %s: %w", id, err)
	}
	if len(t.Ops) > 0 {
		by.record(&t, m, "detach-storage", string(id))
	}
	return t, nil
}

// detach begins the end of an attachment, or brings it forward.
func detach(ctx context.Context, r Reader, t *Txn, m ModelID, id StorageID, u UnitName, end End) error {
	unit, err := ReadIf[Unit](ctx, r, m.UnitPath(u))
	if err != nil {
		return err
	}
	a, has := unit.Value.Attachment(id)
	if !has {
		return nil
	}
	was := a.End
	a.End = was.Sooner(end)
	if !a.End.same(was) {
		t.Set(unit.Path, unit.Value.withAttachment(a), unit.Version)
		t.Tell(m, TicketStorage, string(id))
	}
	return nil
}

// RemoveStorage begins the end of a storage instance. One that a unit has goes only if forced; release leaves its volume where it is.
func RemoveStorage(ctx context.Context, r Reader, m ModelID, by By, id StorageID, how Ending, release bool) (Txn, error) {
	var t Txn
	stored, err := Read[Storage](ctx, r, m.StoragePath(id))
	switch {
	case err != nil:
		return t, missing(err, "storage", string(id))
	case stored.Value.Unit != "" && !how.Force:
		return t, refused("storage %s is attached to unit %s: detach it first, or remove it with --force", id, stored.Value.Unit)
	case release && !stored.Value.Persistent:
		return t, refused("storage %s cannot be released: storage of type %s is part of its machine", id, stored.Value.Type)
	}
	how.Force = false // force means: although it is attached. Its unit still hears of it
	if err := EndStorage(ctx, r, &t, m, id, how.end(by, End{}), release); err != nil {
		return Txn{}, fmt.Errorf("remove storage %s: %w", id, err)
	}
	if len(t.Ops) > 0 {
		by.record(&t, m, "remove-storage", string(id))
	}
	return t, nil
}

// EndStorage begins the end of a storage instance, attached or not, or brings it forward. One that is not there has ended.
func EndStorage(ctx context.Context, r Reader, t *Txn, m ModelID, id StorageID, end End, release bool) error {
	stored, err := ReadIf[Storage](ctx, r, m.StoragePath(id))
	if err != nil || !stored.Exists() {
		return err
	}
	was := stored.Value
	stored.Value.End = was.End.Sooner(end)
	stored.Value.Release = was.Release || release && was.Persistent
	if !stored.Value.End.same(was.End) || stored.Value.Release != was.Release {
		t.Set(stored.Path, stored.Value, stored.Version)
		t.Tell(m, TicketStorage, string(id))
		if err := retryVolume(ctx, r, t, m, id); err != nil {
			return err
		}
	}
	if was.Unit == "" {
		return nil
	}
	return detach(ctx, r, t, m, id, was.Unit, end)
}

// retryVolume has the provider asked at once: what it has refused before, of a volume that is wanted no more, need not be waited for.
func retryVolume(ctx context.Context, r Reader, t *Txn, m ModelID, id StorageID) error {
	rec, err := ReadIf[Volume](ctx, r, m.VolumePath(id))
	if err != nil || rec.Value.Retry.IsZero() {
		return err
	}
	rec.Value.Retry = time.Time{}
	t.Set(rec.Path, rec.Value, rec.Version)
	return nil
}

// FillStorage gives a unit what its hooks have asked for, and what a new charm wants it to have. Asked is the ledger's StorageAsked.
func FillStorage(ctx context.Context, r Reader, m ModelID, by By, u UnitName) (Txn, error) {
	var t Txn
	unit, err := ReadIf[Unit](ctx, r, m.UnitPath(u))
	if err != nil || !unit.Exists() || unit.Value.Life != Alive {
		return t, err
	}
	app, err := ReadIf[Application](ctx, r, m.ApplicationPath(u.Application()))
	if err != nil || len(app.Value.Storage) == 0 {
		return t, err
	}
	ledger, err := ReadIf[Ledger](ctx, r, m.LedgerPath(u))
	if err != nil {
		return t, err
	}
	asked := ledger.Value.StorageAsked
	if maps.Equal(asked, unit.Value.StorageGiven) && unit.Value.StorageFor >= app.Value.StorageRev {
		return t, nil
	}
	s, err := storesOf(ctx, r, m, by, app.Value)
	if err != nil {
		return t, fmt.Errorf("give storage to %s: %w", u, err)
	}
	t.Check(app.Path, app.Version)
	if unit.Value.StorageFor < app.Value.StorageRev {
		s.fill(&t, u, &unit.Value)
		unit.Value.StorageFor = app.Value.StorageRev
	}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		n := asked[name] - unit.Value.StorageGiven[name]
		if n <= 0 {
			continue
		}
		err := checkMore(s.what(name), s.charm.Storage[name], unit.Value, name, n)
		if err == nil && s.want[name].Type == "" {
			err = refused("no pool of this cloud is for it")
		}
		if err != nil {
			by.record(&t, m, "storage refused", fmt.Sprintf("%s asked for %d of %s: %v", u, n, name, err))
			continue
		}
		s.add(&t, u, &unit.Value, name, app.Value.Storage[name], n)
	}
	unit.Value.StorageGiven = maps.Clone(asked)
	s.save(&t)
	t.Set(unit.Path, unit.Value, unit.Version)
	return t, nil
}
