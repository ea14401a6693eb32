// Package bundle reads bundles, says what must change for a model to be as a bundle wants it, compares the two, and makes a bundle of
// a model. It is pure: files come through a function, and changes are carried out by the caller.
package bundle

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// A Bundle is several applications with their machines and relations.
type Bundle struct {
	Name         string                  `yaml:"name,omitempty"`
	DefaultBase  string                  `yaml:"default-base,omitempty"` // ubuntu@22.04, with or without /stable
	Applications map[string]*Application `yaml:"applications,omitempty"`
	Machines     map[string]*Machine     `yaml:"machines,omitempty"` // by the bundle's own ids
	Relations    []Relation              `yaml:"relations,omitempty"`
}

// An Application is one application of a bundle.
type Application struct {
	Charm            string                      `yaml:"charm,omitempty"` // a path from the working directory, or what the bundle says of another place
	Channel          string                      `yaml:"channel,omitempty"`
	Revision         *int                        `yaml:"revision,omitempty"`
	Base             string                      `yaml:"base,omitempty"`
	Series           string                      `yaml:"series,omitempty"` // of long ago: said to be ignored
	Resources        map[string]any              `yaml:"resources,omitempty"`
	NumUnits         *int                        `yaml:"num_units,omitempty"`
	Scale            *int                        `yaml:"scale,omitempty"` // another name of num_units
	To               Words                       `yaml:"to,omitempty"`
	Placement        string                      `yaml:"placement,omitempty"` // Kubernetes
	Expose           bool                        `yaml:"expose,omitempty"`
	ExposedEndpoints map[string]*ExposedEndpoint `yaml:"exposed-endpoints,omitempty"`
	Options          map[string]any              `yaml:"options,omitempty"`
	Annotations      map[string]string           `yaml:"annotations,omitempty"`
	Constraints      string                      `yaml:"constraints,omitempty"`
	Storage          map[string]string           `yaml:"storage,omitempty"`
	Devices          map[string]string           `yaml:"devices,omitempty"`
	Bindings         map[string]string           `yaml:"bindings,omitempty"`
	Offers           map[string]any              `yaml:"offers,omitempty"`
	Plan             string                      `yaml:"plan,omitempty"`
	Trust            bool                        `yaml:"trust,omitempty"`
}

// Units is how many units the bundle wants.
func (a *Application) Units() int {
	switch {
	case a.NumUnits != nil:
		return *a.NumUnits
	case a.Scale != nil:
		return *a.Scale
	}
	return 0
}

// An ExposedEndpoint says to whom an endpoint is open.
type ExposedEndpoint struct {
	Spaces Words `yaml:"expose-to-spaces,omitempty"`
	CIDRs  Words `yaml:"expose-to-cidrs,omitempty"`
}

// A Machine is one machine of a bundle. It may be nil: a machine of any kind.
type Machine struct {
	Constraints string            `yaml:"constraints,omitempty"`
	Base        string            `yaml:"base,omitempty"`
	Series      string            `yaml:"series,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// A Relation is two endpoints: "web" or "web:db".
type Relation [2]string

// Words is a list of words, which may be written as one.
type Words []string

// UnmarshalYAML takes one word or a list.
func (w *Words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = nil
		if n.Tag != "!!null" {
			*w = Words{n.Value}
		}
		return nil
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return err
	}
	*w = list
	return nil
}

// Settings is the options as the commands take them. What has no value is left out.
func (a *Application) Settings() (map[string]string, error) {
	out := map[string]string{}
	for k, v := range a.Options {
		text, ok := scalar(v)
		if !ok {
			return nil, fmt.Errorf("option %q must be one value, not a list or a map", k)
		}
		if v != nil {
			out[k] = text
		}
	}
	return out, nil
}

// scalar is a value of YAML as text.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case time.Time: // YAML sees times where a charm sees text
		return strings.TrimSuffix(v.Format(time.RFC3339), "T00:00:00Z"), true
	}
	return "", false
}
