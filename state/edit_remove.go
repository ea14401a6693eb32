package state

import (
	"context"
	"fmt"
)

// RemovedApplication is all that goes with an application.
type RemovedApplication struct {
	Units     []UnitName
	Relations []RelationID
}

// RemoveApplication begins the end of the application, its units and its relations. Of what does not fit
// into one transaction the leader ends the rest.
func RemoveApplication(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName, how Ending) (Txn, RemovedApplication, error) {
	t, out, err := EndApplication(ctx, r, m, name, how.end(by, End{}))
	if err != nil {
		return Txn{}, out, err
	}
	if len(t.Ops) > 0 {
		by.record(&t, m, "remove-application", string(name))
	}
	return t, out, nil
}

// EndApplication begins the end of the application, its units and its relations, or brings it forward, as far as one
// transaction goes: called until it changes nothing it ends all.
func EndApplication(ctx context.Context, r Reader, m ModelID, name ApplicationName, end End) (Txn, RemovedApplication, error) {
	var t Txn
	var out RemovedApplication
	apps := applications{}
	app, err := apps.read(ctx, r, m, name)
	if err != nil {
		return t, out, err
	}
	was := app.Value.End
	app.Value.End = was.Sooner(end)
	app.changed = !app.Value.End.same(was)
	for _, have := range app.Value.Relations {
		if have.Remote.Application == string(name) {
			continue // a peer relation goes with its application
		}
		rec, err := ReadIf[Relation](ctx, r, m.RelationPath(have.Relation))
		if err != nil {
			return Txn{}, out, fmt.Errorf("remove application %q: %w", name, err)
		}
		if !rec.Exists() || t.full() || len(apps) > UnitsPerEdit/2 {
			continue
		}
		out.Relations = append(out.Relations, have.Relation)
		if err := endRelation(ctx, r, &t, m, apps, rec, end); err != nil {
			return Txn{}, out, fmt.Errorf("remove application %q: %w", name, err)
		}
	}
	apps.save(&t)
	if out.Units, err = UnitsOf(ctx, r, m, name); err != nil {
		return Txn{}, out, err
	}
	for _, u := range out.Units {
		if t.full() {
			break
		}
		if err := EndUnit(ctx, r, &t, m, u, end); err != nil {
			return Txn{}, out, fmt.Errorf("remove application %q: %w", name, err)
		}
	}
	if len(t.Ops) > 0 {
		t.Tell(m, TicketApplication, string(name))
	}
	return t, out, nil
}
