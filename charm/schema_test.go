package charm_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/grigri/grigri/charm"
)

const actionsText = `
backup:
  description: Save it all.
  params:
    outfile: {type: string, default: all.tgz, pattern: '^[a-z.]+$'}
    compression:
      type: object
      properties:
        kind: {type: string, enum: [gzip, bzip2], default: gzip}
        quality: {type: integer, minimum: 0, maximum: 9, exclusiveMaximum: true}
        deep: {type: object, properties: {er: {type: number, default: 0.5}}}
      additionalProperties: false
    size: {type: integer, default: 1000000}
    verbose: {type: boolean, default: no}
    tags: {type: array, items: {type: string}}
    nothing: {type: string, default: null}
  required: [outfile]
closed:
  params: {a: {type: string}}
  additionalProperties: false
picky:
  params:
    target: {type: object, properties: {host: {type: string}, port: {type: integer, default: 80}}, required: [host]}
    name: {type: string}
  required: [name]
loose:
  params: {a: {}, b: {type: [string, "null"]}}
  required: []
  id: loose
  title: Loose
bad-default:
  params: {n: {type: integer, default: many}}
`

// actions is the charm's actions as they come from the tree: through JSON.
func actions(t *testing.T) map[string]charm.Action {
	t.Helper()
	c, err := charm.Read(fstest.MapFS{
		"metadata.yaml": {Data: []byte("name: x\nsummary: s\ndescription: d\n")},
		"actions.yaml":  {Data: []byte(actionsText)},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back charm.Charm
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back.Actions
}

func TestInput(t *testing.T) {
	all := actions(t)
	type m = map[string]any
	backup := func(more m) m {
		out := m{"outfile": "all.tgz", "size": int64(1000000), "verbose": false, "compression": m{"kind": "gzip", "deep": m{"er": 0.5}}}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	for _, test := range []struct {
		name, action string
		given, want  m
		err          string
	}{
		{"defaults at every depth", "backup", nil, backup(nil), ""},
		{"what is given stays", "backup", m{"outfile": "x", "verbose": true}, backup(m{"outfile": "x", "verbose": true}), ""},
		{"defaults inside a given object", "backup", m{"compression": m{"quality": 3.0}},
			backup(m{"compression": m{"kind": "gzip", "quality": int64(3), "deep": m{"er": 0.5}}}), ""},
		{"what no schema names", "backup", m{"other": m{"a": 1.0, "b": []any{2.0, 2.5}}}, backup(m{"other": m{"a": int64(1), "b": []any{int64(2), 2.5}}}), ""},
		{"a wrong type", "backup", m{"outfile": 5.0}, nil, "validation failed: outfile: got number, want string"},
		{"a wrong type below", "backup", m{"compression": m{"quality": "high"}}, nil, "validation failed: compression.quality: got string, want integer"},
		{"not one of them", "backup", m{"compression": m{"kind": "zip"}}, nil, "validation failed: compression.kind: value must be one of 'gzip', 'bzip2'"},
		{"too large, in the way of draft 4", "backup", m{"compression": m{"quality": 9.0}}, nil, "validation failed: compression.quality: exclusiveMaximum: got 9, want 9"},
		{"no pattern", "backup", m{"outfile": "A"}, nil, "validation failed: outfile: 'A' does not match pattern '^[a-z.]+$'"},
		{"a wrong item", "backup", m{"tags": []any{"a", 1.0}}, nil, "validation failed: tags.1: got number, want string"},
		{"several faults", "backup", m{"outfile": 5.0, "tags": "x"}, nil, "validation failed: outfile: got number, want string; tags: got string, want array"},
		{"null is a value", "backup", m{"outfile": nil}, nil, "validation failed: outfile: got null, want string"},
		{"closed below", "backup", m{"compression": m{"level": 1.0}}, nil, "validation failed: compression: additional properties 'level' not allowed"},
		{"closed", "closed", m{"b": 1.0}, nil, "validation failed: additional properties 'b' not allowed"},
		{"missing", "picky", nil, nil, "validation failed: missing property 'name'"},
		{"an object of defaults that would lack something is left out", "picky", m{"name": "n"}, m{"name": "n"}, ""},
		{"and filled when it is given", "picky", m{"name": "n", "target": m{"host": "h"}}, m{"name": "n", "target": m{"host": "h", "port": int64(80)}}, ""},
		{"nothing is asked for", "loose", nil, m{}, ""},
		{"one of two types", "loose", m{"a": nil, "b": nil}, m{"a": nil, "b": nil}, ""},
		{"a default that is wrong", "bad-default", nil, nil, "validation failed: n: got string, want integer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, _ := json.Marshal(test.given)
			got, err := all[test.action].Input(test.given)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("got %v, %v\nwant %s", got, err, test.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Fatalf("got  %v, %v\nwant %v", got, err, test.want)
			}
			if after, _ := json.Marshal(test.given); string(after) != string(before) {
				t.Errorf("what was given has become %s", after)
			}
			again, err := all[test.action].Input(got) // as the agent does with what the controller has made
			if err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("the second time: %v, %v", again, err)
			}
		})
	}
}

func TestSchemasThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"a: {params: {x: {type: int}}}":                  "actions.yaml:1: a: its parameters are no JSON schema: properties.x.type: ",
		"a: {params: {x: {required: true}}}":             "properties.x.required: got boolean, want array",
		"a: {params: {x: {type: string, pattern: '('}}}": "pattern",
		"a: {minProperties: many}":                       "minProperties: got string, want integer",
	} {
		_, err := charm.Read(fstest.MapFS{
			"metadata.yaml": {Data: []byte("name: x\nsummary: s\ndescription: d\n")},
			"actions.yaml":  {Data: []byte(text)},
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestParseParams(t *testing.T) {
	for text, want := range map[string]any{
		"5": int64(5), "1.5": 1.5, "yes": true, "off": false, "'yes'": "yes", "true": true, "": nil, "~": nil, "text": "text", "010": int64(8),
		"2020-01-02": "2020-01-02", "[a, 1]": []any{"a", int64(1)}, "{a: {b: y}}": map[string]any{"a": map[string]any{"b": true}},
	} {
		if got, err := charm.ParseParam("x", text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %#v, %v; want %#v", text, got, err, want)
		}
	}
	if _, err := charm.ParseParam("x", "a: b: c"); err == nil || !strings.Contains(err.Error(), "x: not YAML") {
		t.Errorf("bad YAML: %v", err)
	}
	if got, err := charm.ParseParams("p.yaml", []byte("a: 1\nb: {c: no}\n")); err != nil || !reflect.DeepEqual(got, map[string]any{"a": int64(1), "b": map[string]any{"c": false}}) {
		t.Errorf("params %v, %v", got, err)
	}
	if got, err := charm.ParseParams("p.yaml", nil); err != nil || len(got) != 0 {
		t.Errorf("no params: %v, %v", got, err)
	}
	if _, err := charm.ParseParams("p.yaml", []byte("- a\n")); err == nil || !strings.Contains(err.Error(), "p.yaml:1: expected a map, got a list") {
		t.Errorf("a list: %v", err)
	}
}
