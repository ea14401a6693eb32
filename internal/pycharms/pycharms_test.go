package pycharms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	patience = 5 * time.Minute // for Python on a machine with much to do
	tick     = 200 * time.Millisecond
)

// A controller on this host, with one model.
type environment struct {
	*testing.T
	bin, data string
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	e := &environment{T: t, bin: t.TempDir()}
	cmd := exec.Command("go", "build", "-o", e.bin+"/", "../../cmd/grigri", "../../cmd/grigrid", "../../cmd/grigri-agent", "../../cmd/hooktool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	data, err := os.MkdirTemp("", "ggp") // short: unix sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	e.data = data
	t.Cleanup(func() {
		if t.Failed() {
			for _, args := range [][]string{{"status", "--relations"}, {"debug-log", "--replay", "--no-tail", "--level", "WARNING"}} {
				out, _ := e.try(args...)
				lines := strings.Split(out, "\n")
				t.Logf("%v\n%s", args, strings.Join(lines[max(0, len(lines)-80):], "\n"))
			}
		}
		if out, err := e.try("kill-controller", "py", "--no-prompt", "--timeout", "60s"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		os.RemoveAll(data)
	})
	e.must("bootstrap", "local", "py")
	e.must("add-model", "libraries")
	return e
}

func (e *environment) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(e.bin, "grigri"), args...)
	cmd.Env = append(os.Environ(), "GRIGRI_DATA="+e.data, "GRIGRI_MODEL=")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("grigri %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

func (e *environment) must(args ...string) string {
	e.Helper()
	out, err := e.try(args...)
	if err != nil {
		e.Fatal(err)
	}
	return out
}

type status struct {
	Current string `json:"current"`
	Message string `json:"message"`
}

type unit struct {
	Workload status   `json:"workload-status"`
	Agent    status   `json:"juju-status"`
	Leader   bool     `json:"leader"`
	Address  string   `json:"public-address"`
	Ports    []string `json:"open-ports"`
}

type application struct {
	Status  status          `json:"application-status"`
	Version string          `json:"version"`
	Units   map[string]unit `json:"units"`
}

// until waits until the model is at rest and check, of its applications, finds nothing to object to.
func (e *environment) until(what string, check func(map[string]application) error) map[string]application {
	e.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(tick) {
		var st struct {
			Applications map[string]application `json:"applications"`
		}
		if jsonErr := json.Unmarshal([]byte(e.must("status", "--format", "json")), &st); jsonErr != nil {
			e.Fatal(jsonErr)
		}
		if err = rest(st.Applications); err == nil {
			if err = check(st.Applications); err == nil {
				return st.Applications
			}
		}
	}
	e.Fatalf("%s: %v", what, err)
	return nil
}

func rest(apps map[string]application) error {
	for _, a := range apps {
		for name, u := range a.Units {
			if u.Agent.Current != "idle" {
				return fmt.Errorf("%s is %s %s", name, u.Agent.Current, u.Agent.Message)
			}
		}
	}
	return nil
}

// at is a check that so many units have a workload status with this text.
func at(app string, units int, want string) func(map[string]application) error {
	return func(apps map[string]application) error {
		if n := len(apps[app].Units); n != units {
			return fmt.Errorf("%s has %d units", app, n)
		}
		for name, u := range apps[app].Units {
			if got := u.Workload.Current + " " + u.Workload.Message; got != want {
				return fmt.Errorf("%s is %s", name, got)
			}
		}
		return nil
	}
}

func all(checks ...func(map[string]application) error) func(map[string]application) error {
	return func(apps map[string]application) error {
		for _, c := range checks {
			if err := c(apps); err != nil {
				return err
			}
		}
		return nil
	}
}

// run runs an action, with what it sets as results.
func (e *environment) run(unit, action string, params ...string) map[string]any {
	e.Helper()
	r := e.task(unit, action, params...)
	if r.Status != "completed" {
		e.Errorf("%s of %s: %s %s", action, unit, r.Status, r.Message)
	}
	return r.Results
}

type task struct {
	Status  string         `json:"status"`
	Message string         `json:"message"`
	Results map[string]any `json:"results"`
	Log     []string       `json:"log"`
}

func (e *environment) task(unit, action string, params ...string) task {
	e.Helper()
	out, err := e.try(append([]string{"run", unit, action, "--format", "json"}, params...)...)
	var tasks map[string]task
	if jsonErr := json.Unmarshal([]byte(out), &tasks); jsonErr != nil {
		e.Fatalf("%s of %s: %v, %v: %s", action, unit, err, jsonErr, out)
	}
	return tasks[unit]
}

// leads splits the names of the units: the one that leads, and the other.
func leads(a application) (leader, other string) {
	for name, u := range a.Units {
		if u.Leader {
			leader = name
		} else {
			other = name
		}
	}
	return leader, other
}

// reports runs the action report of the unit until its results are what is wanted.
func (e *environment) reports(unit string, want map[string]string) map[string]any {
	e.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(tick) {
		got := e.run(unit, "report")
		wrong := differences(got, want)
		if len(wrong) == 0 {
			return got
		}
		if time.Now().After(end) {
			e.Fatalf("%s: %s", unit, strings.Join(wrong, "\n"))
		}
	}
}

// differences compares results with what is wanted of them; a "~" before the text asks that the result contains it.
func differences(got map[string]any, want map[string]string) []string {
	var wrong []string
	for key, w := range want {
		g := fmt.Sprint(got[key])
		if part, ok := strings.CutPrefix(w, "~"); ok && strings.Contains(g, part) || g == w {
			continue
		}
		wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", key, g, w))
	}
	return wrong
}

// jujud runs the program that charms ask for the version, of each machine.
func (e *environment) jujud() []string {
	e.Helper()
	programs, err := filepath.Glob(filepath.Join(e.data, "controllers/py/machines/*/data/tools/machine-*/jujud"))
	if err != nil {
		e.Fatal(err)
	}
	var versions []string
	for _, p := range programs {
		out, err := exec.Command(p, "version").Output()
		if err != nil {
			e.Fatalf("%s version: %v", p, err)
		}
		versions = append(versions, strings.TrimSpace(string(out)))
	}
	return versions
}
