package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/controller/view"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

func addUnits(ctx context.Context, s *Server, q *request) (any, error) {
	name, want, err := read[userapi.AddUnits](q, q.application)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	if err := s.mayContain(ctx, q.model, provider.Constraints{}, want.To...); err != nil {
		return nil, err
	}
	out, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Deployed, error) {
		return state.AddUnits(ctx, r, m, by, name, want.N, want.To, want.Attach...)
	})
	return userapi.Added{Units: out.Units.Names(name)}, err
}

func removeUnit(ctx context.Context, s *Server, q *request) (any, error) {
	u, how, err := ending(q, q.unit)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	out, err := change(ctx, s, q, m, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, []state.UnitName, error) {
		return state.RemoveUnits(ctx, r, m, by, []state.UnitName{u}, how)
	})
	effects := []string{"will remove unit " + string(u)}
	for _, other := range out {
		if other != u {
			effects = append(effects, "- will remove unit "+string(other))
		}
	}
	if err != nil {
		return nil, err
	}
	stored, err := s.storageEffects(ctx, m, out, how.Destroy)
	return userapi.Removal{Effects: append(effects, stored...)}, err
}

// unitRecord is the unit in the path; a unit named leader is the one that leads.
func (s *Server) unitRecord(ctx context.Context, q *request) (state.UnitName, status.UnitRecord, error) {
	m := q.model.UUID
	var u state.UnitName
	var err error
	if app, ok := strings.CutSuffix(q.PathValue("unit"), "-leader"); ok {
		u, err = s.leader(ctx, m, app)
	} else {
		u, err = q.unit()
	}
	if err != nil {
		return u, status.UnitRecord{}, err
	}
	rec, err := view.ReadUnit(ctx, s.Store, m, u)
	if errors.Is(err, state.ErrNotFound) {
		err = notFound("unit", string(u))
	}
	return u, rec, err
}

func (s *Server) leader(ctx context.Context, m state.ModelID, app string) (state.UnitName, error) {
	name, _, err := relation.ParseEndpoint(app)
	if err != nil {
		return "", notFound("application", app)
	}
	u, err := view.Leader(ctx, s.Store, m, state.ApplicationName(name))
	if err == nil && u == "" {
		if _, err := s.Store.Get(ctx, m.ApplicationPath(state.ApplicationName(name))); err != nil {
			return "", notFound("application", app)
		}
		return "", &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("application %q has no leader now", app)}
	}
	return u, err
}

func showUnit(ctx context.Context, s *Server, q *request) (any, error) {
	u, rec, err := s.unitRecord(ctx, q)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	app, err := state.Read[state.Application](ctx, s.Store, m.ApplicationPath(u.Application()))
	if err != nil {
		return nil, fmt.Errorf("read the application of unit %s: %w", u, err)
	}
	leader, err := view.Leader(ctx, s.Store, m, u.Application())
	if err != nil {
		return nil, err
	}
	out := userapi.Unit{Name: u, Machine: rec.Machine, Ports: []string{}, Charm: app.Value.Charm.URL(), Leader: leader == u, Life: rec.Life.Word()}
	for _, p := range rec.Ports {
		if text := p.String(); !slices.Contains(out.Ports, text) {
			out.Ports = append(out.Ports, text)
		}
	}
	if rec.Address != nil {
		out.PublicAddress = rec.Address.Public
	}
	if rec.Status != nil {
		out.WorkloadVersion = rec.Status.Version
	}
	if rec.Ledger != nil {
		out.Failure = rec.Ledger.Failed
	}
	for _, a := range rec.Storage {
		shown := userapi.UnitStorage{ID: a.ID, Kind: a.Kind, Life: a.Life.Word()}
		if rec.Ledger != nil && rec.Ledger.Storage[a.ID].Problem == "" {
			shown.Location = rec.Ledger.Storage[a.ID].Location
		}
		out.Storage = append(out.Storage, shown)
	}
	for _, have := range app.Value.Relations {
		r, err := s.unitRelation(ctx, m, u, rec.Unit, have)
		if err != nil {
			return nil, fmt.Errorf("read relation %d of unit %s: %w", have.Relation, u, err)
		}
		out.Relations = append(out.Relations, r)
	}
	return out, nil
}

