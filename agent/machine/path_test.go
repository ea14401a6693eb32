package machine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/nettest"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/reaper"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/local"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

// recorder notes each hook, and in start leaves a workload behind that is deaf to nothing but SIGKILL.
const recorder = `#!/bin/sh
echo "${JUJU_HOOK_NAME:-$JUJU_DISPATCH_PATH} $JUJU_REMOTE_UNIT" | sed 's/ *$//' >>"$CHARM_DIR/../hooks.log"
case $JUJU_HOOK_NAME in
install) sleep 0.3 ;;
start)
	setsid sh -c 'trap "" TERM HUP; echo $$ >"$CHARM_DIR/../workload"; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &
	open-port 80
	status-set active "runs on $(unit-get private-address)" ;;
config-changed) n=$(state-get n); state-set n=$((n + 1)) ;;
sql-relation-joined) relation-set password=secret ;;
db-relation-changed) p=$(relation-get password); [ -z "$p" ] || status-set active "got: $p" ;;
esac
`

// A path is a whole installation: ZooKeeper, a controller, and machines on this host, each of them real.
type path struct {
	*testing.T
	zk    *zktest.Server
	store *zk.Store
	dir   string // of the machines
	model client.Model
	uuid  state.ModelID
}

func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"grigri-agent", "hooktool"} {
		args := []string{"build", "-o", filepath.Join(bin, name)}
		if overlay := os.Getenv("GRIGRI_TEST_OVERLAY"); overlay != "" {
			args = append(args, "-overlay="+overlay)
		}
		cmd := exec.Command("go", append(args, "github.com/grigri/grigri/cmd/"+name)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return bin
}

func newPath(t *testing.T) *path {
	t.Helper()
	bin := programs(t)
	p := &path{T: t, zk: zktest.Start(t), dir: t.TempDir()}
	files := t.TempDir()
	b, secrets, err := controller.Bootstrap(controller.BootstrapConfig{Dir: files, Name: "c", Cloud: "local", Addresses: []string{"127.0.0.1:0"}, Now: time.Now()})
	p.must(err)
	secrets.Authority = p.zk.Authority // ZooKeeper's is given: the controller's is to be the same
	b.CA = string(p.zk.Authority.Certificate())
	founding := filepath.Join(files, "founding.json")
	var f state.Founding
	data, err := os.ReadFile(founding)
	p.must(err)
	p.must(json.Unmarshal(data, &f))
	f.Controller.CA = b.CA
	p.must(os.WriteFile(founding, state.Encode(f), 0o600))

	p.store, err = zk.Open(t.Context(), zk.Config{Servers: []string{p.zk.Addr}, TLS: p.zk.Controller(), Controller: pki.ControllerName(),
		Machine: pki.MachineName, Secret: func(who state.Principal) (string, bool) { return secrets.Key.Credential(who).Secret, true }})
	p.must(err)
	t.Cleanup(func() { p.store.Close() })
	p.must(p.store.Init(t.Context()))
	hash, err := controller.KeepAgent(files, bin)
	p.must(err)
	machines, err := local.Open(local.Config{Dir: p.dir, Reaper: []string{filepath.Join(bin, "grigri-agent"), "supervise"}, Grace: 3 * time.Second})
	p.must(err)
	t.Cleanup(func() {
		all, err := machines.List(context.Background(), b.UUID)
		if err != nil {
			t.Error(err)
		}
		for _, in := range all {
			if t.Failed() {
				text, _ := os.ReadFile(filepath.Join(p.dir, string(in.ID), "console.log"))
				logs, _ := os.ReadFile(filepath.Join(p.dir, string(in.ID), "log", "machine-"+in.Machine+".log"))
				t.Logf("machine %s:\n%s%s", in.Machine, text, logs)
			}
			if err := machines.Stop(context.Background(), in.ID); err != nil {
				t.Error(err)
			}
		}
	})
	listen := "127.0.0.1:" + strconv.Itoa(nettest.Port(t))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan string, 1)
	go func() {
		done <- controller.Run(ctx, controller.Config{Dir: files, ID: "0", Listen: listen, Store: p.store, Secrets: secrets, Open: func(provider.Spec) (provider.Provider, error) { return machines, nil }, Chroot: zk.DefaultChroot,
			Addresses: state.Addresses{API: []string{listen}, ZooKeeper: []string{p.zk.Addr}, AgentHash: hash}, Ready: func(a string) { ready <- a },
			Log: slog.New(slog.NewTextHandler(logWriter{t}, nil))})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Name: b.Name, Addresses: []string{listen}, CA: b.CA, User: b.User, Password: b.Password})
	p.must(err)
	t.Cleanup(c.Close)
	m, err := c.CreateModel(t.Context(), userapi.CreateModel{Name: "shop"})
	p.must(err)
	p.uuid, p.model = m.UUID, c.Model("shop")
	return p
}

