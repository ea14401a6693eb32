package unit_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// call asks the unit to run a command, as juju-exec does; the answer comes when the agent steps. Ending it is hanging up.
func (d *driver) call(r commands.Run) (answer chan commands.Response, hangUp func()) {
	ctx, cancel := context.WithCancel(context.Background())
	d.Cleanup(cancel)
	answer = make(chan commands.Response, 1)
	before := len(d.queue.Waiting())
	go d.queue.Handle(ctx, commands.Request{Run: &r}, func(r commands.Response) { answer <- r })
	d.until("it waits", func() bool { return len(d.queue.Waiting()) > before })
	return answer, cancel
}

// exec is call, and the answer.
func (d *driver) exec(r commands.Run) commands.Response {
	d.Helper()
	answer, _ := d.call(r)
	d.settle()
	return <-answer
}

func TestCommandsOnTheMachine(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	if _, err := web.agent.Step(t.Context()); err != nil { // unpacked
		t.Fatal(err)
	}
	before, _ := web.call(commands.Run{Text: "echo $JUJU_UNIT_NAME $JUJU_HOOK_NAME. $(basename $PWD)"})
	if op, err := web.agent.Step(t.Context()); err != nil || op.String() != "command 1" {
		t.Errorf("before install it did %v, %v", op, err)
	}
	if r := <-before; string(r.Stdout) != "web/0 . charm\n" || r.Code != 0 || r.Error != "" {
		t.Errorf("it said %+v", r)
	}
	web.settle()
	noise := strings.Repeat("\x00\xff", 100000)
	web.must(os.WriteFile(filepath.Join(web.paths.Agent, "noise"), []byte(noise), 0o644))
	r := web.exec(commands.Run{Text: "cat ../noise; echo no >&2; exit 7"})
	if !bytes.Equal(r.Stdout, []byte(noise)) || string(r.Stderr) != "no\n" || r.Code != 7 {
		t.Errorf("of %d bytes came %d, with %q and %d", len(noise), len(r.Stdout), r.Stderr, r.Code)
	}
	// What it asks for is committed whatever its status is, and before the caller hears of it.
	answer, _ := web.call(commands.Run{Text: "state-set a=b; exit 3"})
	committed := false
	web.store.before = func(state.Txn) { committed = len(answer) == 0 }
	web.settle()
	web.store.before = nil
	if r := <-answer; r.Code != 3 || !committed || get[map[string]string](w, model.StatePath("web/0"))["a"] != "b" {
		t.Errorf("answered %+v, committed before: %t", r, committed)
	}
	if r := web.exec(commands.Run{Text: "action-set a=b"}); r.Code != 1 || string(r.Stderr) != "ERROR not running an action\n" {
		t.Errorf("a command counts as an action: %+v", r)
	}
	// What cannot be had is told.
	r = web.exec(commands.Run{Text: `for i in 1 2 3 4 5 6 7 8 9; do state-set k$i=$(head -c 60000 /dev/zero | tr '\0' x); done`})
	if r.Code == 0 || !strings.Contains(string(r.Stderr), "ERROR ") {
		t.Errorf("too much was answered with %d %.200q", r.Code, r.Stderr)
	}
	if r := web.exec(commands.Run{Text: "state-get a"}); string(r.Stdout) != "b\n" {
		t.Errorf("the next one said %+v", r)
	}
}

func TestACallerHangsUp(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	_, hangUp := web.call(commands.Run{Text: "touch ../early"})
	hangUp()
	web.until("it is forgotten", func() bool { return len(web.queue.Waiting()) == 0 })
	web.settle()
	if _, err := os.Stat(filepath.Join(web.paths.Agent, "early")); err == nil {
		t.Error("what nobody waits for has run")
	}
	_, hangUp = web.call(commands.Run{Text: "state-set a=b; touch ../runs; sleep 1000"})
	done := make(chan error, 1)
	go func() { _, err := web.agent.Step(t.Context()); done <- err }()
	web.until("it runs", func() bool { _, err := os.Stat(filepath.Join(web.paths.Agent, "runs")); return err == nil })
	hangUp()
	w.must(<-done)
	web.settle()
	if rec, err := state.ReadIf[map[string]string](t.Context(), w.admin, model.StatePath("web/0")); err != nil || rec.Exists() {
		t.Errorf("what it asked for is there: %v, %v", rec.Value, err)
	}
}

// When the agent dies, a command that ran is not run again; one that had ended is committed.
func TestAnInterruptedCommand(t *testing.T) {
	for _, ended := range []bool{false, true} {
		w := newWorld(t)
		w.deploy("web", webMeta, "", 1)
		web := w.start("web/0")
		web.settle()
		b := "b"
		note := unit.Pending{From: get[state.Ledger](w, model.LedgerPath("web/0")).Commit, Hook: hooks.Hook{Kind: hooks.Command}, Ended: ended}
		if ended {
			note.Effects.State = map[string]*string{"a": &b}
		}
		web.must(web.host.Save(&note))
		web.boot()
		w.same("hooks", web.settle(), nil)
		if failed := get[state.Ledger](w, model.LedgerPath("web/0")).Failed; failed != nil {
			t.Errorf("it counts as a hook that failed: %+v", failed)
		}
		rec, err := state.ReadIf[map[string]string](t.Context(), w.admin, model.StatePath("web/0"))
		if err != nil || (rec.Value["a"] == "b") != ended {
			t.Errorf("ended %t: the state is %v, %v", ended, rec.Value, err)
		}
	}
}

// A hook asks for the machine to start again: first it is committed, and nothing follows until the boot id is another one.
func TestReboot(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.settle()
	for _, how := range []string{"juju-reboot", "juju-reboot --now; touch ../goes-on"} {
		web.on("config-changed", "state-set n="+how[len(how)-1:]+"; "+how)
		w.network.Private += "1"
		web.rebooted = 0
		for web.rebooted == 0 {
			if op, err := web.agent.Step(t.Context()); err != nil && web.rebooted == 0 {
				t.Fatal(op, err)
			}
		}
		if got := web.status().Agent.Status; got != "rebooting" {
			t.Errorf("%s: the agent is %s", how, got)
		}
		web.boot() // the agent alone: it is still to be done
		if op, _ := web.agent.Step(t.Context()); op != nil && op.String() != "reboot" || web.rebooted != 2 {
			t.Errorf("%s: after a start of the agent it did %v", how, op)
		}
		if _, now := strings.CutPrefix(how, "juju-reboot --now"); now {
			if kv := get[map[string]string](w, model.StatePath("web/0")); kv["n"] == how[len(how)-1:] {
				t.Errorf("what the hook asked for that was killed is there: %v", kv)
			}
			web.on("config-changed", "")
		}
		web.ran()
		web.bootID += "'"
		web.boot()
		want := []string{"start"}
		if strings.Contains(how, "--now") {
			want = []string{"config-changed", "start"}
		}
		w.same(how, web.settle(), want)
	}
	if _, err := os.Stat(filepath.Join(web.paths.Agent, "goes-on")); err == nil {
		t.Error("the hook went on after --now")
	}
	// A machine that cannot: the unit says so and tries again.
	web.cannotReboot = true
	web.boot()
	web.on("config-changed", "juju-reboot")
	w.network.Private += "1"
	var failed error
	for range 5 {
		if _, failed = web.agent.Step(t.Context()); failed != nil {
			break
		}
	}
	if failed == nil || !strings.Contains(failed.Error(), "this machine cannot be started again from within") {
		t.Errorf("the error is %v", failed)
	}
}
