package plan

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// tenant is a unit of web, written as "80/tcp 443/tcp@website; *=0.0.0.0/0,::/0 website=10.0.0.0/8": what it has opened, and then to whom
// its application is exposed.
func tenant(t *testing.T, line string) Tenant {
	t.Helper()
	out := Tenant{Application: "web"}
	open, exposed, ok := strings.Cut(line, ";")
	out.Exposed.Exposed = ok
	for _, word := range strings.Fields(open) {
		port, endpoint, _ := strings.Cut(word, "@")
		r, err := provider.ParsePort(port)
		if err != nil {
			t.Fatal(err)
		}
		out.Open = append(out.Open, state.OpenPort{PortRange: r, Endpoint: endpoint})
	}
	for _, word := range strings.Fields(exposed) {
		endpoint, cidrs, _ := strings.Cut(word, "=")
		if out.Exposed.Endpoints == nil {
			out.Exposed.Endpoints = map[string]state.ExposedEndpoint{}
		}
		e := state.ExposedEndpoint{}
		if cidrs != "" {
			e.CIDRs = strings.Split(cidrs, ",")
		}
		out.Exposed.Endpoints[strings.TrimPrefix(endpoint, "*")] = e
	}
	return out
}

func TestRules(t *testing.T) {
	const all = "*=0.0.0.0/0,::/0"
	for _, c := range []struct {
		name, want string
		units      []string
	}{
		{"nothing", "", nil},
		{"not exposed", "", []string{"80 443"}},
		{"nothing open", "", []string{"; " + all}},
		{"to everyone", "80/tcp 443/tcp", []string{"443 80; " + all}},
		{"without networks it is everyone", "80/tcp", []string{"80; *="}},
		{"to a network", "80/tcp from 10.0.0.0/8", []string{"80; *=10.0.0.0/8"}},
		{"half of everyone is not everyone", "80/tcp from 0.0.0.0/0", []string{"80; *=0.0.0.0/0"}},
		{"one endpoint is exposed, and the port is another's", "80/tcp from 10.0.0.0/8", []string{"80@website 22@admin; website=10.0.0.0/8"}},
		{"an endpoint of its own", "22/tcp from 192.0.2.0/24;80/tcp", []string{"80@website 22@admin; " + all + " admin=192.0.2.0/24"}},
		{"a port of all endpoints is open to those of each", "80/tcp from 10.0.0.0/8,192.0.2.0/24", []string{"80; website=10.0.0.0/8 admin=192.0.2.0/24"}},
		{"two units with the same port", "80/tcp from 10.0.0.0/8,192.0.2.0/24", []string{"80; *=10.0.0.0/8", "80; *=192.0.2.0/24"}},
		{"everyone covers a network", "80/tcp", []string{"80; *=10.0.0.0/8", "80; " + all}},
		{"the same range twice", "80-90/tcp", []string{"80-90 80-90@website; " + all}},
		{"protocols", "53/tcp 53/udp icmp", []string{"icmp 53/udp 53; " + all}},
		{"two units, one is not exposed", "80/tcp", []string{"80; " + all, "3306"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tenants []Tenant
			for _, u := range c.units {
				tenants = append(tenants, tenant(t, u))
			}
			var got []string
			for _, r := range Rules(tenants) {
				text := r.String()
				if r.Sources != nil {
					text += " from " + strings.Join(r.Sources, ",")
				}
				got = append(got, text)
			}
			if have := strings.Join(got, " "); have != strings.ReplaceAll(c.want, ";", " ") {
				t.Errorf("got %q, want %q", have, c.want)
			}
		})
	}
}

func TestEveryoneReachesTheController(t *testing.T) {
	rules := Rules(ControllerTenant([]string{"10.0.0.1:17070", "192.0.2.1:17070", "[::1]:2281", "nonsense"}))
	if len(rules) != 2 || rules[0].String() != "2281/tcp" || rules[1].String() != "17070/tcp" || rules[0].Sources != nil {
		t.Errorf("got %v", rules)
	}
}

func TestProfiles(t *testing.T) {
	got := Profiles([]Tenant{{Application: "db"}, {Application: "web", Profile: &charm.Profile{Description: "x", Config: map[string]string{"security.nesting": "true"},
		Devices: map[string]map[string]string{"tun": {"type": "unix-char", "major": "10"}}}}})
	want := map[string]provider.Profile{"web": {Description: "x", Config: map[string]string{"security.nesting": "true"},
		Devices: map[string]map[string]string{"tun": {"type": "unix-char", "major": "10"}}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := Profiles([]Tenant{{Application: "db"}}); got != nil {
		t.Errorf("nobody wants one: %+v", got)
	}
}

func TestFit(t *testing.T) {
	now := time.Unix(1e9, 0)
	machine := func(change func(*Machine)) Machine {
		m := Machine{ID: "0", Instance: state.Instance{Instance: provider.Instance{ID: "i-1", State: provider.Running}}}
		if change != nil {
			change(&m)
		}
		return m
	}
	open := []Tenant{tenant(t, "80; *=")}
	rules := Rules(open)
	profiled := []Tenant{{Application: "web", Profile: &charm.Profile{Config: map[string]string{"a": "b"}}}}
	for _, c := range []struct {
		name    string
		machine Machine
		fitted  state.Fitting
		tenants []Tenant
		want    string
	}{
		{"nothing is wanted", machine(nil), state.Fitting{}, nil, "Nothing"},
		{"a port is wanted", machine(nil), state.Fitting{}, open, "Refit 1"},
		{"a profile is wanted", machine(nil), state.Fitting{}, profiled, "Refit 0"},
		{"as it is wanted", machine(nil), state.Fitting{Instance: "i-1", Rules: rules}, open, "Nothing"},
		{"what is open is not wanted any more", machine(nil), state.Fitting{Instance: "i-1", Rules: rules}, nil, "Refit 0"},
		{"another instance", machine(nil), state.Fitting{Instance: "i-0", Rules: rules}, open, "Refit 1"},
		{"another instance, and nothing is wanted", machine(nil), state.Fitting{Instance: "i-0", Rules: rules}, nil, "Nothing"},
		{"a leader died in between", machine(nil), state.Fitting{Instance: "i-1", Pending: true}, nil, "Refit 0"},
		{"it failed, and it is not yet time", machine(nil), state.Fitting{Instance: "i-1", Error: "no", Tried: rules, Retry: now.Add(time.Second)}, open, "Wait"},
		{"it failed, and something else is wanted", machine(nil), state.Fitting{Instance: "i-1", Error: "no", Tried: rules, Retry: now.Add(time.Second)}, nil, "Refit 0"},
		{"it failed, and it is time", machine(nil), state.Fitting{Instance: "i-1", Error: "no", Tried: rules, Retry: now}, open, "Refit 1"},
		{"it does not run yet", machine(func(m *Machine) { m.Instance.State = provider.Pending }), state.Fitting{}, open, "Nothing"},
		{"it goes", machine(func(m *Machine) { m.Life = state.Dying }), state.Fitting{}, open, "Nothing"},
		{"there is none", machine(func(m *Machine) { m.Instance.ID = "" }), state.Fitting{}, open, "Nothing"},
	} {
		a := Fit(c.machine, c.fitted, c.tenants, now)
		got := strings.TrimPrefix(fmt.Sprintf("%T", a), "plan.")
		if r, ok := a.(Refit); ok {
			got += fmt.Sprintf(" %d", len(r.Rules))
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
