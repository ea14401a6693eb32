package state

import (
	"context"
	"fmt"
	"time"

	"github.com/grigri/grigri/provider"
)

// DropAttachment takes from a unit the storage that it has let go of, or whose time is over. What is not persistent ends with it.
// Why is put into the history if it is not empty.
func DropAttachment(ctx context.Context, r Reader, m ModelID, by By, id StorageID, why string) (Txn, error) {
	var t Txn
	stored, err := ReadIf[Storage](ctx, r, m.StoragePath(id))
	if err != nil || !stored.Exists() || stored.Value.Unit == "" {
		return t, err
	}
	unit, err := ReadIf[Unit](ctx, r, m.UnitPath(stored.Value.Unit))
	if err != nil {
		return t, err
	}
	if why != "" {
		by.record(&t, m, "storage detached", fmt.Sprintf("%s from %s: %s", id, stored.Value.Unit, why))
	}
	if _, has := unit.Value.Attachment(id); has {
		t.Set(unit.Path, unit.Value.withoutStorage(id), unit.Version)
	}
	free(&t, m, by, id, stored, false)
	return t, nil
}

// free says of storage that its unit has it no more. It goes if it is not persistent, or if it is to be destroyed.
func free(t *Txn, m ModelID, by By, id StorageID, rec Record[Storage], destroy bool) {
	s := rec.Value
	if !s.Persistent {
		t.Delete(rec.Path, rec.Version)
		return
	}
	s.Unit = ""
	if destroy {
		s.End = Ending{}.end(by, s.End)
	}
	t.Set(rec.Path, s, rec.Version)
	t.Tell(m, TicketStorage, string(id))
}

// freeAll frees all storage of a unit that is no more.
func freeAll(ctx context.Context, r Reader, t *Txn, m ModelID, by By, unit Unit) error {
	for _, a := range unit.Storage {
		stored, err := ReadIf[Storage](ctx, r, m.StoragePath(a.ID))
		if err != nil {
			return err
		}
		if stored.Exists() {
			free(t, m, by, a.ID, stored, unit.Destroy)
		}
	}
	return nil
}

// SetVolume records what the provider has said of the volume, and lets the unit that has the storage see it on its machine's instance.
func SetVolume(ctx context.Context, r Reader, m ModelID, id StorageID, v provider.Volume, now time.Time) (Txn, error) {
	var t Txn
	stored, err := ReadIf[Storage](ctx, r, m.StoragePath(id))
	if err != nil || !stored.Exists() {
		return t, err
	}
	rec, err := ReadIf[Volume](ctx, r, m.VolumePath(id))
	if err != nil {
		return t, fmt.Errorf("record the volume of storage %s: %w", id, err)
	}
	t.Check(stored.Path, stored.Version)
	Put(&t, m.VolumePath(id), rec, Volume{Volume: v, Since: now})
	if stored.Value.Unit == "" {
		return t, nil
	}
	unit, err := ReadIf[Unit](ctx, r, m.UnitPath(stored.Value.Unit))
	if err != nil {
		return t, fmt.Errorf("record the volume of storage %s: %w", id, err)
	}
	a, has := unit.Value.Attachment(id)
	if !has || v.Instance == "" || a.Device == v.Device && a.Dir == v.Dir {
		return t, nil
	}
	a.Device, a.Dir = v.Device, v.Dir
	t.Set(unit.Path, unit.Value.withAttachment(a), unit.Version)
	return t, nil
}

// FailVolume records why the provider has not done what was asked of it, and when it is asked again.
func FailVolume(ctx context.Context, r Reader, m ModelID, id StorageID, problem string, now, retry time.Time) (Txn, error) {
	var t Txn
	stored, err := ReadIf[Storage](ctx, r, m.StoragePath(id))
	if err != nil || !stored.Exists() {
		return t, err
	}
	rec, err := ReadIf[Volume](ctx, r, m.VolumePath(id))
	if err != nil {
		return t, fmt.Errorf("record a failure with storage %s: %w", id, err)
	}
	v := rec.Value
	v.Problem, v.Failures, v.Retry, v.Since = problem, v.Failures+1, retry, now
	t.Check(stored.Path, stored.Version)
	Put(&t, m.VolumePath(id), rec, v)
	return t, nil
}

// BuryStorage removes storage that is going and that no unit has. Why is put into the history if it is not empty.
func BuryStorage(ctx context.Context, r Reader, m ModelID, by By, id StorageID, why string) (Txn, error) {
	var t Txn
	stored, err := ReadIf[Storage](ctx, r, m.StoragePath(id))
	if err != nil || !stored.Exists() {
		return t, err
	}
	if stored.Value.Life == Alive || stored.Value.Unit != "" {
		return t, fmt.Errorf("bury storage %s: %w", id, refused("it is not going, or unit %q has it", stored.Value.Unit))
	}
	if why != "" {
		by.record(&t, m, "storage removed", fmt.Sprintf("%s: %s", id, why))
	}
	if there, err := Exists(ctx, r, m.VolumePath(id)); err != nil {
		return Txn{}, err
	} else if there {
		t.Delete(m.VolumePath(id), Any)
	}
	t.Delete(stored.Path, stored.Version)
	return t, nil
}
