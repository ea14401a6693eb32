package state

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/grigri/grigri/charm"
)

// KeptCharms is how many revisions of a charm are kept although no application has them.
const KeptCharms = 5

// TrimCharms removes the revisions of charms that came before a time and that neither an application nor a unit has, but for the
// newest few of each charm. An application that is just being given one of them is not committed. What does not fit into one
// transaction is left for another one.
func TrimCharms(ctx context.Context, r Reader, m ModelID, before time.Time) (Txn, error) {
	var t Txn
	old, err := oldCharms(ctx, r, m, before)
	if err == nil && len(old) > 0 { // seldom: each unit is read for it
		err = keepUsed(ctx, r, m, old)
	}
	if err != nil {
		return t, fmt.Errorf("remove old charms: %w", err)
	}
	var ids []charm.ID
	for id := range old {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b charm.ID) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.Revision-b.Revision) })
	for _, id := range ids {
		if t.full() {
			break
		}
		t.Delete(m.CharmPath(id.String()), old[id])
	}
	return t, nil
}

// oldCharms is the charms that are to go unless someone has them, with the versions of their nodes.
func oldCharms(ctx context.Context, r Reader, m ModelID, before time.Time) (map[charm.ID]Version, error) {
	names, err := ChildrenIf(ctx, r, m.CharmsPath())
	if err != nil {
		return nil, err
	}
	all := map[string][]Record[Charm]{}
	for _, name := range names {
		rec, err := ReadIf[Charm](ctx, r, m.CharmPath(name))
		if err != nil {
			return nil, err
		}
		if rec.Exists() {
			rec.Value.Charm = charm.Charm{} // large, and not looked at
			all[rec.Value.ID.Name] = append(all[rec.Value.ID.Name], rec)
		}
	}
	used := map[charm.ID]bool{}
	apps, err := ChildrenIf(ctx, r, m.ApplicationsPath())
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		app, err := ReadIf[Application](ctx, r, m.ApplicationPath(ApplicationName(a)))
		if err != nil {
			return nil, err
		}
		used[app.Value.Charm] = true
	}
	out := map[charm.ID]Version{}
	for _, recs := range all {
		slices.SortFunc(recs, func(a, b Record[Charm]) int { return b.Value.ID.Revision - a.Value.ID.Revision })
		unused := 0
		for _, rec := range recs {
			if used[rec.Value.ID] {
				continue
			}
			if unused++; unused > KeptCharms && rec.Value.Added.Before(before) {
				out[rec.Value.ID] = rec.Version
			}
		}
	}
	return out, nil
}

// keepUsed takes out what a unit has: until it has the charm of its application, it may have to unpack its own once more.
func keepUsed(ctx context.Context, r Reader, m ModelID, old map[charm.ID]Version) error {
	units, err := ChildrenIf(ctx, r, m.UnitsPath())
	if err != nil {
		return err
	}
	for _, name := range units {
		rec, err := ReadIf[Ledger](ctx, r, m.LedgerPath(UnitOfNode(name)))
		if err != nil {
			return err
		}
		delete(old, rec.Value.Charm)
	}
	return nil
}
