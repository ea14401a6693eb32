package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/state"
)

// The scripts in testdata/script run the real programs: one controller with its own ZooKeeper serves them all, and each
// script has a model of its own. A script that begins with "# own controller" makes what it needs itself.
//
//	await 'web=2' 'db=0'        exactly these applications with so many units, all of them idle and none in error
//	await unit web/0 active     the unit's workload status, or "gone"; a third word is a pattern of its message
//	await machines 2            so many machines
//	charmfile UNIT NAME         prints a file of the unit's charm directory
//	awaitfile UNIT NAME TEXT    waits until a file of the unit's charm directory has a line that matches, and prints the file
func TestScripts(t *testing.T) {
	bin, err := filepath.Abs(buildPrograms(t))
	if err != nil {
		t.Fatal(err)
	}
	data := shortDir(t)
	env := []string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "GRIGRI_DATA=" + data}
	shared := program{bin: bin, env: append(os.Environ(), env...)}
	if out, err := shared.run("bootstrap", "local", "shared"); err != nil {
		t.Fatalf("bootstrap: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := shared.run("models")
			t.Log(out)
			log, _ := os.ReadFile(filepath.Join(data, "controllers/shared/grigrid.log"))
			t.Log(lastLines(string(log), 40))
		}
		if out, err := shared.run("kill-controller", "shared", "--no-prompt", "--timeout", "60s"); err != nil {
			t.Errorf("kill-controller: %v\n%s", err, out)
		}
	})
	examples, err := filepath.Abs("../../examples/charms")
	if err != nil {
		t.Fatal(err)
	}
	var models atomic.Int32
	t.Run("script", func(t *testing.T) { // a group: the cleanup comes after all of them
		testscript.Run(t, testscript.Params{
			Dir:                 "testdata/script",
			RequireExplicitExec: true,
			Setup: func(e *testscript.Env) error {
				e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
				e.Setenv("EXAMPLES", examples)
				e.Setenv("HOME", e.WorkDir)
				script, err := os.ReadFile(filepath.Join("testdata/script", scriptName(e.T().(testing.TB).Name())+".txtar"))
				if err != nil {
					return err
				}
				if strings.HasPrefix(string(script), "# own controller") {
					own := shortDir(e.T().(testing.TB))
					e.Setenv("GRIGRI_DATA", own)
					e.Defer(func() {
						killLeft(e.T().(testing.TB), program{bin: bin, env: append(os.Environ(), env[0], "GRIGRI_DATA="+own)}, own)
					})
					return nil
				}
				model := fmt.Sprintf("m%d", models.Add(1))
				e.Setenv("GRIGRI_DATA", data)
				e.Setenv("GRIGRI_MODEL", model)
				c := program{bin: bin, env: append(slices.Clone(shared.env), "GRIGRI_MODEL="+model)}
				if out, err := c.run("add-model", "--no-switch", model); err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				e.Defer(func() {
					if e.T().(testing.TB).Failed() {
						for _, args := range [][]string{{"status", "--relations"}, {"debug-log", "--replay", "--no-tail"}} {
							out, _ := c.run(args...)
							e.T().Log(lastLines(out, 60))
						}
					}
					_, _ = c.run("destroy-model", model, "--no-prompt", "--force")
				})
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "charmfile": charmFile, "awaitfile": awaitFile, "awaitout": awaitOut},
		})
	})
}

// killLeft ends the controllers that a script has left in the data directory; only one that has failed may.
func killLeft(t testing.TB, c program, data string) {
	left, _ := os.ReadDir(filepath.Join(data, "controllers"))
	for _, l := range left {
		out, err := c.run("kill-controller", l.Name(), "--no-prompt", "--timeout", "60s")
		if err != nil || !t.Failed() {
			t.Errorf("it leaves controller %s: %v\n%s", l.Name(), err, out)
		}
	}
}

func scriptName(test string) string { return test[strings.LastIndexByte(test, '/')+1:] }

