package unit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

func TestFirstDeploy(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "options:\n  greeting: {type: string, default: hello}\n", 1)
	web := w.start("web/0")
	web.on("install", "config-get greeting >said; is-leader >>said; status-get --format=json --include-data >>said")
	w.same("hooks", web.settle(), []string{"install", "ring-relation-created", "leader-elected", "config-changed", "start"})
	said, err := os.ReadFile(filepath.Join(web.paths.Agent, "said"))
	w.must(err)
	if want := "hello\nTrue\n" + `{"message":"installing charm software","status":"maintenance","status-data":{}}` + "\n"; string(said) != want {
		t.Errorf("install heard %q, want %q", said, want)
	}
	s := web.status()
	if s.Agent.Status != "idle" || s.Workload.Status != "unknown" || s.Charm.Name != "web" || s.Failure != nil {
		t.Errorf("status is %+v", s)
	}
	if a := get[state.UnitAddress](w, model.AddressPath("web/0")); a.Private != "127.0.0.1" || a.Public != "192.0.2.1" {
		t.Errorf("address is %+v", a)
	}
	w.same("again", web.settle(), nil)
	web.boot()
	w.same("after a restart of the agent", web.settle(), nil)
	for _, t2 := range web.store.commits {
		for _, op := range t2.Ops {
			if op.Path == model.LedgerPath("web/0") {
				t.Errorf("a new agent with nothing to do wrote %+v", t2.Ops)
			}
		}
	}
}

// tickets is what the leader is to look at, since the last call.
func (w *world) tickets() []string {
	w.Helper()
	names, err := w.admin.Children(w.Context(), model.ChangesPath())
	w.must(err)
	var out []string
	for _, n := range names {
		k, ok := state.ParseTicket(n)
		if !ok {
			w.Fatalf("%s is no ticket", n)
		}
		out = append(out, strings.TrimSpace(k.Kind+" "+k.Name))
		w.edit(func(context.Context, state.Reader) (t state.Txn, err error) {
			t.Delete(model.ChangesPath()+"/"+n, state.Any)
			return t, nil
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The leader is told of what it has to answer, in the transaction that makes it so.
func TestTickets(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 1)
	w.deploy("logger", agentMeta, "", 0)
	w.relate("logger", "web")
	w.relate("web", "store")
	web, store := w.start("web/0"), w.start("store/0")
	w.tickets()
	web.settle()
	w.same("a principal enters a container", w.tickets(), []string{"unit web/0"})
	store.settle()
	w.same("a unit enters", w.tickets(), nil)
	web.on("update-status", "open-port 80")
	w.settings["update-status-hook-interval"] = "5m"
	web.settle()
	w.pass(10 * time.Minute)
	web.settle()
	w.same("a port is opened", w.tickets(), []string{"unit web/0"})
	w.remove("store/0")
	w.tickets()
	store.settle()
	w.same("a unit leaves and is gone", w.tickets(), []string{"relation 2", "unit store/0"})
}

func TestRelation(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 2)
	web, one, two := w.start("web/0"), w.start("store/0"), w.start("store/1")
	for _, d := range []*driver{web, one, two} {
		d.settle()
	}
	id := w.relate("web", "store")
	web.on("db-relation-joined", "relation-get - $JUJU_REMOTE_UNIT >>seen; relation-set want=shop")
	one.on("sql-relation-joined", "juju-log a word")
	one.on("sql-relation-changed", "relation-set password=$(relation-get want)-secret; is-leader --format=json >lead; if grep -q true lead; then relation-set --app tables=3; fi")
	w.same("web enters", web.settle(), []string{"db-relation-created"})
	w.same("store/0 enters", one.settle(), []string{"sql-relation-created", "sql-relation-joined web/0", "sql-relation-changed web/0"})
	if i := slices.IndexFunc(one.lines, func(l unit.Line) bool { return strings.HasSuffix(l.Message, "a word") }); i < 0 || one.lines[i].Message != fmt.Sprintf("sql:%d: a word", id) {
		t.Errorf("the log names the relation otherwise than once: %v", one.lines)
	}
	w.same("store/1 enters", two.settle(), []string{"sql-relation-created", "sql-relation-joined web/0", "sql-relation-changed web/0"})
	w.same("web hears", web.settle(), []string{"db-relation-changed",
		"db-relation-joined store/0", "db-relation-changed store/0", "db-relation-joined store/1", "db-relation-changed store/1"})
	seen, _ := os.ReadFile(filepath.Join(web.paths.Agent, "seen"))
	if want := "egress-subnets: 127.0.0.1/32\ningress-address: 127.0.0.1\npassword: -secret\nprivate-address: 127.0.0.1\n"; !strings.HasPrefix(string(seen), want) {
		t.Errorf("web saw %q, want %q first", seen, want)
	}
	w.same("store/0 hears of the wish", one.settle(), []string{"sql-relation-changed web/0"})
	w.same("web hears of the answer", web.settle(), []string{"db-relation-changed store/0"})
	if s := get[relation.Settings](w, model.MemberPath(id, "", "store/0")); s["password"] != "shop-secret" {
		t.Errorf("store/0 has set %v", s)
	}
	if s := get[relation.Settings](w, model.SidePath(id, "store")); s["tables"] != "3" {
		t.Errorf("store has set %v", s)
	}

	w.remove("store/1")
	w.same("store/1 goes", two.settle(), []string{"sql-relation-departed web/0", "sql-relation-broken", "stop", "remove"})
	if !two.agent.Gone() {
		t.Error("the agent of store/1 has not ended")
	}
	if s := get[relation.Settings](w, model.GonePath(id, "", "store/1")); s["ingress-address"] != "127.0.0.1" {
		t.Errorf("what store/1 had set is %v", s)
	}
	web.on("db-relation-departed", "relation-list >list; relation-get ingress-address store/1 >left")
	w.same("web sees it go", web.settle(), []string{"db-relation-departed store/1"})
	list, _ := os.ReadFile(filepath.Join(web.paths.Agent, "list"))
	left, _ := os.ReadFile(filepath.Join(web.paths.Agent, "left"))
	if string(list) != "store/0\n" || string(left) != "127.0.0.1\n" {
		t.Errorf("in departed: members %q, settings %q", list, left)
	}

	w.unrelate("web", "store")
	w.same("web leaves", web.settle(), []string{"db-relation-departed store/0", "db-relation-broken"})
	w.same("store/0 leaves", one.settle(), []string{"sql-relation-departed web/0", "sql-relation-broken"})
	names, err := w.admin.Children(t.Context(), model.SidePath(id, "web"))
	w.must(err)
	w.same("members left", names, []string{state.GoneName})
}

// The interval of update-status holds from the moment it is set, counted from what the unit has run last; it varies by a fifth.
func TestTheIntervalOfUpdateStatus(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	for _, c := range []struct {
		interval string // empty: the default
		pass     time.Duration
		runs     int
	}{
		{"", 3 * time.Minute, 0}, {"", 3*time.Minute + time.Second, 1}, {"", 3 * time.Minute, 0}, // 5m
		{"1m", 0, 1}, {"1m", 47 * time.Second, 0}, {"1m", 26 * time.Second, 1}, {"1m", 73 * time.Second, 1},
		{"2s", 0, 0}, {"2s", 3 * time.Second, 1}, {"2s", 3 * time.Second, 1},
		{"24h", 19 * time.Hour, 0}, {"0", 0, 0}, {"0", 1000 * time.Hour, 0}, {"1m", 0, 1}, {"nonsense", 3 * time.Minute, 0}, {"nonsense", 4 * time.Minute, 1},
	} {
		delete(w.settings, "update-status-hook-interval")
		if c.interval != "" {
			w.settings["update-status-hook-interval"] = c.interval
		}
		w.pass(c.pass)
		if got := web.settle(); len(got) != c.runs || c.runs > 0 && got[0] != "update-status" {
			t.Errorf("with %q, after %s more: %q, want %d runs of update-status", c.interval, c.pass, got, c.runs)
		}
	}
}

// What a hook costs: one transaction, and for one that has nothing to say, one that writes the ledger alone.
func TestAHookIsOneTransaction(t *testing.T) {
	w := newWorld(t)
	w.settings["update-status-hook-interval"] = "5m"
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	web.store.commits = nil
	w.pass(10 * time.Minute)
	w.same("hooks", web.settle(), []string{"update-status"})
	if n := len(web.store.commits); n != 1 {
		t.Fatalf("a hook that does nothing took %d transactions", n)
	}
	if ops := web.store.commits[0].Ops; len(ops) != 1 || ops[0].Path != model.LedgerPath("web/0") {
		t.Errorf("a hook that does nothing wrote %+v", ops)
	}
	web.on("update-status", "open-port 80; state-set a=1")
	web.store.commits = nil
	w.pass(10 * time.Minute)
	w.same("hooks", web.settle(), []string{"update-status"})
	if n := len(web.store.commits); n != 1 {
		t.Errorf("a hook with effects took %d transactions", n)
	}
	if p := get[[]state.OpenPort](w, model.PortsPath("web/0")); len(p) != 1 || p[0].From != 80 {
		t.Errorf("open ports are %v", p)
	}
	if kv := get[map[string]string](w, model.StatePath("web/0")); kv["a"] != "1" {
		t.Errorf("its state is %v", kv)
	}
}

func TestAFailedHookChangesNothingAndIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("config-changed", "state-set a=1; status-set blocked 'cannot go on'; echo what is wrong; exit 3")
	w.same("hooks", web.settle(), []string{"install", "ring-relation-created", "leader-elected", "config-changed"})
	s := web.status()
	if s.Failure == nil || s.Failure.Message != `hook failed: "config-changed"` || s.Workload.Status != "blocked" || s.Agent.Status != "idle" {
		t.Errorf("status is %+v", s)
	}
	l := get[state.Ledger](w, model.LedgerPath("web/0"))
	if l.Failed == nil || l.Failed.Exit != "exit status 3" || !slices.Contains(l.Failed.Output, "what is wrong") {
		t.Errorf("the ledger says %+v", l.Failed)
	}
	if _, err := w.admin.Get(t.Context(), model.StatePath("web/0")); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("what a failed hook has set is there: %v", err)
	}
	w.same("too early", web.settle(), nil)
	web.boot()
	w.same("a new agent does not hurry", web.settle(), nil)
	web.on("config-changed", "state-set a=2")
	w.pass(10 * time.Second)
	w.same("in time", web.settle(), []string{"config-changed", "start"})
	if s := web.status(); s.Failure != nil || s.Workload.Status != "blocked" {
		t.Errorf("status is %+v", s)
	}
}

// What the agent says of itself in the charm's place is said before the hook, also when it was idle until then.
func TestAHookReadsItsStatus(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("any", `echo "$JUJU_HOOK_NAME: $(status-get --include-data --format=json)" >>said`)
	web.settle()
	w.remove("web/0")
	web.settle()
	said := web.file("said")
	for _, want := range []string{
		`install: {"message":"installing charm software"`, `stop: {"message":"stopping charm software"`, `remove: {"message":"cleaning up prior to charm deletion"`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in\n%s", want, said)
		}
	}
}

// A unit that says that it is active is not idle before the hook that said so has ended and is committed.
func TestAUnitIsNotIdleWhileItsHookSaysWhatItIs(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "x"))
	web.on("config-changed", "status-set active ready")
	var during state.UnitStatus
	web.store.before = func(state.Txn) { during = web.status() }
	web.settle()
	if during.Workload.Message != "ready" || during.Agent.Message != "running config-changed hook" {
		t.Errorf("before the commit the status is %+v", during)
	}
	if s := web.status(); s.Workload.Message != "ready" || s.Agent.Status != "idle" {
		t.Errorf("the status is %+v", s)
	}
}

// What changes while a hook runs is not done when the hook is: the commit of the hook says so.
func TestAUnitIsNotIdleWhenSomethingHasChangedUnderItsHook(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 1)
	id := w.relate("web", "store")
	web, store := w.start("web/0"), w.start("store/0")
	web.settle()
	store.settle()
	web.on("db-relation-changed", `juju-log going to look; p=$(relation-get password); [ -z "$p" ] || status-set active "got: $p"`)
	web.onLine = func() {
		web.onLine = nil
		put(w, model.MemberPath(id, "", "store/0"), relation.Settings{"password": "secret"})
	}
	const changed = "running db-relation-changed hook for store/0"
	for _, want := range []string{changed, ""} {
		for run := false; !run; {
			op, err := web.agent.Step(t.Context())
			w.must(err)
			if _, waits := op.(resolve.Wait); waits {
				t.Fatal("db-relation-changed is not due")
			}
			run = strings.HasPrefix(op.String(), "db-relation-changed")
		}
		if s := web.status(); s.Workload.Message != "got: secret" || s.Agent.Message != want {
			t.Errorf("the status is %+v, want %q", s, want)
		}
	}
	w.same("hooks", web.settle(), []string{"db-relation-joined store/0", "db-relation-changed store/0", "db-relation-changed store/0"})
}

func TestLeadership(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 2)
	a, b := w.start("web/0"), w.start("web/1")
	a.on("leader-elected", "leader-set token=1; status-set --application active fine")
	a.settle()
	b.on("leader-settings-changed", "leader-get token >token")
	b.on("leader-elected", "leader-set token=2; relation-set -r $(relation-ids ring) --app chief=web/1")
	if hooks := b.settle(); !slices.Contains(hooks, "leader-settings-changed") || slices.Contains(hooks, "leader-elected") {
		t.Errorf("web/1 ran %v", hooks)
	}
	if data, _ := os.ReadFile(filepath.Join(b.paths.Agent, "token")); string(data) != "1\n" {
		t.Errorf("web/1 heard of token %q", data)
	}
	if s := get[state.StatusInfo](w, model.ApplicationStatusPath("web")); s.Status != "active" || s.Message != "fine" {
		t.Errorf("the application is %+v", s)
	}
	a.settle() // the peers meet
	b.settle()

	// The leader's session ends while its hook runs: what only a leader may set, it may not.
	a.on("config-changed", "relation-set -r $(relation-ids ring) --app chief=web/0")
	w.network.Private = "127.0.0.2"
	a.store.before = func(t state.Txn) {
		for _, op := range t.Ops {
			if op.Path == model.SidePath(0, "web") {
				a.store.before = nil
				a.client.Expire()
			}
		}
	}
	for range 5 {
		a.agent.Step(t.Context())
	}
	if got := a.ran(); !slices.Contains(got, "config-changed") {
		t.Errorf("web/0 ran %v", got)
	}
	if f := get[state.Ledger](w, model.LedgerPath("web/0")).Failed; f == nil || !strings.Contains(f.Exit, "cannot write relation settings") {
		t.Errorf("web/0's failure is %+v", f)
	}
	if hooks := b.settle(); !slices.Contains(hooks, "leader-elected") {
		t.Errorf("web/1 ran %v", hooks)
	}
	if s := get[relation.Settings](w, model.SidePath(0, "web")); s["chief"] != "web/1" {
		t.Errorf("the chief is %v", s)
	}
}

// The lead is over when what the leader wants to set is on its way: it is not set, and the hook is told why.
func TestTheLeadEndsDuringAWrite(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("leader-elected", "leader-set token=1")
	web.settle()
	put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "x"))
	web.on("config-changed", "leader-set token=2 2>said || echo $? >>said; state-set ran=1")
	asked := false
	web.store.leads = func() {
		asked = true
		w.edit(func(ctx context.Context, r state.Reader) (txn state.Txn, err error) {
			names, err := r.Children(ctx, model.ElectionPath("web"))
			for _, name := range names {
				txn.Delete(model.ElectionPath("web")+"/"+name, state.Any)
			}
			return txn, err
		})
	}
	web.settle()
	said, err := os.ReadFile(filepath.Join(web.paths.Agent, "said"))
	if want := "ERROR cannot write leadership settings: cannot write settings: not the leader\n1\n"; err != nil || string(said) != want {
		t.Errorf("leader-set said %q, %v, want %q", said, err, want)
	}
	if got := get[relation.Settings](w, model.LeaderPath("web"))["token"]; got != "1" || !asked {
		t.Errorf("the token is %q, asked %t", got, asked)
	}
	if kv := get[map[string]string](w, model.StatePath("web/0")); kv["ran"] != "1" {
		t.Errorf("what else the hook has done is lost: %v", kv)
	}
}

// A reply to a commit is lost: the agent reads back what became of it, and never runs the hook again for that.
func TestLostReplies(t *testing.T) {
	for _, happened := range []bool{true, false} {
		w := newWorld(t)
		w.deploy("web", webMeta, "", 1)
		web := w.start("web/0")
		web.settle()
		put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "x"))
		web.on("config-changed", "state-set n=$(($(state-get n)+1))")
		web.store.before = func(state.Txn) {
			web.store.before = nil
			if happened {
				web.client.LoseReply()
			} else {
				web.store.onlyOne = state.ErrUnknown
			}
		}
		if _, err := web.agent.Step(t.Context()); !errors.Is(err, state.ErrUnknown) {
			t.Fatalf("the step said %v", err)
		}
		w.same("hooks", web.settle(), []string{"config-changed"})
		if kv := get[map[string]string](w, model.StatePath("web/0")); kv["n"] != "1" {
			t.Errorf("happened %v: its state is %v", happened, kv)
		}
		// The same with the agent killed before it can read back.
		put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "y"))
		web.store.before = func(state.Txn) {
			web.store.before = nil
			if happened {
				web.client.LoseReply()
			} else {
				web.store.onlyOne = state.ErrUnknown
			}
		}
		if _, err := web.agent.Step(t.Context()); !errors.Is(err, state.ErrUnknown) {
			t.Fatalf("the step said %v", err)
		}
		web.boot()
		w.same("hooks", web.settle(), []string{"config-changed"})
		if kv := get[map[string]string](w, model.StatePath("web/0")); kv["n"] != "2" {
			t.Errorf("happened %v, agent killed: its state is %v", happened, kv)
		}
	}
}

func withConfig(w *world, key string, value any) state.Application {
	app := get[state.Application](w, model.ApplicationPath("web"))
	app.Config = map[string]any{key: value}
	return app
}

// The agent is killed while a hook runs: nobody knows how the hook ended, so it has failed, and is tried again.
func TestAnInterruptedHookHasFailed(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "x"))
	// The note is there before the process starts: keep a copy from the hook itself.
	web.on("config-changed", "tail -n 1 state/pending >note")
	web.settle()
	web.ran()
	put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "y"))
	note, err := os.ReadFile(filepath.Join(web.paths.Agent, "note"))
	w.must(err)
	l := get[state.Ledger](w, model.LedgerPath("web/0"))
	from := strings.SplitN(strings.SplitN(string(note), `"from":"`, 2)[1], `"`, 2)[0]
	w.must(os.WriteFile(filepath.Join(web.paths.Agent, "state/pending"), []byte(strings.Replace(string(note), from, l.Commit, 1)), 0o600))
	web.boot()
	w.same("at first", web.settle(), nil)
	if s := web.status(); s.Failure == nil || s.Failure.Message != `hook failed: "config-changed"` {
		t.Errorf("status is %+v", s)
	}
	w.pass(10 * time.Second)
	w.same("later", web.settle(), []string{"config-changed"})
}

// The agent is told to end while a hook runs: the hook is ended, and runs again in the next agent as if nothing had been.
func TestAHookThatTheAgentEndsIsDueAgain(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("install", "state-set a=1; touch here; exec sleep 600")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := web.agent.Step(ctx); err != nil {
				done <- err
				return
			}
		}
	}()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(web.paths.Agent, "here")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the hook does not run")
		}
	}
	for end := time.Now().Add(time.Minute); web.status().Agent.Message != "running install hook"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("status does not tell of a hook that takes its time: %+v", web.status())
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	web.ran()
	web.on("install", "")
	web.boot()
	if got := web.settle(); len(got) < 2 || got[0] != "install" || got[1] != "ring-relation-created" {
		t.Errorf("then ran %v", got)
	}
	if s := web.status(); s.Failure != nil {
		t.Errorf("status is %+v", s)
	}
}

// Two agents for one unit: only one of them commits.
func TestASecondAgentIsFencedOff(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	old := w.start("web/0")
	old.settle()
	agent := old.agent
	old.boot()
	put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "x"))
	w.same("the new one", old.settle(), []string{"config-changed"})
	put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "y"))
	for range 3 {
		if op, err := agent.Step(t.Context()); err == nil {
			if _, waits := op.(resolve.Wait); !waits {
				t.Errorf("the old one did %v", op)
			}
		}
	}
}

// A session is lost and another one made: the agent is present and in line again, and nothing else has happened.
func TestASessionIsLost(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	before := get[state.Presence](w, model.AgentPath("web/0"))
	web.client.Expire()
	w.same("hooks", web.settle(), nil)
	if after := get[state.Presence](w, model.AgentPath("web/0")); after.Boot != before.Boot {
		t.Errorf("present as %+v, before %+v", after, before)
	}
	web.client.Cut()
	put(w, model.ApplicationPath("web"), withConfig(w, "greeting", "x"))
	for range 3 {
		if _, err := web.agent.Step(t.Context()); err != nil && !errors.Is(err, state.ErrUnknown) {
			t.Fatal(err)
		}
	}
	w.same("while it is cut off", web.ran(), nil)
	web.client.Heal()
	w.same("then", web.settle(), []string{"config-changed"})
}

func TestTooMuch(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("install", "head -c 600000 /dev/zero | tr '\\0' x >big; relation-ids ring; if state-set --file - <<END\nbig: $(cat big)\nEND\nthen exit 0; else exit 7; fi")
	w.same("hooks", web.settle(), []string{"install"})
	if f := get[state.Ledger](w, model.LedgerPath("web/0")).Failed; f == nil || f.Exit != "exit status 7" {
		t.Errorf("failed with %+v", f)
	}
}

func TestASubordinate(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 2)
	w.deploy("logger", agentMeta, "", 0)
	web, other := w.start("web/0"), w.start("web/1")
	for _, d := range []*driver{web, other, web} {
		d.settle()
	}
	id := w.relate("logger", "web")
	w.same("the implicit side hears nothing", web.settle(), nil)
	other.settle()
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		unit := get[state.Unit](w, model.UnitPath("web/0"))
		unit.Subordinates = []state.UnitName{"logger/0"}
		var t state.Txn
		t.Set(model.UnitPath("web/0"), unit, state.Any)
		t.Create(model.UnitPath("logger/0"), state.Unit{Principal: "web/0"})
		t.Create(model.TasksPath("logger/0"), nil)
		return t, nil
	})
	logger := w.start("logger/0")
	logger.on("host-relation-joined", "relation-list >list")
	w.same("logger", logger.settle(), []string{"install", "host-relation-created", "leader-elected", "config-changed", "start", "host-relation-joined web/0", "host-relation-changed web/0"})
	if data, _ := os.ReadFile(filepath.Join(logger.paths.Agent, "list")); string(data) != "web/0\n" {
		t.Errorf("logger sees %q", data)
	}
	get[relation.Settings](w, model.MemberPath(id, "web/0", "logger/0"))
	w.same("the principal", web.settle(), nil)
	w.remove("web/0")
	logger.settle()
	other.settle()
	if got := web.settle(); !slices.Contains(got, "stop") || web.agent.Gone() {
		t.Errorf("the principal ran %v, gone %v", got, web.agent.Gone())
	}
	if got := other.settle(); !slices.Contains(got, "leader-elected") {
		t.Errorf("a unit that is going still leads; the other one ran %v", got)
	}
	if s := web.status(); !strings.Contains(s.Agent.Message, "logger/0") {
		t.Errorf("it does not say what it waits for: %+v", s.Agent)
	}
}

func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("start", "echo kept >../.venv 2>/dev/null || true; echo kept >charm/kept")
	web.settle()
	id := w.charm(strings.Replace(webMeta, "summary: x", "summary: y", 1), "")
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		app := get[state.Application](w, model.ApplicationPath("web"))
		rec, err := state.Read[state.Charm](ctx, r, model.CharmPath(id))
		app.Charm, app.CharmRev = rec.Value.ID, app.CharmRev+1
		var t state.Txn
		t.Set(model.ApplicationPath("web"), app, state.Any)
		return t, err
	})
	w.same("hooks", web.settle(), []string{"upgrade-charm", "config-changed"})
	if _, err := os.Stat(filepath.Join(web.paths.CharmDir(), "kept")); err != nil {
		t.Error(err)
	}
	// An archive that is not what it should be is not used, and not kept.
	good := w.archives
	w.archives = map[string][]byte{}
	for sum := range good {
		w.archives[sum] = []byte("evil")
	}
	app := get[state.Application](w, model.ApplicationPath("web"))
	app.CharmRev++
	put(w, model.ApplicationPath("web"), app)
	if _, err := web.agent.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "is not used") {
		t.Errorf("with a wrong archive: %v", err)
	}
	w.archives = good
	w.same("hooks", web.settle(), []string{"upgrade-charm", "config-changed"})
}

func TestTheAddressChanges(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("start", "relation-set -r $(relation-ids ring) egress-subnets=10.0.0.0/8")
	web.settle()
	w.network.Private, w.network.Egress = "127.0.0.9", []string{"127.0.0.9/32"}
	w.same("hooks", web.settle(), []string{"config-changed"})
	s := get[relation.Settings](w, model.MemberPath(0, "", "web/0"))
	if s["ingress-address"] != "127.0.0.9" || s["private-address"] != "127.0.0.9" || s["egress-subnets"] != "10.0.0.0/8" {
		t.Errorf("its settings are %v", s)
	}
	if a := get[state.UnitAddress](w, model.AddressPath("web/0")); a.Private != "127.0.0.9" {
		t.Errorf("its address is %v", a)
	}

	// A config-changed that fails tells nobody, and one that is left behind does.
	web.on("config-changed", "exit 1")
	w.network.Private = "127.0.0.10"
	web.settle()
	if s := get[relation.Settings](w, model.MemberPath(0, "", "web/0")); s["ingress-address"] != "127.0.0.9" {
		t.Errorf("its settings are %v", s)
	}
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.Resolve(ctx, r, model, w.by(), "web/0", true)
	})
	w.same("hooks", web.settle(), nil)
	if s := get[relation.Settings](w, model.MemberPath(0, "", "web/0")); s["ingress-address"] != "127.0.0.10" {
		t.Errorf("left behind, its settings are %v", s)
	}
	if before := len(web.store.commits); len(web.settle()) != 0 || len(web.store.commits) != before {
		t.Errorf("nothing has changed, and it writes %v", web.store.commits[before:])
	}
}

// Each side tells the networks of a relation that has its own, whatever its address is and the model says.
func TestARelationHasItsOwnEgress(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 1)
	web, store := w.start("web/0"), w.start("store/0")
	web.settle()
	store.settle()
	var id state.RelationID
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		tx, rel, err := state.Relate(ctx, r, model, w.by(), w.key, "web", "store", "10.1.0.0/16", "192.0.2.7/32")
		id = rel.ID
		return tx, err
	})
	web.on("db-relation-joined", "network-get db --egress-subnets >here; network-get ring --egress-subnets >elsewhere")
	store.on("sql-relation-changed", "relation-get egress-subnets >theirs; relation-get ingress-address >>theirs")
	hears := func(about, ingress string) {
		t.Helper()
		for range 3 {
			web.settle()
			store.settle()
		}
		if got, want := store.file("theirs"), "10.1.0.0/16,192.0.2.7/32\n"+ingress; got != want {
			t.Errorf("%s: the other side hears %q, want %q", about, got, want)
		}
	}
	hears("at first", "127.0.0.1")
	if got := web.file("here"); got != "10.1.0.0/16\n192.0.2.7/32" || web.file("elsewhere") != "127.0.0.1/32" {
		t.Errorf("network-get says %q, and elsewhere %q", got, web.file("elsewhere"))
	}
	w.network.Private, w.network.Egress = "127.0.0.9", []string{"198.51.100.0/24"}
	hears("with another address", "127.0.0.9")
	if s := get[relation.Settings](w, model.MemberPath(id, "", "store/0")); s["egress-subnets"] != "10.1.0.0/16,192.0.2.7/32" {
		t.Errorf("the provider says %v", s)
	}
	if s := get[relation.Settings](w, model.MemberPath(0, "", "web/0")); s["egress-subnets"] != "198.51.100.0/24" {
		t.Errorf("in another relation it says %v", s)
	}
}

// A leader whose hook has failed loses the lead and gets it back: it is a new term, although it has heard nothing of the other's.
func TestAnotherTerm(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 2)
	a, b := w.start("web/0"), w.start("web/1")
	for _, d := range []*driver{a, b, a, b} {
		d.settle()
	}
	a.on("config-changed", "exit 1")
	put(w, model.ApplicationPath("web"), withConfig(w, "x", 1))
	a.settle()
	a.client.Expire()
	if got := b.settle(); !slices.Contains(got, "leader-elected") {
		t.Errorf("web/1 ran %v", got)
	}
	w.same("web/0 meanwhile", a.settle(), nil)
	w.remove("web/1")
	b.settle()
	a.on("config-changed", "")
	w.pass(10 * time.Minute)
	if got := a.settle(); !slices.Contains(got, "leader-elected") || slices.Contains(got, "leader-settings-changed") {
		t.Errorf("web/0 ran %v", got)
	}
}

// What is wanted changes while a unit waits for its turn: it decides again.
func TestAHookThatWaitedIsDecidedAgain(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	if _, err := web.agent.Step(t.Context()); err != nil { // unpacked
		t.Fatal(err)
	}
	release, _, err := w.lock.Acquire(t.Context(), "someone")
	w.must(err)
	done := make(chan error, 1)
	looked := make(chan struct{})
	var once sync.Once
	web.onLog = func() { once.Do(func() { close(looked) }) }
	go func() { _, err := web.agent.Step(t.Context()); done <- err }()
	<-looked
	w.remove("web/0")
	release()
	w.must(<-done)
	w.same("hooks", web.settle(), nil)
	if !web.agent.Gone() {
		t.Error("the unit is not gone")
	}
}

func TestOneHookAtATime(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	release, _, err := w.lock.Acquire(t.Context(), "someone")
	w.must(err)
	if who, _ := w.lock.Holder(); who != "someone" {
		t.Errorf("the lock is held by %q", who)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if op, err := web.agent.Step(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("did %v, %v while another holds the lock", op, err)
	}
	release()
	web.settle()
	if who, _ := w.lock.Holder(); who != "" {
		t.Errorf("the lock is held by %q", who)
	}
}

func TestARelationIsRemovedWithoutWaiting(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 1)
	web, store := w.start("web/0"), w.start("store/0")
	web.settle()
	store.settle()
	id := w.relate("web", "store")
	web.settle()
	store.settle()
	web.settle()
	web.on("db-relation-departed", "relation-set -r "+id.String()+" x=1 || true; state-set left=yes")
	// As a leader does whose patience has ended: all of it goes while the unit is not looking.
	for _, p := range slices.Backward(w.tree.Paths()) {
		if strings.HasPrefix(p, model.RelationPath(id)) {
			w.edit(func(context.Context, state.Reader) (t state.Txn, err error) { t.Delete(p, state.Any); return t, nil })
		}
	}
	app := get[state.Application](w, model.ApplicationPath("web"))
	app.Relations = slices.DeleteFunc(app.Relations, func(m state.Membership) bool { return m.Relation == id })
	put(w, model.ApplicationPath("web"), app)
	w.same("hooks", web.settle(), []string{"db-relation-departed store/0", "db-relation-broken"})
	if kv := get[map[string]string](w, model.StatePath("web/0")); kv["left"] != "yes" {
		t.Errorf("its state is %v", kv)
	}
}
