package plan

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A Tenant is a unit on a machine, as far as the machine's instance must be fitted for it.
type Tenant struct {
	Application state.ApplicationName
	Open        []state.OpenPort
	Exposed     state.Exposed  // of the application
	Profile     *charm.Profile // of its charm
}

// Rules is what may reach a machine on which these units are: their open ports, to those to whom their applications are exposed. What a
// unit has opened for one endpoint is open to those of that endpoint, or if it is not exposed by itself, to those of all endpoints.
func Rules(tenants []Tenant) []provider.Rule {
	open := map[provider.PortRange]map[string]bool{}
	for _, t := range tenants {
		if !t.Exposed.Exposed {
			continue
		}
		for _, p := range t.Open {
			for _, e := range exposedFor(t.Exposed, p.Endpoint) {
				if open[p.PortRange] == nil {
					open[p.PortRange] = map[string]bool{}
				}
				for _, cidr := range sources(e) {
					open[p.PortRange][cidr] = true
				}
			}
		}
	}
	var out []provider.Rule
	for _, p := range slices.SortedFunc(maps.Keys(open), provider.PortRange.Compare) {
		r := provider.Rule{PortRange: p}
		if all := open[p]; !all[everyV4] || !all[everyV6] {
			r.Sources = slices.Sorted(maps.Keys(all))
		}
		out = append(out, r)
	}
	return out
}

// ControllerTenant is a controller that listens at these addresses, host:port. It proves itself to everyone, and everyone to it.
func ControllerTenant(addresses []string) []Tenant {
	t := Tenant{Exposed: state.Exposed{Exposed: true, Endpoints: map[string]state.ExposedEndpoint{"": {}}}}
	for _, a := range addresses {
		port, err := strconv.Atoi(a[strings.LastIndexByte(a, ':')+1:])
		open := state.OpenPort{PortRange: provider.PortRange{Protocol: provider.TCP, From: port, To: port}}
		if err == nil && !slices.Contains(t.Open, open) {
			t.Open = append(t.Open, open)
		}
	}
	return []Tenant{t}
}

// The two halves of everyone.
const (
	everyV4 = "0.0.0.0/0"
	everyV6 = "::/0"
)

// exposedFor is to whom a port is open that was opened for the endpoint; "" is all of them.
func exposedFor(x state.Exposed, endpoint string) []state.ExposedEndpoint {
	if endpoint == "" {
		return slices.Collect(maps.Values(x.Endpoints))
	}
	for _, name := range []string{endpoint, ""} {
		if e, ok := x.Endpoints[name]; ok {
			return []state.ExposedEndpoint{e}
		}
	}
	return nil
}

func sources(e state.ExposedEndpoint) []string {
	if len(e.CIDRs) == 0 {
		return []string{everyV4, everyV6}
	}
	return e.CIDRs
}

// Profiles is what the charms of these units want of the instance they are in, by application.
func Profiles(tenants []Tenant) map[string]provider.Profile {
	var out map[string]provider.Profile
	for _, t := range tenants {
		if t.Profile == nil {
			continue
		}
		if out == nil {
			out = map[string]provider.Profile{}
		}
		out[string(t.Application)] = provider.Profile(*t.Profile)
	}
	return out
}

// Fit says what the machine's instance is to be fitted with, when it is not: Refit, Wait, or Nothing. An instance of which nothing
// is wanted and that was never fitted is left alone.
func Fit(m Machine, fitted state.Fitting, tenants []Tenant, now time.Time) Action {
	if m.Life != state.Alive || m.Instance.ID == "" || m.Instance.State != provider.Running {
		return Nothing{}
	}
	if fitted.Instance != m.Instance.ID {
		fitted = state.Fitting{}
	}
	want := Refit{Rules: Rules(tenants), Profiles: Profiles(tenants)}
	switch {
	case !fitted.Pending && fitted.Error == "" && sameRules(fitted.Rules, want.Rules) && sameProfiles(fitted.Profiles, want.Profiles):
		return Nothing{}
	case now.Before(fitted.Retry) && sameRules(fitted.Tried, want.Rules):
		return Wait{fitted.Retry}
	}
	return want
}

func sameRules(a, b []provider.Rule) bool {
	return slices.EqualFunc(a, b, func(x, y provider.Rule) bool { return x.PortRange == y.PortRange && slices.Equal(x.Sources, y.Sources) })
}

func sameProfiles(a, b map[string]provider.Profile) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}
