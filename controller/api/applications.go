package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// parseBase reads a base as users write it: "ubuntu@24.04", or with a risk, "ubuntu@24.04/stable".
func parseBase(text string) (charm.Base, error) {
	if text == "" {
		return charm.Base{}, nil
	}
	name, channel, _ := strings.Cut(text, "@")
	channel, _, _ = strings.Cut(channel, "/")
	if name == "" || channel == "" {
		return charm.Base{}, invalid(fmt.Sprintf("base %q is not valid: expected NAME@CHANNEL, such as ubuntu@24.04", text))
	}
	return charm.Base{Name: name, Channel: channel}, nil
}

// values is settings as they came, for state to give them their types.
func values(set map[string]string) map[string]any {
	out := make(map[string]any, len(set))
	for k, v := range set {
		out[k] = v
	}
	return out
}

func deploy(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.Deploy
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	m := q.model.UUID
	c, err := s.runnable(ctx, s.Store, m, want.Charm)
	if err != nil {
		return nil, err
	}
	base, err := parseBase(want.Base)
	if err != nil {
		return nil, err
	}
	resources, err := s.choices(want.Resources)
	if err != nil {
		return nil, err
	}
	if want.Name == "" {
		want.Name = state.ApplicationName(c.ID.Name)
	}
	has, err := s.storageOf(ctx, q.model)
	if err != nil {
		return nil, err
	}
	storage, err := directives(want.Storage)
	if err != nil {
		return nil, err
	}
	d := state.Deployment{Name: want.Name, Charm: c.ID.String(), Base: base, Config: values(want.Config), Trust: want.Trust,
		Constraints: want.Constraints, Units: want.Units, Placements: want.To, Force: want.Force, Resources: resources, Has: has, Storage: storage, Attach: want.Attach}
	if err := s.mayContain(ctx, q.model, want.Constraints, want.To...); err != nil {
		return nil, err
	}
	out, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Deployed, error) {
		return state.Deploy(ctx, r, m, by, s.Key, d)
	})
	if err != nil {
		return nil, err
	}
	return userapi.Deployed{Application: want.Name, Charm: c.ID, Base: out.Base, Units: out.Units.Names(want.Name)}, nil
}

// record is the application in the path.
func (s *Server) record(ctx context.Context, q *request) (state.ApplicationName, state.Application, error) {
	name, err := q.application()
	if err != nil {
		return name, state.Application{}, err
	}
	rec, err := state.Read[state.Application](ctx, s.Store, q.model.UUID.ApplicationPath(name))
	if errors.Is(err, state.ErrNotFound) {
		err = notFound("application", string(name))
	}
	return name, rec.Value, err
}

func showApplication(ctx context.Context, s *Server, q *request) (any, error) {
	name, app, err := s.record(ctx, q)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	c, err := s.charmOf(ctx, s.Store, m, app.Charm.String())
	if err != nil {
		return nil, err
	}
	exposed, err := state.ReadIf[state.Exposed](ctx, s.Store, m.ExposedPath(name))
	if err != nil {
		return nil, err
	}
	units, err := state.UnitsOf(ctx, s.Store, m, name)
	if err != nil {
		return nil, err
	}
	const space = "alpha" // the only one
	bindings := map[string]string{"": space}
	for ep := range c.Charm.Meta.Endpoints {
		bindings[ep] = space
	}
	for _, b := range c.Charm.Meta.ExtraBindings {
		bindings[b] = space
	}
	storage, resources := map[string]string{}, map[string]int{}
	for store, d := range app.Storage {
		if d.Count > 0 {
			storage[store] = d.String()
		}
	}
	for resource, used := range app.Resources {
		resources[resource] = used.Revision
	}
	return userapi.Application{Name: name, Storage: storage, Resources: resources, Charm: app.Charm, Base: app.Base, Constraints: app.Constraints, Principal: !app.Subordinate,
		Exposed: exposed.Value.Exposed, Endpoints: exposed.Value.Endpoints, Bindings: bindings, Trust: app.Trust, Life: app.Life.Word(), Units: units}, nil
}

func removeApplication(ctx context.Context, s *Server, q *request) (any, error) {
	name, how, err := ending(q, q.application)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	out, err := change(ctx, s, q, m, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.RemovedApplication, error) {
		return state.RemoveApplication(ctx, r, m, by, name, how)
	})
	effects := []string{"will remove application " + string(name)}
	for _, u := range out.Units {
		effects = append(effects, "- will remove unit "+string(u))
	}
	if err != nil {
		return nil, err
	}
	stored, err := s.storageEffects(ctx, m, out.Units, how.Destroy)
	return userapi.Removal{Effects: append(effects, stored...)}, err
}

