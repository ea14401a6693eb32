package bundle

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/provider"
)

func read(text string, overlays ...string) (*Bundle, []string, error) {
	var over []Source
	for i, o := range overlays {
		over = append(over, Source{Name: fmt.Sprintf("overlay %d", i), Dir: "over", Data: []byte(o)})
	}
	files := map[string]string{"./here/motd": "hello\n", "./over/key": "\x00\x01"}
	return Read(Source{Name: "bundle.yaml", Dir: "here", Data: []byte(text)}, over, func(path string) ([]byte, error) {
		if data, ok := files[path]; ok {
			return []byte(data), nil
		}
		return nil, errors.New("no such file")
	})
}

const wiki = `
name: wiki
description: for people
default-base: debian@12/stable
applications:
  wiki:
    charm: ./wiki
    num_units: 3
    to: [db, "new"]
    options: {debug: yes, port: 8080, motd: "include-file://motd", none: ~}
    expose: true
    constraints: mem=2G
  db: {charm: /charms/db, num_units: 2, to: "7", annotations: {gui-x: 100, who: "include-file://motd"}}
  cache: {charm: ./cache, scale: 1, to: lxd:wiki/1}
  logger: {charm: ./logger}
machines:
  "7": {constraints: cores=2, annotations: {rack: b}}
relations:
- [wiki:db, db]
- - wiki
  - [cache, logger]
- [db, "wiki:db"]
`

var charms = map[string]Charm{"wiki": {Hash: "w1"}, "db": {Hash: "d1", Base: "ubuntu@22.04"}, "cache": {Hash: "c1"}, "logger": {Hash: "l1", Subordinate: true}}

func lines(changes []Change) string {
	var out []string
	for _, c := range changes {
		out = append(out, c.String())
	}
	return strings.Join(out, "\n")
}

