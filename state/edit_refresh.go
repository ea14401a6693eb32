package state

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
)

// A Refresh is another charm for an application.
type Refresh struct {
	Application ApplicationName
	Charm       string         // "web-4", as AddCharm named it
	Config      map[string]any // laid over the settings that still fit
	Base        charm.Base     // zero: as it is
	Trust       *bool
	Has         provider.Storage     // what storage the cloud has
	Storage     map[string]Directive // laid over what the application has
	Force       bool                 // a base the charm does not name; and units in error take the charm too
	Resources   map[string]ResourceChoice
}

// A Refreshed is what a Refresh has changed.
type Refreshed struct {
	Was, Is charm.ID
	Dropped []string // settings that the new charm does not have, or not of their type
}

// SetCharm gives the application another charm. The charm must have the endpoints that relations use.
func SetCharm(ctx context.Context, r Reader, m ModelID, by By, key Key, f Refresh) (Txn, Refreshed, error) {
	var out Refreshed
	rec, err := aliveApplication(ctx, r, m, f.Application)
	if err != nil {
		return Txn{}, out, err
	}
	t, out, err := setCharm(ctx, r, m, by, key, f, rec)
	if err != nil {
		return Txn{}, out, fmt.Errorf("cannot refresh application %q to charm %q: %w", f.Application, "local:"+f.Charm, err)
	}
	return t, out, nil
}

func setCharm(ctx context.Context, r Reader, m ModelID, by By, key Key, f Refresh, rec Record[Application]) (t Txn, out Refreshed, err error) {
	app := rec.Value
	ch, err := Read[Charm](ctx, r, m.CharmPath(f.Charm))
	if err != nil {
		return t, out, missing(err, "charm", "local:"+f.Charm)
	}
	t.Check(ch.Path, ch.Version)
	old, err := readCharm(ctx, r, m, app.Charm)
	if err != nil {
		return t, out, err
	}
	now := ch.Value.Charm
	out.Was, out.Is = app.Charm, ch.Value.ID
	if err := mayRefresh(f, app, old.Charm.Meta, now); err != nil {
		return t, out, err
	}
	for _, option := range slices.Sorted(maps.Keys(app.Config)) {
		if _, fits := now.Options.Fit(app.Config)[option]; !fits {
			out.Dropped = append(out.Dropped, option)
		}
	}
	if app.Config, err = checkConfig(now.Options, app.Config, f.Config); err != nil {
		return t, out, err
	}
	if err := restore(ctx, r, &t, m, f, &app, now.Meta); err != nil {
		return t, out, err
	}
	if app.Resources, err = chooseResources(ctx, r, &t, m, by, now, app.Resources, f.Resources); err != nil {
		return t, out, err
	}
	var peers []charm.Endpoint
	for _, name := range slices.Sorted(maps.Keys(now.Meta.Endpoints)) {
		ep := now.Meta.Endpoints[name]
		related := slices.ContainsFunc(app.Relations, func(have Membership) bool { return have.Endpoint == name })
		if ep.Role == charm.Peer && !related {
			peers = append(peers, ep)
		}
	}
	if err := addPeers(ctx, r, &t, m, by, key, f.Application, &app, peers); err != nil {
		return t, out, err
	}
	for i := range app.Relations {
		have := &app.Relations[i]
		_, declared := now.Meta.Endpoints[have.Endpoint]
		have.Implicit = !declared
	}
	if f.Base.Name != "" {
		app.Base = charm.Base{Name: f.Base.Name, Channel: f.Base.Channel}
	}
	if f.Trust != nil {
		app.Trust = *f.Trust
	}
	app.Charm, app.ForceCharm = ch.Value.ID, f.Force
	app.CharmRev++
	t.Set(rec.Path, app, rec.Version)
	by.record(&t, m, "refresh", fmt.Sprintf("%s to %s", f.Application, app.Charm.URL()))
	t.Tell(m, TicketApplication, string(f.Application)) // the charm's profile may be another
	return t, out, nil
}

// restore says what storage units of the new charm have. Those that are there get what they lack from the leader.
func restore(ctx context.Context, r Reader, t *Txn, m ModelID, f Refresh, app *Application, meta charm.Meta) error {
	want := maps.Clone(f.Storage)
	if want == nil {
		want = map[string]Directive{}
	}
	for name, d := range app.Storage {
		d = d.over(f.Storage[name])
		d.Count = max(d.Count, meta.Storage[name].Min)
		want[name] = d
	}
	all, err := completeAll(ctx, r, t, m, f.Has, meta, want)
	if err != nil {
		return err
	}
	if maps.Equal(all, app.Storage) {
		return nil
	}
	app.Storage = all
	app.StorageRev++
	t.Tell(m, TicketApplication, string(f.Application))
	return nil
}

func mayRefresh(f Refresh, app Application, old charm.Meta, now charm.Charm) error {
	base := app.Base
	if f.Base.Name != "" {
		base = f.Base
	}
	switch {
	case now.Meta.Subordinate && !app.Subordinate:
		return refused("the new charm is subordinate and the application is not")
	case !now.Meta.Subordinate && app.Subordinate:
		return refused("the application is subordinate and the new charm is not")
	case !f.Force && base.Name != "" && !supports(now.Bases, base):
		return invalid("base %q is not supported by charm %q; supported: %s", base, now.Meta.Name, baseNames(now.Bases))
	}
	for _, name := range slices.Sorted(maps.Keys(old.Storage)) {
		was := old.Storage[name]
		is, ok := now.Meta.Storage[name]
		switch {
		case !ok:
			return refused("the new charm removes storage %q", name)
		case is.Type != was.Type:
			return refused("storage %q is of type %s, and of type %s in the new charm", name, was.Type, is.Type)
		case is.Location != was.Location || (is.Max == 1) != (was.Max == 1) && was.Location != "":
			return refused("the new charm moves storage %q from %q", name, was.Location)
		case is.Max >= 0 && (was.Max < 0 || was.Max > is.Max):
			return refused("the new charm allows fewer instances of storage %q: %d", name, is.Max)
		}
	}
	used := map[string]int{}
	for _, have := range app.Relations {
		used[have.Endpoint]++
		key := relation.Key([]relation.Endpoint{have.Remote})
		if have.Role != charm.Peer {
			own := relation.Endpoint{Application: string(f.Application), Endpoint: charm.Endpoint{Name: have.Endpoint, Role: have.Role}}
			key = relation.Key([]relation.Endpoint{own, have.Remote})
		}
		ep, ok := findEndpoint(now.Meta, have.Endpoint)
		if !ok || ep.Role != have.Role || ep.Interface != have.Remote.Interface || ep.Scope == charm.Container && have.Scope != charm.Container {
			return refused("would break relation %q", key)
		}
		if ep.Limit > 0 && used[have.Endpoint] > ep.Limit {
			return refused("would break relation %q: the new charm allows at most %d relations of %q", key, ep.Limit, have.Endpoint)
		}
	}
	return nil
}

func findEndpoint(m charm.Meta, name string) (charm.Endpoint, bool) {
	eps := charm.LocalEndpoints(m)
	i := slices.IndexFunc(eps, func(ep charm.Endpoint) bool { return ep.Name == name })
	if i < 0 {
		return charm.Endpoint{}, false
	}
	return eps[i], true
}
