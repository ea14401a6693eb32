package unit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// deployActions deploys the application app with one unit, whose charm has these scripts as actions, and starts it.
func (w *world) deployActions(declared string, scripts map[string]string) *driver {
	w.Helper()
	files := fstest.MapFS{
		"metadata.yaml": {Data: []byte("name: app\nsummary: x\ndescription: x\npeers:\n  ring: {interface: ring}\n"), Mode: 0o644},
		"actions.yaml":  {Data: []byte(declared), Mode: 0o644},
		"hooks/install": {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
	}
	for name, script := range scripts {
		files["actions/"+name] = &fstest.MapFile{Data: []byte("#!/bin/sh\n" + script + "\n"), Mode: 0o755}
	}
	c, err := charm.Read(files)
	w.must(err)
	var b bytes.Buffer
	sum, size, err := charm.Archive(&b, files)
	w.must(err)
	w.archives[sum] = b.Bytes()
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, id, err := state.AddCharm(ctx, r, model, w.by(), c, sum, size)
		if err != nil {
			return t, err
		}
		if err := commit(ctx, w.admin, t); err != nil {
			return t, err
		}
		t, _, err = state.Deploy(ctx, r, model, w.by(), w.key, state.Deployment{Name: "app", Charm: id.String(), Units: 1, Base: charm.Base{Name: "debian", Channel: "12"}, Force: true})
		return t, err
	})
	d := w.start("app/0")
	d.settle()
	return d
}

func commit(ctx context.Context, s state.Store, t state.Txn) error {
	_, err := s.Commit(ctx, t)
	return err
}

// enqueue gives the unit a task, as a controller does without looking at the parameters.
func (d *driver) enqueue(action string, params map[string]any) (id state.TaskID) {
	d.Helper()
	d.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, out, err := state.EnqueueTasks(ctx, r, model, d.by(), action, []state.Call{{On: state.Receiver(d.name), Action: action, Params: params}})
		if err == nil {
			id = out.Tasks[0]
		}
		return t, err
	})
	return id
}

func (d *driver) cancel(id state.TaskID) {
	d.Helper()
	d.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.CancelTask(ctx, r, model, d.by(), id)
	})
}

func (d *driver) result(id state.TaskID) state.TaskResult {
	d.Helper()
	rec, err := state.ReadIf[state.TaskResult](d.Context(), d.admin, model.TaskResultPath(state.Receiver(d.name), id))
	d.must(err)
	return rec.Value
}

// run gives the unit a task and waits for its result.
func (d *driver) run(action string, params map[string]any) state.TaskResult {
	d.Helper()
	id := d.enqueue(action, params)
	d.settle()
	return d.result(id)
}

// behind steps the agent in the background until there is nothing to do; the function that it returns waits for that.
func (d *driver) behind() (join func()) {
	done := make(chan []string)
	go func() { done <- d.settle() }()
	return func() { <-done }
}

func (w *world) until(what string, holds func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("waiting in vain until %s", what)
		}
	}
}

func (d *driver) file(name string) string {
	data, _ := os.ReadFile(filepath.Join(d.paths.Agent, name))
	return strings.TrimSpace(string(data))
}

func TestActions(t *testing.T) {
	w := newWorld(t)
	app := w.deployActions(`
works:
  params: {where: {type: string, default: here}, opts: {properties: {n: {type: integer, default: 1000000}}}}
fails: {}
breaks: {}
missing: {}
plain: {}
`, map[string]string{
		"works": `action-set where=$(action-get where) made.n=$(action-get opts.n) made.by="$JUJU_ACTION_NAME $JUJU_ACTION_UUID $JUJU_ACTION_TAG [$JUJU_HOOK_NAME] $JUJU_DISPATCH_PATH"
echo out; echo err >&2; state-set works=1; [ "$PWD" = "$CHARM_DIR" ]`,
		"fails":  `action-set a=1; action-fail "no luck"; action-set b=2; state-set fails=1`,
		"breaks": `action-set a=1; state-set breaks=1; echo said; exit 3`,
		"plain":  `true`,
	})
	type m = map[string]any
	for _, test := range []struct {
		action  string
		params  m
		status  string
		message string
		results m
	}{
		{"works", m{"where": "there"}, "completed", "", m{"return-code": 0.0, "stdout": "out\n", "stderr": "err\n", "where": "there",
			"made": m{"n": "1000000", "by": "works 2 action-2 [] actions/works"}}},
		{"plain", nil, "completed", "", m{"return-code": 0.0}},
		{"fails", nil, "failed", "no luck", m{"return-code": 0.0, "a": "1", "b": "2"}},
		{"breaks", nil, "failed", "exit status 3", m{"return-code": 3.0, "a": "1", "stdout": "said\n"}},
		{"missing", nil, "failed", `action not implemented on unit "app/0"`, m{"return-code": -1.0}},
		{"works", m{"where": 5}, "failed", `cannot run "works" action: validation failed: where: got number, want string`, nil},
		{state.ExecAction, m{"command": "echo $JUJU_HOOK_NAME$JUJU_ACTION_NAME$JUJU_DISPATCH_PATH out; state-set exec=1; exit 4"}, "completed", "",
			m{"return-code": 4.0, "stdout": "out\n"}},
		{state.ExecAction, m{"command": "kill -SEGV $$"}, "failed", "signal: segmentation fault", m{"return-code": -1.0}},
		{state.ExecAction, m{"command": "action-fail; action-set x=y"}, "failed", "action failed without reason given, check action for errors", m{"return-code": 0.0, "x": "y"}},
	} {
		r := app.run(test.action, test.params)
		if r.Status != test.status || r.Message != test.message || !reflect.DeepEqual(r.Results, test.results) || r.Completed.IsZero() || r.Started.IsZero() {
			t.Errorf("%s %v ended as %+v", test.action, test.params, r)
		}
	}
	// What an action has asked for is there when its process has ended well, whatever it says of itself.
	if kv := get[map[string]string](w, model.StatePath("app/0")); !reflect.DeepEqual(kv, map[string]string{"works": "1", "fails": "1", "exec": "1"}) {
		t.Errorf("its state is %v", kv)
	}
	put(w, model.TaskPath("app/0", 99), state.Task{Action: "nonesuch"})
	app.settle()
	if r := app.result(99); r.Status != "failed" || r.Message != `cannot run "nonesuch" action: not defined` {
		t.Errorf("the unknown action ended as %+v", r)
	}
	before := get[state.Ledger](w, model.LedgerPath("app/0")).Commit
	app.boot()
	app.settle()
	if after := get[state.Ledger](w, model.LedgerPath("app/0")).Commit; after != before {
		t.Error("the next agent ran something again")
	}
}

