package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/controller/statuslog"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// takeStatuses keeps what a machine's agent says of its units and their applications. Of a unit that has gone from the machine just now it may still
// tell the end, if it has told the rest. What it says of others is not believed.
func takeStatuses(ctx context.Context, s *Server, q *request) (any, error) {
	m := q.machineOf
	told, err := decodeLines[agentapi.Status](q)
	if err != nil {
		return nil, err
	}
	machine, err := state.ReadIf[state.Machine](ctx, s.Store, m.MachinePath(q.machine))
	if err != nil {
		return nil, err
	}
	may := map[string]bool{}
	for _, u := range machine.Value.Units {
		may[u.Tag()], may[u.Application().Tag()] = true, true
	}
	for _, t := range told {
		if _, known := may[t.Entity]; known {
			continue
		}
		before, err := s.Statuses.Read(m, t.Entity)
		if err != nil {
			s.Log.Debug("a status is of nothing", "model", m, "machine", q.machine, "err", err)
		}
		i := len(before) - 1
		for i >= 0 && before[i].By == "" {
			i--
		}
		may[t.Entity] = i >= 0 && before[i].By == q.machine.Tag()
	}
	own := slices.DeleteFunc(told, func(t agentapi.Status) bool { return !may[t.Entity] || !tells(t) })
	return nil, s.Statuses.Add(m, q.machine.Tag(), own...)
}

// tells says whether an agent may tell a status of this type of what it is of.
func tells(t agentapi.Status) bool {
	switch t.Type {
	case state.StatusOfAgent, state.StatusOfWorkload:
		return strings.HasPrefix(t.Entity, "unit-")
	case state.StatusOfApplication:
		return strings.HasPrefix(t.Entity, "application-")
	}
	return false
}

// A past is the statuses of one thing, in the order of time.
type past struct {
	entries []statuslog.Entry
	types   map[state.StatusType]string // that it has, with what they are called
}

// showStatusLog says what the statuses of one thing have been.
func showStatusLog(ctx context.Context, s *Server, q *request) (any, error) {
	f, err := userapi.ParseStatusLogFilter(q.URL.Query())
	if err != nil {
		return nil, invalid(err.Error())
	}
	p, err := s.past(ctx, q, f)
	if err != nil {
		return nil, err
	}
	var types []state.StatusType
	for t, name := range p.types {
		if f.Type == "" || f.Type == "unit" || f.Type == name {
			types = append(types, t)
		}
	}
	out := []userapi.StatusLogEntry{}
	for _, e := range statuslog.Of(p.entries, types...) {
		if f.After.IsZero() || e.Since.After(f.After) {
			out = append(out, userapi.StatusLogEntry{StatusInfo: e.StatusInfo, Type: p.types[e.Type]})
		}
	}
	if f.Last > 0 && len(out) > f.Last {
		out = out[len(out)-f.Last:]
	}
	return out, nil
}

// past finds what f is about.
func (s *Server) past(ctx context.Context, q *request, f userapi.StatusLogFilter) (past, error) {
	unit, noUnit := state.ParseUnit(f.Entity)
	machine, noMachine := state.ParseMachine(f.Entity)
	noName := func(kind string) (past, error) {
		return past{}, invalid(fmt.Sprintf("%q is not a valid name for a %s", f.Entity, kind))
	}
	switch f.Type {
	case "unit", "juju-unit", "workload":
		if noUnit != nil {
			return noName("unit")
		}
		return s.unitPast(ctx, q.model.UUID, unit)
	case "machine", "juju-machine":
		if noMachine != nil || machine.IsContainer() {
			return noName("machine")
		}
		return s.machinePast(ctx, q.model.UUID, machine)
	case "container", "juju-container":
		if noMachine != nil || !machine.IsContainer() {
			return noName("container")
		}
		return s.machinePast(ctx, q.model.UUID, machine)
	case "application":
		return s.applicationPast(ctx, q.model.UUID, f.Entity)
	case "saas":
		return past{}, notFound("saas", f.Entity)
	case "model":
		if f.Entity != q.model.Name && f.Entity != string(q.model.UUID) && f.Entity != q.model.Owner+"/"+q.model.Name {
			return past{}, invalid(fmt.Sprintf("%q is not the model, which is %q", f.Entity, q.model.Name))
		}
		return s.modelPast(q.model)
	}
	switch {
	case noMachine == nil:
		return s.machinePast(ctx, q.model.UUID, machine)
	case noUnit == nil:
		return s.unitPast(ctx, q.model.UUID, unit)
	case charm.ValidApplicationName(f.Entity):
		p, err := s.applicationPast(ctx, q.model.UUID, f.Entity)
		if missing := (*state.NotFoundError)(nil); errors.As(err, &missing) && f.Entity == q.model.Name {
			return s.modelPast(q.model)
		}
		return p, err
	}
	return past{}, invalid(fmt.Sprintf("%q is not the name of a unit, a machine or an application", f.Entity))
}