func TestPlan(t *testing.T) {
	b, warnings, err := read(wiki)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if got, _ := b.Applications["wiki"].Settings(); !reflect.DeepEqual(got, map[string]string{"debug": "yes", "port": "8080", "motd": "hello\n"}) {
		t.Errorf("settings are %v", got)
	}
	changes, err := Plan(b, charms, Model{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := `upload charm ./here/cache for cache
upload charm /charms/db for db
upload charm ./here/logger for logger
upload charm ./here/wiki for wiki
add new machine 0 (bundle machine 7)
add new machine 1
add new machine 2
add lxd container 3 on new machine 1
add new machine 4
deploy application cache from local charm ./here/cache with 1 unit on debian@12
deploy application db from local charm /charms/db with 2 units on debian@12
deploy application logger from local charm ./here/logger on debian@12
deploy application wiki from local charm ./here/wiki with 3 units on debian@12
set annotations for db
expose all endpoints of wiki and allow access from CIDRs 0.0.0.0/0 and ::/0
set annotations for new machine 0
add relation wiki:db - db
add relation wiki - cache
add relation wiki - logger
add unit db/0 to new machine 0 to satisfy [7]
add unit db/1 to new machine 4
add unit wiki/0 to new machine 0 to satisfy [db]
add unit wiki/1 to new machine 1 to satisfy [new]
add unit wiki/2 to new machine 2 to satisfy [new]
add unit cache/0 to new machine 3 to satisfy [lxd:wiki/1]`
	if got := lines(changes); sorted(got) != sorted(want) || order(got) != nil {
		t.Errorf("got:\n%s\n%v", got, order(got))
	}
}

// sorted is the lines without the numbers of machines, which another order of work may give otherwise.
func sorted(text string) string {
	count := map[string]int{}
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Fields(line)
		for i, f := range fields {
			if len(f) == 1 && f >= "0" && f <= "9" {
				fields[i] = "N"
			}
		}
		count[strings.Join(fields, " ")]++
	}
	return fmt.Sprint(count)
}

// order says which line of a plan comes before what it needs.
func order(text string) error {
	rank := []string{"upload", "add new machine", "add lxd", "deploy", "expose", "add relation", "add unit"}
	last := 0
	for line := range strings.SplitSeq(text, "\n") {
		for i, prefix := range rank {
			if strings.HasPrefix(line, prefix) {
				if i+1 < last { // machines and containers are mixed
					return fmt.Errorf("%q comes too late", line)
				}
				last = max(last, i)
			}
		}
	}
	return nil
}

// model is what the bundle gives when it is deployed on an empty model.
func model(t interface{ Fatal(...any) }, b *Bundle, charms map[string]Charm, m Model) Model {
	changes, err := Plan(b, charms, m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Applications == nil {
		m = Model{Applications: map[string]Deployed{}, Machines: map[string]Host{}}
	}
	made := map[string]string{}
	number := func(r MachineRef) string {
		if r.Key != "" {
			return made[r.Key]
		}
		return r.ID
	}
	for _, c := range changes {
		switch c := c.(type) {
		case AddMachine:
			made[c.Key] = fmt.Sprint(len(m.Machines))
			if c.Container != "" {
				made[c.Key] = number(c.On) + "/lxd/" + c.Key
			}
			constraints, _ := provider.ParseConstraints(c.Constraints)
			m.Machines[made[c.Key]] = Host{Constraints: constraints}
		case Deploy:
			settings, _ := c.Application.Settings()
			m.Applications[c.Name] = Deployed{Charm: "local:" + c.Name + "-0", Hash: charms[c.Name].Hash, Base: c.Base, Subordinate: charms[c.Name].Subordinate,
				Options: settings, Constraints: c.Constraints, Trust: c.Application.Trust, Storage: c.Application.Storage}
		case Expose:
			a := m.Applications[c.Name]
			a.Expose, a.Endpoints = true, c.Endpoints
			m.Applications[c.Name] = a
		case Annotate:
			if a := m.Applications[c.Application]; c.Application != "" {
				a.Annotations = merge(a.Annotations, c.Annotations)
				m.Applications[c.Application] = a
				continue
			}
			host := m.Machines[number(c.Machine)]
			host.Annotations = merge(host.Annotations, c.Annotations)
			m.Machines[number(c.Machine)] = host
		case AddRelation:
			r := c.Relation
			for i := range r {
				if !strings.Contains(r[i], ":") {
					r[i] += ":ep"
				}
			}
			m.Relations = append(m.Relations, r)
		case AddUnit:
			a := m.Applications[c.Application]
			a.Units = append(a.Units, Placed{fmt.Sprintf("%s/%d", c.Application, len(a.Units)), number(c.To)})
			m.Applications[c.Application] = a
		}
	}
	return m
}

func TestDeployTwiceChangesNothing(t *testing.T) {
	b, _, err := read(wiki)
	if err != nil {
		t.Fatal(err)
	}
	m := model(t, b, charms, Model{})
	if changes, err := Plan(b, charms, m, Options{}); err != nil || len(changes) > 0 {
		t.Errorf("the second time: %v\n%s", err, lines(changes))
	}
	if d, err := Diff(b, charms, m, Options{}); err != nil || len(d) > 0 {
		t.Errorf("they differ: %v %v", d, err)
	}

	b.Applications["wiki"].Options["port"] = 81
	*b.Applications["wiki"].NumUnits = 4
	b.Applications["db"].Expose = true
	b.Applications["db"].Annotations["gui-x"] = "120"
	b.Machines["7"].Annotations["row"] = "1"
	*b.Applications["db"].NumUnits = 1 // nothing is taken away
	b.Relations = append(b.Relations, Relation{"cache:x", "db:x"})
	changed := map[string]Charm{"wiki": {Hash: "w2"}, "db": charms["db"], "cache": charms["cache"], "logger": charms["logger"]}
	changes, err := Plan(b, changed, m, Options{})
	want := `upload charm ./here/wiki for wiki
add new machine 0
upgrade wiki from local charm ./here/wiki (it has local:wiki-0)
expose all endpoints of db and allow access from CIDRs 0.0.0.0/0 and ::/0
set annotations for db
set application options for wiki
set annotations for machine 0
add relation cache:x - db:x
add unit wiki/3 to new machine 0 to satisfy [new]`
	if got := lines(changes); err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
	m.Machines["x"] = Host{}
	d, err := Diff(b, changed, m, Options{})
	wantDiff := map[string]any{
		"applications": map[string]any{
			"wiki": map[string]any{"charm": pair("./here/wiki", "local:wiki-0"), "num_units": pair(4, 3), "options": map[string]any{"port": pair("81", "8080")}},
			"db":   map[string]any{"expose": pair(true, false), "num_units": pair(1, 2)},
		},
		"machines":  map[string]any{"x": map[string]any{"missing": "bundle"}},
		"relations": map[string]any{"bundle-additions": [][]string{{"cache:x", "db:x"}}},
	}
	if err != nil || !reflect.DeepEqual(d, wantDiff) {
		t.Errorf("%v\n%v", err, d)
	}
	d, err = Diff(b, changed, m, Options{Annotations: true})
	wantDiff["applications"].(map[string]any)["db"].(map[string]any)["annotations"] = map[string]any{"gui-x": pair("120", "100")}
	wantDiff["machines"].(map[string]any)["7"] = map[string]any{"annotations": map[string]any{"row": pair("1", nil)}}
	if err != nil || !reflect.DeepEqual(d, wantDiff) {
		t.Errorf("with annotations: %v\n%v", err, d)
	}
}

func TestOverlay(t *testing.T) {
	b, _, err := read(wiki+`---
applications:
  wiki: {num_units: 1, to: [], options: {debug: no, motd: ~}}
  cache:
`, `
applications:
  db: {options: {key: "include-base64://key"}, constraints: "image-id=x mem=1G"}
  extra: {charm: ./extra, num_units: 1}
relations: [[extra, db]]
machines: {"7": ~}
`)
	if err != nil {
		t.Fatal(err)
	}
	w, _ := b.Applications["wiki"].Settings()
	d, _ := b.Applications["db"].Settings()
	if b.Applications["wiki"].Units() != 1 || len(b.Applications["wiki"].To) > 0 || !reflect.DeepEqual(w, map[string]string{"debug": "no", "port": "8080"}) {
		t.Errorf("wiki is %+v", b.Applications["wiki"])
	}
	if d["key"] != "AAE=" || b.Applications["db"].Units() != 2 || b.Applications["extra"].Charm != "./over/extra" {
		t.Errorf("db is %+v, extra %+v", b.Applications["db"], b.Applications["extra"])
	}
	if want := []Relation{{"wiki:db", "db"}, {"wiki", "logger"}, {"extra", "db"}}; b.Applications["cache"] != nil || !reflect.DeepEqual(b.Relations, want) {
		t.Errorf("relations are %v", b.Relations)
	}
}

func TestWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "bundle.yaml is empty"},
		{"a: [", "cannot read the bundle in bundle.yaml"},
		{"applications: {}", "at least one application must be specified"},
		{"services: {web: {charm: ./w}}", "services is the name of long ago"},
		{"bundle: kubernetes\napplications: {a: {charm: ./a}}", `bundle type "kubernetes"`},
		{"applications: {a: {charm: ./a}}\nfoo: 1", `unknown key "foo"`},
		{"applications: {a: {charm: ./a, colour: red}}", `application "a": unknown key "colour"`},
		{"applications: {a: {charm: ./a, num_units: many}}", `application "a": num_units: expected a whole number, got text`},
		{"applications: {a: {charm: ./a, num_units: 1, scale: 1}}", "num_units and scale are the same"},
		{"applications: {a: {charm: ./a, num_units: -1}}", `application "a": negative number of units`},
		{"applications: {A_: {charm: ./a}}", `application "A_": invalid application name`},
		{"applications: {a: {}}", `application "a": no charm specified`},
		{"applications: {a: {charm: ch:a}}", "there is no charm store: write the path of the charm's directory or archive, ./a"},
		{"applications: {a: {charm: ./a, to: [new]}}", "1 places for 0 units"},
		{"applications: {a: {charm: ./a, num_units: 1, to: lxd}}", `placement "lxd" refers to an application not defined`},
		{"applications: {a: {charm: ./a, num_units: 1, to: 3}}", `placement "3" refers to a machine not defined`},
		{"applications: {a: {charm: ./a, num_units: 1, to: kvm:0}}", `invalid placement "kvm:0"`},
		{"applications: {a: {charm: ./a, num_units: 1, to: a/0}}", "refers to the application itself"},
		{"applications: {a: {charm: ./a, num_units: 1, to: b/1}, b: {charm: ./b, num_units: 1}}", "specifies a unit greater than the 1 units of b"},
		{"applications: {a: {charm: ./a, num_units: 1, to: b}, b: {charm: ./b, num_units: 1, to: a}}", "cycle in the placement of applications: a -> b -> a"},
		{"applications: {a: {charm: ./a}}\nmachines: {x: ~, '1': ~}", `invalid machine id "x"`},
		{"applications: {a: {charm: ./a}}\nmachines: {x: ~, '1': ~}", `machine "1" is not referred to`},
		{"applications: {a: {charm: ./a}}\nrelations: [[a, b]]", `relation ["a", "b"] refers to application "b" not defined`},
		{"applications: {a: {charm: ./a}}\nrelations: [[a]]", "must have two endpoints"},
		{"applications: {a: {charm: ./a, constraints: speed=1}}", `application "a": unknown constraint "speed"`},
		{"applications: {a: {charm: ./a, base: jammy}}", `application "a": base "jammy": expected a name and a channel`},
		{"applications: {a: {charm: ./a, options: {o: [1]}}}", `option "o" must be one value`},
		{"applications: {a: {charm: ./a, options: {o: 'include-file://nope'}}}", `application "a": option "o" includes a file that cannot be read`},
		{"applications: {a: {charm: ./a, expose: true, exposed-endpoints: {x: {}}}}", "expose and exposed-endpoints exclude each other"},
		{"applications: {a: {charm: ./a, bindings: {x: dmz}}}", `space "dmz" not found`},
	} {
		if b, _, err := read(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\ngot  %v %v\nwant %s", test.text, b, err, test.want)
		}
	}
	b, _, err := read("applications: {sub: {charm: ./s, num_units: 1}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Plan(b, map[string]Charm{"sub": {Subordinate: true}}, Model{}, Options{}); err == nil || !strings.Contains(err.Error(), "subordinate") {
		t.Errorf("units of a subordinate: %v", err)
	}
	if _, err := Plan(b, charms, Model{}, Options{Machines: map[string]string{"4": "1"}}); err == nil || !strings.Contains(err.Error(), `the bundle has no machine "4"`) {
		t.Errorf("a machine that is not there: %v", err)
	}
}

