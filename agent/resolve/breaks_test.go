package resolve

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A fault is a rule of the order of hooks, broken on purpose.
type fault struct{ rule, file, old, new string }

// faults is what the scenarios and the properties must not let through.
func faults() []fault {
	return []fault{
		{"nothing comes between config-changed and start", "next.go", "case l.Queued != \"\":\n\t\treturn run(hooks.Kind(l.Queued))", "case l.Queued != \"\" && len(r.Tasks) == 0:\n\t\treturn run(hooks.Kind(l.Queued))"},
		{"start follows the first config-changed", "done.go", "l.Queued = string(hooks.Start)", "_ = l"},
		{"upgrade-charm follows new files", "done.go", "l.Upgraded = true", "l.Upgraded = false"},
		{"config-changed follows upgrade-charm", "done.go", "l.Upgraded, l.Queued = false, string(hooks.ConfigChanged)", "l.Upgraded = false"},
		{"relations are entered before leader-elected", "next.go", "if op := nextEntry(l, r); op != nil {\n\t\t\treturn op\n\t\t}\n\t\tif op := nextLeadership(l, r); op != nil {\n\t\t\treturn op\n\t\t}", "if op := nextLeadership(l, r); op != nil {\n\t\t\treturn op\n\t\t}\n\t\tif op := nextEntry(l, r); op != nil {\n\t\t\treturn op\n\t\t}"},
		{"config-changed comes before what relations have to say", "next.go", "case l.Config != r.Config:\n\t\treturn run(hooks.ConfigChanged)\n\t}\n\tif op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}", "}\n\tif op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}\n\tif l.Config != r.Config {\n\t\treturn run(hooks.ConfigChanged)\n\t}"},
		{"a dying unit enters nothing and is not told of leadership", "next.go", "if !dying {\n\t\tif op := nextEntry", "if true {\n\t\tif op := nextEntry"},
		{"relations end before stop", "next.go", "if op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}\n\tswitch l.Phase {\n\tcase state.Started:\n\t\treturn run(hooks.Stop)", "switch l.Phase {\n\tcase state.Started:\n\t\treturn run(hooks.Stop)"},
		{"stop comes before remove", "next.go", "case state.Started:\n\t\treturn run(hooks.Stop)\n\tcase state.Installed, state.Stopped:", "case state.Started, state.Installed, state.Stopped:"},
		{"a unit that never started does not stop", "next.go", "case state.Started:\n\t\treturn run(hooks.Stop)\n\tcase state.Installed, state.Stopped:", "case state.Started, state.Installed:\n\t\treturn run(hooks.Stop)\n\tcase state.Stopped:"},
		{"a unit that was never installed just goes", "next.go", "case dying && (l.Phase == state.New || l.Phase == state.Unpacked):", "case dying && l.Phase == state.New:"},
		{"by force no hooks run", "next.go", "r.Life == state.Dead, dying && r.Force:", "r.Life == state.Dead:"},
		{"a principal waits for its subordinates", "next.go", "if len(r.Subordinates) == 0 || late(r.End, now) {", "if true {"},
		{"a failed hook stops all others", "next.go", "case l.Failed != nil:\n\t\treturn nextFailed(l, r, now)", "case l.Failed != nil && l.Config == r.Config:\n\t\treturn nextFailed(l, r, now)"},
		{"a failed hook waits before it runs again", "next.go", "case answered, !r.NoRetry && !now.Before(due):", "case answered, !r.NoRetry:"},
		{"retries can be off", "next.go", "case answered, !r.NoRetry && !now.Before(due):", "case answered, !now.Before(due):"},
		{"waits double", "next.go", "5*time.Second<<max(0, min(n-1, 6))", "5*time.Second*time.Duration(max(1, n))"},
		{"update-status is the last of all", "next.go", "if op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}\n\tif !r.UpdateStatus.IsZero() && !now.Before(r.UpdateStatus) {\n\t\treturn run(hooks.UpdateStatus)\n\t}", "if !r.UpdateStatus.IsZero() && !now.Before(r.UpdateStatus) {\n\t\treturn run(hooks.UpdateStatus)\n\t}\n\tif op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}"},
		{"a machine that was started again is told first", "next.go", "case l.Phase == state.Started && r.Boot != \"\" && l.Boot != r.Boot:", "case false && l.Boot != r.Boot:"},
		{"only started units are told of a boot", "next.go", "case l.Phase == state.Started && r.Boot != \"\" && l.Boot != r.Boot:", "case r.Boot != \"\" && l.Boot != r.Boot:"},
		{"peers come last", "relations.go", "return append(first, peers...)", "return append(peers, first...)"},
		{"relations come by number", "relations.go", "for _, id := range slices.Sorted(maps.Keys(all)) {", "for _, id := range slices.Backward(slices.Sorted(maps.Keys(all))) {\n\t\tid := state.RelationID(id)"},
		{"changed follows joined", "relations.go", "if mine.Pending != \"\" {", "if mine.Pending != \"\" && !leaving {"},
		{"departed comes before the application's changed", "relations.go", "if _, still := members[u]; !still {", "if _, still := members[u]; !still && (leaving || mine.Application == theirs.Application) {"},
		{"departed names the unit itself when it goes", "relations.go", "h.Departing = r.Unit", "_ = r.Unit"},
		{"all depart before broken", "relations.go", "members = nil // everyone departs", "_ = members"},
		{"peers are never broken", "relations.go", "case leaving && (mine.Peer || !mine.Created):", "case leaving && !mine.Created:"},
		{"the implicit side hears nothing", "relations.go", "case entered && !theirs.Implicit && !mine.Created:", "case entered && !mine.Created:"},
		{"the application's changed comes before joined", "relations.go", "case mine.Application != theirs.Application:", "case mine.Application != theirs.Application && len(mine.Units) == len(members):"},
		{"units join in the order of their names", "relations.go", "for _, u := range slices.Sorted(maps.Keys(members)) {\n\t\tif _, known", "for _, u := range backward(members) {\n\t\tif _, known"},
		{"relations that are going are not entered", "relations.go", "if !ok || theirs.Life != state.Alive {\n\t\t\tcontinue", "if !ok {\n\t\t\tcontinue"},
		{"an endpoint that the charm does not have is not entered", "relations.go", "(theirs.Implicit || slices.Contains(r.Endpoints, theirs.Endpoint))", "true"},
		{"broken comes once", "done.go", "case hooks.RelationBroken:\n\t\tl = without(l, h.Relation)", "case hooks.RelationBroken:"},
	}
}