func (s *Server) unitPast(ctx context.Context, m state.ModelID, u state.UnitName) (past, error) {
	p := past{types: map[state.StatusType]string{state.StatusOfAgent: "juju-unit", state.StatusOfWorkload: "workload"}}
	if !charm.ValidApplicationName(string(u.Application())) {
		return p, notFound("unit", string(u))
	}
	own, err := s.Statuses.Read(m, u.Tag())
	if err != nil {
		return p, err
	}
	rec, err := state.ReadIf[state.Unit](ctx, s.Store, m.UnitPath(u))
	if err != nil {
		return p, fmt.Errorf("read unit %s: %w", u, err)
	}
	if !rec.Exists() && len(own) == 0 {
		return p, notFound("unit", string(u))
	}
	machines := map[string][]statuslog.Entry{}
	for _, tag := range statuslog.Machines(own) {
		if machines[tag], err = s.Statuses.Read(m, tag); err != nil {
			return p, err
		}
	}
	p.entries = statuslog.UnitStory(own, machines)
	if rec.Exists() {
		made := status.Made(rec.Value.Created)
		p.begin(state.StatusOfWorkload, made.Workload)
		p.begin(state.StatusOfAgent, made.Agent)
	}
	return p, nil
}

func (s *Server) machinePast(ctx context.Context, m state.ModelID, id state.MachineID) (past, error) {
	p := past{types: map[state.StatusType]string{state.StatusOfInstance: "machine", state.StatusOfMachine: "juju-machine"}}
	kind := "machine"
	if id.IsContainer() {
		kind = "container"
		p.types = map[state.StatusType]string{state.StatusOfInstance: "container", state.StatusOfMachine: "juju-container"}
	}
	own, err := s.Statuses.Read(m, id.Tag())
	if err != nil {
		return p, err
	}
	rec, err := state.ReadIf[state.Machine](ctx, s.Store, m.MachinePath(id))
	if err != nil {
		return p, fmt.Errorf("read machine %s: %w", id, err)
	}
	if !rec.Exists() && len(own) == 0 {
		return p, notFound(kind, string(id))
	}
	p.entries = own
	statuslog.InOrder(p.entries)
	if rec.Exists() {
		made := state.StatusInfo{Status: "pending", Since: rec.Value.Created}
		p.begin(state.StatusOfInstance, made)
		p.begin(state.StatusOfMachine, made)
	}
	return p, nil
}

func (s *Server) applicationPast(ctx context.Context, m state.ModelID, name string) (past, error) {
	p := past{types: map[state.StatusType]string{state.StatusOfApplication: "application"}}
	if !charm.ValidApplicationName(name) {
		return p, notFound("application", name)
	}
	app := state.ApplicationName(name)
	own, err := s.Statuses.Read(m, app.Tag())
	if err != nil {
		return p, err
	}
	units, err := s.Statuses.Units(m, app)
	if err != nil {
		return p, err
	}
	rec, err := state.ReadIf[state.Application](ctx, s.Store, m.ApplicationPath(app))
	if err != nil {
		return p, fmt.Errorf("read application %s: %w", app, err)
	}
	if !rec.Exists() && len(own) == 0 && len(units) == 0 {
		return p, notFound("application", name)
	}
	statuslog.InOrder(own)
	p.entries = statuslog.ApplicationStory(own, units)
	if rec.Exists() {
		p.begin(state.StatusOfApplication, state.StatusInfo{Status: "unknown", Since: rec.Value.Created})
	}
	return p, nil
}

func (s *Server) modelPast(m state.Model) (past, error) {
	p := past{types: map[state.StatusType]string{state.StatusOfModel: "model"}}
	own, err := s.Statuses.Read(m.UUID, state.ModelTag)
	p.entries = own
	p.begin(state.StatusOfModel, state.StatusInfo{Status: "available", Since: m.Created})
	return p, err
}

// begin puts what a thing was when it was made before what came after that.
func (p *past) begin(t state.StatusType, made state.StatusInfo) {
	first := statuslog.Entry{StatusRecord: state.StatusRecord{StatusInfo: made, Type: t}}
	i := slices.IndexFunc(p.entries, func(e statuslog.Entry) bool { return e.Since.After(made.Since) })
	if i < 0 {
		i = len(p.entries)
	}
	p.entries = slices.Insert(p.entries, i, first)
}
