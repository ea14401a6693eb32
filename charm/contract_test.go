package charm_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/grigri/grigri/charm"
)

// A sentence is one statement of the contract about the charm format, and a charm that shows it: read without a fault and with
// something to look at, or refused with some words.
type sentence struct {
	says    string
	files   map[string]string
	refused string
	look    func(charm.Charm) any
	want    any
}

// meta is a metadata.yaml with these lines beside the head.
func meta(lines string) map[string]string { return map[string]string{"metadata.yaml": head + lines} }

// with is a charm that has one file beside its metadata.
func with(file, content string) map[string]string {
	return map[string]string{"metadata.yaml": head, file: content}
}

func sentences() []sentence {
	endpoint := func(name string) func(charm.Charm) any {
		return func(c charm.Charm) any { return c.Meta.Endpoints[name] }
	}
	storage := func(c charm.Charm) any { return c.Meta.Storage["s"] }
	option := func(c charm.Charm) any { return c.Options["o"] }
	read := func(charm.Charm) any { return nil }
	http := charm.Endpoint{Name: "e", Interface: "http", Role: charm.Provider, Scope: charm.Global}
	limited, contained := http, http
	limited.Limit, contained.Scope = 2, charm.Container
	contained.Role = charm.Requirer
	return []sentence{
		// 4.1
		{says: "metadata.yaml is required", files: map[string]string{"config.yaml": "options: {}"}, refused: "no metadata.yaml"},
		{says: "charmcraft.yaml is read where a packed charm would have metadata.yaml", files: map[string]string{"charmcraft.yaml": "type: charm\n" + head + "provides: {e: {interface: http}}"}, look: endpoint("e"), want: http},
		{says: "charmcraft.yaml is ignored where metadata.yaml says it", files: map[string]string{"metadata.yaml": head, "charmcraft.yaml": "name: other\nsummary: s\ndescription: d"}, look: func(c charm.Charm) any { return c.Meta.Name }, want: "web"},
		{says: "charmcraft.yaml gives options", files: with("charmcraft.yaml", "config: {options: {o: {type: int, default: 3}}}"), look: option, want: charm.Option{Type: charm.Int, Default: int64(3)}},
		{says: "charmcraft.yaml gives actions", files: with("charmcraft.yaml", "actions: {backup: {description: x}}"), look: func(c charm.Charm) any { return c.Actions["backup"].Description }, want: "x"},
		{says: "charmcraft.yaml gives bases", files: with("charmcraft.yaml", "base: ubuntu@22.04\nplatforms: {amd64: }"), look: func(c charm.Charm) any { return c.Bases }, want: []charm.Base{{Name: "ubuntu", Channel: "22.04", Architectures: []string{"amd64"}}}},
		{says: "the version is the first line without its prefix", files: with("version", "revision-id: abc\nmore"), look: func(c charm.Charm) any { return c.Version }, want: "abc"},
		{says: "hooks may be absent", files: with("LICENSE", "free"), look: read},
		// 4.2
		{says: "name is required", files: map[string]string{"metadata.yaml": "summary: s\ndescription: d"}, refused: "name: missing"},
		{says: "name has its pattern", files: map[string]string{"metadata.yaml": "name: web-1\nsummary: s\ndescription: d"}, refused: `"web-1" is not a charm's name`},
		{says: "summary is required", files: map[string]string{"metadata.yaml": "name: web\ndescription: d"}, refused: "summary: missing"},
		{says: "description is required and may have many lines", files: map[string]string{"metadata.yaml": "name: web\nsummary: s\ndescription: |\n  a\n  b\n"}, look: func(c charm.Charm) any { return c.Meta.Description }, want: "a\nb\n"},
		{says: "keys that are not known are ignored", files: meta("maintainers: [a]\ndisplay-name: X\ndocs: u\nwebsite: u\nissues: u\nsource: u\nlinks: {}\ncategories: []\ntags: []\nterms: []\nwhatever: 1"), look: read},
		{says: "an endpoint is a string", files: meta("provides: {e: http}"), look: endpoint("e"), want: http},
		{says: "or a map, whose schema is ignored", files: meta("provides: {e: {interface: http, limit: 2, schema: x}}"), look: endpoint("e"), want: limited},
		{says: "interface is required", files: meta("provides: {e: {limit: 1}}"), refused: "provides.e.interface: missing"},
		{says: "scope is global or container", files: meta("requires: {e: {interface: http, scope: container}}"), look: endpoint("e"), want: contained},
		{says: "limit null is no limit", files: meta("provides: {e: {interface: http, limit: null}}"), look: endpoint("e"), want: http},
		{says: "optional is not enforced", files: meta("requires: {e: {interface: http, optional: false}}"), look: read},
		{says: "a subordinate needs a container-scoped requires", files: meta("subordinate: true\nrequires: {e: http}"), refused: "needs an endpoint under requires with scope: container"},
		{says: "a subordinate with one is read", files: meta("subordinate: true\nrequires: {e: {interface: http, scope: container}}"), look: func(c charm.Charm) any { return c.Meta.Subordinate }, want: true},
		{says: "extra-bindings are names", files: meta("extra-bindings: {admin: , internal: null}"), look: func(c charm.Charm) any { return c.Meta.ExtraBindings }, want: []string{"admin", "internal"}},
		{says: "extra-bindings are not empty", files: meta("extra-bindings: {}"), refused: "expected at least one name"},
		{says: "extra-bindings are no endpoints", files: meta("provides: {e: http}\nextra-bindings: {e: }"), refused: "taken by an endpoint"},
		{says: "storage has a type", files: meta("storage: {s: {description: x}}"), refused: "storage.s.type: missing"},
		{says: "storage is one unless it says otherwise", files: meta("storage: {s: {type: block}}"), look: storage, want: charm.Storage{Type: "block", Min: 1, Max: 1}},
		{says: "storage range N", files: meta("storage: {s: {type: block, multiple: {range: 3}}}"), look: storage, want: charm.Storage{Type: "block", Min: 3, Max: 3}},
		{says: "storage range A-B", files: meta("storage: {s: {type: block, multiple: {range: 0-1}}}"), look: storage, want: charm.Storage{Type: "block", Max: 1}},
		{says: "storage range A-", files: meta("storage: {s: {type: block, multiple: {range: 2-}}}"), look: storage, want: charm.Storage{Type: "block", Min: 2, Max: -1}},
		{says: "storage range A+", files: meta("storage: {s: {type: block, multiple: {range: 2+}}}"), look: storage, want: charm.Storage{Type: "block", Min: 2, Max: -1}},
		{says: "storage has sizes, a location, properties", files: meta("storage: {s: {type: filesystem, shared: true, read-only: true, minimum-size: 1T, location: /srv, properties: [transient]}}"), look: storage,
			want: charm.Storage{Type: "filesystem", Shared: true, ReadOnly: true, Min: 1, Max: 1, MinimumMiB: 1 << 20, Location: "/srv"}},
		{says: "only a filesystem has a location", files: meta("storage: {s: {type: block, location: /srv}}"), refused: "only a filesystem has a location"},
		{says: "devices have no effect", files: meta("devices: {gpu: {type: nvidia.com/gpu, countmin: 1, countmax: 2, description: x}}"), look: read},
		{says: "devices have at most their maximum", files: meta("devices: {gpu: {type: x, countmin: 2, countmax: 1}}"), refused: "expected at least countmin"},
		{says: "resources are files with a name", files: meta("resources: {r: {type: file, filename: f.tgz, description: x}}"), look: func(c charm.Charm) any { return c.Meta.Resources["r"] }, want: charm.Resource{Type: "file", Filename: "f.tgz", Description: "x"}},
		{says: "a resource's name is no path", files: meta("resources: {r: {type: file, filename: a/b}}"), refused: "without a directory"},
		{says: "resources may be images", files: meta("resources: {r: {type: oci-image}}"), look: func(c charm.Charm) any { return c.Meta.Resources["r"].Type }, want: "oci-image"},
		{says: "containers are refused on machines", files: meta("containers: {web: {resource: r}}"), refused: "charms that run on Kubernetes cannot be deployed to machines"},
		{says: "assumes is a list, nested", files: meta("assumes: [juju >= 3.1, {any-of: [juju < 4, {all-of: [k8s-api]}]}]"), look: func(c charm.Charm) any { return charm.CheckAssumes(c.Meta.Assumes, "3.6.28", nil) }, want: []string(nil)},
		{says: "assumes unmet has reasons", files: meta("assumes: [juju >= 4.0, k8s-api]"), look: func(c charm.Charm) any { return charm.CheckAssumes(c.Meta.Assumes, "3.6.28", nil) },
			want: []string{"charm requires juju >= 4.0, this is 3.6.28", `charm requires feature "k8s-api", which this model does not have`}},
		{says: "min-juju-version unmet is refused", files: meta("min-juju-version: 4.0.0"), look: func(c charm.Charm) any { return len(charm.CheckAssumes(c.Meta.Assumes, "3.6.28", nil)) }, want: 1},
		{says: "charm-user is ignored", files: meta("charm-user: non-root"), look: read},
		{says: "series is a list", files: meta("series: [trusty, xenial]"), look: func(c charm.Charm) any { return c.Meta.Series }, want: []string{"trusty", "xenial"}},
		{says: "keys of both versions may be mixed", files: meta("series: [focal]\nassumes: [juju >= 3.1]\ncharm-user: root"), look: read},
		{says: "payloads have a type", files: meta("payloads: {monitor: {type: docker}}"), look: func(c charm.Charm) any { return c.Meta.Payloads["monitor"] }, want: "docker"},
		{says: "deployment is refused", files: meta("deployment: {type: stateful}"), refused: "charms that run on Kubernetes"},
		{says: "odd endpoint names of old charms are read", files: meta("provides: {Web_Site.1: http, juju-x: y}"), look: read},
		{says: "every charm provides juju-info", files: meta(""), look: func(c charm.Charm) any { return charm.LocalEndpoints(c.Meta) }, want: []charm.Endpoint{charm.JujuInfo()}},
		// 4.3
		{says: "options is required", files: with("config.yaml", "settings: {}"), refused: "options: missing"},
		{says: "options may be {}", files: with("config.yaml", "options: {}"), look: func(c charm.Charm) any { return len(c.Options) }, want: 0},
		{says: "a missing type is string", files: with("config.yaml", "options: {o: {default: x}}"), look: option, want: charm.Option{Type: charm.String, Default: "x"}},
		{says: "integer is int", files: with("config.yaml", "options: {o: {type: integer, default: 1}}"), look: option, want: charm.Option{Type: charm.Int, Default: int64(1)}},
		{says: "a float has whole numbers too", files: with("config.yaml", "options: {o: {type: float, default: 1}}"), look: option, want: charm.Option{Type: charm.Float, Default: 1.0}},
		{says: "a secret is a URI", files: with("config.yaml", "options: {o: {type: secret, default: 'secret:9m4e2mr0ui3e8a215n4g'}}"), look: option, want: charm.Option{Type: charm.Secret, Default: "secret:9m4e2mr0ui3e8a215n4g"}},
		{says: "a default of another type is refused", files: with("config.yaml", "options: {o: {type: boolean, default: maybe}}"), refused: "expected boolean"},
		{says: "an empty default is a value of a string", files: with("config.yaml", "options: {o: {type: string, default: ''}}"), look: option, want: charm.Option{Type: charm.String, Default: ""}},
		{says: "and a fault of other types", files: with("config.yaml", "options: {o: {type: int, default: ''}}"), refused: "expected int"},
		{says: "no default is null", files: with("config.yaml", "options: {o: {type: int}}"), look: option, want: charm.Option{Type: charm.Int}},
		// 4.4
		{says: "an action has a description by itself", files: with("actions.yaml", "backup: {}"), look: func(c charm.Charm) any { return c.Actions["backup"].Description }, want: "No description"},
		{says: "params are the schema's properties, what is not known is part of it", files: with("actions.yaml", "backup: {title: B, params: {to: {type: string}}, required: [to], additionalProperties: false, minProperties: 1}"),
			look: func(c charm.Charm) any { return c.Actions["backup"].Schema },
			want: map[string]any{"type": "object", "title": "B", "description": "No description", "properties": map[string]any{"to": map[string]any{"type": "string"}},
				"required": []any{"to"}, "additionalProperties": false, "minProperties": int64(1)}},
		{says: "parallel and execution-group", files: with("actions.yaml", "backup: {parallel: true, execution-group: disk}"), look: func(c charm.Charm) any {
			return fmt.Sprint(c.Actions["backup"].Parallel, c.Actions["backup"].ExecutionGroup)
		}, want: "truedisk"},
		{says: "juju is reserved", files: with("actions.yaml", "juju: {}"), refused: "cannot be an action's name"},
		{says: "juju-* is reserved", files: with("actions.yaml", "juju-x: {}"), refused: "cannot be an action's name"},
		{says: "an action's name has its characters", files: with("actions.yaml", "a_b: {}"), refused: "cannot be an action's name"},
		{says: "$ref is refused", files: with("actions.yaml", "backup: {params: {a: {$ref: x}}}"), refused: "$ref is not supported"},
		{says: "$schema is refused", files: with("actions.yaml", "backup: {$schema: x}"), refused: "$schema is not supported"},
		{says: "a schema of draft 4 is checked", files: with("actions.yaml", "backup: {params: {a: {type: number, minimum: x}}}"), refused: "its parameters are no JSON schema"},
		{says: "what is not in the schema is let through", files: with("actions.yaml", "backup: {params: {a: {type: string, default: x}}}"), look: func(c charm.Charm) any {
			in, err := c.Actions["backup"].Input(map[string]any{"b": "y"})
			return fmt.Sprint(in, err)
		}, want: "map[a:x b:y] <nil>"},
		// 4.5
		{says: "a manifest has bases", files: with("manifest.yaml", "bases: [{name: ubuntu, channel: 22.04/stable, architectures: [amd64]}]\nanalysis: {x: y}"), look: func(c charm.Charm) any { return c.Bases },
			want: []charm.Base{{Name: "ubuntu", Channel: "22.04", Architectures: []string{"amd64"}}}},
		{says: "a manifest without bases is read", files: with("manifest.yaml", "analysis: {}"), look: func(c charm.Charm) any { return len(c.Bases) }, want: 0},
		{says: "a charm without a manifest is read", files: meta("series: [xenial]"), look: func(c charm.Charm) any { return len(c.Bases) }, want: 0},
		{says: "a profile has config, devices and a description", files: with("lxd-profile.yaml", "description: x\nconfig: {security.nesting: true, linux.kernel_modules: tun}\ndevices: {tun: {type: unix-char, path: /dev/net/tun, mode: 0666}}"),
			look: func(c charm.Charm) any { return c.Profile },
			want: &charm.Profile{Description: "x", Config: map[string]string{"security.nesting": "true", "linux.kernel_modules": "tun"},
				Devices: map[string]map[string]string{"tun": {"type": "unix-char", "path": "/dev/net/tun", "mode": "0666"}}}},
		{says: "an empty profile is none", files: with("lxd-profile.yaml", "config: {}\n"), look: func(c charm.Charm) any { return c.Profile }, want: (*charm.Profile)(nil)},
		{says: "boot* is refused in a profile", files: with("lxd-profile.yaml", "config: {boot.autostart: true}"), refused: "may not set boot*"},
		{says: "limits* is refused in a profile", files: with("lxd-profile.yaml", "config: {limits.cpu: 1}"), refused: "may not set limits*"},
		{says: "migration* is refused in a profile", files: with("lxd-profile.yaml", "config: {migration.incremental.memory: true}"), refused: "may not set migration*"},
		{says: "a profile's devices are of four types", files: with("lxd-profile.yaml", "devices: {root: {type: disk}}"), refused: `"disk" is not known, expected unix-char or unix-block or gpu or usb`},
	}
}

