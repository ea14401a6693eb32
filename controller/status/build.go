package status

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// Build is the status of the model that s was read from, as it is at now.
func Build(s Snapshot, now time.Time) Report {
	b := builder{s: s, subordinates: map[state.UnitName][]state.UnitName{}}
	for name, u := range s.Units {
		if u.Principal != "" {
			b.subordinates[u.Principal] = append(b.subordinates[u.Principal], name)
		}
	}
	out := Status{
		Model:        b.model(),
		Machines:     make(map[state.MachineID]Machine, len(s.Machines)),
		Applications: make(map[state.ApplicationName]Application, len(s.Applications)),
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.Machines), state.CompareMachines) { // each before its containers
		b.addMachine(out.Machines, id)
	}
	units := make(map[state.UnitName]Unit, len(s.Units))
	of := map[state.ApplicationName][]state.UnitName{}
	for name, u := range s.Units {
		units[name] = b.unit(name, u)
		of[name.Application()] = append(of[name.Application()], name)
	}
	for _, names := range of {
		sortedUnits(names)
	}
	for name, a := range s.Applications {
		out.Applications[name] = b.application(name, a, of[name], units)
	}
	out.Storage = b.storage()
	return Report{Status: out, Relations: b.relations(), Empty: len(s.Applications) == 0 && len(s.Machines) == 0}.At(now)
}

// At is r as of now.
func (r Report) At(now time.Time) Report {
	r.Status.Controller.Timestamp = since(now)
	return r
}

type builder struct {
	s            Snapshot
	subordinates map[state.UnitName][]state.UnitName // by principal
}

func (b builder) model() Model {
	m := b.s.Model
	info := Info{Current: "available", Since: since(m.Created)}
	if m.Life != state.Alive {
		info = Info{Current: "destroying", Message: b.waitModel(), Life: string(m.Life)}
	}
	return Model{Name: m.Name, Type: "iaas", Controller: b.s.Controller.Name, Cloud: m.Cloud, Region: m.Region, Version: b.s.Version, Status: info}
}

func (b builder) application(name state.ApplicationName, a ApplicationRecord, names []state.UnitName, units map[state.UnitName]Unit) Application {
	out := Application{
		Charm: a.Charm.URL(), CharmOrigin: "local", CharmName: a.Charm.Name, CharmRev: a.Charm.Revision,
		CharmVersion: b.s.Charms[a.Charm].Charm.Version,
		Base:         base(a.Base), Exposed: a.Exposed, Life: string(a.Life),
		Relations: b.related(name),
	}
	if a.Subordinate {
		out.SubordinateTo = b.principals(name)
	} else if len(names) > 0 {
		out.Units = make(map[state.UnitName]Unit, len(names))
		for _, n := range names {
			out.Units[n] = units[n]
		}
	}
	for _, n := range names {
		if s := b.s.Units[n].Status; s != nil && s.Version != "" {
			out.Version = s.Version
			break
		}
	}
	out.Status = worst(names, units)
	if a.Status != nil {
		out.Status = info(*a.Status)
	}
	if a.Life != state.Alive {
		out.Status.Message = also(out.Status.Message, b.waitApplication(a, names))
	}
	return out
}

// severity orders workload statuses, the worst first.
var severity = []string{"error", "blocked", "maintenance", "waiting", "active", "terminated", "unknown"}

// Severity is how bad a status of a workload is: 0 is worst. What is no such status is worst of none.
func Severity(status string) int {
	if r := slices.Index(severity, status); r >= 0 {
		return r
	}
	return len(severity)
}

// worst is the status of an application that says nothing itself: that of its unit that is worst off.
func worst(names []state.UnitName, units map[state.UnitName]Unit) Info {
	found, rank := Info{Current: "unknown"}, len(severity)
	for _, n := range names {
		w := units[n].Workload
		if r := slices.Index(severity, w.Current); r >= 0 && r < rank {
			found, rank = Info{Current: w.Current, Message: w.Message, Since: w.Since}, r
		}
	}
	return found
}

// Worst is worst of what units say of themselves.
func Worst(units map[state.UnitName]state.StatusInfo) state.StatusInfo {
	out, rank := state.StatusInfo{Status: "unknown"}, len(severity)
	for _, n := range sortedUnits(slices.Collect(maps.Keys(units))) {
		if r := slices.Index(severity, units[n].Status); r >= 0 && r < rank {
			out, rank = units[n], r
		}
	}
	return out
}

// related is who is at the other end of each endpoint.
func (b builder) related(name state.ApplicationName) map[string][]RelatedApplication {
	var out map[string][]RelatedApplication
	for _, id := range b.relationIDs() {
		r := b.s.Relations[id]
		own, other, ok := r.Endpoint(name)
		if !ok {
			continue
		}
		if out == nil {
			out = map[string][]RelatedApplication{}
		}
		out[own.Name] = append(out[own.Name], RelatedApplication{state.ApplicationName(other.Application), own.Interface, string(r.Scope)})
	}
	return out
}

func (b builder) principals(name state.ApplicationName) []state.ApplicationName {
	found := map[state.ApplicationName]bool{}
	for _, r := range b.s.Relations {
		_, other, ok := r.Endpoint(name)
		principal := state.ApplicationName(other.Application)
		if ok && r.Scope == charm.Container && len(r.Endpoints) == 2 && !b.s.Applications[principal].Subordinate {
			found[principal] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (b builder) relationIDs() []state.RelationID { return slices.Sorted(maps.Keys(b.s.Relations)) }

func (b builder) relations() []Relation {
	out := make([]Relation, 0, len(b.s.Relations))
	for _, id := range b.relationIDs() {
		r := b.s.Relations[id]
		first, last := r.Endpoints[0], r.Endpoints[len(r.Endpoints)-1]
		row := Relation{ID: id, Provider: first.String(), Requirer: last.String(), Interface: first.Interface, Type: "regular"}
		switch {
		case len(r.Endpoints) == 1:
			row.Type = "peer"
		case r.Scope == charm.Container:
			row.Type = "subordinate"
		}
		row.Status = Info{Current: "joining", Since: since(r.Created), Life: string(r.Life)}
		if joined(r) {
			row.Status.Current = "joined"
		}
		if r.Life != state.Alive {
			row.Status = Info{Current: "broken", Message: b.waitRelation(r), Life: string(r.Life)}
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(x, y Relation) int {
		return cmp.Or(strings.Compare(x.Provider, y.Provider), strings.Compare(x.Requirer, y.Requirer), int(x.ID-y.ID))
	})
	return out
}

// joined says whether each side of the relation has a unit in it.
func joined(r RelationRecord) bool {
	for _, e := range r.Endpoints {
		if !slices.ContainsFunc(r.Members, func(u state.UnitName) bool { return string(u.Application()) == e.Application }) {
			return false
		}
	}
	return true
}

func base(b charm.Base) *Base {
	if b.Name == "" {
		return nil
	}
	return &Base{b.Name, b.Channel}
}

func info(s state.StatusInfo) Info {
	return Info{Current: s.Status, Message: s.Message, Since: since(s.Since)}
}

func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// also joins two messages.
func also(message, more string) string {
	if message == "" || more == "" {
		return message + more
	}
	return message + "; " + more
}
