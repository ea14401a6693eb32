package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/hookstest"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/hooks/serve"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

// hooktool is the tool as it is built for machines. It is built once.
var hooktool = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hooktool")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "hooktool")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, "github.com/grigri/grigri/cmd/hooktool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hooktool: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if dir := os.Getenv("RUN_TEST_AGENT"); dir != "" {
		agent(dir)
		return
	}
	code := m.Run()
	if path, err := hooktool(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A place is a unit's directory on a machine, with its server and a unit in memory.
type place struct {
	config run.Config
	unit   *hookstest.Unit
	server *serve.Server

	mu  sync.Mutex
	log []string // "DEBUG unit.web/0.install: text"
}

func newPlace(t testing.TB, dir string) *place {
	t.Helper()
	tool, err := hooktool()
	if err != nil {
		t.Fatal(err)
	}
	p := &place{unit: &hookstest.Unit{
		Name:     "web/0",
		Options:  map[string]any{"name": "shop", "port": int64(80)},
		In:       []hooks.Relation{{ID: 7, Endpoint: "db", RemoteApp: "mysql"}},
		Others:   map[state.RelationID][]state.UnitName{7: {"mysql/0", "mysql/1"}},
		UnitBags: map[state.RelationID]map[state.UnitName]relation.Settings{7: {"web/0": {}, "mysql/0": {"host": "10.0.0.5"}}},
	}}
	p.config = run.Config{
		Facts:    run.Facts{Unit: "web/0", Machine: "4", Model: "2b6f", ModelName: "shop"},
		CharmDir: filepath.Join(dir, "charm"),
		ToolsDir: filepath.Join(dir, "tools"),
		Socket:   filepath.Join(dir, "agent.socket"),
		Grace:    100 * time.Millisecond,
		Log: func(module, level, line string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.log = append(p.log, level+" "+module+": "+line)
		},
	}
	p.file(t, "metadata.yaml", 0o644, "name: web\n")
	if err := run.InstallTools(p.config.ToolsDir, tool, serve.Names()); err != nil {
		t.Fatal(err)
	}
	if p.server, err = serve.Listen(p.config.Socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return p.server.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// file writes a file of the charm.
func (p *place) file(t testing.TB, name string, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(p.config.CharmDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a hook with a session, as an agent does.
func (p *place) run(t testing.TB, ctx context.Context, h hooks.Hook) (run.Result, hooks.Effects) {
	t.Helper()
	session := p.server.Begin(serve.Config{Hook: h, Unit: "web/0", Model: "2b6f", Charm: charm.Charm{}, Reader: p.unit, Writer: p.unit})
	c := p.config
	c.Hook, c.Token = h, session.Token()
	res, err := run.Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return res, session.End()
}

// script runs text as the install hook.
func (p *place) script(t testing.TB, text string) (run.Result, hooks.Effects) {
	t.Helper()
	p.file(t, "hooks/install", 0o755, "#!/bin/bash\n"+text)
	return p.run(t, t.Context(), hooks.Hook{Kind: hooks.Install})
}

func (p *place) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

func TestEffectsOfAHook(t *testing.T) {
	p := newPlace(t, t.TempDir())
	p.file(t, "hooks/db-relation-changed", 0o755, `#!/bin/bash -eu
[ "$(relation-get host)" = 10.0.0.5 ]
[ "$(config-get port)" = 80 ]
relation-set name="$(config-get name)" host=
for r in $(relation-ids db); do for u in $(relation-list -r $r); do echo $r $u; done; done
open-port 80
status-set active "all well"
juju-log -l WARNING hello
pwd
`)
	res, effects := p.run(t, t.Context(), hooks.Hook{Kind: hooks.RelationChanged, Endpoint: "db", Relation: 7, RemoteApp: "mysql", RemoteUnit: "mysql/0"})
	if res.Outcome != run.Done || res.Code != 0 || res.Handler != "explicit, bespoke hook script" {
		t.Errorf("%+v", res)
	}
	if s := effects.Settings[7]; len(s) != 2 || s["name"] != "shop" || len(effects.Ports) != 1 {
		t.Errorf("%+v", effects)
	}
	if p.unit.Workload.Message != "all well" || p.unit.Logs[0].Message != "db:7: hello" {
		t.Errorf("%+v, %v", p.unit.Workload, p.unit.Logs)
	}
	m := "DEBUG unit.web/0.db-relation-changed: "
	if want := []string{m + "db:7 mysql/0", m + "db:7 mysql/1", m + p.config.CharmDir}; !slices.Equal(p.lines(), want) {
		t.Errorf("log %q, want %q", p.lines(), want)
	}
}

// environment is what a hook is given: the hook is the program that prints it.
func environment(t *testing.T, p *place, h hooks.Hook, name string) map[string]string {
	t.Helper()
	path := filepath.Join(p.config.CharmDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/bin/env", path); err != nil {
		t.Fatal(err)
	}
	p.log = nil
	if res, _ := p.run(t, t.Context(), h); res.Outcome != run.Done {
		t.Fatalf("%+v", res)
	}
	env := map[string]string{}
	for _, l := range p.lines() {
		_, v, _ := strings.Cut(l, ": ")
		k, v, _ := strings.Cut(v, "=")
		env[k] = v
	}
	return env
}

func TestEnvironment(t *testing.T) {
	t.Setenv("HOME", "/root")
	t.Setenv("OPERATOR_DISPATCH", "1")
	p := newPlace(t, t.TempDir())
	p.config.Facts.APIAddresses = []string{"10.0.0.1:17070", "10.0.0.2:17070"}
	p.config.Facts.Principal = "wordpress/3"
	p.config.Facts.Zone = "a"
	p.config.Facts.CharmProxy = run.Proxy{HTTP: "http://c"}
	p.config.Facts.Proxy = run.Proxy{HTTPS: "http://s", None: "localhost"}
	common := map[string]string{
		"APT_LISTCHANGES_FRONTEND":  "none",
		"DEBIAN_FRONTEND":           "noninteractive",
		"LANG":                      "C.UTF-8",
		"TERM":                      "tmux-256color",
		"PATH":                      p.config.ToolsDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin",
		"CHARM_DIR":                 p.config.CharmDir,
		"JUJU_CHARM_DIR":            p.config.CharmDir,
		"JUJU_AGENT_SOCKET_ADDRESS": p.config.Socket,
		"JUJU_AGENT_SOCKET_NETWORK": "unix",
		"JUJU_UNIT_NAME":            "web/0",
		"JUJU_MODEL_NAME":           "shop",
		"JUJU_MODEL_UUID":           "2b6f",
		"JUJU_API_ADDRESSES":        "10.0.0.1:17070 10.0.0.2:17070",
		"JUJU_MACHINE_ID":           "4",
		"JUJU_PRINCIPAL_UNIT":       "wordpress/3",
		"JUJU_AVAILABILITY_ZONE":    "a",
		"JUJU_VERSION":              "3.6.28",
		"CLOUD_API_VERSION":         "",
		"JUJU_CHARM_HTTP_PROXY":     "http://c",
		"JUJU_CHARM_HTTPS_PROXY":    "",
		"JUJU_CHARM_FTP_PROXY":      "",
		"JUJU_CHARM_NO_PROXY":       "",
		"https_proxy":               "http://s",
		"HTTPS_PROXY":               "http://s",
		"no_proxy":                  "localhost",
		"NO_PROXY":                  "localhost",
	}
	for _, c := range []struct {
		hook  hooks.Hook
		file  string
		token string
		extra map[string]string
	}{
		{hooks.Hook{Kind: hooks.Install}, "hooks/install", "web/0-install-",
			map[string]string{"JUJU_HOOK_NAME": "install", "JUJU_DISPATCH_PATH": "hooks/install"}},
		{hooks.Hook{Kind: hooks.RelationCreated, Endpoint: "db", Relation: 7, RemoteApp: "mysql"}, "hooks/db-relation-created", "web/0-db-relation-created-",
			map[string]string{"JUJU_HOOK_NAME": "db-relation-created", "JUJU_DISPATCH_PATH": "hooks/db-relation-created",
				"JUJU_RELATION": "db", "JUJU_RELATION_ID": "db:7", "JUJU_REMOTE_APP": "mysql", "JUJU_REMOTE_UNIT": ""}},
		{hooks.Hook{Kind: hooks.RelationDeparted, Endpoint: "db", Relation: 7, RemoteApp: "mysql", RemoteUnit: "mysql/0", Departing: "web/0"}, "hooks/db-relation-departed", "web/0-db-relation-departed-",
			map[string]string{"JUJU_HOOK_NAME": "db-relation-departed", "JUJU_DISPATCH_PATH": "hooks/db-relation-departed",
				"JUJU_RELATION": "db", "JUJU_RELATION_ID": "db:7", "JUJU_REMOTE_APP": "mysql", "JUJU_REMOTE_UNIT": "mysql/0", "JUJU_DEPARTING_UNIT": "web/0"}},
		{hooks.Hook{Kind: hooks.StorageAttached, Storage: "data/0", StorageKind: "filesystem", Location: "/srv/data"}, "hooks/data-storage-attached", "web/0-data-storage-attached-",
			map[string]string{"JUJU_HOOK_NAME": "data-storage-attached", "JUJU_DISPATCH_PATH": "hooks/data-storage-attached",
				"JUJU_STORAGE_ID": "data/0", "JUJU_STORAGE_LOCATION": "/srv/data", "JUJU_STORAGE_KIND": "filesystem"}},
		{hooks.Hook{Kind: hooks.SecretChanged, Secret: "9m4e2mr0ui3e8a215n4g", SecretRevision: 3}, "hooks/secret-changed", "web/0-secret-changed-",
			map[string]string{"JUJU_HOOK_NAME": "secret-changed", "JUJU_DISPATCH_PATH": "hooks/secret-changed",
				"JUJU_SECRET_ID": "secret:9m4e2mr0ui3e8a215n4g", "JUJU_SECRET_LABEL": ""}},
		{hooks.Hook{Kind: hooks.SecretExpired, Secret: "9m4e2mr0ui3e8a215n4g", SecretLabel: "db", SecretRevision: 3}, "hooks/secret-expired", "web/0-secret-expired-",
			map[string]string{"JUJU_HOOK_NAME": "secret-expired", "JUJU_DISPATCH_PATH": "hooks/secret-expired",
				"JUJU_SECRET_ID": "secret:9m4e2mr0ui3e8a215n4g", "JUJU_SECRET_LABEL": "db", "JUJU_SECRET_REVISION": "3"}},
		{hooks.Hook{Kind: hooks.Action, Action: "backup", Task: 12}, "actions/backup", "web/0-backup-",
			map[string]string{"JUJU_HOOK_NAME": "", "JUJU_DISPATCH_PATH": "actions/backup",
				"JUJU_ACTION_NAME": "backup", "JUJU_ACTION_UUID": "12", "JUJU_ACTION_TAG": "action-12"}},
		{hooks.Hook{Kind: hooks.Action, Action: "juju-exec", Task: 13, ActionInput: map[string]any{"command": "exec /usr/bin/env -u PWD -u SHLVL -u _"}},
			"unused", "web/0-run-commands-", map[string]string{"JUJU_HOOK_NAME": ""}},
	} {
		got := environment(t, p, c.hook, c.file)
		token := got["JUJU_CONTEXT_ID"]
		delete(got, "JUJU_CONTEXT_ID")
		if !strings.HasPrefix(token, c.token) || len(token) != len(c.token)+32 {
			t.Errorf("%s: JUJU_CONTEXT_ID=%s", c.file, token)
		}
		for k, v := range got {
			want, ok := common[k]
			if extra, special := c.extra[k]; special {
				want, ok = extra, true
			}
			if !ok || v != want {
				t.Errorf("%s: %s=%s, want %q (%t)", c.file, k, v, want, ok)
			}
		}
		if len(got) != len(common)+len(c.extra) {
			t.Errorf("%s: %d variables, want %d: %v", c.file, len(got), len(common)+len(c.extra), got)
		}
	}
}

func TestWhatIsRun(t *testing.T) {
	const script = "#!/bin/sh\necho \"$0 $JUJU_DISPATCH_PATH\"\n"
	install := hooks.Hook{Kind: hooks.Install}
	backup := hooks.Hook{Kind: hooks.Action, Action: "backup"}
	for name, c := range map[string]struct {
		set     func(*place)
		hook    hooks.Hook
		outcome run.Outcome
		reason  string // a part of it
		output  string // with the charm's directory as CHARM
	}{
		"script":                  {func(p *place) { p.file(t, "hooks/install", 0o755, script) }, install, run.Done, "", "CHARM/hooks/install hooks/install"},
		"no script":               {func(p *place) {}, install, run.Skipped, "", ""},
		"another script":          {func(p *place) { p.file(t, "hooks/start", 0o755, script) }, install, run.Skipped, "", ""},
		"script not executable":   {func(p *place) { p.file(t, "hooks/install", 0o644, script) }, install, run.Failed, "hooks/install is not executable", ""},
		"directory":               {func(p *place) { p.file(t, "hooks/install/x", 0o755, script) }, install, run.Failed, "not executable", ""},
		"no interpreter line":     {func(p *place) { p.file(t, "hooks/install", 0o755, "echo hello\n") }, install, run.Failed, "exec format error", ""},
		"no interpreter":          {func(p *place) { p.file(t, "hooks/install", 0o755, "#!/nonsense\n") }, install, run.Failed, "no such file", ""},
		"dispatch":                {func(p *place) { p.file(t, "dispatch", 0o755, script); p.file(t, "hooks/install", 0o755, "exit 1") }, install, run.Done, "", "CHARM/dispatch hooks/install"},
		"dispatch not executable": {func(p *place) { p.file(t, "dispatch", 0o644, script); p.file(t, "hooks/install", 0o755, script) }, install, run.Failed, "dispatch is not executable", ""},
		"dispatch, action":        {func(p *place) { p.file(t, "dispatch", 0o755, script) }, backup, run.Done, "", "CHARM/dispatch actions/backup"},
		"action":                  {func(p *place) { p.file(t, "actions/backup", 0o755, script) }, backup, run.Done, "", "CHARM/actions/backup actions/backup"},
		"no action":               {func(p *place) { p.file(t, "hooks/backup", 0o755, script) }, backup, run.Failed, `action not implemented on unit "web/0"`, ""},
		"action not executable":   {func(p *place) { p.file(t, "actions/backup", 0o644, script) }, backup, run.Failed, "not executable", ""},
		"link": {func(p *place) {
			p.file(t, "src/hooks.sh", 0o755, script)
			p.file(t, "hooks/x", 0o755, "")
			if err := os.Symlink("../src/hooks.sh", filepath.Join(p.config.CharmDir, "hooks/install")); err != nil {
				t.Fatal(err)
			}
		}, install, run.Done, "", "CHARM/hooks/install hooks/install"},
		"broken link": {func(p *place) {
			p.file(t, "hooks/x", 0o755, "")
			if err := os.Symlink("nowhere", filepath.Join(p.config.CharmDir, "hooks/install")); err != nil {
				t.Fatal(err)
			}
		}, install, run.Skipped, "", ""},
		"no charm": {func(p *place) {
			p.file(t, "hooks/install", 0o755, script)
			os.Remove(filepath.Join(p.config.CharmDir, "metadata.yaml"))
		}, install, run.Failed, "charm missing from disk", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, t.TempDir())
			c.set(p)
			res, _ := p.run(t, t.Context(), c.hook)
			output := strings.ReplaceAll(strings.Join(res.Tail, "\n"), p.config.CharmDir, "CHARM")
			if res.Outcome != c.outcome || !strings.Contains(res.Reason, c.reason) || output != c.output || (res.Reason == "") != (c.reason == "") {
				t.Errorf("%+v", res)
			}
			if by := res.Handler == "hook dispatching script: dispatch"; res.Outcome == run.Done && by != strings.HasPrefix(output, "CHARM/dispatch") {
				t.Errorf("the log says that it ran by %q", res.Handler)
			}
		})
	}
}

func TestHowItEnds(t *testing.T) {
	p := newPlace(t, t.TempDir())
	for text, want := range map[string]run.Result{
		"exit 0":         {Outcome: run.Done},
		"exit 3":         {Outcome: run.Failed, Code: 3, Reason: "exit status 3"},
		"kill -TERM $$":  {Outcome: run.Terminated, Code: -1, Reason: "signal: terminated"},
		"kill -KILL $$":  {Outcome: run.Terminated, Code: -1, Reason: "signal: killed"},
		"kill -ABRT $$":  {Outcome: run.Failed, Code: -1, Reason: "signal: aborted (core dumped)"},
		"read x; exit 4": {Outcome: run.Failed, Code: 4, Reason: "exit status 4"}, // its standard input is empty
	} {
		res, _ := p.script(t, "ulimit -c 0\n"+text)
		want.Reason = strings.TrimSuffix(want.Reason, " (core dumped)")
		if res.Outcome != want.Outcome || res.Code != want.Code || !strings.HasPrefix(res.Reason, want.Reason) {
			t.Errorf("%s: %+v, want %+v", text, res, want)
		}
	}
}

func TestOutput(t *testing.T) {
	p := newPlace(t, t.TempDir())
	res, _ := p.script(t, "echo out; echo err >&2; printf 'a\\r\\n\\n'; head -c 5000 /dev/zero | tr '\\0' x; printf 'bad \\xff end'; exit 1")
	var out, bad []string
	for _, l := range p.lines() {
		if l, ok := strings.CutPrefix(l, "DEBUG unit.web/0.install: "); ok {
			out = append(out, l)
		}
		if l, ok := strings.CutPrefix(l, "WARNING unit.web/0.install: "); ok {
			bad = append(bad, l)
		}
	}
	want := []string{"out", "a", "", strings.Repeat("x", 4096), strings.Repeat("x", 904) + "bad \ufffd end"}
	if !slices.Equal(out, want) || !slices.Equal(bad, []string{"err"}) {
		t.Errorf("out %q\nerr %q", out, bad)
	}
	if len(res.Stdout.Text) > 0 || !slices.Contains(res.Tail, "err") || !slices.Contains(res.Tail, strings.Repeat("x", 300)+"…") {
		t.Errorf("%+v", res)
	}
	res, _ = p.script(t, "seq 1000; exit 1")
	if len(res.Tail) != 20 || res.Tail[0] != "981" || res.Tail[19] != "1000" {
		t.Errorf("tail %q", res.Tail)
	}
}

// What the process has written when it ends is read, however late its reader comes to it.
func TestLateReader(t *testing.T) {
	p := newPlace(t, t.TempDir())
	var first sync.Once
	log := p.config.Log
	p.config.Log = func(module, level, line string) {
		first.Do(func() {
			if err := until(func() bool { return !alive(line) }); err != nil {
				t.Error(err)
			}
			<-time.After(300 * time.Millisecond) // longer than a daemon's output is waited for
		})
		log(module, level, line)
	}
	p.script(t, "echo $$; seq 10000")
	if lines := p.lines(); len(lines) != 10001 || !strings.HasSuffix(lines[len(lines)-1], ": 10000") {
		t.Errorf("of 10001 lines came %d", len(lines))
	}
}

// A daemon that holds the output does not hold up the hook, and lives on.
func TestDaemon(t *testing.T) {
	p := newPlace(t, t.TempDir())
	start := time.Now()
	res, _ := p.script(t, "sleep 600 & echo $!")
	if d := time.Since(start); res.Outcome != run.Done || d > time.Minute {
		t.Errorf("%+v after %s", res, d)
	}
	var pid int
	if _, err := fmt.Sscan(res.Tail[0], &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
}

// When the context ends, so do the hook and what it has started; politely first.
func TestCancel(t *testing.T) {
	for name, text := range map[string]string{
		"waits":          "sleep 600 & echo $! > pids; echo $$ >> pids; mv pids ready; wait",
		"in a child":     "echo $$ > pids; mv pids ready; sleep 600; true",
		"ignores":        "trap '' TERM; sleep 600 & echo $! > pids; echo $$ >> pids; mv pids ready; while :; do wait; done",
		"ends by itself": "trap 'exit 0' TERM; sleep 600 & echo $! > pids; mv pids ready; wait",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, t.TempDir())
			p.file(t, "hooks/install", 0o755, "#!/bin/bash\n"+text)
			ctx, cancel := context.WithCancel(t.Context())
			ready := filepath.Join(p.config.CharmDir, "ready")
			var g errgroup.Group
			g.Go(func() error {
				defer cancel()
				return until(func() bool { _, err := os.Stat(ready); return err == nil })
			})
			res, _ := p.run(t, ctx, hooks.Hook{Kind: hooks.Install})
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			if res.Outcome != run.Terminated {
				t.Errorf("%+v", res)
			}
			pids, err := os.ReadFile(ready)
			if err != nil {
				t.Fatal(err)
			}
			for _, pid := range strings.Fields(string(pids)) {
				if err := until(func() bool { return !alive(pid) }); err != nil {
					t.Errorf("process %s lives on", pid)
				}
			}
		})
	}
}

// Whoever is asked to end is so before it is killed, the children too.
func TestPolite(t *testing.T) {
	p := newPlace(t, t.TempDir())
	p.config.Grace = time.Minute
	p.file(t, "child", 0o755, "#!/bin/bash\ntrap 'echo yes > polite; exit' TERM\ntouch ready\nsleep 600 & wait\n")
	p.file(t, "hooks/install", 0o755, "#!/bin/bash\ntrap 'wait; exit 1' TERM\n./child & wait\n")
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error {
		defer cancel()
		return until(func() bool { _, err := os.Stat(filepath.Join(p.config.CharmDir, "ready")); return err == nil })
	})
	res, _ := p.run(t, ctx, hooks.Hook{Kind: hooks.Install})
	if _, err := os.Stat(filepath.Join(p.config.CharmDir, "polite")); g.Wait() != nil || res.Outcome != run.Terminated || err != nil {
		t.Errorf("%+v, %v", res, err)
	}
}

// What nobody wants any more is killed, and not asked first.
func TestAbort(t *testing.T) {
	p := newPlace(t, t.TempDir())
	p.config.Grace = time.Hour
	p.file(t, "actions/long", 0o755, "#!/bin/bash\ntrap 'echo yes > polite; exit' TERM\necho said\nsleep 600 & echo $! > pids; echo $$ >> pids; mv pids ready; while :; do wait; done\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	ready := filepath.Join(p.config.CharmDir, "ready")
	var g errgroup.Group
	g.Go(func() error {
		defer cancel(run.ErrAborted)
		return until(func() bool { _, err := os.Stat(ready); return err == nil })
	})
	res, _ := p.run(t, ctx, hooks.Hook{Kind: hooks.Action, Action: "long"})
	if _, err := os.Stat(filepath.Join(p.config.CharmDir, "polite")); g.Wait() != nil || err == nil || res.Outcome != run.Aborted || res.Code != -1 || string(res.Stdout.Text) != "said\n" {
		t.Errorf("%+v, %v", res, err)
	}
	pids, err := os.ReadFile(ready)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(pids)) {
		if err := until(func() bool { return !alive(pid) }); err != nil {
			t.Errorf("process %s lives on", pid)
		}
	}
	if res, _ := p.run(t, ctx, hooks.Hook{Kind: hooks.Action, Action: "long"}); res.Outcome != run.Aborted {
		t.Errorf("what has been aborted before it began: %+v", res)
	}
}

// A hook that leaves nobody behind is over when it ends.
func TestNoDelay(t *testing.T) {
	p := newPlace(t, t.TempDir())
	quickest := time.Hour
	for end := time.Now().Add(time.Minute); quickest > 90*time.Millisecond; { // one is enough: a machine with much to do delays the others
		if time.Now().After(end) {
			t.Fatalf("a hook that does nothing takes %s", quickest)
		}
		start := time.Now()
		p.script(t, "true")
		quickest = min(quickest, time.Since(start))
	}
}

func TestCancelledBefore(t *testing.T) {
	p := newPlace(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mark := p.file(t, "mark", 0o644, "")
	p.file(t, "hooks/install", 0o755, "#!/bin/sh\nrm mark\n")
	res, _ := p.run(t, ctx, hooks.Hook{Kind: hooks.Install})
	if _, err := os.Stat(mark); res.Outcome != run.Terminated || err != nil {
		t.Errorf("%+v, %v", res, err)
	}
}

func until(ok func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return nil
		}
	}
	return errors.New("it has not come true")
}

// alive says whether a process runs; one that waits to be buried does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// agent is another process that runs a hook, to be killed.
func agent(dir string) {
	_, _ = run.Run(context.Background(), run.Config{Hook: hooks.Hook{Kind: hooks.Install}, CharmDir: dir})
}

// An agent that is killed takes its hook along: nobody could commit what it does, and it will be run again.
func TestDiesWithItsAgent(t *testing.T) {
	p := newPlace(t, t.TempDir())
	p.file(t, "hooks/install", 0o755, "#!/bin/sh\necho $$ > pid; mv pid ready; sleep 600; true\n")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUN_TEST_AGENT="+p.config.CharmDir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid []byte
	err := until(func() (ok bool) {
		var err error
		pid, err = os.ReadFile(filepath.Join(p.config.CharmDir, "ready"))
		return err == nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := until(func() bool { return !alive(strings.TrimSpace(string(pid))) }); err != nil {
		t.Error("the hook lives on")
	}
}

func TestResults(t *testing.T) {
	p := newPlace(t, t.TempDir())
	p.file(t, "actions/backup", 0o755, "#!/bin/bash\necho done; printf '\\xff\\xfe' >&2; action-set size=10 name.short=a; action-fail 'no space'; exit 2")
	res, effects := p.run(t, t.Context(), hooks.Hook{Kind: hooks.Action, Action: "backup", Task: 3})
	got := fmt.Sprint(res.Results())
	if want := "map[return-code:2 stderr://4= stderr-encoding:base64 stdout:done\n]"; got != want || res.Outcome != run.Failed || res.Reason != "exit status 2" {
		t.Errorf("%+v: %s", res, got)
	}
	if a := effects.Action; a == nil || !a.Failed || a.Message != "no space" || fmt.Sprint(a.Results) != "map[name:map[short:a] size:10]" {
		t.Errorf("%+v", a)
	}
	p.file(t, "actions/backup", 0o755, "#!/bin/bash\nyes é | head -c 300001")
	res, _ = p.run(t, t.Context(), hooks.Hook{Kind: hooks.Action, Action: "backup", Task: 4})
	text, _ := res.Results()["stdout"].(string)
	if len(state.Encode(res.Results())) > state.MaxValue || !strings.HasPrefix(text, "é\né\n") || res.Results()["stdout-truncated"] == nil || res.Results()["stdout-encoding"] != nil {
		t.Errorf("%d bytes, %v, %v", len(text), res.Results()["stdout-truncated"], res.Results()["stdout-encoding"])
	}
	p.file(t, "actions/backup", 0o755, "#!/bin/bash\nhead -c 300000 /dev/zero | tee /dev/stderr")
	res, _ = p.run(t, t.Context(), hooks.Hook{Kind: hooks.Action, Action: "backup", Task: 5})
	if n := len(state.Encode(res.Results())); n > state.MaxValue-64<<10 || res.Results()["stderr-encoding"] != "base64" {
		t.Errorf("%d bytes", n)
	}
	if r := (run.Result{}).Results(); len(r) != 1 {
		t.Errorf("%v", r)
	}
}

func TestCommands(t *testing.T) {
	p := newPlace(t, t.TempDir())
	commands := func(text string) hooks.Hook {
		return hooks.Hook{Kind: hooks.Action, Action: state.ExecAction, Task: 5, ActionInput: map[string]any{"command": text}}
	}
	res, effects := p.run(t, t.Context(), commands("config-get name\nrelation-set -r 7 a=b\npwd >&2\nexit 7"))
	if res.Outcome != run.Failed || res.Code != 7 || string(res.Stdout.Text) != "shop\n" || string(res.Stderr.Text) != p.config.CharmDir+"\n" {
		t.Errorf("%+v", res)
	}
	if effects.Settings[7]["a"] != "b" {
		t.Errorf("%+v", effects)
	}
	// Commands may be much longer than a pipe holds, and may run what the charm has under a name of their own.
	p.file(t, "dispatch", 0o755, "#!/bin/sh\necho $JUJU_DISPATCH_PATH\n")
	res, _ = p.run(t, t.Context(), commands(strings.Repeat("# comment\n", 50000)+"JUJU_DISPATCH_PATH=hooks/custom ./dispatch"))
	if res.Outcome != run.Done || string(res.Stdout.Text) != "hooks/custom\n" {
		t.Errorf("%+v", res)
	}
}

func TestInstallTools(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tools")
	for range 2 {
		if err := run.InstallTools(dir, "/x/hooktool", []string{"config-get", "unit-get"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "jujud"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run.InstallTools(dir, "/y/hooktool", []string{"config-get", "is-leader"}); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if to, _ := os.Readlink(filepath.Join(dir, "config-get")); to != "/y/hooktool" || !slices.Equal(names, []string{"config-get", "is-leader", "jujud"}) {
		t.Errorf("%v, config-get is %s", names, to)
	}
}
