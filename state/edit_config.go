package state

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/provider"
)

// SetConfig changes settings of the application: those in set get new values, those in reset go back to their defaults.
// The values of set are as they came: text, or values of YAML or JSON; a nil is a reset.
// The key "trust", a bool, is a setting of every application: see SetTrust.
func SetConfig(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName, set map[string]any, reset []string) (Txn, error) {
	changes := map[string]any{}
	for _, key := range reset {
		changes[key] = nil
	}
	maps.Copy(changes, set)
	return editApplication(ctx, r, m, name, func(t *Txn, app *Application) error {
		ch, err := readCharm(ctx, r, m, app.Charm)
		if err != nil {
			return err
		}
		record := keys(slices.Sorted(maps.Keys(changes)))
		if trust, ok := changes["trust"]; ok {
			app.Trust = trust == true
			delete(changes, "trust")
		}
		if app.Config, err = checkConfig(ch.Charm.Options, app.Config, changes); err != nil {
			return err
		}
		by.record(t, m, "config", fmt.Sprintf("%s: %s", name, record))
		return nil
	})
}

// SetTrust says whether the application's charm may act on the cloud.
func SetTrust(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName, trust bool) (Txn, error) {
	return editApplication(ctx, r, m, name, func(t *Txn, app *Application) error {
		app.Trust = trust
		by.record(t, m, "trust", fmt.Sprintf("%s: %t", name, trust))
		return nil
	})
}

// SetConstraints replaces the constraints of the application. They hold for machines that are made from now on.
func SetConstraints(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName, c provider.Constraints) (Txn, error) {
	return editApplication(ctx, r, m, name, func(t *Txn, app *Application) error {
		if app.Subordinate {
			return refused("cannot set constraints of subordinate application %q: its units go where those of its principals are", name)
		}
		app.Constraints = c
		by.record(t, m, "set-constraints", fmt.Sprintf("%s: %s", name, c))
		return nil
	})
}

// editApplication changes the node of an application. When change leaves its value as it was nothing is written.
func editApplication(ctx context.Context, r Reader, m ModelID, name ApplicationName, change func(*Txn, *Application) error) (Txn, error) {
	rec, err := application(ctx, r, m, name)
	if err != nil {
		return Txn{}, err
	}
	before := Encode(rec.Value)
	var t Txn
	if err := change(&t, &rec.Value); err != nil {
		return Txn{}, err
	}
	if bytes.Equal(before, Encode(rec.Value)) {
		return Txn{}, nil
	}
	t.Set(rec.Path, rec.Value, rec.Version)
	return t, nil
}

// Expose opens the ports of the application to the world; endpoints limits that to some, "" meaning all.
// Endpoints that are exposed already and not named stay as they are.
func Expose(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName, endpoints map[string]ExposedEndpoint) (Txn, error) {
	return editExposed(ctx, r, m, by, "expose", name, slices.Sorted(maps.Keys(endpoints)), func(e *Exposed) {
		e.Exposed = true
		if len(endpoints) == 0 {
			endpoints = map[string]ExposedEndpoint{"": {CIDRs: []string{"0.0.0.0/0", "::/0"}}}
		}
		if e.Endpoints == nil {
			e.Endpoints = map[string]ExposedEndpoint{}
		}
		maps.Copy(e.Endpoints, endpoints)
	})
}

// Unexpose closes the ports of the application to the world; with endpoints only those of some.
func Unexpose(ctx context.Context, r Reader, m ModelID, by By, name ApplicationName, endpoints []string) (Txn, error) {
	return editExposed(ctx, r, m, by, "unexpose", name, endpoints, func(e *Exposed) {
		for _, ep := range endpoints {
			delete(e.Endpoints, ep)
		}
		if len(endpoints) == 0 || len(e.Endpoints) == 0 {
			*e = Exposed{}
		}
	})
}

func editExposed(ctx context.Context, r Reader, m ModelID, by By, what string, name ApplicationName, endpoints []string, change func(*Exposed)) (Txn, error) {
	var t Txn
	app, err := application(ctx, r, m, name)
	if err != nil {
		return t, err
	}
	ch, err := readCharm(ctx, r, m, app.Value.Charm)
	if err != nil {
		return t, err
	}
	for _, ep := range endpoints {
		_, declared := ch.Charm.Meta.Endpoints[ep]
		if ep != "" && ep != "juju-info" && !declared && !slices.Contains(ch.Charm.Meta.ExtraBindings, ep) {
			return t, &NotFoundError{"endpoint", ep}
		}
	}
	rec, err := ReadIf[Exposed](ctx, r, m.ExposedPath(name))
	if err != nil {
		return t, fmt.Errorf("%s application %q: %w", what, name, err)
	}
	before := Encode(rec.Value)
	change(&rec.Value)
	if bytes.Equal(before, Encode(rec.Value)) {
		return t, nil
	}
	Put(&t, m.ExposedPath(name), rec, rec.Value)
	by.record(&t, m, what, fmt.Sprintf("%s %s", name, keys(endpoints)))
	t.Tell(m, TicketApplication, string(name))
	return t, nil
}
