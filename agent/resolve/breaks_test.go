package resolve

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/breaktest"
)

// A fault is a rule of the order of hooks, broken on purpose.
type fault breaktest.Fault

// faults is what the scenarios must not let through: rules of the order of hooks. Lives at random notice most of them too, by chance.
func faults() []fault {
	return []fault{
		{"nothing comes between config-changed and start", "agent/resolve/next.go", "case l.Queued != \"\":\n\t\treturn run(hooks.Kind(l.Queued))", "case l.Queued != \"\" && len(r.Tasks) == 0:\n\t\treturn run(hooks.Kind(l.Queued))"},
		{"start follows the first config-changed", "agent/resolve/done.go", "l.Queued = string(hooks.Start)", "_ = l"},
		{"upgrade-charm follows new files", "agent/resolve/done.go", "l.Upgraded = true", "l.Upgraded = false"},
		{"config-changed follows upgrade-charm", "agent/resolve/done.go", "l.Upgraded, l.Queued = false, string(hooks.ConfigChanged)", "l.Upgraded = false"},
		{"relations are entered before leader-elected", "agent/resolve/next.go", "if op := nextEntry(l, r); op != nil {\n\t\t\treturn op\n\t\t}\n\t\tif op := nextLeadership(l, r); op != nil {\n\t\t\treturn op\n\t\t}", "if op := nextLeadership(l, r); op != nil {\n\t\t\treturn op\n\t\t}\n\t\tif op := nextEntry(l, r); op != nil {\n\t\t\treturn op\n\t\t}"},
		{"config-changed comes before what relations have to say", "agent/resolve/next.go", "case l.Config != r.Config:\n\t\treturn run(hooks.ConfigChanged)\n\t}\n\tif op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}", "}\n\tif op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}\n\tif l.Config != r.Config {\n\t\treturn run(hooks.ConfigChanged)\n\t}"},
		{"a dying unit enters nothing and is not told of leadership", "agent/resolve/next.go", "if !dying {\n\t\tif op := nextEntry", "if true {\n\t\tif op := nextEntry"},
		{"relations end before stop", "agent/resolve/next.go", "if op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}\n\tswitch l.Phase {\n\tcase state.Started:\n\t\treturn run(hooks.Stop)", "switch l.Phase {\n\tcase state.Started:\n\t\treturn run(hooks.Stop)"},
		{"stop comes before remove", "agent/resolve/next.go", "case state.Started:\n\t\treturn run(hooks.Stop)\n\tcase state.Installed, state.Stopped:", "case state.Started, state.Installed, state.Stopped:"},
		{"a unit that never started does not stop", "agent/resolve/next.go", "case state.Started:\n\t\treturn run(hooks.Stop)\n\tcase state.Installed, state.Stopped:", "case state.Started, state.Installed:\n\t\treturn run(hooks.Stop)\n\tcase state.Stopped:"},
		{"a unit that was never installed just goes", "agent/resolve/next.go", "case dying && (l.Phase == state.New || l.Phase == state.Unpacked):", "case dying && l.Phase == state.New:"},
		{"by force no hooks run", "agent/resolve/next.go", "r.Life == state.Dead, dying && r.Force:", "r.Life == state.Dead:"},
		{"a principal waits for its subordinates", "agent/resolve/next.go", "if len(r.Subordinates) == 0 || late(r.End, now) {", "if true {"},
		{"a failed hook stops all others", "agent/resolve/next.go", "case l.Failed != nil:\n\t\treturn nextFailed(l, r, now)", "case l.Failed != nil && l.Config == r.Config:\n\t\treturn nextFailed(l, r, now)"},
		{"a failed hook waits before it runs again", "agent/resolve/next.go", "case answered, !r.NoRetry && !now.Before(due):", "case answered, !r.NoRetry:"},
		{"retries can be off", "agent/resolve/next.go", "case answered, !r.NoRetry && !now.Before(due):", "case answered, !now.Before(due):"},
		{"waits double", "agent/resolve/next.go", "5*time.Second<<max(0, min(n-1, 6))", "5*time.Second*time.Duration(max(1, n))"},
		{"update-status is the last of all", "agent/resolve/next.go", "if op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}\n\tif !r.UpdateStatus.IsZero() && !now.Before(r.UpdateStatus) {\n\t\treturn run(hooks.UpdateStatus)\n\t}", "if !r.UpdateStatus.IsZero() && !now.Before(r.UpdateStatus) {\n\t\treturn run(hooks.UpdateStatus)\n\t}\n\tif op := nextRelation(l, r); op != nil {\n\t\treturn op\n\t}"},
		{"a machine that was started again is told first", "agent/resolve/next.go", "case l.Phase == state.Started && r.Boot != \"\" && l.Boot != r.Boot:", "case false && l.Boot != r.Boot:"},
		{"only started units are told of a boot", "agent/resolve/next.go", "case l.Phase == state.Started && r.Boot != \"\" && l.Boot != r.Boot:", "case r.Boot != \"\" && l.Boot != r.Boot:"},
		{"peers come last", "agent/resolve/relations.go", "return append(first, peers...)", "return append(peers, first...)"},
		{"relations come by number", "agent/resolve/relations.go", "for _, id := range slices.Sorted(maps.Keys(all)) {", "for _, id := range slices.Backward(slices.Sorted(maps.Keys(all))) {\n\t\tid := state.RelationID(id)"},
		{"changed follows joined", "agent/resolve/relations.go", "if mine.Pending != \"\" {", "if mine.Pending != \"\" && !leaving {"},
		{"departed comes before the application's changed", "agent/resolve/relations.go", "if _, still := members[u]; !still {", "if _, still := members[u]; !still && (leaving || mine.Application == theirs.Application) {"},
		{"departed names the unit itself when it goes", "agent/resolve/relations.go", "h.Departing = r.Unit", "_ = r.Unit"},
		{"all depart before broken", "agent/resolve/relations.go", "members = nil // everyone departs", "_ = members"},
		{"peers are never broken", "agent/resolve/relations.go", "case leaving && (mine.Peer || !mine.Created):", "case leaving && !mine.Created:"},
		{"the implicit side hears nothing", "agent/resolve/relations.go", "case entered && !theirs.Implicit && !mine.Created:", "case entered && !mine.Created:"},
		{"the application's changed comes before joined", "agent/resolve/relations.go", "case mine.Application != theirs.Application:", "case mine.Application != theirs.Application && len(mine.Units) == len(members):"},
		{"units join in the order of their names", "agent/resolve/relations.go", "for _, u := range slices.Sorted(maps.Keys(members)) {\n\t\tif _, known", "for _, u := range slices.Backward(slices.Sorted(maps.Keys(members))) {\n\t\tif _, known"},
		{"relations that are going are not entered", "agent/resolve/relations.go", "if !ok || theirs.Life != state.Alive {\n\t\t\tcontinue", "if !ok {\n\t\t\tcontinue"},
		{"an endpoint that the charm does not have is not entered", "agent/resolve/relations.go", "(theirs.Implicit || slices.Contains(r.Endpoints, theirs.Endpoint))", "true"},
		{"storage is attached before install", "agent/resolve/next.go", "if op := nextFirstStorage(l, r, now); op != nil {\n\t\t\treturn op\n\t\t}\n\t\treturn run(hooks.Install)", "return run(hooks.Install)"},
		{"install waits for storage that is not there yet", "agent/resolve/storage.go", "if !leaves(r, id) && !held.Attached && slices.Contains(r.Stores, id.Name()) {\n\t\t\treturn Wait", "if false {\n\t\t\treturn Wait"},
		{"storage is there before anything runs", "agent/resolve/storage.go", "if held.Attached && wait == nil {", "if false {"},
		{"storage is put in its place again when the machine has lost it", "agent/resolve/storage.go", "leaves(r, id) || want.Mounted ||", "leaves(r, id) || want.Mounted || held.Attached ||"},
		{"what could not be mounted waits before it is tried again", "agent/resolve/storage.go", "if want.Ready && !now.Before(dueStorage(held, false)) {", "if want.Ready {"},
		{"what could not be mounted is tried again though nothing changes", "agent/resolve/next.go", "w.Until = sooner(w.Until, retryStorage(l, r, now))", ""},
		{"storage that is not the charm's is not its affair", "agent/resolve/storage.go", "if has && want.Mounted && !held.Attached && slices.Contains(r.Stores, id.Name()) {", "if has && want.Mounted && !held.Attached {"},
		{"attached comes when the storage is there", "agent/resolve/storage.go", "if has && want.Mounted && !held.Attached &&", "if has && !held.Attached &&"},
		{"attached comes once", "agent/resolve/storage.go", "held.Attached = h.Kind == hooks.StorageAttached && !leaves(r, h.Storage)", "held.Attached = false"},
		{"storage leaves after its detaching hook", "agent/resolve/storage.go", "case wanted && held.Attached:", "case false && wanted:"},
		{"detaching comes before stop", "agent/resolve/next.go", "if op := nextStorage(l, r, now); op != nil {\n\t\treturn op\n\t}\n\tif dying {\n\t\treturn nextLeaving(l, r, now)\n\t}", "if dying {\n\t\treturn nextLeaving(l, r, now)\n\t}\n\tif op := nextStorage(l, r, now); op != nil {\n\t\treturn op\n\t}"},
		{"storage of a unit that goes stays until remove", "agent/resolve/storage.go", "case has && r.Life == state.Alive && !now.Before(dueStorage(held, true)):", "case has && !now.Before(dueStorage(held, true)):"},
		{"storage leaves a unit that has gone", "agent/resolve/storage.go", "case !has:\n\t\tcase !now.Before(dueStorage(held, true)):\n\t\t\treturn Unmount{Storage: id}", "case !has, true:"},
		{"a failed attached hook of storage that goes is moot", "agent/resolve/next.go", "case hooks.StorageAttached:\n\t\treturn leaves(r, h.Storage)", "case hooks.StorageAttached:\n\t\treturn false"},
		{"a unit that goes waits for its storage no longer than its deadline", "agent/resolve/storage.go", "if late(r.End, now) {\n\t\treturn nil\n\t}", ""},
		{"a dying unit is told of no secret", "agent/resolve/next.go", "if op := nextSecret(r, now); op != nil {\n\t\t\treturn op\n\t\t}\n\t}", "}\n\tif op := nextSecret(r, now); op != nil {\n\t\treturn op\n\t}"},
		{"secrets wait for install", "agent/resolve/next.go", "case l.Phase == state.New, l.Phase == state.Unpacked && l.CharmRev != r.CharmRev:", "case l.Phase != state.New && len(r.Own) > 0 && nextSecret(r, now) != nil:\n\t\treturn nextSecret(r, now)\n\tcase l.Phase == state.New, l.Phase == state.Unpacked && l.CharmRev != r.CharmRev:"},
		{"a secret is rotated when that is due", "agent/resolve/secrets.go", "due := r.Own[id].NextRotate; !due.IsZero() && !now.Before(due)", "due := r.Own[id].NextRotate; !due.IsZero()"},
		{"a secret has expired when its time is over", "agent/resolve/secrets.go", "due := rev.ExpiredDue(); !due.IsZero() && !now.Before(due)", "due := rev.ExpiredDue(); !due.IsZero()"},
		{"what is to be rotated comes before what is unused", "agent/resolve/secrets.go", "for _, id := range own {\n\t\tif due := r.Own[id].NextRotate", "for _, id := range own {\n\t\tif unused := r.Own[id].UnusedIn(r.Own[id].Obsolete); len(unused) > 0 {\n\t\t\treturn secretHook(hooks.SecretRemove, id, r.Own[id].Label, unused[0])\n\t\t}\n\t}\n\tfor _, id := range own {\n\t\tif due := r.Own[id].NextRotate"},
		{"what is new of a secret is told once", "agent/resolve/secrets.go", "s.Revision < s.Latest && s.Heard != s.Latest", "s.Revision < s.Latest"},
		{"a failed secret-changed of what has been read meanwhile is moot", "agent/resolve/secrets.go", "return s.Latest == 0 || s.Revision >= s.Latest", "return s.Revision > s.Latest"},
		{"a revision that no one uses is told once", "agent/resolve/secrets.go", "return s.ToldUnused(h.SecretRevision)", "return s"},
		{"the unit wakes when a secret is due", "agent/resolve/next.go", "return Wait{sooner(r.UpdateStatus, secretDue(r)), Idle}", "return Wait{r.UpdateStatus, Idle}"},
		{"tasks run in their order", "agent/resolve/next.go", "if len(r.Tasks) > 0 {\n\t\treturn RunTask{r.Tasks[0]}\n\t}\n\tif op := nextStorage", "if len(r.Tasks) > 0 {\n\t\treturn RunTask{r.Tasks[len(r.Tasks)-1]}\n\t}\n\tif op := nextStorage"},
		{"tasks run while a hook is failed", "agent/resolve/next.go", "case len(r.Tasks) > 0:\n\t\treturn RunTask{r.Tasks[0]}\n\t}\n\tw := Wait", "}\n\tw := Wait"},
		{"tasks wait for install", "agent/resolve/next.go", "case l.Phase == state.Unpacked:\n\t\tif op := nextFirst", "case l.Phase == state.Unpacked && len(r.Tasks) > 0:\n\t\treturn RunTask{r.Tasks[0]}\n\tcase l.Phase == state.Unpacked:\n\t\tif op := nextFirst"},
		{"commands run in their order", "agent/resolve/next.go", "return RunCommand{r.Commands[0]}", "return RunCommand{r.Commands[len(r.Commands)-1]}"},
		{"commands wait for the charm's files", "agent/resolve/next.go", "case len(r.Commands) > 0 && l.Phase != state.New:", "case len(r.Commands) > 0:"},
		{"commands do not wait for a failed hook", "agent/resolve/next.go", "case len(r.Commands) > 0 && l.Phase != state.New:", "case len(r.Commands) > 0 && l.Phase != state.New && l.Failed == nil:"},
		{"nothing runs until the machine has started again", "agent/resolve/next.go", "case rebooting(l, r):\n\t\treturn Reboot{}", "case false:"},
		{"what has asked for that once does not ask for ever", "agent/resolve/reboot.go", "return l.Reboot != \"\" && l.Reboot == r.Boot", "return l.Reboot != \"\""},
		{"a hook that was cut runs again", "agent/resolve/next.go", "case l.Again != nil:\n\t\treturn again(l, r)", "case false && l.Again != nil:"},
		{"and does so before start", "agent/resolve/next.go", "case l.Again != nil:\n\t\treturn again(l, r)", "case l.Again != nil && (l.Phase != state.Started || l.Boot == r.Boot):\n\t\treturn again(l, r)"},
		{"and only once", "agent/resolve/done.go", "l.Failed, l.Again, l.Answer = nil, nil, r.Answer.Rev", "l.Failed, l.Answer = nil, r.Answer.Rev"},
		{"a cut hook has not failed", "agent/resolve/reboot.go", "l.Failed, l.Answer = nil, r.Answer.Rev", "l.Answer = r.Answer.Rev"},
		{"a newer charm rescues a unit whose hook fails", "agent/resolve/next.go", "case l.CharmRev != r.CharmRev:\n\t\treturn Unpack{r.Charm, r.CharmRev}\n\tcase answered", "case answered"},
		{"the failure is over with it", "agent/resolve/done.go", "l.Failed, l.Answer = nil, r.Answer.Rev\n\treturn l\n}\n\n// ran is", "l.Answer = r.Answer.Rev\n\treturn l\n}\n\n// ran is"},
		{"a charm that is newer before install is just unpacked", "agent/resolve/done.go", "case l.Phase == state.New || l.Phase == state.Unpacked:\n\t\tl.Phase = state.Unpacked", "case l.Phase == state.New:\n\t\tl.Phase = state.Unpacked"},
		{"broken comes once", "agent/resolve/done.go", "case hooks.RelationBroken:\n\t\tl = without(l, h.Relation)", "case hooks.RelationBroken:"},
	}
}

// Each of the faults is lived with, and the scenarios must then fail.
func TestBrokenRulesAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the package's tests once a fault")
	}
	program := breaktest.Build(t, "../..", faults())
	fail := func(t *testing.T, rule string) bool {
		cmd := exec.Command(program, "-test.run", "^(TestScenarios|TestFirstDeploy)$")
		cmd.Env = breaktest.Env(rule)
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "--- FAIL") {
			t.Fatalf("it was to fail in order: %v\n%s", err, out)
		}
		return err != nil
	}
	if fail(t, "") {
		t.Fatal("they fail when nothing is broken")
	}
	for _, f := range faults() {
		t.Run(strings.ReplaceAll(f.Rule, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if !fail(t, f.Rule) {
				t.Error("nothing notices that it is broken")
			}
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
