package relation

import (
	"errors"
	"testing"

	"github.com/grigri/grigri/charm"
)

func ep(app, name, iface string, role charm.Role) Endpoint {
	return Endpoint{Application: app, Endpoint: charm.Endpoint{Name: name, Interface: iface, Role: role, Scope: charm.Global}}
}

func info(app string) Endpoint { return Endpoint{Application: app, Endpoint: charm.JujuInfo()} }

func container(e Endpoint) Endpoint { e.Scope = charm.Container; return e }

func sub(eps ...Endpoint) []Endpoint {
	for i := range eps {
		eps[i].Subordinate = true
	}
	return eps
}

func TestFind(t *testing.T) {
	web := []Endpoint{ep("web", "cluster", "web-peer", charm.Peer), ep("web", "db", "mysql", charm.Requirer),
		info("web"), ep("web", "site", "http", charm.Provider)}
	db := []Endpoint{ep("db", "cluster", "web-peer", charm.Peer), ep("db", "db", "mysql", charm.Provider), info("db")}
	two := []Endpoint{ep("two", "a", "mysql", charm.Provider), ep("two", "b", "mysql", charm.Provider), info("two")}
	ntp := sub(info("ntp"), container(ep("ntp", "master", "juju-info", charm.Requirer)), ep("ntp", "time", "ntp", charm.Provider))
	logger := sub(container(ep("logger", "info", "juju-info", charm.Requirer)), info("logger"),
		container(ep("logger", "logs", "mysql", charm.Requirer)))
	wanting := []Endpoint{container(ep("wanting", "logs", "mysql", charm.Requirer)), info("wanting")}
	monitor := []Endpoint{ep("monitor", "any", "juju-info", charm.Requirer), info("monitor")}

	chain := []Endpoint{ep("chain", "down", "next", charm.Requirer), ep("chain", "up", "next", charm.Provider)}

	tests := []struct {
		about  string
		a, b   string
		ea, eb []Endpoint
		want   string // "a b scope", or the error
	}{
		{"requirer with provider", "web", "db", web, db, "web:db db:db global"},
		{"the order given is kept", "db", "web", db, web, "db:db web:db global"},
		{"named on one side", "web:db", "db", web, db, "web:db db:db global"},
		{"peers do not fit each other", "web:cluster", "db:cluster", web, db, ErrNone.Error()},
		{"nothing fits", "db", "two", db, two, ErrNone.Error()},
		{"not with itself", "chain", "chain", chain, chain, ErrNone.Error()},
		{"two providers", "web", "two", web, two, `ambiguous relation: "web two" could refer to "web:db two:a"; "web:db two:b"`},
		{"requirer first in the list", "two", "web:db", two, web, `ambiguous relation: "two web:db" could refer to "web:db two:a"; "web:db two:b"`},
		{"one of two, named", "web", "two:b", web, two, "web:db two:b global"},
		{"implicit juju-info takes the requirer's scope", "web", "ntp", web, ntp, "web:juju-info ntp:master container"},
		{"explicit before implicit", "db", "logger", db, logger, "db:db logger:logs container"},
		{"implicit when named", "db:juju-info", "logger", db, logger, "db:juju-info logger:info container"},
		{"implicit when its requirer is named", "db", "logger:info", db, logger, "db:juju-info logger:info container"},
		{"container scope wants a subordinate", "wanting", "db", wanting, db, ErrNone.Error()},
		{"juju-info of global scope", "monitor", "web", monitor, web, "monitor:any web:juju-info global"},
		{"no such endpoint", "web:nope", "db", web, db, `application "web" has no "nope" relation, it has cluster, db, juju-info, site`},
		{"three parts", "a:b:c", "db", web, db, `invalid endpoint "a:b:c": more than one colon, expected APPLICATION or APPLICATION:ENDPOINT`},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			pair, err := Find(test.a, test.ea, test.b, test.eb)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = pair[0].String() + " " + pair[1].String() + " " + string(pair[0].Scope)
				if pair[0].Scope != pair[1].Scope {
					t.Errorf("scopes differ: %v", pair)
				}
			}
			if got != test.want {
				t.Errorf("\ngot  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestMatchNothing(t *testing.T) {
	if _, err := Match(nil, nil); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
	pair, err := Match([]Endpoint{ep("a", "x", "i", charm.Requirer)}, []Endpoint{ep("b", "y", "i", charm.Provider)})
	if err != nil || Key(pair[:]) != "a:x b:y" {
		t.Errorf("got %v, %v", pair, err)
	}
}

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string][2]string{
		"web": {"web"}, "web:db": {"web", "db"}, "my-web:shared_db.v2": {"my-web", "shared_db.v2"},
	} {
		app, name, err := ParseEndpoint(text)
		if err != nil || app != want[0] || name != want[1] {
			t.Errorf("%q: got %q, %q, %v", text, app, name, err)
		}
	}
	for _, text := range []string{"", ":", ":db", "web:", "a:b:c", "Web:db", "web/0:db", "web:d b", "web-1", "web:a/b"} {
		if app, name, err := ParseEndpoint(text); err == nil {
			t.Errorf("%q: no error, got %q, %q", text, app, name)
		}
	}
}

func TestEndpoints(t *testing.T) {
	m := charm.Meta{Subordinate: true, Endpoints: map[string]charm.Endpoint{
		"master": {Name: "master", Interface: "juju-info", Role: charm.Requirer, Scope: charm.Container}}}
	got := Endpoints("ntp", m)
	if len(got) != 2 || got[0].String() != "ntp:juju-info" || got[1].String() != "ntp:master" || !got[1].Subordinate {
		t.Errorf("got %v", got)
	}
}