func TestMapMachines(t *testing.T) {
	b, _, err := read(`
applications: {a: {charm: ./a, num_units: 3, to: ["3", "4", "5"]}}
machines: {"3": ~, "4": ~, "5": {base: ubuntu@22.04}}
`)
	if err != nil {
		t.Fatal(err)
	}
	m := Model{Machines: map[string]Host{"3": {}, "9": {}}}
	changes, err := Plan(b, map[string]Charm{"a": {}}, m, Options{Existing: true, Machines: map[string]string{"4": "9"}})
	want := `upload charm ./here/a for a
add new machine 0 (bundle machine 5)
deploy application a from local charm ./here/a with 3 units
add unit a/0 to machine 3 to satisfy [3]
add unit a/1 to machine 9 to satisfy [4]
add unit a/2 to new machine 0 to satisfy [5]`
	if got := lines(changes); err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// What a model is exported as, deployed elsewhere, gives the same model; and there is nothing to do for the model itself.
func TestExport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "sub"}
		b := &Bundle{Applications: map[string]*Application{}, Machines: map[string]*Machine{}}
		have := map[string]Charm{}
		for i, name := range names {
			a := &Application{Charm: "./" + name, Base: rapid.SampledFrom([]string{"", "debian@12", "ubuntu@22.04"}).Draw(t, "base"), Trust: rapid.Bool().Draw(t, "trust")}
			have[name] = Charm{Hash: name, Base: "debian@12", Subordinate: name == "sub"}
			if name != "sub" {
				n := rapid.IntRange(0, 3).Draw(t, "units")
				a.NumUnits = &n
				for range rapid.IntRange(0, n).Draw(t, "places") {
					place := rapid.SampledFrom([]string{"new", "lxd:new", "0", "lxd:0"}).Draw(t, "to")
					if strings.HasSuffix(place, "0") {
						b.Machines["0"] = &Machine{Constraints: "cores=2", Annotations: map[string]string{"rack": "b"}}
					}
					a.To = append(a.To, place)
				}
				a.Constraints = rapid.SampledFrom([]string{"", "mem=1024M"}).Draw(t, "constraints")
			}
			if rapid.Bool().Draw(t, "option") {
				a.Options = map[string]any{"x": rapid.SampledFrom([]string{"yes", "1", "two: words", "a\nb"}).Draw(t, "value")}
			}
			if rapid.Bool().Draw(t, "noted") {
				a.Annotations, a.Storage = map[string]string{"who": "yes"}, map[string]string{"data": "rootfs,1024M,1"}
			}
			a.Expose = rapid.Bool().Draw(t, "expose")
			b.Applications[name] = a
			if i > 0 && rapid.Bool().Draw(t, "related") {
				b.Relations = append(b.Relations, Relation{names[i-1] + ":x", name + ":y"})
			}
		}
		m := model(t, b, have, Model{})
		text, err := Export(m).Text()
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := read(string(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if d, err := Diff(again, have, m, Options{Existing: true, Annotations: true}); err != nil || len(d) > 0 {
			t.Fatalf("differs: %v %v\n%s", d, err, text)
		}
		if changes, err := Plan(again, have, m, Options{Existing: true}); err != nil || len(changes) > 0 {
			t.Fatalf("%v\n%s\n%s", err, lines(changes), text)
		}
		for name, a := range b.Applications {
			if !maps.Equal(again.Applications[name].Storage, a.Storage) {
				t.Fatalf("storage of %s is lost\n%s", name, text)
			}
		}
	})
}