func TestAnActionWhoseEffectsCannotBeHad(t *testing.T) {
	w := newWorld(t)
	app := w.deployActions("big: {}", map[string]string{"big": `action-set kept=yes; state-set lost=1; echo said >&2`})
	app.store.onlyOne = state.ErrTooLarge
	r := app.run("big", nil)
	stderr, _ := r.Results["stderr"].(string)
	if r.Status != "failed" || r.Message != "committing requested changes failed" || r.Results["return-code"] != 0.0 || r.Results["kept"] != "yes" ||
		!strings.HasPrefix(stderr, "said\n") || !strings.Contains(stderr, "too large") {
		t.Errorf("it ended as %+v", r)
	}
	if kv, err := state.ReadIf[map[string]string](t.Context(), w.admin, model.StatePath("app/0")); err != nil || kv.Exists() {
		t.Errorf("what it asked for is there: %v, %v", kv.Value, err)
	}
}

func TestAnActionTellsHowFarItIs(t *testing.T) {
	w := newWorld(t)
	app := w.deployActions("slow: {}", map[string]string{"slow": `action-log begun; until [ -e ../go ]; do sleep 0.02; done; action-log "and" ended`})
	id := app.enqueue("slow", nil)
	join := app.behind()
	w.until("the log has a line", func() bool { return len(app.result(id).Log) == 1 })
	r := app.result(id)
	if r.Status != "running" || r.Log[0].Message != "begun" || r.Started.IsZero() || !r.Completed.IsZero() {
		t.Errorf("while it runs: %+v", r)
	}
	w.until("status shows it", func() bool {
		s := app.status().Agent
		return s.Status == "executing" && s.Message == "running action slow"
	})
	w.must(os.WriteFile(filepath.Join(app.paths.Agent, "go"), nil, 0o644))
	join()
	end := app.result(id)
	if end.Status != "completed" || len(end.Log) != 2 || end.Log[1].Message != "and ended" || !end.Started.Equal(r.Started) {
		t.Errorf("at the end: %+v", end)
	}
	if s := app.status().Agent; s.Status != "idle" {
		t.Errorf("status is %+v", s)
	}
}

func TestARunningActionIsCancelled(t *testing.T) {
	w := newWorld(t)
	app := w.deployActions("long: {}", map[string]string{
		"long": `trap '' TERM; action-set got=far; state-set long=1; sleep 1000 & echo $! >../child; echo $$ >../pid; action-log here; wait`})
	id := app.enqueue("long", nil)
	join := app.behind()
	w.until("it runs", func() bool { return len(app.result(id).Log) == 1 })
	app.cancel(id)
	join()
	r := app.result(id)
	if r.Status != "aborted" || r.Message != "cancelled while it was running" || r.Results["got"] != "far" || r.Results["return-code"] != -1.0 || r.Completed.IsZero() {
		t.Errorf("it ended as %+v", r)
	}
	if kv, err := state.ReadIf[map[string]string](t.Context(), w.admin, model.StatePath("app/0")); err != nil || kv.Exists() {
		t.Errorf("what it asked for is there: %v, %v", kv.Value, err)
	}
	for _, name := range []string{"pid", "child"} {
		stat := filepath.Join("/proc", app.file(name), "stat")
		w.until("process "+name+" is dead", func() bool {
			data, err := os.ReadFile(stat)
			return err != nil || strings.Contains(string(data), ") Z ")
		})
	}
}

