package serve_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/hookstest"
	"github.com/grigri/grigri/hooks/serve"
	"github.com/grigri/grigri/hooks/wire"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// The scenarios in testdata say what each tool prints. A line that begins with
//
//	hook KIND [UNIT]   starts a hook of web/0; the last one is dropped. Relation hooks are of relation db:7.
//	done               the hook has succeeded
//	trusted            the application is trusted
//	leader             the unit leads from now on; "follower": no more
//	> TOOL ARGS        calls a tool. What follows is its output,
//	! TEXT             its standard error,
//	[N]                its exit status, where it is not zero
//	< TEXT             standard input of the next tool; repeated: further lines
//
// and # begins a comment.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file) })
	}
}

func play(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newWorld(t)
	var got, want []string
	where := ""
	check := func() {
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", where, g, w)
		}
		got, want = nil, nil
	}
	stdin := ""
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || word == "#":
			continue
		case word == ">":
			check()
			where = fmt.Sprintf("%s:%d: %s", file, n, line)
			got = w.call(t, words(t, rest), stdin)
			stdin = ""
			continue
		case word == "<":
			stdin += rest + "\n"
			continue
		case word == "hook" || word == "removed" || line == "done" || line == "leader" || line == "follower" || line == "trusted":
			check()
			where = fmt.Sprintf("%s:%d", file, n)
			w.direct(t, strings.Fields(line))
			continue
		}
		want = append(want, line)
	}
	check()
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// A world is one unit with relations, and the hook that runs.
type world struct {
	unit    *hookstest.Unit
	server  *serve.Server
	session *serve.Session
}

func newWorld(t testing.TB) *world {
	server, err := serve.Listen(filepath.Join(t.TempDir(), "agent.socket"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{unit: web(), server: server}
	w.begin(hooks.Hook{Kind: hooks.ConfigChanged})
	return w
}

func (w *world) begin(h hooks.Hook) {
	w.session = w.server.Begin(serve.Config{Hook: h, Unit: w.unit.Name, Model: "2b6f", Charm: webCharm(), Reader: w.unit, Writer: w.unit})
}

func (w *world) direct(t *testing.T, order []string) {
	switch order[0] {
	case "done":
		w.unit.Commit(w.session.End())
		w.begin(w.session.Hook)
	case "leader", "follower":
		w.unit.Look(func(u *hookstest.Unit) { u.Leads = order[0] == "leader" })
		w.session.End()
		w.begin(w.session.Hook)
	case "removed": // a secret, by its owner
		w.unit.Look(func(u *hookstest.Unit) { delete(u.Vault.Values, state.SecretID(order[1])) })
		w.unit.Commit(w.session.End())
		w.begin(w.session.Hook)
	case "trusted":
		w.unit.Look(func(u *hookstest.Unit) {
			u.Cloud = &hooks.CloudSpec{Type: "ec2", Name: "aws", Region: "eu-west-1", Endpoint: "https://ec2.example.com", ControllerCloud: true,
				AuthType: "access-key", Attributes: map[string]string{"access-key": "AK", "secret-key": "SK"}}
		})
	case "hook":
		w.session.End()
		h := hooks.Hook{Kind: hooks.Kind(order[1])}
		if strings.HasPrefix(order[1], "relation-") {
			h.Endpoint, h.Relation, h.RemoteApp = "db", 7, "mysql"
		}
		if strings.HasPrefix(order[1], "storage-") {
			h.Storage, order = state.StorageID(order[2]), order[:2]
		}
		if len(order) > 2 {
			h.RemoteUnit = state.UnitName(order[2])
		}
		if h.Kind == hooks.Action {
			h.Task, h.Action = 3, "backup"
			h.ActionInput = map[string]any{"outfile": map[string]any{"name": "a.tgz", "size": int64(10), "deep": map[string]any{"x": true}}, "ratio": 1.5}
		}
		w.begin(h)
	}
}

// call is the lines of one call, as the scenarios show them.
func (w *world) call(t testing.TB, line []string, stdin string) []string {
	resp := w.do(t, line, stdin)
	var out []string
	for _, l := range splitLines(string(resp.Stdout)) {
		out = append(out, l)
	}
	for _, l := range splitLines(string(resp.Stderr)) {
		out = append(out, "! "+l)
	}
	if resp.Code != 0 {
		out = append(out, fmt.Sprintf("[%d]", resp.Code))
	}
	return out
}

func (w *world) do(t testing.TB, line []string, stdin string) wire.Response {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req := wire.Request{Token: w.session.Token(), Tool: line[0], Args: line[1:]}
	for range 3 {
		resp := w.server.Do(ctx, req)
		if len(resp.Need) == 0 {
			return resp
		}
		for _, name := range resp.Need {
			data := []byte(stdin)
			if name != "-" {
				var err error
				if data, err = os.ReadFile(name); err != nil {
					t.Fatal(err)
				}
			}
			req.Inputs = append(req.Inputs, wire.Input{Name: name, Data: data})
		}
	}
	t.Fatalf("%v asks for the same input again and again", line)
	return wire.Response{}
}

// splitLines is the lines of text. A last line without an end shows that it has none. Empty lines are shown as a dot.
func splitLines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		l, ok := strings.CutSuffix(line, "\n")
		if !ok {
			l += "\\"
		}
		if l == "" {
			l = "."
		}
		out = append(out, l)
	}
	return out
}

