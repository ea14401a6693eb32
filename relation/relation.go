// Package relation holds the rules of relations: which endpoints fit together,
// and what a party may put in its settings. It is pure.
package relation

import (
	"fmt"
	"maps"

	"github.com/grigri/grigri/charm"
)

// An Endpoint is one application's end of a relation.
type Endpoint struct {
	Application string `json:"application"`
	Subordinate bool   `json:"subordinate,omitempty"` // the application is a subordinate
	charm.Endpoint
}

// Endpoints are all endpoints of an application that runs the charm, juju-info with them.
func Endpoints(application string, m charm.Meta) []Endpoint {
	var out []Endpoint
	for _, ep := range charm.LocalEndpoints(m) {
		out = append(out, Endpoint{Application: application, Subordinate: m.Subordinate, Endpoint: ep})
	}
	return out
}

// String is the endpoint as users write it: "web:db".
func (e Endpoint) String() string { return e.Application + ":" + e.Name }

// Settings is one party's side of the conversation. An absent key and an empty value are the same.
type Settings map[string]string

// Apply returns s with delta written over it; an empty value removes the key. Neither argument is changed.
func (s Settings) Apply(delta Settings) Settings {
	out := maps.Clone(s)
	if out == nil {
		out = Settings{}
	}
	for k, v := range delta {
		if v == "" {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

// Key is the relation as users write it: "db:db web:db", requirer first as juju prints it.
func Key(eps []Endpoint) string {
	if len(eps) == 1 {
		return eps[0].String()
	}
	if eps[0].Role == charm.Requirer {
		return fmt.Sprintf("%s %s", eps[0], eps[1])
	}
	return fmt.Sprintf("%s %s", eps[1], eps[0])
}