// logWriter shows a log when the test fails.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(b []byte) (int, error) {
	defer func() { recover() }() // after the test nobody reads it
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

func (p *path) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *path) deploy(app state.ApplicationName, metadata string, n int) {
	p.Helper()
	files := fstest.MapFS{"metadata.yaml": {Data: []byte(metadata), Mode: 0o644}, "dispatch": {Data: []byte(recorder), Mode: 0o755}}
	var b bytes.Buffer
	sum, size, err := charm.Archive(&b, files)
	p.must(err)
	_, err = p.model.UploadCharm(p.Context(), sum, size, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	p.must(err)
	_, err = p.model.Deploy(p.Context(), userapi.Deploy{Name: app, Charm: sum, Units: n, Base: "debian@12", Force: true})
	p.must(err)
}

func (p *path) await(what string, cond func() bool) {
	p.Helper()
	for end := time.Now().Add(3 * time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("waited in vain: %s", what)
		}
	}
}

func (p *path) status(u state.UnitName) (s state.UnitStatus) {
	rec, err := state.ReadIf[state.UnitStatus](p.Context(), p.store, p.uuid.StatusPath(u))
	if err == nil {
		s = rec.Value
	}
	return s
}

// idle waits until the units have nothing to do and say so.
func (p *path) idle(message string, units ...state.UnitName) {
	p.Helper()
	for _, u := range units {
		var last state.UnitStatus
		defer func() {
			if p.Failed() {
				p.Logf("%s is last %+v", u, last)
			}
		}()
		p.await(string(u)+" idle, "+message, func() bool {
			last = p.status(u)
			return last.Agent.Status == "idle" && last.Agent.Message == "" && last.Workload.Status == "active" && strings.HasPrefix(last.Workload.Message, message)
		})
	}
}

// unitDir is the unit's directory on whichever machine it is.
func (p *path) unitDir(u state.UnitName) string {
	p.Helper()
	names, err := filepath.Glob(filepath.Join(p.dir, "*", "data", "agents", u.Tag()))
	if err != nil || len(names) != 1 {
		p.Fatalf("the directory of %s: %v, %v", u, names, err)
	}
	return names[0]
}

