package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/state"
)

// A client is one user's, with a cloud "box" that is a real LXD.
type lxdClient struct {
	*testing.T
	program
	lxd  *lxdtest.Server
	data string
}

func newLXDClient(t *testing.T, lxd *lxdtest.Server, bin string) lxdClient {
	t.Helper()
	data := shortDir(t)
	u := lxdClient{t, program{bin, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GRIGRI_DATA="+data, "LXD_DIR="+lxd.Dir)}, lxd, data}
	file := filepath.Join(t.TempDir(), "cloud.yaml")
	text := fmt.Sprintf("clouds:\n  box:\n    type: lxd\n    auth-types: [empty]\n    regions: {default: {}}\n    config: {project: %s, image: %s, pool: %s}\n",
		lxd.Project, lxd.Image, lxdtest.Pool)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	u.must("add-cloud", "box", file, "--client")
	t.Cleanup(func() {
		if out, err := u.run("controllers"); t.Failed() || err != nil || strings.Contains(out, "one") {
			_, _ = u.run("kill-controller", "one", "--no-prompt", "--timeout", "10s") // whatever is left
		}
	})
	return u
}

// run is program.run for what takes its time: it installs Java and ZooKeeper.
func (u lxdClient) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(u.bin, "grigri"), args...)
	cmd.Env = u.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (u lxdClient) must(args ...string) string {
	u.Helper()
	out, err := u.run(args...)
	if err != nil {
		u.Fatalf("grigri %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (u lxdClient) fails(want string, args ...string) {
	u.Helper()
	if out, err := u.run(args...); err == nil || !strings.Contains(out, want) {
		u.Fatalf("grigri %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
	}
}

// A begun bootstrap runs.
type begun struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	said bytes.Buffer
	done chan struct{}
	err  error // when done is closed
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.Write(p)
}

func (b *begun) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String()
}

// begin bootstraps until it has said this. Its short id is that of the controller, which is in the names of all that it makes in LXD.
func (u lxdClient) begin(until string, args ...string) (*begun, string) {
	u.Helper()
	b := &begun{cmd: exec.Command(filepath.Join(u.bin, "grigri"), args...), done: make(chan struct{})}
	b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = u.env, b, b
	if err := b.cmd.Start(); err != nil {
		u.Fatal(err)
	}
	go func() {
		b.err = b.cmd.Wait()
		close(b.done)
	}()
	for end := time.After(5 * time.Minute); !strings.Contains(b.text(), until); {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-b.done:
			u.Fatalf("it has ended before %q: %v\n%s", until, b.err, b.text())
		case <-end:
			_ = b.cmd.Process.Kill()
			u.Fatalf("it has not come to %q:\n%s", until, b.text())
		}
	}
	data, err := os.ReadFile(filepath.Join(u.data, "bootstrap-config.yaml"))
	if err != nil {
		u.Fatal(err)
	}
	id := regexp.MustCompile(`(?m)^ +(?:controller-)?uuid: ([0-9a-f]{8})`).FindStringSubmatch(string(data))
	if id == nil {
		u.Fatalf("the client does not remember what it makes:\n%s", data)
	}
	return b, id[1]
}

// ended waits for the end of a bootstrap that fails, and returns what it has said.
func (b *begun) ended(t *testing.T) string {
	t.Helper()
	select {
	case <-b.done:
		if b.err == nil {
			t.Fatalf("it has succeeded:\n%s", b.text())
		}
	case <-time.After(5 * time.Minute):
		_ = b.cmd.Process.Kill()
		t.Fatalf("it does not end:\n%s", b.text())
	}
	return b.text()
}

// left is what there is of the controller in LXD.
func (u lxdClient) left(id string) string {
	u.Helper()
	var out []string
	for what, args := range map[string][]string{
		"instance": {"query", "/1.0/instances?recursion=1&project=" + u.lxd.Project}, "network": {"query", "/1.0/networks?recursion=1"},
		"certificate": {"query", "/1.0/certificates?recursion=1"}, "profile": {"query", "/1.0/profiles?recursion=1&project=" + u.lxd.Project},
	} {
		var all []struct {
			Name   string
			Config map[string]string
		}
		if err := json.Unmarshal([]byte(u.lxd.LXC(u.T, args...)), &all); err != nil {
			u.Fatal(err)
		}
		for _, thing := range all {
			if strings.Contains(fmt.Sprint(thing), id) {
				out = append(out, what+" "+thing.Name)
			}
		}
	}
	return strings.Join(out, ", ")
}

// clean wants nothing of the controller anywhere.
func (u lxdClient) clean(when, id string) {
	u.Helper()
	if left := u.left(id); left != "" {
		u.Errorf("%s there is %s", when, left)
	}
	for _, file := range []string{"bootstrap-config.yaml", "controllers.yaml", "accounts.yaml", "models.yaml"} {
		if data, err := os.ReadFile(filepath.Join(u.data, file)); err == nil && strings.Contains(string(data), "one") {
			u.Errorf("%s the client's %s has\n%s", when, file, data)
		}
	}
}

// A controller on a container: a model on another; and all of it goes. Beside it, bootstraps that do not come to their end.
func TestAControllerInLXD(t *testing.T) {
	lxd := lxdtest.Start(t)
	bin, err := filepath.Abs(buildPrograms(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("cases", func(t *testing.T) { // a group: LXD goes after all of them
		t.Run("a life", func(t *testing.T) {
			t.Parallel()
			livesInLXD(newLXDClient(t, lxd, bin))
		})
		t.Run("interruptions", func(t *testing.T) {
			t.Parallel()
			interruptions(newLXDClient(t, lxd, bin))
		})
	})
}

func livesInLXD(u lxdClient) {
	u.must("bootstrap", "box", "one", "--bootstrap-base", "debian@12")
	u.fails("already exists", "bootstrap", "box", "one")
	u.must("add-model", "shop")
	charm := filepath.Join(u.TempDir(), "server")
	for name, text := range map[string]string{
		"metadata.yaml": "name: server\nsummary: s\ndescription: d\n",
		"hooks/start":   "#!/bin/sh\nstatus-set active started\n",
	} {
		file := filepath.Join(charm, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			u.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			u.Fatal(err)
		}
	}
	u.must("deploy", charm, "--base", "debian@12")
	u.until("server/0 serves", func(s status.Status) bool {
		return s.Applications["server"].Units["server/0"].Workload.Message == "started" && s.Applications["server"].Units["server/0"].Agent.Current == "idle"
	})
	healsInLXD(u)
	data, err := os.ReadFile(filepath.Join(u.data, "controllers.yaml"))
	if err != nil {
		u.Fatal(err)
	}
	id := regexp.MustCompile(`uuid: ([0-9a-f]{8})`).FindStringSubmatch(string(data))[1]
	if left := u.left(id); !strings.Contains(left, "certificate") || !strings.Contains(left, "instance") {
		u.Errorf("of the controller there is %s: the test does not see what is there", left)
	}
	u.must("destroy-controller", "one", "--no-prompt", "--destroy-all-models")
	u.clean("after the controller was destroyed", id)
}

// healsInLXD has machine 0, whose unit serves, and machine 1, which still boots, stop at once; and machine 0 once more when it has just
// been started again. Both are brought up, and serve.
func healsInLXD(u lxdClient) {
	u.must("add-unit", "server")
	id := func(machine state.MachineID) (id string) {
		u.until("machine "+string(machine)+" has an instance", func(s status.Status) bool {
			id = s.Machines[machine].InstanceID
			return id != "" && id != "pending"
		})
		return id
	}
	halt := func(ids ...string) {
		if _, err := u.lxd.Try(append([]string{"stop", "--force"}, ids...)...); err != nil {
			u.Fatal(err)
		}
	}
	heals := func(ids ...string) {
		u.Helper()
		u.until(strings.Join(ids, " and ")+" run again", func(status.Status) bool {
			for _, id := range ids {
				if out, err := u.lxd.Try("list", "-f", "csv", "-c", "s", "^"+id+"$"); err != nil || strings.TrimSpace(out) != "RUNNING" {
					return false
				}
			}
			return true
		})
	}
	serves := func(s status.Status) bool {
		units, n := s.Applications["server"].Units, 0
		for _, unit := range units {
			if m := s.Machines[unit.Machine]; unit.Workload.Message == "started" && unit.Agent.Current == "idle" && m.Agent.Current == "started" {
				n++
			}
		}
		return n == len(units)
	}
	first, second := id("0"), id("1")
	halt(first, second)
	heals(first, second)
	halt(first)
	heals(first)
	u.until("both serve", serves)
}

func (u lxdClient) status() (s status.Status) {
	u.Helper()
	ctx, cancel := context.WithTimeout(u.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(u.bin, "grigri"), "status", "--format", "json")
	cmd.Env = u.env
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		u.Fatalf("status: %v", err)
	}
	return s
}

func (u lxdClient) until(what string, cond func(status.Status) bool) {
	u.Helper()
	for end := time.Now().Add(4 * time.Minute); !cond(u.status()); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			out, _ := u.run("status")
			u.Fatalf("waited in vain until %s:\n%s", what, out)
		}
	}
}