// A container goes where the bundle says: on a machine, on a new one, or where a unit is, and if that is in a container, beside it.
func TestContainers(t *testing.T) {
	b, _, err := read(`
default-base: debian@12
machines: {"0": {}}
applications:
  db: {charm: /charms/db, num_units: 2, to: ["lxd:0", "lxd:new"]}
  cache: {charm: ./cache, num_units: 1, to: ["lxd:db/0"]}
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		have Model
		want []string
	}{
		{Model{}, []string{"add new machine 0 (bundle machine 0)", "add lxd container 1 on new machine 0", "add lxd container 4 on new machine 0",
			"add unit db/0 to new machine 1 to satisfy [lxd:0]", "add unit cache/0 to new machine 4 to satisfy [lxd:db/0]"}},
		{Model{Machines: map[string]Host{"3": {}, "3/lxd/0": {}}, Applications: map[string]Deployed{"db": {Charm: "local:db-0",
			Units: []Placed{{Unit: "db/0", Machine: "3/lxd/0"}}}}}, []string{"add lxd container 2 on machine 3", "add unit cache/0 to new machine 2 to satisfy [lxd:db/0]"}},
	} {
		changes, err := Plan(b, charms, c.have, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := lines(changes)
		for _, want := range c.want {
			if !strings.Contains("\n"+got+"\n", "\n"+want+"\n") {
				t.Errorf("there is no %q in:\n%s", want, got)
			}
		}
	}
}