// buildPrograms builds what the scripts run, once. Where GRIGRI_TEST_PROGRAMS names a directory they are there already.
func buildPrograms(t *testing.T) string {
	t.Helper()
	if built := os.Getenv("GRIGRI_TEST_PROGRAMS"); built != "" {
		return built
	}
	dir := shortDir(t)
	cmd := exec.Command("go", "build", "-o", dir+"/", "../grigri", "../grigrid", "../grigri-agent", "../hooktool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	return dir
}

// shortDir is a temporary directory whose path is short: unix sockets lie below it.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A program is the client, run as a user does.
type program struct {
	bin string
	env []string
}

func (c program) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "grigri"), args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func scriptStatus(ts *testscript.TestScript) (status.Status, error) {
	var st status.Status
	cmd := exec.Command(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0]+"/grigri", "status", "--format", "json")
	cmd.Env = append(os.Environ(), "GRIGRI_DATA="+ts.Getenv("GRIGRI_DATA"), "GRIGRI_MODEL="+ts.Getenv("GRIGRI_MODEL"))
	out, err := cmd.Output()
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(out, &st)
}

// await waits for a condition of the model.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await app=units... | unit NAME STATUS [MESSAGE] | machines N")
	}
	var st status.Status
	why := ""
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if st, err = scriptStatus(ts); err != nil {
			ts.Fatalf("status: %v", err)
		}
		if why = unmet(st, args); why == "" {
			return
		}
	}
	ts.Fatalf("await %s: %s", strings.Join(args, " "), why)
}

// unmet says what of the condition does not hold.
func unmet(st status.Status, args []string) string {
	switch args[0] {
	case "machines":
		if n := strconv.Itoa(len(st.Machines)); n != args[1] {
			return "there are " + n
		}
		return ""
	case "unit":
		u, ok := findUnit(st, state.UnitName(args[1]))
		if !ok || args[2] == "gone" {
			if !ok && args[2] == "gone" {
				return ""
			}
			return fmt.Sprintf("there: %v", ok)
		}
		got := u.Workload.Current + " " + u.Workload.Message
		if u.Workload.Current != args[2] || len(args) > 3 && !regexp.MustCompile(args[3]).MatchString(u.Workload.Message) {
			return "it is " + got
		}
		return ""
	}
	want := map[state.ApplicationName]int{}
	for _, a := range args {
		name, n, _ := strings.Cut(a, "=")
		want[state.ApplicationName(name)], _ = strconv.Atoi(n)
	}
	got := map[state.ApplicationName]int{}
	for name := range st.Applications {
		got[name] = 0
	}
	var count func(units map[state.UnitName]status.Unit) string
	count = func(units map[state.UnitName]status.Unit) string {
		for name, u := range units {
			got[name.Application()]++
			if u.Agent.Current != "idle" || u.Workload.Current == "error" || u.Agent.Life != "" {
				return fmt.Sprintf("%s is %s %s, %s %s", name, u.Agent.Current, u.Agent.Message, u.Workload.Current, u.Workload.Message)
			}
			if why := count(u.Subordinates); why != "" {
				return why
			}
		}
		return ""
	}
	for _, a := range st.Applications {
		if why := count(a.Units); why != "" {
			return why
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Sprintf("there is %v", got)
	}
	return ""
}

func findUnit(st status.Status, name state.UnitName) (status.Unit, bool) {
	for _, a := range st.Applications {
		for n, u := range a.Units {
			if n == name {
				return u, true
			}
			if s, ok := u.Subordinates[name]; ok {
				return s, true
			}
		}
	}
	return status.Unit{}, false
}

// awaitFile waits for a line in a file of a unit's charm directory.
func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: awaitfile UNIT NAME TEXT")
	}
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ts.Exec("grigri", "exec", "--quiet", "--unit", args[0], "--", "grep -qE "+shellQuote(args[2])+" "+args[1]+" && cat "+args[1]+" || true") != nil {
			ts.Fatalf("read %s of %s", args[1], args[0])
		}
		if ts.ReadFile("stdout") != "" {
			return
		}
	}
	ts.Fatalf("%s of %s has no line that matches %s", args[1], args[0], args[2])
}

// charmFile prints a file of a unit's charm directory.
func charmFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: charmfile UNIT NAME")
	}
	ts.Check(ts.Exec("grigri", "exec", "--unit", args[0], "--", "cat", args[1]))
}
