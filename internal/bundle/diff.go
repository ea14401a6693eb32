package bundle

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Diff is what differs between the bundle and the model, as diff-bundle prints it: values that have the keys bundle and model. It is
// empty when nothing does. Machines of the bundle are found in the model as in Plan.
func Diff(b *Bundle, charms map[string]Charm, m Model, o Options) (map[string]any, error) {
	p := &planner{b: b, charms: charms, m: m, mapping: map[string]MachineRef{}}
	if err := p.mapMachines(o); err != nil {
		return nil, err
	}
	out := map[string]any{}
	apps := map[string]any{}
	for name := range b.Applications {
		d := p.diffApplication(name)
		if have, there := m.Applications[name]; there && o.Annotations {
			differ(d, "annotations", b.Applications[name].Annotations, have.Annotations)
		}
		if len(d) > 0 {
			apps[name] = d
		}
	}
	for name := range m.Applications {
		if b.Applications[name] == nil {
			apps[name] = map[string]any{"missing": "bundle"}
		}
	}
	machines := map[string]any{}
	used := map[string]bool{}
	for id := range b.Machines {
		ref, ok := p.mapping[id]
		if !ok {
			machines[id] = map[string]any{"missing": "model"}
		} else if wanted := b.Machines[id]; o.Annotations {
			if wanted == nil {
				wanted = &Machine{}
			}
			d := map[string]any{}
			if differ(d, "annotations", wanted.Annotations, m.Machines[ref.ID].Annotations); len(d) > 0 {
				machines[id] = d
			}
		}
		used[ref.ID] = true
	}
	for name := range b.Applications { // where its units are is as the bundle wants it, machines without an id of the bundle too
		for _, u := range m.Applications[name].Units {
			host, _, _ := strings.Cut(u.Machine, "/")
			used[host] = true
		}
	}
	for id := range m.Machines {
		if !used[id] && !strings.Contains(id, "/") {
			machines[id] = map[string]any{"missing": "bundle"}
		}
	}
	for key, part := range map[string]map[string]any{"applications": apps, "machines": machines, "relations": diffRelations(b, m)} {
		if len(part) > 0 {
			out[key] = part
		}
	}
	return out, nil
}

func (p *planner) diffApplication(name string) map[string]any {
	a, charm := p.b.Applications[name], p.charms[name]
	have, there := p.m.Applications[name]
	if !there {
		return map[string]any{"missing": "model"}
	}
	out := map[string]any{}
	say := func(key string, differs bool, bundle, model any) {
		if differs {
			out[key] = pair(bundle, model)
		}
	}
	say("charm", a.differs(charm, have), a.Charm, have.Charm)
	base := a.Base
	if base == "" {
		base = p.b.DefaultBase
	}
	short, _, _ := strings.Cut(base, "/")
	say("base", base != "" && short != have.Base, base, have.Base)
	say("num_units", !have.Subordinate && a.Units() != len(have.Units), a.Units(), len(have.Units))
	say("constraints", !sameConstraints(a.Constraints, have.Constraints), a.Constraints, have.Constraints)
	expose := a.Expose || len(a.ExposedEndpoints) > 0
	say("expose", expose != have.Expose, expose, have.Expose)
	endpoints := map[string]any{}
	for _, ep := range slices.Sorted(maps.Keys(merge(a.ExposedEndpoints, have.Endpoints))) {
		if x, y := a.ExposedEndpoints[ep], have.Endpoints[ep]; !reflect.DeepEqual(x, y) {
			endpoints[ep] = pair(exposed(x), exposed(y))
		}
	}
	if len(endpoints) > 0 {
		out["exposed_endpoints"] = endpoints
	}
	settings, _ := a.Settings()
	differ(out, "options", settings, have.Options)
	return out
}

// differ puts into out, at the key, which values differ.
func differ(out map[string]any, key string, bundle, model map[string]string) {
	values := map[string]any{}
	for k := range merge(bundle, model) {
		x, inBundle := bundle[k]
		y, inModel := model[k]
		if x != y || inBundle != inModel {
			values[k] = pair(orNil(x, inBundle), orNil(y, inModel))
		}
	}
	if len(values) > 0 {
		out[key] = values
	}
}

func pair(bundle, model any) map[string]any { return map[string]any{"bundle": bundle, "model": model} }

func orNil(text string, there bool) any {
	if !there {
		return nil
	}
	return text
}

func exposed(e *ExposedEndpoint) any {
	if e == nil {
		return nil
	}
	out := map[string]any{}
	if len(e.CIDRs) > 0 {
		out["expose-to-cidrs"] = []string(e.CIDRs)
	}
	if len(e.Spaces) > 0 {
		out["expose-to-spaces"] = []string(e.Spaces)
	}
	return out
}

// merge is a map that has the keys of both.
func merge[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]V{}
	}
	for k, v := range b {
		out[k] = v
	}
	return out
}

func diffRelations(b *Bundle, m Model) map[string]any {
	out := map[string]any{}
	add := func(key string, r Relation) {
		list, _ := out[key].([][]string)
		out[key] = append(list, r[:])
	}
	for _, r := range b.Relations {
		if !slices.ContainsFunc(m.Relations, r.matches) {
			add("bundle-additions", r)
		}
	}
	for _, have := range m.Relations {
		if !slices.ContainsFunc(b.Relations, func(r Relation) bool { return r.matches(have) }) {
			add("model-additions", have)
		}
	}
	return out
}
