package main

import (
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/query"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// aModel has a principal with a subordinate on a machine, and a unit in a container.
func aModel() status.Status {
	end := state.End{Life: state.Dying}
	return status.Build(status.Snapshot{
		Model: state.Model{Name: "shop", Cloud: "local"},
		Applications: map[state.ApplicationName]status.ApplicationRecord{
			"web": {Application: state.Application{Charm: charm.ID{Name: "web", Revision: 3}}, Exposed: true}, "db": {}, "none": {},
			"logger": {Application: state.Application{Subordinate: true}},
		},
		Units: map[state.UnitName]status.UnitRecord{
			"web/0":    {Unit: state.Unit{Machine: "0"}, Status: &state.UnitStatus{Workload: state.StatusInfo{Status: "active"}, Agent: state.StatusInfo{Status: "idle"}}, Agent: &state.Presence{}},
			"logger/0": {Unit: state.Unit{Principal: "web/0"}},
			"db/0":     {Unit: state.Unit{Machine: "0/lxd/0", End: end}},
		},
		Machines: map[state.MachineID]status.MachineRecord{"0": {Agent: &state.Presence{}, Instance: &state.Instance{Instance: provider.Instance{ID: "i-0", State: provider.Running}}}, "0/lxd/0": {}},
	}, time.Time{}).Status
}

// What queries are told that an entity has, it has, and nothing else.
func TestEntitiesHaveTheFieldsOfTheirSchemas(t *testing.T) {
	w := newWaitModel(aModel())
	seen := map[string]int{}
	var check func(e query.Entity, s *query.Schema)
	check = func(e query.Entity, s *query.Schema) {
		seen[s.Name]++
		if got, want := slices.Sorted(maps.Keys(e)), fieldNames(s); !slices.Equal(got, want) {
			t.Errorf("%s has %q, and its schema %q", s.Name, got, want)
		}
		for name, f := range s.Fields {
			ok := false
			switch v := e[name].(type) {
			case string:
				ok = f.Kind == query.Text
			case bool:
				ok = f.Kind == query.Flag
			case query.Set:
				ok = f.Kind == query.Many && v != nil
				for _, e := range v {
					check(e, f.Of)
				}
			}
			if _, explained := s.Fields[f.Why]; !ok || f.Why != "" && !explained {
				t.Errorf("%s of %s is %#v", name, s.Name, e[name])
			}
		}
	}
	for _, k := range waitKinds() {
		name := map[string]string{"application": "web", "unit": "logger/0", "machine": "0/lxd/0"}[k.name]
		e, ok := k.find(w, name)
		if !ok {
			t.Fatalf("%s %s is not there", k.name, name)
		}
		check(e, k.schema)
		if _, ok := k.find(w, "no/7"); ok && k.name != "model" {
			t.Errorf("there is a %s no/7", k.name)
		}
	}
	for _, kind := range []string{"model", "application", "unit", "machine"} {
		if seen[kind] == 0 {
			t.Errorf("no %s was seen", kind)
		}
	}
}

func TestWhatCanBeAsked(t *testing.T) {
	w := newWaitModel(aModel())
	for _, k := range waitKinds() {
		for _, c := range []struct {
			kind, name, query string
			want              bool
		}{
			{"model", "shop", k.query, true},
			{"model", "shop", `name=="shop" && !is-controller && len(applications)==4 && len(units)==3 && len(machines)==2`, true},
			{"model", "shop", `forEach(units, u => u.machine-id=="0" || u.life=="dying")`, true},
			{"model", "shop", `forEach(applications, a => len(a.units)==1 || a.name=="none")`, true},
			{"application", "web", k.query, true},
			{"application", "web", `exposed && charm-url=="local:web-3" && len(units)==1 && units["web/0"].agent-status=="idle" && machines["0"].status=="started"`, true},
			{"application", "logger", `len(units)==1 && len(machines)==1 && units["logger/0"].subordinate && units["logger/0"].machine-id=="0"`, true},
			{"application", "db", k.query, false},
			{"unit", "web/0", k.query, true},
			{"unit", "logger/0", `principal=="web/0" && application=="logger" && agent-status=="allocating" && !leader`, true},
			{"unit", "db/0", `life=="dying" && machine-id=="0/lxd/0"`, true},
			{"machine", "0", k.query, true},
			{"machine", "0", `instance-id=="i-0" && container-type=="" && len(units)==2 && len(containers)==1 && containers["0/lxd/0"].container-type=="lxd"`, true},
			{"machine", "0/lxd/0", `status=="pending" && len(units)==1 && startsWith(instance-message, "waiting for the agent of machine 0")`, true},
		} {
			if c.kind != k.name {
				continue
			}
			q, err := query.Parse(c.query, k.schema)
			if err != nil {
				t.Fatalf("%s: %v", c.query, err)
			}
			e, _ := k.find(w, c.name)
			if got := q.Ask(e); got.Holds != c.want {
				t.Errorf("%s %s: %s: %+v", c.kind, c.name, c.query, got)
			}
		}
	}
}

// What goes while it is waited for is what was waited for only when its death was.
func TestWhatIsGone(t *testing.T) {
	kind := waitKinds()[1]
	entity, _ := kind.find(newWaitModel(aModel()), "web")
	for text, want := range map[string]string{
		`life=="dead"`:                    "",
		`life=="dead" && len(units)==0`:   "",
		`life != "alive" && name=="web"`:  "",
		`forEach(units, u => u.leader)`:   `application "web" has been removed, and nothing will bring it back: it waited for unit web/0: u.leader (u.leader is false)`,
		`life=="alive" && status=="idle"`: `application "web" has been removed, and nothing will bring it back: it waited for status=="idle" (status is "active")`,
		`life=="dead" && len(units)==1`:   `application "web" has been removed, and nothing will bring it back: it waited for life=="dead" (life is "alive")`,
	} {
		c := &cli{errw: io.Discard}
		w := &waiter{c: c, progress: c.progress(), kind: kind, name: "web", text: text}
		if err := w.parse(); err != nil {
			t.Fatal(err)
		}
		if err := w.see(entity, true, false); err != nil || w.over {
			t.Fatalf("%s: while it was there: %v, %v", text, err, w.over)
		}
		err := w.see(nil, false, true)
		if got := w.outcome(); !w.over || got.Met != (want == "") || got.Met == (got.Reason == "removed") || got.Met != (len(got.Unmet) == 0) || got.Now["life"] != "dead" {
			t.Errorf("%s: %+v", text, got)
		}
		if want == "" != (err == nil) || err != nil && err.Error() != want {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}

// The queries of the how-to can be asked, and its table has those that are asked when the user gives none.
func TestDocumentedQueries(t *testing.T) {
	page, err := os.ReadFile("../../docs/howto/wait-for-something.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^    grigri wait-for ([a-z]+) \S+ --query '(.*)'`).FindAllStringSubmatch(string(page), -1)
	if len(found) < 5 {
		t.Errorf("only %d queries were found: is the pattern right?", len(found))
	}
	for _, k := range waitKinds() {
		if !regexp.MustCompile("(?m)^\\| `" + k.name + " .*\\| `" + regexp.QuoteMeta(k.query) + "` \\|$").Match(page) {
			t.Errorf("the table has not %q for %s", k.query, k.name)
		}
		for _, m := range found {
			if _, err := query.Parse(m[2], k.schema); m[1] == k.name && err != nil {
				t.Errorf("%s: %v", m[2], err)
			}
		}
	}
}

// A model that is full of units that all keep a query from holding is told of in a line.
func TestManyUnmetAreCounted(t *testing.T) {
	w := &waiter{kind: waitKinds()[0], name: "shop"}
	for range 100 {
		w.answer.Unmet = append(w.answer.Unmet, query.Unmet{Want: "leader"})
	}
	if got := w.unmet(); !strings.HasSuffix(got, ", leader, 96 more") {
		t.Error(got)
	}
}