func (p *path) hooks(u state.UnitName) []string {
	p.Helper()
	data, err := os.ReadFile(filepath.Join(p.unitDir(u), "hooks.log"))
	p.must(err)
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func (p *path) process(file string) reaper.Process {
	p.Helper()
	data, err := os.ReadFile(file)
	p.must(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	p.must(err)
	proc, err := reaper.Find(pid)
	p.must(err)
	return proc
}

// agents is the processes of all machines' agents.
func (p *path) agents() []reaper.Process {
	var out []reaper.Process
	for _, pid := range reaper.Processes() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !strings.Contains(string(text), "\x00run\x00--data-dir\x00"+p.dir) {
			continue
		}
		if proc, err := reaper.Find(pid); err == nil {
			out = append(out, proc)
		}
	}
	return out
}

// story wants the log of the unit's statuses to tell all that it did, and nothing twice.
func (p *path) story(u state.UnitName) {
	p.Helper()
	var told []userapi.StatusLogEntry
	p.await("the end of the story of "+string(u), func() (idle bool) {
		var err error
		told, err = p.model.StatusLog(p.Context(), userapi.StatusLogFilter{Entity: string(u), Type: "juju-unit"})
		p.must(err)
		return told[len(told)-1].Status == "idle"
	})
	hooks := []string{"install", "config-changed", "start"}
	for i, e := range told {
		if i > 0 && (e.Same(told[i-1].StatusInfo) || e.Since.Before(told[i-1].Since)) {
			p.Errorf("%s: %+v comes after %+v", u, e, told[i-1])
		}
		if len(hooks) > 0 && e.Message == "running "+hooks[0]+" hook" {
			hooks = hooks[1:]
		}
	}
	if len(hooks) > 0 {
		p.Errorf("%s: nothing tells of %v in %+v", u, hooks, told)
	}
}

// One whole path through everything that is real, with every process killed on the way.
func TestFromDeployToDestroyWithEverythingKilled(t *testing.T) {
	p := newPath(t)
	p.deploy("store", "name: store\nsummary: x\ndescription: x\nprovides:\n  sql: {interface: sql}\n", 1)
	p.deploy("web", "name: web\nsummary: x\ndescription: x\nrequires:\n  db: {interface: sql}\n", 2)

	// Agents and ZooKeeper are killed while install runs.
	p.await("two agents", func() bool { return len(p.agents()) >= 2 })
	for _, a := range p.agents() {
		p.must(a.Signal(unix.SIGKILL))
	}
	p.await("agents again", func() bool { return len(p.agents()) == 3 })
	p.zk.Kill(t)
	p.idle("runs on 127.", "store/0", "web/0", "web/1")
	for _, u := range []state.UnitName{"store/0", "web/0", "web/1"} {
		got := slices.Compact(p.hooks(u)) // one that was cut off ran again
		got = slices.DeleteFunc(got, func(h string) bool { return h == "leader-elected" || h == "leader-settings-changed" })
		if want := []string{"install", "config-changed", "start"}; !slices.Equal(got, want) {
			t.Errorf("%s ran %v", u, got)
		}
		rec, err := state.Read[map[string]string](t.Context(), p.store, p.uuid.StatePath(u))
		if err != nil || rec.Value["n"] != "1" {
			t.Errorf("%s has counted %v, %v: an effect is lost or done twice", u, rec.Value, err)
		}
	}
	addresses := map[string]bool{}
	for _, u := range []state.UnitName{"store/0", "web/0", "web/1"} {
		addresses[p.status(u).Workload.Message] = true
	}
	if len(addresses) != 3 {
		t.Errorf("the units run on %v", addresses)
	}

	_, err := p.model.Integrate(t.Context(), "web", "store")
	p.must(err)
	p.idle("got: secret", "web/0")
	p.idle("got: secret", "web/1")

	// A dead agent comes back and does nothing; the workload never notices.
	work := p.process(filepath.Join(p.unitDir("web/0"), "workload"))
	before := p.hooks("web/0")
	for _, a := range p.agents() {
		p.must(a.Signal(unix.SIGKILL))
	}
	p.await("agents again", func() bool { return len(p.agents()) == 3 })
	p.await("present again", func() bool {
		_, err := p.store.Get(t.Context(), p.uuid.AgentPath("web/0"))
		return err == nil
	})
	p.must(p.model.SetApplicationConfig(t.Context(), "web", userapi.Settings{}))
	p.idle("got: secret", "web/0")
	if !work.Alive() {
		t.Error("the workload has died with the agent")
	}
	after := slices.DeleteFunc(p.hooks("web/0"), func(h string) bool { return h == "leader-elected" || h == "leader-settings-changed" })
	before = slices.DeleteFunc(before, func(h string) bool { return h == "leader-elected" || h == "leader-settings-changed" })
	if !slices.Equal(before, after) {
		t.Errorf("web/0 ran %v again", after[len(before):])
	}

	p.story("web/0")
	p.story("store/0")
	dir := p.unitDir("web/1")
	_, err = p.model.RemoveUnit(t.Context(), "web/1", client.Removal{})
	p.must(err)
	p.await("web/1 gone with its machine", func() bool {
		_, err := p.store.Get(t.Context(), p.uuid.UnitPath("web/1"))
		_, there := os.Stat(dir)
		return errors.Is(err, state.ErrNotFound) && errors.Is(there, fs.ErrNotExist)
	})

	_, err = p.model.Destroy(t.Context(), client.Removal{})
	p.must(err)
	p.await("everything gone", func() bool {
		_, err := p.store.Get(t.Context(), p.uuid.Path())
		return errors.Is(err, state.ErrNotFound)
	})
	if work.Alive() {
		t.Error("a workload outlives its machine")
	}
	if left := p.agents(); len(left) > 0 {
		t.Errorf("agents are left: %v", left)
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil || len(entries) != 1 { // the lock
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
