package bundle

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Export is a bundle that deploys what the model has. Charms are those of the model: local:web-3.
func Export(m Model) *Bundle {
	b := &Bundle{Applications: map[string]*Application{}, Machines: map[string]*Machine{}, Relations: slices.Clone(m.Relations)}
	b.DefaultBase = commonBase(m)
	for name, have := range m.Applications {
		a := &Application{Charm: have.Charm, Constraints: have.Constraints, Trust: have.Trust, Annotations: have.Annotations, Storage: have.Storage}
		if have.Base != b.DefaultBase {
			a.Base = have.Base
		}
		for k, v := range have.Options {
			if a.Options == nil {
				a.Options = map[string]any{}
			}
			a.Options[k] = v
		}
		for resource, revision := range have.Resources {
			if a.Resources == nil {
				a.Resources = map[string]any{}
			}
			a.Resources[resource] = revision
		}
		if a.Expose = have.Expose && len(have.Endpoints) == 0; !a.Expose && have.Expose {
			a.ExposedEndpoints = have.Endpoints
		}
		if !have.Subordinate {
			n := len(have.Units)
			a.NumUnits = &n
		}
		for _, u := range have.Units {
			if u.Machine == "" { // it has no place yet: from here on the bundle leaves them open
				break
			}
			host, rest, container := strings.Cut(u.Machine, "/")
			b.Machines[host] = &Machine{Constraints: m.Machines[host].Constraints.String(), Annotations: m.Machines[host].Annotations}
			if kind, _, _ := strings.Cut(rest, "/"); container {
				host = kind + ":" + host
			}
			a.To = append(a.To, host)
		}
		b.Applications[name] = a
	}
	slices.SortFunc(b.Relations, func(x, y Relation) int { return strings.Compare(x[0]+" "+x[1], y[0]+" "+y[1]) })
	return b
}

// commonBase is the base that most applications have.
func commonBase(m Model) string {
	count := map[string]int{}
	for _, a := range m.Applications {
		if a.Base != "" {
			count[a.Base]++
		}
	}
	best := ""
	for _, base := range slices.Sorted(maps.Keys(count)) {
		if best == "" || count[base] > count[best] {
			best = base
		}
	}
	return best
}

// Text is the bundle as a file.
func (b *Bundle) Text() ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(b); err != nil {
		return nil, fmt.Errorf("write the bundle: %w", err)
	}
	return out.Bytes(), e.Close()
}
