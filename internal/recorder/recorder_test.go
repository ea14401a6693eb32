package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	patience = 3 * time.Minute // a busy machine takes its time
	tick     = 50 * time.Millisecond
)

// A step is something that a user does, and what each unit runs for it, in order: all of it, and nothing else.
type step struct {
	do   []string // a command line of the client; CHARM, NEWER and SUB stand for charms
	also []string // files that let held hooks go on: "FILE after UNIT ran HOOK"
	ran  runs
	must string // a status that is waited for, beside rest: "UNIT=STATUS"
}

// runs is what units run: "a; b UNIT; c".
type runs map[string]string

// life is everything that happens to the charms.
func life() []step {
	return []step{
		{do: []string{"model-config", "automatically-retry-hooks=false"}},
		{do: []string{"deploy", "CHARM", "web"}, ran: runs{"web/0": "install; cluster-relation-created; leader-elected; config-changed; start"}},
		{do: []string{"deploy", "CHARM", "store", "--resource", "data=FILE"}, ran: runs{"store/0": "install; cluster-relation-created; leader-elected; config-changed; start"}},
		{do: []string{"config", "web", "n=2", "ratio=1"}, ran: runs{"web/0": "config-changed"}},
		{do: []string{"config", "web", "n=2"}}, // the same value
		{do: []string{"integrate", "web:db", "store:site"}, ran: runs{
			"web/0":   "db-relation-created; db-relation-joined store/0; db-relation-changed store/0",
			"store/0": "site-relation-created; site-relation-joined web/0; site-relation-changed web/0"}},

		// Data: of a unit, the same again, of the application, and of the peers.
		{do: []string{"run", "web/0", "set", "endpoint=db", "value=one"}, ran: runs{"web/0": "actions/set", "store/0": "site-relation-changed web/0"}},
		{do: []string{"run", "web/0", "set", "endpoint=db", "value=one"}, ran: runs{"web/0": "actions/set"}},
		{do: []string{"run", "store/0", "set", "endpoint=site", "app=true", "value=all"}, ran: runs{"store/0": "actions/set", "web/0": "db-relation-changed"}},
		{do: []string{"run", "web/0", "set", "endpoint=cluster", "app=true", "value=ring"}, ran: runs{"web/0": "actions/set; cluster-relation-changed"}},
		{do: []string{"exec", "--unit", "web/0", "--", "./record"}, ran: runs{"web/0": "exec"}},

		// Subordinates: one endpoint of the principal's own, and one that it does not know of.
		{do: []string{"deploy", "SUB", "logger"}},
		{do: []string{"integrate", "logger:logs", "web:logs"}, ran: runs{
			"web/0":    "logs-relation-created; logs-relation-joined logger/0; logs-relation-changed logger/0",
			"logger/0": "install; logs-relation-created; leader-elected; config-changed; start; logs-relation-joined web/0; logs-relation-changed web/0"}},
		{do: []string{"integrate", "logger:info", "store"}, ran: runs{
			"logger/1": "install; info-relation-created; leader-settings-changed; config-changed; start; info-relation-joined store/0; info-relation-changed store/0"}},

		// Scale: the new unit hears of everyone, and everyone of it; its peers last.
		{do: []string{"add-unit", "web"}, ran: runs{
			"web/1": "install; db-relation-created; logs-relation-created; cluster-relation-created; leader-settings-changed; config-changed; start; " +
				"db-relation-changed; db-relation-joined store/0; db-relation-changed store/0; logs-relation-joined logger/2; logs-relation-changed logger/2; " +
				"cluster-relation-changed; cluster-relation-joined web/0; cluster-relation-changed web/0",
			"web/0":    "cluster-relation-joined web/1; cluster-relation-changed web/1",
			"store/0":  "site-relation-joined web/1; site-relation-changed web/1",
			"logger/2": "install; logs-relation-created; leader-settings-changed; config-changed; start; logs-relation-joined web/1; logs-relation-changed web/1"}},
		{do: []string{"run", "web/1", "set", "endpoint=cluster", "value=mine"}, ran: runs{"web/1": "actions/set", "web/0": "cluster-relation-changed web/1"}},

		// Failure: what the hook had set is lost, but for its status; nothing else runs until the user answers.
		{do: []string{"config", "store", "fail=config-changed"}, ran: runs{"store/0": "config-changed"}, must: "store/0=error"},
		{do: []string{"config", "store", "fail=", "n=3"}, must: "store/0=error"},
		{do: []string{"resolved", "store/0"}, ran: runs{"store/0": "config-changed"}, must: "store/0=maintenance"},
		{do: []string{"config", "store", "fail=config-changed"}, ran: runs{"store/0": "config-changed"}, must: "store/0=error"},
		{do: []string{"resolved", "store/0", "--no-retry"}, must: "store/0=maintenance"},
		{do: []string{"config", "store", "fail="}, ran: runs{"store/0": "config-changed"}},

		// Another charm, and another resource with the same charm.
		{do: []string{"refresh", "web", "--path", "NEWER"}, ran: runs{"web/0": "upgrade-charm; config-changed", "web/1": "upgrade-charm; config-changed"}},
		{do: []string{"attach-resource", "store", "data=FILE2"}, ran: runs{"store/0": "upgrade-charm; config-changed"}},
		{do: []string{"trust", "store"}, ran: runs{"store/0": "config-changed"}},

		// The leader goes: another one leads before it is gone, and it hears of everyone's leaving.
		{do: []string{"config", "web", "hold=web/0:cluster-relation-departed"}, ran: runs{"web/0": "config-changed", "web/1": "config-changed"}},
		{do: []string{"remove-unit", "web/0", "--no-prompt"}, also: []string{"go:cluster-relation-departed after web/1 ran leader-elected"}, ran: runs{
			"web/0": "db-relation-departed store/0; db-relation-broken; logs-relation-departed logger/0; logs-relation-broken; " +
				"cluster-relation-departed web/1; stop; remove",
			"web/1":    "leader-elected; cluster-relation-departed web/0",
			"store/0":  "site-relation-departed web/0",
			"logger/0": "logs-relation-departed web/0; logs-relation-broken; stop; remove"}},

		// A relation goes, and then the applications.
		{do: []string{"remove-relation", "web", "store"}, ran: runs{
			"web/1":   "db-relation-departed store/0; db-relation-broken",
			"store/0": "site-relation-departed web/1; site-relation-broken"}},
		{do: []string{"model-config", "update-status-hook-interval=1s"}, ran: runs{"web/1": "update-status", "store/0": "update-status", "logger/1": "update-status", "logger/2": "update-status"}},
		{do: []string{"model-config", "update-status-hook-interval=24h"}},
		{do: []string{"remove-application", "store", "--no-prompt"}, ran: runs{
			"store/0":  "stop; remove",
			"logger/1": "info-relation-departed store/0; info-relation-broken; stop; remove"}},
	}
}

func TestTheRecorder(t *testing.T) {
	if testing.Short() {
		t.Skip("runs everything that happens to a charm, three times")
	}
	c := bootstrap(t)
	var mu sync.Mutex // guards recordings
	recordings := map[string]map[string][]invocation{}
	t.Run("form", func(t *testing.T) { // a group: what follows compares what they have left
		for _, f := range forms() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				all := c.live(t, f)
				mu.Lock()
				defer mu.Unlock()
				recordings[f.name] = all
			})
		}
	})
	if t.Failed() {
		return
	}
	for _, f := range forms() {
		for u, all := range recordings[f.name] {
			for _, v := range all {
				event := v.env["JUJU_DISPATCH_PATH"]
				if want := f.argv0(event); event != "" && v.argv0 != want {
					t.Errorf("%s: %s ran %s for %s, want %s", f.name, u, v.argv0, event, want)
				}
			}
		}
	}
}

// A controller on this host.
type controller struct{ bin, data string }

func bootstrap(t *testing.T) controller {
	t.Helper()
	c := controller{bin: t.TempDir()}
	cmd := exec.Command("go", "build", "-o", c.bin+"/", "../../cmd/grigri", "../../cmd/grigrid", "../../cmd/grigri-agent", "../../cmd/hooktool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	data, err := os.MkdirTemp("", "ggr") // short: unix sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	c.data = data
	t.Cleanup(func() {
		if out, err := c.try("", "kill-controller", "rec", "--no-prompt", "--timeout", "60s"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		os.RemoveAll(data)
	})
	if out, err := c.try("", "bootstrap", "local", "rec"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return c
}

func (c controller) try(model string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "grigri"), args...)
	cmd.Env = append(os.Environ(), "GRIGRI_DATA="+c.data, "GRIGRI_MODEL="+model)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("grigri %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// A run is one life of the charms in one form.
type run struct {
	*testing.T
	controller
	model string
	where string            // the recordings
	seen  map[string]int    // of each unit, how many invocations earlier steps have had
	at    map[string]string // where each unit is
	words *strings.Replacer // charms and files for command lines
}

func (c controller) live(t *testing.T, f form) map[string][]invocation {
	r := &run{T: t, controller: c, model: f.name, where: t.TempDir(), seen: map[string]int{}, at: map[string]string{}}
	write(t, r.where, "file", []byte("a file"), 0o644)
	write(t, r.where, "file2", []byte("another file"), 0o644)
	r.words = strings.NewReplacer("CHARM", f.makeCharm(t, r.where, "metadata.yaml", "1"), "NEWER", f.makeCharm(t, r.where, "metadata.yaml", "2"),
		"SUB", f.makeCharm(t, r.where, "subordinate.yaml", "1"), "FILE2", r.where+"/file2", "FILE", r.where+"/file")
	r.must("add-model", "--no-switch", f.name)
	t.Cleanup(func() {
		if t.Failed() {
			for _, args := range [][]string{{"status", "--relations"}, {"debug-log", "--replay", "--no-tail", "--level", "INFO"}} {
				out, _ := r.try(r.model, args...)
				lines := strings.Split(out, "\n")
				t.Logf("%v\n%s", args, strings.Join(lines[max(0, len(lines)-60):], "\n"))
			}
		}
	})
	for i, s := range life() {
		r.take(i, s)
		if t.Failed() {
			t.FailNow()
		}
	}
	return r.recordings()
}

func (r *run) must(args ...string) string {
	r.Helper()
	out, err := r.try(r.model, args...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// take does a step and waits until each unit has run what it has to, and nothing else.
func (r *run) take(i int, s step) {
	args := slices.Clone(s.do)
	for j := range args {
		args[j] = r.words.Replace(args[j])
	}
	r.must(args...)
	for _, also := range s.also {
		file, after, _ := strings.Cut(also, " after ")
		unit, hook, _ := strings.Cut(after, " ran ")
		r.until(fmt.Sprintf("step %d, %v: %s", i, s.do, also), func() error {
			if ran := r.since(unit); !slices.ContainsFunc(ran, func(name string) bool { return strings.HasPrefix(name, hook) }) {
				return fmt.Errorf("%s has run %q", unit, ran)
			}
			return nil
		})
		write(r, r.where, file, nil, 0o644)
	}
	r.until(fmt.Sprintf("step %d, %v", i, s.do), func() error {
		for unit, want := range s.ran {
			if got := r.since(unit); !slices.Equal(got, strings.Split(want, "; ")) {
				return fmt.Errorf("%s ran %q, want %q", unit, strings.Join(got, "; "), want)
			}
		}
		return r.rest(s.must)
	})
	for _, unit := range r.units() {
		r.seen[unit] = len(r.names(unit))
	}
}

func (r *run) until(what string, check func() error) {
	r.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(tick) {
		if err = check(); err == nil {
			return
		}
	}
	r.Fatalf("%s: %v", what, err)
}

// since is what the unit has run in this step.
func (r *run) since(unit string) []string {
	all := r.names(unit)
	return all[min(r.seen[unit], len(all)):]
}

// names is all that the unit has run.
func (r *run) names(unit string) []string {
	text, err := os.ReadFile(filepath.Join(r.where, strings.ReplaceAll(unit, "/", "-")))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.Fatal(err)
	}
	var out []string
	for line := range strings.SplitSeq(string(text), "\n") {
		name, ok := strings.CutPrefix(line, "=== ")
		name = strings.TrimSpace(name)
		if again := len(out) > 0 && name == "update-status" && out[len(out)-1] == name; ok && !again {
			out = append(out, name)
		}
	}
	return out
}

// rest is when every agent is idle. It learns where units are.
func (r *run) rest(must string) error {
	var st struct {
		Applications map[string]struct {
			Units map[string]unit `json:"units"`
		} `json:"applications"`
	}
	if err := json.Unmarshal([]byte(r.must("status", "--format", "json")), &st); err != nil {
		return err
	}
	all := map[string]unit{}
	for _, a := range st.Applications {
		for name, u := range a.Units {
			all[name] = u
			maps.Copy(all, u.Subordinates)
		}
	}
	for name, u := range all {
		if u.Address != "" && (r.at[u.Address] == "" || name > r.at[u.Address]) { // of a principal: "web" comes after "logger"
			r.at[u.Address] = name
		}
		if u.Agent.Current != "idle" {
			return fmt.Errorf("%s is %s %s", name, u.Agent.Current, u.Agent.Message)
		}
	}
	if name, want, ok := strings.Cut(must, "="); ok && all[name].Workload.Current != want {
		return fmt.Errorf("%s is %s, want %s", name, all[name].Workload.Current, want)
	}
	return nil
}

type unit struct {
	Workload     status          `json:"workload-status"`
	Agent        status          `json:"juju-status"`
	Address      string          `json:"public-address"`
	Subordinates map[string]unit `json:"subordinates"`
}

type status struct {
	Current string `json:"current"`
	Message string `json:"message"`
}

// units is every unit that has written something down.
func (r *run) units() []string {
	files, err := filepath.Glob(filepath.Join(r.where, "*-[0-9]*"))
	if err != nil {
		r.Fatal(err)
	}
	var out []string
	for _, file := range files {
		name := filepath.Base(file)
		at := strings.LastIndexByte(name, '-')
		out = append(out, name[:at]+"/"+name[at+1:])
	}
	return out
}

// recordings is what has been written down, by unit.
func (r *run) recordings() map[string][]invocation {
	n := everywhere()
	for address, unit := range r.at {
		n = append(n, normaliser{{regexp.MustCompile(regexp.QuoteMeta(address) + `\b`), "ADDRESS-OF-" + unit}}...)
	}
	out := map[string][]invocation{}
	for _, unit := range r.units() {
		text, err := os.ReadFile(filepath.Join(r.where, strings.ReplaceAll(unit, "/", "-")))
		if err != nil {
			r.Fatal(err)
		}
		out[unit] = collapse(parse(string(text), n))
	}
	return out
}