// unitRelation is a relation as the unit sees it.
func (s *Server) unitRelation(ctx context.Context, m state.ModelID, u state.UnitName, unit state.Unit, have state.Membership) (userapi.UnitRelation, error) {
	remote := state.ApplicationName(have.Remote.Application)
	principal := state.Scoped(have.Scope, u, unit)
	out := userapi.UnitRelation{ID: have.Relation, Endpoint: have.Endpoint, Related: have.Remote.Name, Members: map[state.UnitName]userapi.Member{}}
	app, err := state.ReadIf[relation.Settings](ctx, s.Store, m.SidePath(have.Relation, remote))
	if err != nil {
		return out, err
	}
	out.Application = app.Value
	read := func(u state.UnitName) (userapi.Member, error) {
		rec, err := state.ReadIf[relation.Settings](ctx, s.Store, m.MemberPath(have.Relation, principal, u))
		settings := rec.Value
		if settings == nil {
			settings = relation.Settings{}
		}
		return userapi.Member{InScope: rec.Exists(), Settings: settings}, err
	}
	local, err := read(u)
	if err != nil {
		return out, err
	}
	out.Local = &local
	names, err := state.ChildrenIf(ctx, s.Store, m.MembersPath(have.Relation, remote, principal))
	if err != nil {
		return out, err
	}
	for _, name := range names {
		other := state.UnitOfNode(name)
		if name == state.GoneName || other == u {
			continue
		}
		if out.Members[other], err = read(other); err != nil {
			return out, err
		}
	}
	return out, nil
}

func unitShell(ctx context.Context, s *Server, q *request) (any, error) {
	return s.unitShell(ctx, q)
}

// unitShell is how to open a shell where the unit in the path is.
func (s *Server) unitShell(ctx context.Context, q *request) (out userapi.Shell, err error) {
	u, rec, err := s.unitRecord(ctx, q)
	if err != nil {
		return out, err
	}
	machine := rec.Machine
	if machine == "" && rec.Principal != "" {
		principal, err := state.Read[state.Unit](ctx, s.Store, q.model.UUID.UnitPath(rec.Principal))
		if err != nil {
			return out, fmt.Errorf("read unit %s: %w", rec.Principal, err)
		}
		machine = principal.Value.Machine
	}
	if machine == "" {
		return out, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("unit %q has no machine yet", u)}
	}
	out, err = s.shell(ctx, q.model, machine)
	out.Unit = u
	if a := rec.Address; a != nil && out.Inside == nil && a.Public != "" && !slices.Contains(out.Addresses, a.Public) {
		out.Addresses = append([]string{a.Public}, out.Addresses...)
	}
	return out, err
}

func machineShell(ctx context.Context, s *Server, q *request) (any, error) {
	id, err := q.machineID()
	if err != nil {
		return nil, err
	}
	return s.shell(ctx, q.model, id)
}

// shell is how to reach a machine, as its provider says; over ssh where it says nothing.
func (s *Server) shell(ctx context.Context, model state.Model, id state.MachineID) (userapi.Shell, error) {
	m := model.UUID
	out := userapi.Shell{Machine: id, Shell: provider.Shell{SSH: true}}
	machine, err := state.ReadIf[state.Machine](ctx, s.Store, m.MachinePath(id))
	if err != nil {
		return out, err
	}
	if !machine.Exists() {
		return out, notFound("machine", string(id))
	}
	instance, err := state.ReadIf[state.Instance](ctx, s.Store, m.InstancePath(id))
	if err != nil {
		return out, err
	}
	report, err := state.ReadIf[state.MachineReport](ctx, s.Store, m.MachineReportPath(id))
	if err != nil {
		return out, err
	}
	out.Addresses, out.HostKeys = state.MachineAddresses(instance.Value, report.Value), state.HostKeys(machine.Value, report.Value)
	if instance.Value.ID == "" {
		return out, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("machine %q has no instance yet", id)}
	}
	if id.IsContainer() {
		return s.containerShell(ctx, model, id, instance.Value.ID)
	}
	if machine.Value.Manual != "" {
		out.Addresses = append([]string{machine.Value.Manual}, out.Addresses...)
		return out, nil
	}
	place, err := s.Providers(ctx, model.Place())
	if err != nil {
		return out, err
	}
	if sheller, ok := place.(provider.Sheller); ok {
		if out.Shell, err = sheller.Shell(ctx, instance.Value.ID); err != nil {
			return out, fmt.Errorf("ask the provider for a shell on machine %s: %w", id, err)
		}
	}
	return out, nil
}

func resolve(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.Resolve
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	m := q.model.UUID
	units := want.Units
	if want.All {
		snapshot, _, err := s.views.Read(ctx, m)
		if err != nil {
			return nil, err
		}
		units = nil
		for _, u := range sortedKeys(snapshot.Units) {
			if l := snapshot.Units[u].Ledger; l != nil && l.Failed != nil {
				units = append(units, u)
			}
		}
	} else if len(units) == 0 {
		return nil, invalid("no unit specified")
	}
	out := userapi.Resolved{Units: []state.UnitName{}}
	for _, u := range units {
		if _, err := state.ParseUnit(string(u)); err != nil {
			return nil, invalid(err.Error())
		}
		err := s.alter(ctx, q, m, "."+u.Node(), func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
			return state.Resolve(ctx, r, m, by, u, want.Skip)
		})
		var refused *state.RefusedError
		if want.All && errors.As(err, &refused) {
			continue // it got over it in the meantime
		}
		if err != nil {
			return nil, err
		}
		out.Units = append(out.Units, u)
	}
	return out, nil
}
