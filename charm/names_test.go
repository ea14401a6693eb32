package charm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/charm"
)

func TestValidNames(t *testing.T) {
	for _, test := range []struct {
		about     string
		valid     func(string) bool
		good, bad []string
	}{
		{"charm", charm.ValidName, []string{"a", "web", "web2", "my-web", "a-1b", "a-b1-c", "juju-gui"},
			[]string{"", "1web", "Web", "web-", "-web", "web-1", "web--x", "web_x", "web/0", "wéb", "web\n", "local:web"}},
		{"application", charm.ValidApplicationName, []string{"a", "web2", "my-web"}, []string{"", "web-1", "Web", "web/0", "web\n", "web:db"}},
		{"action", charm.ValidActionName, []string{"a", "2nd", "back-up", "a--b"},
			[]string{"", "juju", "juju-run", "-a", "a-", "Back", "a_b", "a.b", "a\n"}},
		{"endpoint", charm.ValidEndpointName, []string{"db", "juju-info", "Shared_DB.v2", "1", "ü"},
			[]string{"", ".", "..", ".x", "-x", "a/b", "a:b", "a b", "a\n", "a,b", `a"b`, "a=b", "a\x00", "\xff", strings.Repeat("a", 201)}},
	} {
		for _, name := range test.good {
			if !test.valid(name) {
				t.Errorf("%q can be the name of an %s", name, test.about)
			}
		}
		for _, name := range test.bad {
			if test.valid(name) {
				t.Errorf("%q cannot be the name of an %s", name, test.about)
			}
		}
	}
}

func TestLocalEndpoints(t *testing.T) {
	names := func(m charm.Meta) string {
		var out []string
		for _, ep := range charm.LocalEndpoints(m) {
			out = append(out, ep.Name+" "+string(ep.Role))
		}
		return strings.Join(out, ", ")
	}
	m := charm.Meta{Endpoints: map[string]charm.Endpoint{
		"site": {Name: "site", Interface: "http", Role: charm.Provider}, "db": {Name: "db", Interface: "mysql", Role: charm.Requirer}}}
	if got := names(m); got != "db requirer, juju-info provider, site provider" {
		t.Errorf("got %s", got)
	}
	if len(m.Endpoints) != 2 {
		t.Errorf("the argument was changed: %v", m.Endpoints)
	}
	m.Endpoints = map[string]charm.Endpoint{"juju-info": {Name: "juju-info", Interface: "juju-info", Role: charm.Requirer, Scope: charm.Container}}
	if got := names(m); got != "juju-info requirer" {
		t.Errorf("got %s", got)
	}
	if got := names(charm.Meta{}); got != "juju-info provider" {
		t.Errorf("got %s", got)
	}
}

func TestHookNames(t *testing.T) {
	got := charm.HookNames(charm.Meta{
		Endpoints: map[string]charm.Endpoint{"db": {Name: "db"}},
		Storage:   map[string]charm.Storage{"data": {}},
	})
	if !slices.IsSorted(got) {
		t.Errorf("not sorted: %v", got)
	}
	for _, name := range []string{"install", "start", "stop", "remove", "config-changed", "upgrade-charm", "update-status", "leader-elected",
		"leader-settings-changed", "secret-changed", "secret-rotate", "secret-expired", "secret-remove", "db-relation-created", "db-relation-joined",
		"db-relation-changed", "db-relation-departed", "db-relation-broken", "data-storage-attached", "data-storage-detaching"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is missing", name)
		}
	}
	if slices.Contains(got, "juju-info-relation-joined") {
		t.Error("the implicit juju-info has no hooks")
	}
}

func TestCheckAssumes(t *testing.T) {
	some, all := func(of ...any) map[string]any { return map[string]any{"any-of": of} }, func(of ...any) map[string]any { return map[string]any{"all-of": of} }
	for _, test := range []struct {
		assumes []any
		want    string
	}{
		{nil, ""},
		{[]any{"juju"}, ""},
		{[]any{"juju >= 3.1", "juju<4"}, ""},
		{[]any{"juju >= 3.6.0", "juju >= 3.6-rc1", "juju < 3.6.0.1", "juju < 3.7-beta1"}, ""},
		{[]any{"juju >= 3.6.1"}, "charm requires juju >= 3.6.1, this is 3.6.0"},
		{[]any{"juju < 3.6"}, "charm requires juju < 3.6, this is 3.6.0"},
		{[]any{"juju >= 10"}, "charm requires juju >= 10, this is 3.6.0"},
		{[]any{"lxd"}, ""},
		{[]any{"k8s-api"}, `charm requires feature "k8s-api", which this model does not have`},
		{[]any{"lxd >= 5"}, `charm requires feature "lxd" >= 5, and its version here is not known`},
		{[]any{some("k8s-api", "juju >= 3")}, ""},
		{[]any{some("k8s-api", all("juju >= 4", "lxd"))},
			`charm requires at least one of several: charm requires feature "k8s-api", which this model does not have; or charm requires juju >= 4, this is 3.6.0`},
		{[]any{all("lxd", "k8s-api"), "juju >= 4"},
			"charm requires feature \"k8s-api\", which this model does not have\ncharm requires juju >= 4, this is 3.6.0"},
		{[]any{"juju ~ 3"}, `charm assumes "juju ~ 3", which is not understood`},
		{[]any{3.0}, `charm assumes "", which is not understood`},
	} {
		if got := strings.Join(charm.CheckAssumes(test.assumes, "3.6.0", []string{"lxd"}), "\n"); got != test.want {
			t.Errorf("%v:\ngot  %s\nwant %s", test.assumes, got, test.want)
		}
	}
	if got := charm.CheckAssumes([]any{"juju >= 3.6"}, "3.6-rc2", nil); len(got) != 1 {
		t.Errorf("a release candidate is not the release: %v", got)
	}
}
