package main

import (
	"maps"
	"slices"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/query"
	"github.com/grigri/grigri/state"
)

// A waitKind is one kind of thing that can be waited for.
type waitKind struct {
	name   string
	schema *query.Schema
	query  string // that is asked when the user gives none
	find   func(w waitModel, name string) (query.Entity, bool)
}

// waitKinds are those there are, with the fields that a query can ask about.
func waitKinds() []waitKind {
	texts := func(names ...string) map[string]query.Type {
		out := map[string]query.Type{}
		for _, name := range names {
			out[name] = query.Type{Kind: query.Text}
		}
		return out
	}
	also := func(fields map[string]query.Type, kind query.Kind, of *query.Schema, names ...string) {
		for _, name := range names {
			fields[name] = query.Type{Kind: kind, Of: of}
		}
	}
	explain := func(fields map[string]query.Type, name, why string) {
		fields[name] = query.Type{Kind: query.Text, Why: why}
	}
	unit := &query.Schema{Name: "unit", Fields: texts("name", "application", "base", "charm-url", "life", "public-address", "machine-id", "principal",
		"workload-status", "workload-message", "agent-status", "agent-message")}
	explain(unit.Fields, "workload-status", "workload-message")
	explain(unit.Fields, "agent-status", "agent-message")
	also(unit.Fields, query.Flag, nil, "subordinate", "leader")
	machine := &query.Schema{Name: "machine", Fields: texts("id", "life", "status", "agent-status", "status-message", "instance-id", "instance-status", "instance-message",
		"base", "container-type", "hardware", "hostname", "address")}
	explain(machine.Fields, "status", "status-message")
	explain(machine.Fields, "agent-status", "status-message")
	explain(machine.Fields, "instance-status", "instance-message")
	also(machine.Fields, query.Many, machine, "containers")
	also(machine.Fields, query.Many, unit, "units")
	application := &query.Schema{Name: "application", Fields: texts("name", "life", "charm-url", "base", "status", "status-message", "workload-version")}
	explain(application.Fields, "status", "status-message")
	also(application.Fields, query.Flag, nil, "exposed")
	also(application.Fields, query.Many, unit, "units")
	also(application.Fields, query.Many, machine, "machines")
	model := &query.Schema{Name: "model", Fields: texts("name", "life", "status", "status-message", "cloud", "region")}
	explain(model.Fields, "status", "status-message")
	also(model.Fields, query.Flag, nil, "is-controller")
	also(model.Fields, query.Many, application, "applications")
	also(model.Fields, query.Many, unit, "units")
	also(model.Fields, query.Many, machine, "machines")
	return []waitKind{
		{"model", model, `life=="alive" && status=="available"`, func(w waitModel, _ string) (query.Entity, bool) { return w.model(), true }},
		{"application", application, `life=="alive" && status=="active"`, waitModel.application},
		{"unit", unit, `life=="alive" && workload-status=="active"`, func(w waitModel, name string) (query.Entity, bool) { return found(w.units, name) }},
		{"machine", machine, `life=="alive" && status=="started"`, func(w waitModel, name string) (query.Entity, bool) { return found(w.machines, name) }},
	}
}

func found(in query.Set, name string) (query.Entity, bool) {
	e, ok := in[name]
	return e, ok
}

// A waitModel is a model as queries see it.
type waitModel struct {
	s        status.Status
	units    query.Set            // subordinates too
	machines query.Set            // containers too
	of, on   map[string]query.Set // units by application, and by machine
}

func newWaitModel(s status.Status) waitModel {
	w := waitModel{s: s, units: query.Set{}, machines: query.Set{}, of: map[string]query.Set{}, on: map[string]query.Set{}}
	for _, a := range s.Applications {
		w.addUnits(a.Units, "", "")
	}
	w.addMachines(s.Machines)
	return w
}

func (w waitModel) addUnits(units map[state.UnitName]status.Unit, principal state.UnitName, machine state.MachineID) {
	for name, u := range units {
		on := u.Machine
		if principal != "" {
			on = machine
		}
		a := w.s.Applications[name.Application()]
		charm := a.Charm
		if u.UpgradingFrom != "" {
			charm = u.UpgradingFrom
		}
		e := query.Entity{
			"name": string(name), "application": string(name.Application()), "base": a.Base.String(), "charm-url": charm, "life": aliveOr(u.Agent.Life),
			"public-address": u.PublicAddress, "machine-id": string(on), "principal": string(principal), "subordinate": principal != "", "leader": u.Leader,
			"workload-status": u.Workload.Current, "workload-message": u.Workload.Message, "agent-status": u.Agent.Current, "agent-message": u.Agent.Message,
		}
		w.units[string(name)] = e
		add(w.of, string(name.Application()), name, e)
		add(w.on, string(on), name, e)
		w.addUnits(u.Subordinates, name, on)
	}
}

func (w waitModel) addMachines(machines map[state.MachineID]status.Machine) {
	for id, m := range machines {
		container := ""
		if id.IsContainer() {
			container = state.LXD
		}
		w.addMachines(m.Containers)
		containers := query.Set{}
		for id := range m.Containers {
			containers[string(id)] = w.machines[string(id)]
		}
		w.machines[string(id)] = query.Entity{
			"id": string(id), "life": aliveOr(m.Agent.Life), "status": m.Agent.Current, "agent-status": m.Agent.Current, "status-message": m.Agent.Message,
			"instance-id": m.InstanceID, "instance-status": m.Instance.Current, "instance-message": m.Instance.Message, "base": m.Base.String(),
			"container-type": container, "hardware": m.Hardware, "hostname": m.Hostname, "address": m.DNSName,
			"containers": containers, "units": some(w.on[string(id)]),
		}
	}
}

func (w waitModel) model() query.Entity {
	m := w.s.Model
	applications := query.Set{}
	for name := range w.s.Applications {
		applications[string(name)], _ = w.application(string(name))
	}
	return query.Entity{"name": m.Name, "life": aliveOr(m.Status.Life), "status": m.Status.Current, "status-message": m.Status.Message, "cloud": m.Cloud,
		"region": m.Region, "is-controller": m.Name == "controller", "applications": applications, "units": w.units, "machines": w.machines}
}

func (w waitModel) application(name string) (query.Entity, bool) {
	a, ok := w.s.Applications[state.ApplicationName(name)]
	units, machines := some(w.of[name]), query.Set{}
	for _, u := range units {
		id, _ := u["machine-id"].(string)
		if m, ok := w.machines[id]; ok {
			machines[id] = m
		}
	}
	return query.Entity{"name": name, "life": aliveOr(a.Life), "charm-url": a.Charm, "base": a.Base.String(), "status": a.Status.Current,
		"status-message": a.Status.Message, "workload-version": a.Version, "exposed": a.Exposed,
		"units": units, "machines": machines}, ok
}

func add(groups map[string]query.Set, group string, name state.UnitName, e query.Entity) {
	if groups[group] == nil {
		groups[group] = query.Set{}
	}
	groups[group][string(name)] = e
}

// some is s, or a set without elements: one that is nil would not be there.
func some(s query.Set) query.Set {
	if s == nil {
		return query.Set{}
	}
	return s
}

func aliveOr(life string) string { return state.Life(life).Word() }

// plainFields is what e has that is no other entity.
func plainFields(e query.Entity) map[string]any {
	out := maps.Clone(e)
	maps.DeleteFunc(out, func(_ string, v any) bool { _, set := v.(query.Set); return set })
	return out
}

// fieldNames is the fields of the schema, for the help.
func fieldNames(s *query.Schema) []string { return slices.Sorted(maps.Keys(s.Fields)) }
