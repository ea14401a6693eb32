package sim

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A fault is something that the product must do, undone on purpose where BROKEN says so. Rows with the same rule are one fault.
type fault struct{ rule, file, old, new string }

// faults is what a simulation must not let through.
func faults() []fault {
	return []fault{
		{"a lost reply to a commit is read back", "agent/unit/commit.go", `if o.commit == "" {`, `if o.commit == "" || BROKEN {`},
		{"the end of a hook is noted before its commit", "agent/unit/hook.go", "note.Ended, note.Failed, note.Cut, note.Effects = true,", "note.Ended, note.Failed, note.Cut, note.Effects = !BROKEN,"},
		{"a hook that has ended is committed by the next agent", "agent/unit/hook.go", "\ta.unfinished = o\n\treturn nil\n}", "\tif !BROKEN || !note.Ended {\n\t\ta.unfinished = o\n\t}\n\treturn nil\n}"},
		{"a hook that was cut by a crash has failed", "agent/unit/hook.go", "note == nil || note.From != a.local.Commit {", "note == nil || note.From != a.local.Commit || BROKEN && !note.Ended {"},
		{"a hook that was cut by a reboot runs again", "agent/resolve/next.go", "case l.Again != nil:\n", "case l.Again != nil && !BROKEN:\n"},
		{"storage is mounted again after a restart of the machine", "agent/unit/storage.go", "Mounted: a.placed[s.ID],", "Mounted: a.placed[s.ID] || BROKEN && a.local.Storage[s.ID].Attached,"},
		{"storage that is taken leaves its place", "agent/unit/storage.go", "if err = a.do.Unmount(ctx, op.Storage, op.Force); err == nil {", "if !BROKEN {\n\t\t\terr = a.do.Unmount(ctx, op.Storage, op.Force)\n\t\t}\n\t\tif err == nil {"},
		{"joins are watched", "agent/unit/view.go", "\t\ta.heedChildren(rel.dir)\n", "\t\tif !BROKEN {\n\t\t\ta.heedChildren(rel.dir)\n\t\t}\n"},
		{"members are watched", "agent/unit/view.go", "\t\ta.heed(rel.dir + \"/\" + name)\n", "\t\tif !BROKEN {\n\t\t\ta.heed(rel.dir + \"/\" + name)\n\t\t}\n"},
		{"the other application is watched", "agent/unit/view.go", "\t\ta.heed(rel.side)\n", "\t\tif !BROKEN {\n\t\t\ta.heed(rel.side)\n\t\t}\n"},
		{"tasks are watched", "agent/unit/view.go", "\ta.heedChildren(m.TasksPath(state.Receiver(a.Unit)))\n", "\tif !BROKEN {\n\t\ta.heedChildren(m.TasksPath(state.Receiver(a.Unit)))\n\t}\n"},
		{"a task that was cut by a crash does not run again", "agent/unit/hook.go", "\to := &outcome{op: resolve.Run{Hook: note.Hook}", "\tif BROKEN && note.Hook.Kind == hooks.Action && !note.Ended {\n\t\treturn nil\n\t}\n\to := &outcome{op: resolve.Run{Hook: note.Hook}"},
		{"a task that was cut by a crash does not run again", "agent/unit/task.go", "if was.Exists() && a.begun != op.Task {", "if !BROKEN && was.Exists() && a.begun != op.Task {"},
		{"a task that is cancelled before it begins stays so", "agent/unit/task.go", "if !task.Exists() || !was.Value.Completed.IsZero() {", "if !task.Exists() || !BROKEN && !was.Value.Completed.IsZero() {"},
		{"a task that is cancelled before it begins stays so", "agent/unit/task.go", "if err != nil || !was.Value.Completed.IsZero() {", "if err != nil || !BROKEN && !was.Value.Completed.IsZero() {"},
		{"a task that is cancelled while it runs is aborted", "agent/unit/task.go", "case res.Outcome == run.Aborted:", "case res.Outcome == run.Aborted && !BROKEN:"},
		{"a task of a unit that is no more has ended", "state/edit_keep.go", "now time.Time) TaskResult {\n", "now time.Time) TaskResult {\n\tif BROKEN {\n\t\treturn r\n\t}\n"},
		{"a caller is told when what the command asked for is committed", "agent/unit/command.go", "if o.effects.Empty() {", "if o.effects.Empty() || BROKEN {"},
		{"a command that runs waits no more", "agent/unit/command.go", "\tq.waiting = slices.Delete(q.waiting, i, i+1)\n", "\tif !BROKEN {\n\t\tq.waiting = slices.Delete(q.waiting, i, i+1)\n\t}\n"},
		{"another address is told in all relations", "agent/unit/effects.go", "reflect.DeepEqual(*was, now)) {", "reflect.DeepEqual(*was, now) || BROKEN) {"},
		{"a controller writes as long as it leads", "controller/leader/commit.go", "\tout.Check(c.Fence, state.Any)\n", "\tif !BROKEN {\n\t\tout.Check(c.Fence, state.Any)\n\t}\n"},
		{"a unit is gone soon after its deadline", "controller/plan/fate.go", "case !now.Before(late):", "case !now.Before(late) && !BROKEN:"},
		{"a relation is gone soon after its deadline", "controller/plan/fate.go", "case !now.Before(r.Deadline.Add(Grace)):", "case !now.Before(r.Deadline.Add(Grace)) && !BROKEN:"},
		{"a relation is gone soon after its deadline", "controller/plan/fate.go", "return Fate{Again: r.Deadline.Add(Grace)}", "if BROKEN {\n\t\treturn Fate{}\n\t}\n\treturn Fate{Again: r.Deadline.Add(Grace)}"},
		{"a unit that is buried leaves its relations", "state/edit_bury_unit.go", "if err == nil && all {\n\t\tall, err = leaveRelations(", "if err == nil && all && !BROKEN {\n\t\tall, err = leaveRelations("},
	}
}

// brokenSource is in each package that has a fault. One program has them all, and its environment says which is to be.
const brokenSource = `

import "os"

func broken(rule string) bool { return os.Getenv("GRIGRI_BROKEN") == rule }
`

// Each fault is lived with until a seed notices it.
func TestFaultsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("lives many lives")
	}
	program := buildBroken(t)
	tried := map[string]bool{}
	for _, f := range faults() {
		if tried[f.rule] {
			continue
		}
		tried[f.rule] = true
		t.Run(strings.ReplaceAll(f.rule, " ", "-"), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-test.run=^TestSeeds$", "-sim.seeds=100")
			cmd.Env = append(os.Environ(), "GRIGRI_BROKEN="+f.rule)
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

// buildBroken builds this package's tests with all faults in what they test.
func buildBroken(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	replace, sources := map[string]string{}, map[string]string{}
	for _, f := range faults() {
		if sources[f.file] == "" {
			data, err := os.ReadFile(filepath.Join(root, f.file))
			if err != nil {
				t.Fatal(err)
			}
			sources[f.file] = string(data)
		}
		if n := strings.Count(sources[f.file], f.old); n != 1 {
			t.Fatalf("%s: %s has %q %d times: the list of faults is to follow the code", f.rule, f.file, f.old, n)
		}
		sources[f.file] = strings.Replace(sources[f.file], f.old, strings.ReplaceAll(f.new, "BROKEN", `broken("`+f.rule+`")`), 1)
		dir := filepath.Dir(f.file)
		sources[dir+"/broken.go"] = "package " + filepath.Base(dir) + brokenSource
	}
	for file, text := range sources {
		name := filepath.Join(tmp, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = name
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay, program := filepath.Join(tmp, "overlay.json"), filepath.Join(tmp, "sim.test")
	if err := os.WriteFile(overlay, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("it was to be built: %v\n%s", err, out)
	}
	return program
}