func TestATaskIsCancelledBeforeItBegins(t *testing.T) {
	w := newWorld(t)
	app := w.deployActions("touch: {}", map[string]string{"touch": "touch ../touched"})
	id := app.enqueue("touch", nil)
	app.cancel(id)
	app.settle()
	if r := app.result(id); r.Status != "cancelled" || app.file("touched") != "" || !r.Started.IsZero() {
		t.Errorf("it ended as %+v", r)
	}
	// Between the agent's look and the beginning.
	late := app.enqueue("touch", nil)
	app.store.begins = func() { app.cancel(late) }
	app.settle()
	if r := app.result(late); r.Status != "cancelled" {
		t.Errorf("it ended as %+v", r)
	}
	if _, err := os.Stat(filepath.Join(app.paths.Agent, "touched")); err == nil {
		t.Error("it ran")
	}
}

// An agent that dies while an action runs leaves nobody who knows how it ended. It never runs again.
func TestAnInterruptedActionDoesNotRunAgain(t *testing.T) {
	for name, leave := range map[string]func(*driver, state.TaskID){
		"with a note on the machine": func(d *driver, id state.TaskID) {
			ledger := get[state.Ledger](d.world, model.LedgerPath(d.name))
			d.must(d.host.Save(&unit.Pending{From: ledger.Commit, Hook: hooks.Hook{Kind: hooks.Action, Task: id, Action: "touch"}}))
		},
		"with the machine's disk lost": func(*driver, state.TaskID) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			app := w.deployActions("touch: {}", map[string]string{"touch": "touch ../touched"})
			id := app.enqueue("touch", nil)
			started := w.now()
			put(w, model.TaskResultPath("app/0", id), state.TaskResult{Status: "running", Started: started, Log: []state.TaskLine{{When: started, Message: "begun"}}})
			leave(app, id)
			app.boot()
			app.settle()
			r := app.result(id)
			if r.Status != "failed" || r.Message != "action terminated" || len(r.Log) != 1 || !r.Started.Equal(started) {
				t.Errorf("it ended as %+v", r)
			}
			if _, err := os.Stat(filepath.Join(app.paths.Agent, "touched")); err == nil {
				t.Error("it ran again")
			}
			if r := app.run("touch", nil); r.Status != "completed" {
				t.Errorf("the next one ended as %+v", r)
			}
		})
	}
}

// When the reply to the beginning is lost, the agent goes on with what it has begun.
func TestABeginningWhoseReplyIsLost(t *testing.T) {
	w := newWorld(t)
	app := w.deployActions("touch: {}", map[string]string{"touch": "echo x >>../touched"})
	id := app.enqueue("touch", nil)
	app.store.lostBeginning = true
	if _, err := app.agent.Step(t.Context()); !errors.Is(err, state.ErrUnknown) {
		t.Fatalf("the step's error is %v", err)
	}
	app.settle()
	if r := app.result(id); r.Status != "completed" || app.file("touched") != "x" {
		t.Errorf("it ended as %+v, and said %q", r, app.file("touched"))
	}
}

// Actions wait for hooks of other units unless they say otherwise.
func TestTheLocksOfActions(t *testing.T) {
	w := newWorld(t)
	app := w.deployActions("waits: {}\nbeside: {parallel: true}\ngrouped: {execution-group: disk}\nboth: {parallel: true, execution-group: disk}\n",
		map[string]string{"waits": "true", "beside": "true", "grouped": "true", "both": "true"})
	release, _, err := w.lock.Acquire(t.Context(), "another unit's hook")
	w.must(err)
	for _, action := range []string{"beside", "grouped", "both"} {
		id := app.enqueue(action, nil)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		if _, err := app.agent.Step(ctx); err != nil {
			t.Fatalf("%s waits for a hook: %v", action, err)
		}
		stop()
		if r := app.result(id); r.Status != "completed" {
			t.Errorf("%s ended as %+v", action, r)
		}
	}
	id := app.enqueue("waits", nil)
	join := app.behind()
	app.cancel(id) // a task that waits for the lock can be cancelled
	release()
	join()
	if r := app.result(id); r.Status != "cancelled" && r.Status != "completed" && r.Status != "aborted" {
		t.Errorf("waits ended as %+v", r)
	}
	release, _, err = w.lock.AcquireGroup(t.Context(), "disk", "another unit's action", func(unit.Holder) {})
	w.must(err)
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	blocked := app.enqueue("both", nil)
	if _, err := app.agent.Step(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it did not wait for its group: %v, %+v", err, app.result(blocked))
	}
	release()
	app.settle()
	if r := app.result(blocked); r.Status != "completed" {
		t.Errorf("both ended as %+v", r)
	}
}
