package status

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/grigri/grigri/state"
)

// Filter returns the part of r that the selectors choose, any of them: an application, a unit (web/0, web/leader), a machine,
// any of these with * in it, an address, "exposed", or a word of a workload's or agent's status. Chosen units pull in their
// machine, application, principal and subordinates; a chosen machine its units. A relation is kept when one side is.
// No selector chooses everything. r is not changed.
func Filter(r Report, selectors []string) Report {
	if len(selectors) == 0 {
		return r
	}
	f := filter{r: r.Status, machines: map[state.MachineID]bool{}, applications: map[state.ApplicationName]bool{}}
	for _, s := range selectors {
		f.selectors = append(f.selectors, f.meaning(s)...)
	}
	out := r.Status
	out.Applications = map[state.ApplicationName]Application{}
	for name, a := range r.Status.Applications {
		kept := f.units(a)
		if len(kept) == 0 {
			kept = nil
		}
		if f.application(name, a) {
			f.applications[name] = true
			kept = a.Units
		}
		for _, u := range kept {
			f.keep(u)
		}
		a.Units = kept
		out.Applications[name] = a
	}
	maps.DeleteFunc(out.Applications, func(name state.ApplicationName, a Application) bool {
		return len(a.Units) == 0 && !f.applications[name]
	})
	for name := range out.Applications {
		f.applications[name] = true
	}
	for name, a := range r.Status.Applications { // subordinates of what was kept
		if f.applications[name] && !mapHas(out.Applications, name) {
			out.Applications[name] = a
		}
	}
	kept := map[state.UnitName]bool{}
	for _, a := range out.Applications {
		for name, u := range a.Units {
			kept[name] = true
			for sub := range u.Subordinates {
				kept[sub] = true
			}
		}
	}
	out.Storage = r.Status.Storage.only(func(u state.UnitName) bool { return kept[u] })
	out.Machines = map[state.MachineID]Machine{}
	for id, m := range r.Status.Machines {
		if f.machines[id] || f.machine(id, m) {
			out.Machines[id] = m
			continue
		}
		all := m.Containers
		m.Containers = nil
		for c, container := range all {
			if f.machines[c] || f.machine(c, container) {
				if m.Containers == nil {
					m.Containers = map[state.MachineID]Machine{}
				}
				m.Containers[c] = container
				out.Machines[id] = m
			}
		}
	}
	relations := slices.DeleteFunc(slices.Clone(r.Relations), func(rel Relation) bool {
		return !f.applications[applicationOf(rel.Provider)] && !f.applications[applicationOf(rel.Requirer)]
	})
	r.Unmatched = len(out.Applications)+len(out.Machines) == 0 && !r.Empty
	r.Status, r.Relations = out, relations
	return r
}

type filter struct {
	r            Status
	selectors    []selector
	machines     map[state.MachineID]bool       // that hold a chosen unit
	applications map[state.ApplicationName]bool // that are chosen or have a chosen unit
}

// A selector is one thing that a word may mean.
type selector struct {
	kind string // name, leader, word, address, exposed
	text string
}

// meaning is what the word means: the name of something that is there before anything else.
func (f filter) meaning(text string) []selector {
	if app, ok := strings.CutSuffix(text, "/leader"); ok {
		return []selector{{"leader", app}}
	}
	name := selector{"name", text}
	if f.known(name) {
		return []selector{name}
	}
	if text == "exposed" {
		return []selector{{"exposed", ""}}
	}
	return []selector{name, {"word", text}, {"address", text}}
}

func (f filter) known(s selector) bool {
	g := filter{selectors: []selector{s}}
	for id, m := range f.r.Machines {
		if g.machine(id, m) {
			return true
		}
		for c, container := range m.Containers {
			if g.machine(c, container) {
				return true
			}
		}
	}
	for name, a := range f.r.Applications {
		if g.application(name, a) || len(g.units(a)) > 0 {
			return true
		}
	}
	return false
}

func (f filter) any(choose func(selector) bool) bool { return slices.ContainsFunc(f.selectors, choose) }

func (f filter) application(name state.ApplicationName, a Application) bool {
	return f.any(func(s selector) bool {
		return s.kind == "name" && glob(s.text, string(name)) || s.kind == "exposed" && a.Exposed || s.kind == "word" && len(a.Units) == 0 && a.Status.Current == s.text
	})
}

func (f filter) machine(id state.MachineID, m Machine) bool {
	return f.any(func(s selector) bool {
		return s.kind == "name" && glob(s.text, string(id)) || s.kind == "word" && m.Agent.Current == s.text ||
			s.kind == "address" && slices.Contains(m.IPAddresses, s.text)
	})
}

// units is the principals of a that are chosen, or whose subordinate or machine is.
func (f filter) units(a Application) map[state.UnitName]Unit {
	out := map[state.UnitName]Unit{}
	for name, u := range a.Units {
		if f.unit(name, u) || f.any(func(s selector) bool { return s.kind == "name" && isMachine(s.text) && onMachine(s.text, u.Machine) }) {
			out[name] = u
			continue
		}
		for sub, su := range u.Subordinates {
			if f.unit(sub, su) || f.any(func(s selector) bool { return s.kind == "name" && glob(s.text, string(sub.Application())) }) {
				out[name] = u
				break
			}
		}
	}
	return out
}

func (f filter) unit(name state.UnitName, u Unit) bool {
	return f.any(func(s selector) bool {
		switch s.kind {
		case "name":
			return strings.Contains(s.text, "/") && glob(s.text, string(name))
		case "leader":
			return u.Leader && s.text == string(name.Application())
		case "word":
			return u.Workload.Current == s.text || u.Agent.Current == s.text
		case "address":
			return u.PublicAddress == s.text
		}
		return false
	})
}

// keep marks the machine and the subordinates' applications of a kept unit.
func (f filter) keep(u Unit) {
	f.machines[u.Machine] = true
	for name := range u.Subordinates {
		f.applications[name.Application()] = true
	}
}

func isMachine(text string) bool {
	_, err := state.ParseMachine(text)
	return err == nil || strings.Trim(text, "0123456789*") == "" && text != "*"
}

// onMachine says whether the pattern means the machine, or the one that the container is on.
func onMachine(pattern string, id state.MachineID) bool {
	host, _ := id.Host()
	return glob(pattern, string(id)) || glob(pattern, string(host))
}

func glob(pattern, text string) bool {
	ok, err := path.Match(pattern, text)
	return err == nil && ok || pattern == text
}

func applicationOf(endpoint string) state.ApplicationName {
	a, _, _ := strings.Cut(endpoint, ":")
	return state.ApplicationName(a)
}

func mapHas[K comparable, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }
