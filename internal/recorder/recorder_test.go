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
	"testing"
	"time"
)

const (
	patience = 5 * time.Minute // a busy machine takes its time
	tick     = 50 * time.Millisecond
)

// A step is something that a user does, and what each unit runs for it, in order: all of it, and nothing else.
type step struct {
	do   []string // a command line of the client; CHARM, NEWER and SUB stand for charms
	also []string // files that let held hooks go on: "FILE after UNIT did HOOK"
	ran  runs
	must string // a status that is waited for, beside rest: "UNIT=STATUS"

	together bool // units come, join, leave or go at the same time, each at its own pace: what goal-state says of the others is free
}

// runs is what units run: "a; b UNIT; c".
type runs map[string]string

func TestTheRecorder(t *testing.T) {
	if testing.Short() {
		t.Skip("runs everything that happens to a charm, three times")
	}
	c := bootstrap(t)
	for _, f := range forms() {
		for name, steps := range map[string][]step{"life": life(), "holdings": holdings()} {
			t.Run(name+"-"+f.name, func(t *testing.T) {
				t.Parallel()
				compare(t, name, f.name, golden(steps, c.live(t, name, f, steps)))
			})
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
	ends  []map[string]int  // seen after each step
	at    map[string]string // where each unit is
	words *strings.Replacer // charms and files for command lines

	secrets []string // their ids, as they came
}

func (c controller) live(t *testing.T, scenario string, f form, steps []step) map[string][]invocation {
	r := &run{T: t, controller: c, model: scenario + "-" + f.name, where: t.TempDir(), seen: map[string]int{}, at: map[string]string{}}
	write(t, r.where, "file", []byte("a file"), 0o644)
	write(t, r.where, "file2", []byte("another file"), 0o644)
	r.words = strings.NewReplacer("CHARM", f.makeCharm(t, r.where, "metadata.yaml", "1"), "NEWER", f.makeCharm(t, r.where, "metadata.yaml", "2"),
		"SUB", f.makeCharm(t, r.where, "subordinate.yaml", "1"), "FILE2", r.where+"/file2", "FILE", r.where+"/file")
	r.must("add-model", "--no-switch", r.model)
	t.Cleanup(func() {
		if t.Failed() {
			for _, args := range [][]string{{"status", "--relations"}, {"debug-log", "--replay", "--no-tail", "--level", "INFO"}} {
				out, _ := r.try(r.model, args...)
				lines := strings.Split(out, "\n")
				t.Logf("%v\n%s", args, strings.Join(lines[max(0, len(lines)-60):], "\n"))
			}
		}
	})
	for i, s := range steps {
		r.take(i, s)
		if t.Failed() {
			t.FailNow()
		}
	}
	return r.recordings(steps)
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
		unit, hook, _ := strings.Cut(after, " did ")
		r.until(fmt.Sprintf("step %d, %v: %s", i, s.do, also), func() error {
			_, err := os.Stat(filepath.Join(r.where, "did:"+strings.ReplaceAll(unit, "/", "-")+":"+hook))
			return err
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
	r.ends = append(r.ends, maps.Clone(r.seen))
	r.learnSecrets()
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
	files, err := filepath.Glob(filepath.Join(r.where, "[a-z]*-[0-9]"))
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
func (r *run) recordings(steps []step) map[string][]invocation {
	out := map[string][]invocation{}
	blurs := r.blurs()
	for _, unit := range r.units() {
		text, err := os.ReadFile(filepath.Join(r.where, strings.ReplaceAll(unit, "/", "-")))
		if err != nil {
			r.Fatal(err)
		}
		all := slices.CompactFunc(parse(string(text), blurs), func(a, b invocation) bool { // as in names
			return a.name == "update-status" && b.name == a.name
		})
		for i := range all {
			for all[i].step < len(r.ends)-1 && i >= r.ends[all[i].step][unit] {
				all[i].step++
			}
			if s := steps[all[i].step]; s.together {
				all[i].freeGoals(r.T, unit, strings.HasPrefix(s.do[0], "remove-"))
			}
		}
		out[unit] = all
	}
	return out
}

// learnSecrets keeps the ids of secrets that are new.
func (r *run) learnSecrets() {
	var all map[string]any
	r.decode(&all, "secrets", "--format", "json")
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(r.secrets, id) {
			r.secrets = append(r.secrets, id)
		}
	}
}

// blurs is what is not determined, each as narrow as can be.
func (r *run) blurs() []blur {
	blurs := []blur{
		exactly("the controller is in a new directory", r.data, "DATA"),
		exactly("the recordings are in a new directory", r.where, "WHERE"),
		{"each context has a token of its own", regexp.MustCompile(`(env JUJU_CONTEXT_ID=\S*-)[0-9a-f]{32}\b`), "${1}TOKEN"},
		{"time goes on", regexp.MustCompile(`"since":"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}Z"`), `"since":"TIME"`},
		{"and a secret's times with it", regexp.MustCompile(`"(expiry|rotates)":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"`), `"$1":"TIME"`},
	}
	var m map[string]struct {
		UUID string `json:"model-uuid"`
	}
	r.decode(&m, "show-model", "--format", "json")
	blurs = append(blurs, exactly("each model has an id of its own", m[r.model].UUID, "MODEL-UUID"),
		blur{"and of that and the controller's one is made for directories", regexp.MustCompile(`(DATA/controllers/rec/machines/)[0-9a-f]{8}-`), "${1}MODEL-"})
	var ctl map[string]struct {
		Details struct {
			Endpoints []string `json:"api-endpoints"`
		} `json:"details"`
	}
	r.decode(&ctl, "show-controller", "--format", "json")
	for _, endpoint := range ctl["rec"].Details.Endpoints {
		blurs = append(blurs, exactly("the controller listens where there was room", endpoint, "API"))
	}
	for i, id := range r.secrets {
		blurs = append(blurs, exactly("each secret has an id of its own", id, fmt.Sprintf("SECRET%d", i+1)))
	}
	for address, unit := range r.at {
		blurs = append(blurs, exactly("machines of other models take addresses too", address, "ADDRESS-OF-"+unit))
	}
	return blurs
}

func (r *run) decode(into any, args ...string) {
	r.Helper()
	if err := json.Unmarshal([]byte(r.must(args...)), into); err != nil {
		r.Fatalf("%v: %v", args, err)
	}
}