// backwardSource is for a fault.
const backwardSource = `
func backward[V any](m map[state.UnitName]V) []state.UnitName {
	out := slices.Sorted(maps.Keys(m))
	slices.Reverse(out)
	return out
}
`

// Each of the faults is put into the source, and the scenarios and properties must then fail: run, not just fail to be built.
func TestBrokenRulesAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package's tests once a fault")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults() {
		t.Run(strings.ReplaceAll(f.rule, " ", "-"), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(f.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), f.old); n != 1 {
				t.Fatalf("%s has the rule %d times: the list of faults is to follow the code", f.file, n)
			}
			broken := strings.Replace(string(source), f.old, f.new, 1)
			if strings.Contains(f.new, "backward(") {
				broken += backwardSource
			}
			tmp := t.TempDir()
			file, overlay := filepath.Join(tmp, f.file), filepath.Join(tmp, "overlay.json")
			if err := os.WriteFile(file, []byte(broken), 0o644); err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(dir, f.file): file}})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(overlay, data, 0o644); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(tmp, "resolve.test")
			if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
				t.Fatalf("it was to be built and to fail: %v\n%s", err, out)
			}
			for _, tests := range []string{"^(TestScenarios|TestFirstDeploy)$", "^(TestAnyLifeIsInOrderAndSettles|TestObserver)$"} {
				out, err := exec.Command(program, "-test.run", tests, "-rapid.shrinktime", "0s", "-rapid.nofailfile").CombinedOutput()
				if err != nil && strings.Contains(string(out), "--- FAIL") {
					return
				}
				if err != nil {
					t.Fatalf("it was to fail in order: %v\n%s", err, out)
				}
			}
			t.Error("nothing notices that it is broken")
		})
	}
}

// The hooks that Juju once had for charms and that no charm here is called with.
func TestOnlyTheHooksOfTheContractRun(t *testing.T) {
	for _, pattern := range []string{"*.go", "../../hooks/*.go", "../unit/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, hook := range []string{"collect-metrics", "meter-status-changed", "pre-series-upgrade", "post-series-upgrade", "leader-deposed"} {
				if !strings.HasSuffix(f, "_test.go") && strings.Contains(string(text), `"`+hook+`"`) {
					t.Errorf("%s knows of %s", f, hook)
				}
			}
		}
	}
}