func TestTheContractOfTheFormat(t *testing.T) {
	for _, s := range sentences() {
		t.Run(s.says, func(t *testing.T) {
			dir := tree(s.files)
			c, err := charm.Read(dir)
			if s.refused != "" {
				if err == nil || !strings.Contains(err.Error(), s.refused) {
					t.Errorf("got %v, want %q", err, s.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.look(c); s.want != nil && !reflect.DeepEqual(got, s.want) {
				t.Errorf("got %#v, want %#v", got, s.want)
			}
			// Packed it is the same charm.
			var b bytes.Buffer
			if _, _, err := charm.Archive(&b, dir); err != nil {
				t.Fatal(err)
			}
			packed, err := charm.ReadArchive(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil || !reflect.DeepEqual(packed, c) {
				t.Errorf("packed it is %+v, %v", packed, err)
			}
		})
	}
}

// An archive keeps modes, links and empty directories, and what leads out of it is refused.
func TestTheContractOfArchives(t *testing.T) {
	file := func(mode fs.FileMode, content string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(content), Mode: mode}
	}
	base := fstest.MapFS{"metadata.yaml": file(0o644, head), "hooks/charm.py": file(0o755, "x"), "hooks/install": file(fs.ModeSymlink|0o777, "charm.py"),
		"hooks/start": file(0o644, "x"), "empty": file(fs.ModeDir|0o750, "")}
	var b bytes.Buffer
	if _, _, err := charm.Archive(&b, base); err != nil {
		t.Fatal(err)
	}
	entries, err := charm.Entries(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		got[e.Name] = e.Mode.String() + e.Link
	}
	for name, want := range map[string]string{"hooks/charm.py": "-rwxr-xr-x", "hooks/install": "L", "empty": "d"} {
		if !strings.HasPrefix(got[name], want) {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !strings.HasSuffix(got["hooks/install"], "charm.py") {
		t.Errorf("hooks/install is %q", got["hooks/install"])
	}
	for target, want := range map[string]string{"/target": `symlink "/target" is absolute`, "../../x": "leads out of scope"} {
		bad := fstest.MapFS{"metadata.yaml": base["metadata.yaml"], "hooks/x": file(fs.ModeSymlink|0o777, target)}
		if _, _, err := charm.Archive(&bytes.Buffer{}, bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
}
