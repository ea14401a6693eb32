package state

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// RemoveRelationTree removes a relation with all that has been said in it, and takes it out of its applications.
// Why is put into the history if it is not empty.
func RemoveRelationTree(ctx context.Context, r Reader, m ModelID, by By, id RelationID, why string) (Txn, bool, error) {
	t, done, err := removeRelationTree(ctx, r, m, by, id, why)
	if err != nil {
		return Txn{}, false, fmt.Errorf("remove relation %d: %w", id, err)
	}
	return t, done, nil
}

func removeRelationTree(ctx context.Context, r Reader, m ModelID, by By, id RelationID, why string) (t Txn, done bool, err error) {
	rec, err := ReadIf[Relation](ctx, r, m.RelationPath(id))
	if err != nil || !rec.Exists() {
		return t, true, err
	}
	if all, err := prune(ctx, r, &t, rec.Path); err != nil || !all {
		return t, false, err
	}
	t.Delete(rec.Path, rec.Version)
	for _, ep := range rec.Value.Endpoints {
		name := ApplicationName(ep.Application)
		app, err := ReadIf[Application](ctx, r, m.ApplicationPath(name))
		if err != nil {
			return t, false, err
		}
		if !app.Exists() {
			continue
		}
		app.Value.Relations = slices.DeleteFunc(slices.Clone(app.Value.Relations), func(have Membership) bool { return have.Relation == id })
		t.Set(app.Path, app.Value, app.Version)
		if app.Value.Life != Alive {
			t.Tell(m, TicketApplication, string(name))
		}
	}
	if why != "" {
		by.record(&t, m, "relation removed", fmt.Sprintf("%d: %s", id, why))
	}
	return t, true, nil
}

// BuryApplication removes an application that is going and has no units and no relations but with itself.
// What it counts is never counted again.
func BuryApplication(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName) (Txn, bool, error) {
	t, done, err := buryApplication(ctx, r, m, by, name)
	if err != nil {
		return Txn{}, false, fmt.Errorf("bury application %s: %w", name, err)
	}
	return t, done, nil
}

func buryApplication(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName) (t Txn, done bool, err error) {
	app, err := ReadIf[Application](ctx, r, m.ApplicationPath(name))
	if err != nil || !app.Exists() {
		return t, true, err
	}
	if app.Value.Life == Alive {
		return t, false, refused("it is not being removed")
	}
	for _, have := range app.Value.Relations {
		if have.Remote.Application != string(name) {
			return t, false, refused("it is in relation %d", have.Relation)
		}
		t, gone, err := removeRelationTree(ctx, r, m, by, have.Relation, "")
		if err != nil || !gone || len(t.Ops) > 0 {
			return t, false, err
		}
	}
	if all, err := prune(ctx, r, &t, app.Path); err != nil || !all {
		return t, false, err
	}
	t.Delete(app.Path, app.Version)
	return t, true, nil
}

// BuryMachine removes a machine that has no units and whose instance is gone, or kept.
func BuryMachine(ctx context.Context, r Reader, m ModelID, by By, id MachineID) (Txn, bool, error) {
	var t Txn
	rec, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
	if err != nil || !rec.Exists() {
		return t, true, err
	}
	if len(rec.Value.Units) > 0 {
		return t, false, fmt.Errorf("bury machine %s: %w", id, refused("it has units"))
	}
	if len(rec.Value.Containers) > 0 {
		return t, false, fmt.Errorf("bury machine %s: %w", id, refused("it has containers"))
	}
	if all, err := keepTasks(ctx, r, &t, m, by, Receiver(id)); err != nil || !all {
		return t, false, err
	}
	if all, err := prune(ctx, r, &t, rec.Path); err != nil || !all {
		return t, false, err
	}
	t.Delete(rec.Path, rec.Version)
	if id.IsContainer() {
		return t, true, leaveHost(ctx, r, &t, m, id, rec.Value.KeepInstance)
	}
	if rec.Value.KeepInstance && rec.Value.Manual == "" {
		t.Create(KeptInstancePath(m, id), nil) // or it would be stopped as one that has no machine
	}
	return t, true, nil
}

// leaveHost takes a container off its host's list. The host's agent is told of it no more, or that it is not its concern.
func leaveHost(ctx context.Context, r Reader, t *Txn, m ModelID, id MachineID, keep bool) error {
	host, _ := id.Host()
	at, err := ReadIf[Machine](ctx, r, m.MachinePath(host))
	if err != nil || !at.Exists() {
		return err
	}
	at.Value.Containers = slices.DeleteFunc(slices.Clone(at.Value.Containers), func(c MachineID) bool { return c == id })
	t.Set(at.Path, at.Value, at.Version)
	t.Tell(m, TicketMachine, string(host))
	told, err := ReadIf[Container](ctx, r, m.ContainerPath(id))
	if err != nil || !told.Exists() {
		return err
	}
	if keep {
		t.Set(told.Path, Container{Kept: true}, told.Version)
		return nil
	}
	if _, err := prune(ctx, r, t, told.Path); err != nil {
		return err
	}
	t.Delete(told.Path, told.Version)
	return nil
}

// BuryModel removes a model in which nothing lives any more, its name last.
func BuryModel(ctx context.Context, r Reader, m ModelID) (Txn, bool, error) {
	var t Txn
	rec, err := ReadIf[Model](ctx, r, m.Path())
	if err != nil || !rec.Exists() {
		return t, true, err
	}
	if rec.Value.Life == Alive {
		return t, false, fmt.Errorf("bury model %s: %w", rec.Value.Name, refused("it is not being destroyed"))
	}
	if all, err := prune(ctx, r, &t, m.Path()); err != nil || !all {
		return t, false, err
	}
	t.Delete(m.Path(), rec.Version)
	t.Delete(ModelNamePath(rec.Value.Owner, rec.Value.Name), Any)
	return t, true, nil
}

// TrimHistory removes records of the history beyond the newest keep, and those before a time; done when no more need go.
// It leaves what Happened looks through.
func TrimHistory(ctx context.Context, r Reader, m ModelID, keep int, before time.Time) (Txn, bool, error) {
	var t Txn
	names, err := ChildrenIf(ctx, r, m.HistoryPath())
	if err != nil {
		return t, false, fmt.Errorf("trim the history: %w", err)
	}
	for i, name := range names[:max(0, len(names)-happenedDepth)] {
		path := m.HistoryPath() + "/" + name
		if i >= len(names)-keep {
			rec, err := ReadIf[Change](ctx, r, path)
			if err != nil {
				return t, false, fmt.Errorf("trim the history: %w", err)
			}
			if !rec.Value.When.Before(before) {
				break // the rest is younger
			}
		}
		if len(t.Ops) >= burialOps {
			return t, false, nil
		}
		t.Delete(path, Any)
	}
	return t, true, nil
}