func interruptions(u lxdClient) {
	args := []string{"bootstrap", "box", "one", "--bootstrap-base", "debian@12"}
	const early, late = "starting an instance", "installing Java"

	for _, when := range []string{early, late} {
		b, id := u.begin(when, args...)
		u.fails(`controller "one" is being made, or was when that was interrupted`, args...) // a second one at once
		if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
			u.Fatal(err)
		}
		if said := b.ended(u.T); !strings.Contains(said, "ERROR") || !strings.Contains(said, "interrupted: all that was made has been removed") {
			u.Errorf("at %q it was interrupted and said\n%s", when, said)
		}
		u.clean("interrupted at "+when, id)
	}

	b, id := u.begin(late, append(args, "--keep-broken")...)
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		u.Fatal(err)
	}
	if said := b.ended(u.T); strings.Contains(said, "removed") || !strings.Contains(said, "kill-controller one") {
		u.Errorf("with --keep-broken it said\n%s", said)
	}
	if left := u.left(id); !strings.Contains(left, "instance") {
		u.Errorf("--keep-broken has kept %q", left)
	}
	u.fails("kill-controller one", args...)
	u.must("kill-controller", "one", "--no-prompt")
	u.clean("after --keep-broken and kill-controller", id)

	for _, when := range []string{early, late} {
		b, id := u.begin(when, args...)
		if err := b.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			u.Fatal(err)
		}
		b.ended(u.T)
		u.fails("kill-controller one", args...)
		u.must("kill-controller", "one", "--no-prompt")
		u.clean("killed at "+when+", after kill-controller", id)
	}
}
