package machine_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/agent/machine"
	"github.com/grigri/grigri/state"
)

// give gives the machine a command to run.
func (f *fixture) give(id state.TaskID, text string, b state.Beside) {
	f.Helper()
	f.edit(func(tx *state.Txn) {
		tx.Create(shop.TaskPath("4", id), state.Task{Action: state.ExecAction, Params: map[string]any{"command": text}, Beside: b})
	})
}

func (f *fixture) result(id state.TaskID) state.TaskResult {
	f.Helper()
	rec, err := state.ReadIf[state.TaskResult](f.Context(), f.admin, shop.TaskResultPath("4", id))
	f.must(err)
	return rec.Value
}

func (f *fixture) ended(id state.TaskID) state.TaskResult {
	f.Helper()
	f.await("the task's end", func() bool { return !f.result(id).Completed.IsZero() })
	return f.result(id)
}

func TestCommandsOnAMachine(t *testing.T) {
	f := newFixture(t)
	f.assign()
	f.edit(func(tx *state.Txn) { tx.Create(shop.TasksPath("4"), nil) })
	end := f.run()
	f.give(1, `echo "$PWD $HOME $JUJU_UNIT_NAME"; echo no >&2; exit 3`, state.Beside{})
	if r := f.ended(1); r.Status != "completed" || r.Results["return-code"] != 3.0 || r.Results["stdout"] != f.data+" "+f.data+" \n" || r.Results["stderr"] != "no\n" || r.Started.IsZero() {
		t.Errorf("it ended as %+v", r)
	}
	// One that runs is cancelled, with all that it has started.
	f.give(2, "sleep 1000 & echo $! >child; wait", state.Beside{})
	f.await("it runs", func() bool { _, err := os.Stat(filepath.Join(f.data, "child")); return err == nil })
	f.must(state.Edit(t.Context(), f.admin, func(ctx context.Context, r state.Reader) (tx state.Txn, err error) {
		rec, err := state.Read[state.Task](ctx, r, shop.TaskPath("4", 2))
		rec.Value.Cancel = true
		tx.Set(rec.Path, rec.Value, rec.Version)
		return tx, err
	}))
	if r := f.ended(2); r.Status != "aborted" {
		t.Errorf("it ended as %+v", r)
	}
	// The lock of hooks, as juju-exec --no-context takes it: commands wait for it only when they are told to.
	dir := enroll.Dir(f.data, "4")
	lock, err := commands.Do(t.Context(), dir, commands.Request{Lock: "somebody"})
	f.must(err)
	no, yes := false, true
	f.give(3, "touch behind", state.Beside{Parallel: &no})
	f.give(4, "touch beside", state.Beside{Parallel: &yes})
	f.ended(4)
	if r := f.result(3); r.Status != "" {
		t.Errorf("what is behind the lock is %+v", r)
	}
	f.await("who holds and who waits", func() bool {
		show, err := commands.Do(t.Context(), dir, commands.Request{Show: true})
		f.must(err)
		defer show.Close()
		text := string(show.Stdout)
		return strings.Contains(text, `holder: "somebody, holding for`) && strings.Contains(text, `- "machine 4: task 3, waiting for`)
	})
	f.must(lock.Close())
	f.ended(3)
	// The agent ends while one runs: it is not run again.
	f.give(5, "echo x >>twice; sleep 1000", state.Beside{})
	f.await("it runs", func() bool { return f.result(5).Status == "running" })
	end()
	f.give(6, "true", state.Beside{})
	f.run()
	f.ended(6)
	if r := f.ended(5); r.Status != "failed" || r.Message != "action terminated" {
		t.Errorf("it ended as %+v", r)
	}
}

// The machine's programs are found by all on a machine that is ours, and are gone with it. What is not ours stays.
func TestProgramsAreFound(t *testing.T) {
	f := newFixture(t)
	f.assign()
	bin := t.TempDir()
	f.must(os.WriteFile(filepath.Join(bin, "juju-run"), []byte("theirs"), 0o755))
	f.must(os.Symlink(f.data+"/tools/old/juju-exec", filepath.Join(bin, "juju-exec")))
	done := make(chan error, 1)
	go func() {
		done <- machine.Run(context.Background(), machine.Config{
			Conf: f.conf, DataDir: f.data, HookTool: f.data + "/tools/machine-4/hooktool", Store: f.tree.Connect(shop.MachinePrincipal("4")), Bin: bin, Boot: "boot",
			Run: state.Presence{Boot: "run", Since: time.Now()}, Logs: f.logs, Now: time.Now, ID: func() string { return "x" },
		})
	}()
	f.await("the links", func() bool { to, _ := os.Readlink(bin + "/juju_machine_lock"); return to != "" })
	if to, _ := os.Readlink(bin + "/juju-exec"); to != f.data+"/tools/machine-4/juju-exec" {
		t.Errorf("juju-exec is %q", to)
	}
	if info, err := os.Stat(bin); err != nil || !info.IsDir() {
		t.Fatal(err)
	}
	f.await("the machine present", func() bool { return f.there(shop.MachineAgentPath("4")) })
	f.must(state.Edit(t.Context(), f.admin, func(ctx context.Context, r state.Reader) (tx state.Txn, err error) {
		rec, err := state.Read[state.Machine](ctx, r, shop.MachinePath("4"))
		rec.Value.Life = state.Dead
		tx.Set(rec.Path, rec.Value, rec.Version)
		return tx, err
	}))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(bin)
	if data, _ := os.ReadFile(bin + "/juju-run"); err != nil || len(left) != 1 || string(data) != "theirs" {
		t.Errorf("%v are left, and juju-run is %q", left, data)
	}
}