func showConfig(ctx context.Context, s *Server, q *request) (any, error) {
	name, app, err := s.record(ctx, q)
	if err != nil {
		return nil, err
	}
	c, err := s.charmOf(ctx, s.Store, q.model.UUID, app.Charm.String())
	if err != nil {
		return nil, err
	}
	set := c.Charm.Options.Normalize(app.Config)
	out := userapi.Config{Application: name, Charm: app.Charm.Name, Settings: map[string]userapi.Option{}}
	for key, o := range c.Charm.Options {
		shown := userapi.Option{Description: o.Description, Type: o.Type, Default: o.Default, Value: o.Default, Source: "default"}
		if o.Default == nil {
			shown.Source = "unset"
		}
		if v, ok := set[key]; ok && v != nil {
			shown.Value, shown.Source = v, "user"
		}
		out.Settings[key] = shown
	}
	trust := userapi.Option{Description: "Does this application have access to trusted credentials", Type: "bool", Value: app.Trust, Default: false, Source: "default"}
	if app.Trust {
		trust.Source = "user"
	}
	out.Generic = map[string]userapi.Option{"trust": trust}
	return out, nil
}

func setConfig(ctx context.Context, s *Server, q *request) (any, error) {
	name, want, err := read[userapi.Settings](q, q.application)
	if err != nil {
		return nil, err
	}
	set := values(want.Set)
	if text, ok := want.Set["trust"]; ok { // a setting of every application, whatever its charm
		if set["trust"], err = (setting{value: false}).typed(text); err != nil {
			return nil, invalid(`option "trust" expected bool, got ` + fmt.Sprintf("%q", text))
		}
	}
	if len(set) == 0 && len(want.Reset) == 0 {
		return nil, nil
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.SetConfig(ctx, r, m, by, name, set, want.Reset)
	})
}

func setTrust(ctx context.Context, s *Server, q *request) (any, error) {
	name, want, err := read[userapi.Trust](q, q.application)
	if err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.SetTrust(ctx, r, m, by, name, want.Trust)
	})
}

func showConstraints(ctx context.Context, s *Server, q *request) (any, error) {
	_, app, err := s.record(ctx, q)
	return app.Constraints, err
}

func setConstraints(ctx context.Context, s *Server, q *request) (any, error) {
	name, want, err := read[provider.Constraints](q, q.application)
	if err != nil {
		return nil, err
	}
	if err := s.mayContain(ctx, q.model, want); err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.SetConstraints(ctx, r, m, by, name, want)
	})
}

func refresh(ctx context.Context, s *Server, q *request) (any, error) {
	name, want, err := read[userapi.Refresh](q, q.application)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	c, err := s.runnable(ctx, s.Store, m, want.Charm)
	if err != nil {
		return nil, err
	}
	base, err := parseBase(want.Base)
	if err != nil {
		return nil, err
	}
	resources, err := s.choices(want.Resources)
	if err != nil {
		return nil, err
	}
	has, err := s.storageOf(ctx, q.model)
	if err != nil {
		return nil, err
	}
	storage, err := directives(want.Storage)
	if err != nil {
		return nil, err
	}
	f := state.Refresh{Application: name, Charm: c.ID.String(), Config: values(want.Config), Base: base, Force: want.Force, Resources: resources, Has: has, Storage: storage}
	out, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Refreshed, error) {
		return state.SetCharm(ctx, r, m, by, s.Key, f)
	})
	return userapi.Refreshed{From: out.Was, To: out.Is, Dropped: out.Dropped}, err
}

func expose(ctx context.Context, s *Server, q *request) (any, error) {
	name, want, err := read[userapi.Expose](q, q.application)
	if err == nil {
		err = checkCIDRs(want.CIDRs)
	}
	if err != nil {
		return nil, err
	}
	if len(want.CIDRs) == 0 {
		want.CIDRs = []string{"0.0.0.0/0", "::/0"}
	}
	endpoints := map[string]state.ExposedEndpoint{}
	for _, e := range want.Endpoints {
		endpoints[e] = state.ExposedEndpoint{CIDRs: want.CIDRs}
	}
	if len(want.Endpoints) == 0 {
		endpoints[""] = state.ExposedEndpoint{CIDRs: want.CIDRs}
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.Expose(ctx, r, m, by, name, endpoints)
	})
}

func unexpose(ctx context.Context, s *Server, q *request) (any, error) {
	name, err := q.application()
	if err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.Unexpose(ctx, r, m, by, name, q.URL.Query()["endpoint"])
	})
}

func listActions(ctx context.Context, s *Server, q *request) (any, error) {
	_, app, err := s.record(ctx, q)
	if err != nil {
		return nil, err
	}
	c, err := s.charmOf(ctx, s.Store, q.model.UUID, app.Charm.String())
	if c.Charm.Actions == nil {
		return map[string]charm.Action{}, err
	}
	return c.Charm.Actions, err
}
