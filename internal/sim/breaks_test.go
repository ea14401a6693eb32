package sim

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/breaktest"
)

// A fault is something that the product must do, undone on purpose.
type fault breaktest.Fault

// faults is what a simulation must not let through: what the product must do, undone.
func faults() []fault {
	return []fault{
		{"a lost reply to a commit is read back", "agent/unit/commit.go", `if o.commit == "" {`, `if o.commit == "" || true {`},
		{"the end of a hook is noted before its commit", "agent/unit/hook.go", "note.Ended, note.Failed, note.Cut, note.Effects = true,", "note.Ended, note.Failed, note.Cut, note.Effects = !true,"},
		{"a hook that has ended is committed by the next agent", "agent/unit/hook.go", "\ta.unfinished = o\n\treturn nil\n}", "\tif !true || !note.Ended {\n\t\ta.unfinished = o\n\t}\n\treturn nil\n}"},
		{"a hook that was cut by a crash has failed", "agent/unit/hook.go", "note == nil || note.From != a.local.Commit {", "note == nil || note.From != a.local.Commit || true && !note.Ended {"},
		{"a hook that was cut by a reboot runs again", "agent/resolve/next.go", "case l.Again != nil:\n", "case l.Again != nil && !true:\n"},
		{"storage is mounted again after a restart of the machine", "agent/unit/storage.go", "Mounted: a.placed[s.ID],", "Mounted: a.placed[s.ID] || true && a.local.Storage[s.ID].Attached,"},
		{"storage that is taken leaves its place", "agent/unit/storage.go", "if err = a.do.Unmount(ctx, op.Storage, op.Force); err == nil {", "if !true {\n\t\t\terr = a.do.Unmount(ctx, op.Storage, op.Force)\n\t\t}\n\t\tif err == nil {"},
		{"joins are watched", "agent/unit/view.go", "\t\ta.heedChildren(rel.dir)\n", "\t\tif !true {\n\t\t\ta.heedChildren(rel.dir)\n\t\t}\n"},
		{"members are watched", "agent/unit/view.go", "\t\ta.heed(rel.dir + \"/\" + name)\n", "\t\tif !true {\n\t\t\ta.heed(rel.dir + \"/\" + name)\n\t\t}\n"},
		{"the other application is watched", "agent/unit/view.go", "\t\ta.heed(rel.side)\n", "\t\tif !true {\n\t\t\ta.heed(rel.side)\n\t\t}\n"},
		{"tasks are watched", "agent/unit/view.go", "\ta.heedChildren(m.TasksPath(state.Receiver(a.Unit)))\n", "\tif !true {\n\t\ta.heedChildren(m.TasksPath(state.Receiver(a.Unit)))\n\t}\n"},
		{"a task that was cut by a crash does not run again", "agent/unit/hook.go", "\to := &outcome{op: resolve.Run{Hook: note.Hook}", "\tif true && note.Hook.Kind == hooks.Action && !note.Ended {\n\t\treturn nil\n\t}\n\to := &outcome{op: resolve.Run{Hook: note.Hook}"},
		{"a task that was cut by a crash does not run again", "agent/unit/task.go", "if was.Exists() && a.begun != op.Task {", "if !true && was.Exists() && a.begun != op.Task {"},
		{"a task that is cancelled before it begins stays so", "agent/unit/task.go", "if !task.Exists() || !was.Value.Completed.IsZero() {", "if !task.Exists() || !true && !was.Value.Completed.IsZero() {"},
		{"a task that is cancelled before it begins stays so", "agent/unit/task.go", "if err != nil || !was.Value.Completed.IsZero() {", "if err != nil || !true && !was.Value.Completed.IsZero() {"},
		{"a task that is cancelled while it runs is aborted", "agent/unit/task.go", "case res.Outcome == run.Aborted:", "case res.Outcome == run.Aborted && !true:"},
		{"a task of a unit that is no more has ended", "state/edit_keep.go", "now time.Time) TaskResult {\n", "now time.Time) TaskResult {\n\tif true {\n\t\treturn r\n\t}\n"},
		{"a caller is told when what the command asked for is committed", "agent/unit/command.go", "if o.effects.Empty() {", "if o.effects.Empty() || true {"},
		{"a command that runs waits no more", "agent/unit/command.go", "\tq.waiting = slices.Delete(q.waiting, i, i+1)\n", "\tif !true {\n\t\tq.waiting = slices.Delete(q.waiting, i, i+1)\n\t}\n"},
		{"another address is told in all relations", "agent/unit/effects.go", "reflect.DeepEqual(*was, now)) {", "reflect.DeepEqual(*was, now) || true) {"},
		{"a controller writes as long as it leads", "controller/leader/commit.go", "\tout.Check(c.Fence, state.Any)\n", "\tif !true {\n\t\tout.Check(c.Fence, state.Any)\n\t}\n"},
		{"a unit is gone soon after its deadline", "controller/plan/fate.go", "case !now.Before(late):", "case !now.Before(late) && !true:"},
		{"a relation is gone soon after its deadline", "controller/plan/fate.go", "case !now.Before(r.Deadline.Add(Grace)):", "case !now.Before(r.Deadline.Add(Grace)) && !true:"},
		{"a relation is gone soon after its deadline", "controller/plan/fate.go", "return Fate{Again: r.Deadline.Add(Grace)}", "if true {\n\t\treturn Fate{}\n\t}\n\treturn Fate{Again: r.Deadline.Add(Grace)}"},
		{"a unit that is buried leaves its relations", "state/edit_bury_unit.go", "if err == nil && all {\n\t\tall, err = leaveRelations(", "if err == nil && all && !true {\n\t\tall, err = leaveRelations("},
	}
}

// Each fault is lived with until a seed notices it.
func TestFaultsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("lives many lives")
	}
	program := breaktest.Build(t, "../..", faults())
	tried := map[string]bool{}
	for _, f := range faults() {
		if tried[f.Rule] {
			continue
		}
		tried[f.Rule] = true
		t.Run(strings.ReplaceAll(f.Rule, " ", "-"), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-test.run=^TestSeeds$", "-sim.seeds=100")
			cmd.Env = breaktest.Env(f.Rule)
			out, err := cmd.CombinedOutput()
			_, why, noticed := strings.Cut(string(out), ": seed ")
			if err == nil || !noticed {
				t.Fatalf("nothing notices it: %v\n%.2000s", err, out)
			}
			why, _, _ = strings.Cut(why, "\n")
			t.Logf("seed %s", why)
		})
	}
}