// words splits as a shell does: quotes hold words together, and in $'...' \n is the end of a line.
func words(t testing.TB, text string) []string {
	var out []string
	word, in, quote, dollar := "", false, rune(0), false
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			if dollar {
				word = strings.ReplaceAll(word, `\n`, "\n")
			}
			quote, dollar = 0, false
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, in = r, true
			if strings.HasSuffix(word, "$") {
				word, dollar = word[:len(word)-1], true
			}
		case r == ' ':
			if in {
				out = append(out, word)
			}
			word, in = "", false
		default:
			word, in = word+string(r), true
		}
	}
	if quote != 0 {
		t.Fatalf("unbalanced quotes: %s", text)
	}
	if in {
		out = append(out, word)
	}
	return out
}

func webCharm() charm.Charm {
	return charm.Charm{Meta: charm.Meta{
		Name: "web",
		Endpoints: map[string]charm.Endpoint{
			"db":      {Name: "db", Interface: "sql", Role: charm.Requirer, Scope: charm.Global},
			"website": {Name: "website", Interface: "http", Role: charm.Provider, Scope: charm.Global},
			"cluster": {Name: "cluster", Interface: "ring", Role: charm.Peer, Scope: charm.Global},
		},
		ExtraBindings: []string{"admin"},
		Payloads:      map[string]string{"monitor": "docker"},
		Storage: map[string]charm.Storage{"data": {Type: "filesystem", Min: 1, Max: 3}, "logs": {Type: "filesystem", Min: 0, Max: -1},
			"disk": {Type: "block", Min: 0, Max: 1}},
	}}
}

// web is a unit in relations db:7 and db:10 with mysql and cache, and cluster:2 with its peers.
func web() *hookstest.Unit {
	since := time.Date(2026, 3, 1, 12, 30, 5, 0, time.UTC)
	return &hookstest.Unit{
		Name: "web/0",
		Now:  since,
		Options: map[string]any{"name": "shop", "port": int64(80), "big": int64(1000000), "ratio": 1000000.0, "debug": false,
			"secure": true, "quoted": "80", "word": "yes", "text": "a\nb\n", "empty": "", "unset": nil, "html": "<a&b>"},
		Stored: hooks.Storage{Asked: map[string]int{}, Instances: []hooks.StorageInstance{
			{ID: "data/0", Kind: "filesystem", Location: "/srv/data", Attached: true},
			{ID: "logs/1", Kind: "filesystem", Location: "/srv/logs/1", Attached: true},
			{ID: "data/10", Kind: "filesystem", Location: "/srv/more"}, // the charm has not been told
		}},
		In: []hooks.Relation{
			{ID: 2, Endpoint: "cluster", Peer: true, RemoteApp: "web"},
			{ID: 7, Endpoint: "db", RemoteApp: "mysql"},
			{ID: 10, Endpoint: "db", RemoteApp: "cache"},
			{ID: 11, Endpoint: "db", RemoteApp: "old", Broken: true},
		},
		Others: map[state.RelationID][]state.UnitName{2: {"web/1", "web/2"}, 7: {"mysql/0", "mysql/1"}},
		UnitBags: map[state.RelationID]map[state.UnitName]relation.Settings{
			2: {"web/0": {"id": "0"}, "web/1": {"id": "1"}, "web/2": {}},
			7: {"web/0": {"ingress-address": "10.0.0.1"}, "mysql/0": {"host": "10.0.0.5", "port": "3306", "on": "yes", "Z": "a: b"},
				"mysql/1": {}, "mysql/9": {"host": "gone"}},
			10: {"web/0": {}},
		},
		AppBags: map[state.RelationID]map[state.ApplicationName]relation.Settings{
			2:  {"web": {"ring": "x"}},
			7:  {"web": {"want": "shop"}, "mysql": {"version": "8"}},
			10: {"web": {}, "cache": {}},
		},
		Files:     map[string]string{"data": "/var/lib/juju/agents/unit-web-0/resources/data/data.tgz"},
		ForLeader: relation.Settings{"password": "s3"},
		Kept:      map[string]string{"seen": "1"},
		Open:      []state.OpenPort{},
		Addresses: state.UnitAddress{Public: "203.0.113.9", Private: "10.0.0.1"},
		Networks: map[string]hooks.Network{
			"db": {Interfaces: []hooks.Interface{{Name: "eth0", MAC: "00:16:3e:00:00:01",
				Addresses: []hooks.InterfaceAddress{{Value: "10.0.0.1", CIDR: "10.0.0.0/24"}}}},
				Ingress: []string{"10.0.0.1"}, Egress: []string{"10.0.0.1/32", "10.1.0.0/16"}},
			"admin":   {},
			"website": {Ingress: []string{"10.0.0.7"}},
		},
		Workload: state.StatusInfo{Status: "unknown"},
		Vault: hookstest.Secrets{
			Heard: map[state.SecretID]state.Tracked{"d00000000000000000bb": {Revision: 1}},
			Values: map[state.SecretID]map[int]state.SecretContent{
				"d00000000000000000aa": {},
				"d00000000000000000bb": {1: {"user": []byte("old")}, 2: {"user": []byte("new")}},
				"d00000000000000000cc": {1: {"host": []byte("here")}},
			},
		},
		Everyone: hooks.ApplicationStatus{
			Application: state.StatusInfo{Status: "active", Message: "all well"},
			Units: map[state.UnitName]state.StatusInfo{"web/0": {Status: "active"},
				"web/1": {Status: "blocked", Message: "no db", Data: map[string]string{"hook": "start"}}},
		},
		Goal: hooks.GoalState{
			Units: map[state.UnitName]hooks.Goal{"web/0": {Status: "active", Since: since}, "web/1": {Status: "dying"}},
			Relations: map[string]map[string]hooks.Goal{
				"db": {"mysql": {Status: "joined", Since: since}, "mysql/0": {Status: "allocating", Since: since}}},
		},
	}
}
