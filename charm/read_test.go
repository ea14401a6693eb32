package charm_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/grigri/grigri/charm"
)

// tree makes a charm of file contents by name.
func tree(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, content := range files {
		out[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return out
}

const head = "name: web\nsummary: s\ndescription: d\n"

func TestRead(t *testing.T) {
	got, err := charm.Read(tree(map[string]string{
		"metadata.yaml": head + `
maintainer: [one, two]
format: 2
tags: &tags [a, b]
categories: *tags
unheard-of: {x: 1}
provides:
  website: http
  metrics: {interface: prom, limit: null, optional: yes, schema: whatever}
requires:
  db: {interface: mysql, limit: 1, scope: global}
  juju-info: {interface: juju-info, scope: container}
peers:
  cluster: {interface: web-peer}
extra-bindings: {admin: , cluster_net: null}
storage:
  data: {type: filesystem, location: /srv, minimum-size: 1G, read-only: true}
  logs: {type: filesystem, multiple: {range: 0-}}
  disks: {type: block, shared: true, multiple: {range: 2-4}, minimum-size: 1.5M}
  two: {type: block, multiple: {range: 2}}
  more: {type: block, multiple: {range: 3+}}
resources:
  site: {type: file, filename: site.tgz, description: the pages}
payloads: {monitor: {type: docker}}
series: [focal, jammy]
min-juju-version: 2.9.1
assumes: ["juju >= 3.1", {any-of: [k8s-api, {all-of: ["juju < 5", lxd]}]}]
devices: {gpu: {type: nvidia.com/gpu, countmin: 1, countmax: 2}}
`,
		"config.yaml": `options:
  port: {type: int, default: !!int "80", description: the port}
  title: {default: "", type: string}
  plain: {}
  ratio: {type: float, default: 1}
  debug: {type: boolean, default: no}
  quoted: {type: boolean, default: "True"}
  word: {type: string, default: yes}
  day: {type: string, default: 2012-01-01}
  key: {type: secret}
  old: {type: integer, default: "0x10"}
`,
		"actions.yaml": `backup:
  description: save it
  params: {to: {type: string, default: /tmp, "1": 2}}
  required: [to]
  additionalProperties: false
  parallel: true
  execution-group: disk
2nd:
`,
		"manifest.yaml":    "bases:\n- {name: ubuntu, channel: 22.10/stable, architectures: [amd64]}\n- {name: debian, channel: 12}\nanalysis: {}\n",
		"lxd-profile.yaml": "config: {security.nesting: \"true\"}\ndevices: {tun: {type: unix-char, path: /dev/net/tun}}\n",
		"version":          "revision-id: v1.2-3\nmore\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	ep := func(name, iface string, role charm.Role) charm.Endpoint {
		return charm.Endpoint{Name: name, Interface: iface, Role: role, Scope: charm.Global}
	}
	metrics, db, info := ep("metrics", "prom", charm.Provider), ep("db", "mysql", charm.Requirer), ep("juju-info", "juju-info", charm.Requirer)
	metrics.Optional, db.Limit, info.Scope = true, 1, charm.Container
	want := charm.Charm{
		Meta: charm.Meta{
			Name: "web", Summary: "s", Description: "d",
			Endpoints: map[string]charm.Endpoint{"website": ep("website", "http", charm.Provider), "metrics": metrics,
				"db": db, "juju-info": info, "cluster": ep("cluster", "web-peer", charm.Peer)},
			ExtraBindings: []string{"admin", "cluster_net"},
			Storage: map[string]charm.Storage{
				"data":  {Type: "filesystem", Location: "/srv", MinimumMiB: 1024, ReadOnly: true, Min: 1, Max: 1},
				"logs":  {Type: "filesystem", Min: 0, Max: -1},
				"disks": {Type: "block", Shared: true, Min: 2, Max: 4, MinimumMiB: 2},
				"two":   {Type: "block", Min: 2, Max: 2},
				"more":  {Type: "block", Min: 3, Max: -1},
			},
			Resources: map[string]charm.Resource{"site": {Type: "file", Filename: "site.tgz", Description: "the pages"}},
			Payloads:  map[string]string{"monitor": "docker"},
			Series:    []string{"focal", "jammy"},
			Assumes: []any{"juju >= 3.1", map[string]any{"any-of": []any{"k8s-api", map[string]any{"all-of": []any{"juju < 5", "lxd"}}}},
				"juju >= 2.9.1"},
		},
		Options: charm.Options{
			"port": {Type: charm.Int, Default: int64(80), Description: "the port"}, "title": {Type: charm.String, Default: ""},
			"plain": {Type: charm.String}, "ratio": {Type: charm.Float, Default: 1.0}, "debug": {Type: charm.Boolean, Default: false},
			"quoted": {Type: charm.Boolean, Default: true}, "word": {Type: charm.String, Default: "yes"},
			"day": {Type: charm.String, Default: "2012-01-01"}, "key": {Type: charm.Secret}, "old": {Type: charm.Int, Default: int64(16)},
		},
		Actions: map[string]charm.Action{
			"backup": {Description: "save it", Parallel: true, ExecutionGroup: "disk", Schema: map[string]any{
				"type": "object", "title": "backup", "description": "save it", "required": []any{"to"}, "additionalProperties": false,
				"properties": map[string]any{"to": map[string]any{"type": "string", "default": "/tmp", "1": int64(2)}}}},
			"2nd": {Description: "No description", Schema: map[string]any{
				"type": "object", "title": "2nd", "description": "No description", "properties": map[string]any{}}},
		},
		Bases:   []charm.Base{{Name: "ubuntu", Channel: "22.10", Architectures: []string{"amd64"}}, {Name: "debian", Channel: "12"}},
		Version: "v1.2-3",
		Profile: &charm.Profile{Config: map[string]string{"security.nesting": "true"},
			Devices: map[string]map[string]string{"tun": {"type": "unix-char", "path": "/dev/net/tun"}}},
	}
	if !reflect.DeepEqual(got, want) {
		g, _ := json.MarshalIndent(got, "", " ")
		w, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", g, w)
	}
}

func TestReadOdd(t *testing.T) {
	tests := map[string]map[string]string{
		"empty config":              {"config.yaml": ""},
		"config of comments":        {"config.yaml": "# none\n"},
		"options of nothing":        {"config.yaml": "options:\n"},
		"options {}":                {"config.yaml": "options: {}\n"},
		"empty actions":             {"actions.yaml": ""},
		"series []":                 {"metadata.yaml": head + "series: []\n"},
		"nothing below a group":     {"metadata.yaml": head + "requires:\nprovides: {}\n"},
		"tab after the key":         {"metadata.yaml": "name:\tweb\nsummary: s\ndescription:\td\n"},
		"tabs in a text":            {"metadata.yaml": "name: web\nsummary: s\ndescription: |\n  some\n\ttext\n"},
		"tabs before more text":     {"metadata.yaml": "name: web\nsummary: s\ndescription: some\n\ttext\n"},
		"a line of one tab":         {"metadata.yaml": "name: web\nsummary: s\n\t\ndescription: d\n"},
		"DOS line ends":             {"metadata.yaml": strings.ReplaceAll(head, "\n", "\r\n")},
		"byte order mark":           {"metadata.yaml": "\ufeff" + head},
		"the same key twice":        {"metadata.yaml": head + "description: again\n"},
		"odd endpoint names":        {"metadata.yaml": head + "provides: {Web_Site.1: http, juju-x: y}\n"},
		"manifest without bases":    {"manifest.yaml": "analysis: {}\n"},
		"empty manifest":            {"manifest.yaml": ""},
		"empty profile and version": {"lxd-profile.yaml": "", "version": ""},
		"explicit juju-info":        {"metadata.yaml": head + "provides: {juju-info: {interface: juju-info}}\n"},
		"merged maps":               {"metadata.yaml": head + "x: &x {interface: http}\nprovides: {a: {<<: *x}, b: {<<: [*x], scope: container}}\n"},
	}
	for about, files := range tests {
		if files["metadata.yaml"] == "" {
			files["metadata.yaml"] = head
		}
		if _, err := charm.Read(tree(files)); err != nil {
			t.Errorf("%s: %v", about, err)
		}
	}
}

func TestReadInvalid(t *testing.T) {
	tests := []struct{ file, content, want string }{
		{"metadata.yaml", "", "metadata.yaml: name: missing, expected text"},
		{"metadata.yaml", "name: [", "metadata.yaml: not YAML: "},
		{"metadata.yaml", "a:\n\tb: c\n", "metadata.yaml: not YAML: line 2: "},
		{"metadata.yaml", "- name", "metadata.yaml:1: expected a map, got a list"},
		{"metadata.yaml", "name: web\nsummary: s\n", "metadata.yaml: description: missing, expected text"},
		{"metadata.yaml", "name: web\nsummary: [s]\ndescription: d", "metadata.yaml:2: summary: expected text, got a list"},
		{"metadata.yaml", "name: web\nsummary: 7\ndescription: d", `metadata.yaml:2: summary: expected text, got "7"`},
		{"metadata.yaml", "name: Web_1\nsummary: s\ndescription: d", `metadata.yaml:1: name: "Web_1" is not a charm's name`},
		{"metadata.yaml", head + "subordinate: maybe", `metadata.yaml:4: subordinate: expected true or false, got "maybe"`},
		{"metadata.yaml", head + "subordinate: true", "subordinate: a subordinate needs an endpoint under requires with scope: container"},
		{"metadata.yaml", head + "provides: [a]", "provides: expected a map, got a list"},
		{"metadata.yaml", head + "provides: {a: }", "provides.a.interface: missing, expected text"},
		{"metadata.yaml", head + "provides: {a: {interface: x, scope: world}}", `provides.a.scope: "world" is not known, expected global or container`},
		{"metadata.yaml", head + "provides: {a: {interface: x, limit: many}}", `provides.a.limit: expected a whole number, got "many"`},
		{"metadata.yaml", head + "provides: {a: {interface: x, limit: -1}}", "provides.a.limit: expected a number that is not negative"},
		{"metadata.yaml", head + "provides: {a: {interface: x, optional: 3}}", "provides.a.optional: expected true or false"},
		{"metadata.yaml", head + "provides: {a: x}\nrequires: {a: x}", "requires.a: the name is taken by a provider endpoint"},
		{"metadata.yaml", head + "provides: {a/b: x}", `"a/b" cannot be an endpoint's name`},
		{"metadata.yaml", head + "extra-bindings: {}", "extra-bindings: expected at least one name"},
		{"metadata.yaml", head + "provides: {a: x}\nextra-bindings: {a: }", "extra-bindings.a: the name is taken by an endpoint"},
		{"metadata.yaml", head + "storage: {a: {}}", "storage.a.type: missing"},
		{"metadata.yaml", head + "storage: {a: {type: tape}}", `storage.a.type: "tape" is not known, expected filesystem or block`},
		{"metadata.yaml", head + "storage: {a: {type: block, location: /a}}", "storage.a.location: only a filesystem has a location"},
		{"metadata.yaml", head + "storage: {a: {type: block, multiple: {range: 0}}}", "storage.a.multiple.range: expected a count"},
		{"metadata.yaml", head + "storage: {a: {type: block, multiple: {range: 3-2}}}", "storage.a.multiple.range: expected a count"},
		{"metadata.yaml", head + "storage: {a: {type: block, multiple: {range: -1}}}", "storage.a.multiple.range: expected a count"},
		{"metadata.yaml", head + "storage: {a: {type: block, minimum-size: big}}", "storage.a.minimum-size: expected a size like 512M or 1G"},
		{"metadata.yaml", head + "storage: {a/b: {type: block}}", "cannot be a storage's name"},
		{"metadata.yaml", head + "resources: {a: {type: file}}", "resources.a.filename: missing"},
		{"metadata.yaml", head + "resources: {a: {type: file, filename: x/y}}", "resources.a.filename: expected a file name without a directory"},
		{"metadata.yaml", head + "resources: {a: {type: x}}", "resources.a.type: \"x\" is not known, expected file or oci-image"},
		{"metadata.yaml", head + "payloads: {a: }", "payloads.a.type: missing"},
		{"metadata.yaml", head + "devices: {a: {type: x, countmin: 3, countmax: 2}}", "devices.a.countmax: expected at least countmin, which is 3"},
		{"metadata.yaml", head + "containers: {a: {}}", "containers: charms that run on Kubernetes cannot be deployed to machines"},
		{"metadata.yaml", head + "deployment: {type: stateful}", "deployment: charms that run on Kubernetes"},
		{"metadata.yaml", head + "assumes: ['juju = 3']", "assumes[0]: expected a feature's name, or an expression"},
		{"metadata.yaml", head + "assumes: ['juju >= three']", "assumes[0]: expected a version like 3.1"},
		{"metadata.yaml", head + "assumes: [{some-of: []}]", "assumes[0].some-of: expected any-of or all-of"},
		{"metadata.yaml", head + "assumes: [[]]", "assumes[0]: expected a map, got a list"},
		{"metadata.yaml", head + "min-juju-version: new", "min-juju-version: expected a version like 2.9.0"},
		{"metadata.yaml", head + bomb, "metadata.yaml: its aliases expand to more than 200000 values"},
		{"metadata.yaml", head + "x: &x [*x]", "metadata.yaml: "},
		{"config.yaml", "option: {}", "config.yaml: options: missing, expected a map of options"},
		{"config.yaml", "options: [a]", "config.yaml:1: options: expected a map, got a list"},
		{"config.yaml", "options: {a: {type: list}}", `options.a.type: "list" is not known, expected string or int or float or boolean or secret`},
		{"config.yaml", "options: {a: {type: int, default: x}}", `options.a.default: expected int as the option's type says, got "x"`},
		{"config.yaml", "options: {a: {type: int, default: 1.5}}", "options.a.default: expected int"},
		{"config.yaml", "options: {a: {type: int, default: ''}}", "options.a.default: expected int"},
		{"config.yaml", "options: {a: {type: string, default: 80}}", "options.a.default: expected string"},
		{"config.yaml", "options: {a: {type: string, default: true}}", "options.a.default: expected string"},
		{"config.yaml", "options: {a: {type: boolean, default: 1}}", "options.a.default: expected boolean"},
		{"config.yaml", "options: {a: {type: float, default: .nan}}", "options.a.default: expected a number that JSON can hold"},
		{"config.yaml", "options: {a: {type: secret, default: hunter2}}", "options.a.default: expected secret"},
		{"actions.yaml", "juju-run: {}", `"juju-run" cannot be an action's name`},
		{"actions.yaml", "Backup: {}", `"Backup" cannot be an action's name`},
		{"actions.yaml", "backup: 3", `actions.yaml:1: backup: expected a map, got "3"`},
		{"actions.yaml", "backup: {params: {a: text}}", `backup.params.a: expected a map, got "text"`},
		{"actions.yaml", "backup: {params: {a: {items: [{$ref: x}]}}}", "$ref is not supported"},
		{"actions.yaml", "backup: {$schema: x}", "$schema is not supported"},
		{"actions.yaml", "backup: {parallel: 2}", "backup.parallel: expected true or false"},
		{"manifest.yaml", "bases: [{name: ubuntu}]", "manifest.yaml: bases[0].channel: missing"},
		{"manifest.yaml", "bases: [{channel: 22.04}]", "bases[0].name: missing"},
		{"lxd-profile.yaml", "config: {limits.memory: 1GB}", "lxd-profile.yaml:1: config.limits.memory: a charm's profile may not set limits*"},
		{"lxd-profile.yaml", "devices: {root: {type: disk}}", `devices.root.type: "disk" is not known`},
		{"version", "\xff\n", "version: the first line is not UTF-8"},
		{"config.yaml", strings.Repeat("#\n", 3<<20), "config.yaml: larger than 4 MiB"},
	}
	for _, test := range tests {
		files := map[string]string{"metadata.yaml": head}
		files[test.file] = test.content
		_, err := charm.Read(tree(files))
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, charm.ErrInvalid) {
			t.Errorf("%s %.60q:\ngot  %v\nwant %s", test.file, test.content, err, test.want)
		}
	}
	if _, err := charm.Read(fstest.MapFS{}); err == nil || err.Error() !=
		"charm is not valid: no metadata.yaml, and no charmcraft.yaml to take its content from" {
		t.Errorf("empty tree: %v", err)
	}
	if _, err := charm.Read(tree(map[string]string{"metadata.yaml/x": "", "y": ""})); !errors.Is(err, charm.ErrInvalid) {
		t.Errorf("directory for a file: %v", err)
	}
}

const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]
`

func TestVersionIsCut(t *testing.T) {
	c, err := charm.Read(tree(map[string]string{"metadata.yaml": head, "version": strings.Repeat("ü", 200)}))
	if err != nil || c.Version != strings.Repeat("ü", 100) {
		t.Errorf("got %q, %v", c.Version, err)
	}
}

func TestReadCharmcraft(t *testing.T) {
	craft := `type: charm
name: web
title: The Web
summary: s
description: d
requires: {db: {interface: mysql}}
config: {options: {port: {type: int, default: 80}}}
actions: {backup: {description: save}}
base: ubuntu@24.04
platforms: {amd64: , arm64: {build-on: amd64, build-for: [arm64]}}
parts: {charm: {plugin: charm}}
`
	c, err := charm.Read(tree(map[string]string{"charmcraft.yaml": craft}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Meta.Name != "web" || c.Meta.Endpoints["db"].Interface != "mysql" || c.Options["port"].Default != int64(80) ||
		c.Actions["backup"].Description != "save" ||
		!reflect.DeepEqual(c.Bases, []charm.Base{{Name: "ubuntu", Channel: "24.04", Architectures: []string{"amd64", "arm64"}}}) {
		t.Errorf("got %+v", c)
	}

	// What is there wins; only what is missing is taken.
	c, err = charm.Read(tree(map[string]string{"charmcraft.yaml": craft, "metadata.yaml": "description: mine\nprovides: {site: http}\n", "config.yaml": ""}))
	if err != nil || c.Meta.Name != "web" || c.Meta.Description != "mine" || len(c.Options) != 0 || len(c.Meta.Endpoints) != 1 {
		t.Errorf("got %+v, %v", c, err)
	}

	for content, want := range map[string]string{
		"type: bundle\n" + head:                        `charmcraft.yaml:1: type: "bundle" is not known, expected charm`,
		"name: web\nsummary: s\n":                      "charmcraft.yaml: description: missing, expected text",
		head + "config: {options: {a: {type: x}}}\n":   `charmcraft.yaml: config.options.a.type: "x" is not known`,
		head + "config: {a: {type: x}}\n":              "charmcraft.yaml: config.options: missing",
		head + "actions: {A: {}}\n":                    "charmcraft.yaml: actions.A: ",
		head + "containers: {a: {}}\n":                 "charmcraft.yaml: containers: ",
		head + "bases: [{build-on: [{name: ubuntu}]}]": "charmcraft.yaml: bases[0].channel: missing",
		"[": "charmcraft.yaml: not YAML",
	} {
		_, err := charm.Read(tree(map[string]string{"charmcraft.yaml": content}))
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, charm.ErrInvalid) {
			t.Errorf("%q:\ngot  %v\nwant %s", content, err, want)
		}
	}
}

func TestBasesOfCharmcraft(t *testing.T) {
	for content, want := range map[string][]charm.Base{
		"bases: [{name: ubuntu, channel: '22.04'}]": {{Name: "ubuntu", Channel: "22.04"}},
		"bases: [{build-on: [{name: ubuntu, channel: 20.04}], run-on: [{name: ubuntu, channel: 20.10, architectures: [s390x]}]}]": {{Name: "ubuntu", Channel: "20.10", Architectures: []string{"s390x"}}},
		"bases: [{build-on: [{name: debian, channel: 12}]}]":                                                                      {{Name: "debian", Channel: "12"}},
		"platforms: {'ubuntu@22.04:amd64': , 'ubuntu@24.04:amd64': }":                                                             {{Name: "ubuntu", Channel: "22.04", Architectures: []string{"amd64"}}, {Name: "ubuntu", Channel: "24.04", Architectures: []string{"amd64"}}},
		"base: ubuntu@24.04\nplatforms: {all: {build-on: amd64, build-for: all}}":                                                 {{Name: "ubuntu", Channel: "24.04"}},
		"base: bare\n": nil,
	} {
		c, err := charm.Read(tree(map[string]string{"charmcraft.yaml": head + content}))
		if err != nil || !reflect.DeepEqual(c.Bases, want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", content, c.Bases, err, want)
		}
	}
}

// A charm travels as JSON, in the tree and to clients.
func TestJSON(t *testing.T) {
	in := charm.Options{
		"big":  {Type: charm.Int, Default: int64(1<<63 - 1)},
		"int":  {Type: charm.Int, Default: int64(-3)},
		"half": {Type: charm.Float, Default: 2.0},
		"text": {Type: charm.String, Default: "80"},
		"bool": {Type: charm.Boolean, Default: false},
		"none": {Type: charm.Int},
	}
	data, err := json.Marshal(charm.Charm{Options: in})
	if err != nil {
		t.Fatal(err)
	}
	var out charm.Charm
	if err := json.Unmarshal(data, &out); err != nil || !reflect.DeepEqual(out.Options, in) {
		t.Errorf("got %#v, %v", out.Options, err)
	}
	if err := json.Unmarshal([]byte(`{"options":{"a":{"type":"int","default":1.5}}}`), &out); err == nil {
		t.Error("no error for an int of 1.5")
	}
}

func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob("../examples/charms/*/metadata.yaml")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, dir := range dirs {
		if _, err := charm.Read(os.DirFS(filepath.Dir(dir))); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(head), []byte("options: {a: {type: int, default: 1}}"), []byte("a: {params: {b: {}}}"), []byte(head))
	f.Add([]byte(head+bomb), []byte("options: &a {b: {<<: *a}}"), []byte("x: &x [*x]"), []byte("bases: [{build-on: [{name: !!binary x}]}]"))
	f.Add([]byte("name:\t!!int web"), []byte("? [a]\n: b"), []byte("a: !!float x"), []byte("<<: [1, {a: b}]\nconfig: {1: 2, ~: ~}"))
	f.Fuzz(func(t *testing.T, metadata, config, actions, craft []byte) {
		fsys := fstest.MapFS{}
		for name, data := range map[string][]byte{"metadata.yaml": metadata, "config.yaml": config, "actions.yaml": actions, "charmcraft.yaml": craft} {
			if len(data) > 0 {
				fsys[name] = &fstest.MapFile{Data: data, Mode: 0o644}
			}
		}
		c, err := charm.Read(fsys)
		if err != nil {
			if !errors.Is(err, charm.ErrInvalid) {
				t.Errorf("not the charm's fault? %v", err)
			}
			return
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("the charm cannot travel: %v", err)
		}
		// What is packed reads the same.
		if got := pack(t, fsys); !reflect.DeepEqual(got, c) {
			t.Errorf("packed: %#v\nsource: %#v", got, c)
		}
	})
}

var _ fs.ReadLinkFS = fstest.MapFS{}
