package statuslog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
)

const model = state.ModelID("m")

func at(second int) time.Time {
	return time.Date(2026, 1, 15, 10, 0, second, 0, time.UTC)
}

// parse reads "workload active all is well @7": a status since the 7th second; "by machine-4" or "again 9" may follow.
func parse(t *testing.T, text string) (out agentapi.Status, by string) {
	t.Helper()
	what, when, ok := strings.Cut(text, " @")
	parts := strings.SplitN(what, " ", 3)
	if !ok || len(parts) < 2 {
		t.Fatalf("%q is no status", text)
	}
	out.Entity = "unit-web-0"
	out.Type, out.Status = state.StatusType(parts[0]), parts[1]
	if len(parts) == 3 {
		out.Message = parts[2]
	}
	var second, again int
	fmt.Sscanf(when, "%d", &second)
	out.Since = at(second)
	if _, rest, ok := strings.Cut(when, "again "); ok {
		fmt.Sscanf(rest, "%d", &again)
		out.Again = at(again)
	}
	_, by, _ = strings.Cut(when, "by ")
	return out, by
}

func printed(entries []Entry) (out []string) {
	for _, e := range entries {
		text := fmt.Sprintf("%s %s %s @%d", e.Type, e.Status, e.Message, int(e.Since.Sub(at(0)).Seconds()))
		out = append(out, strings.ReplaceAll(text, "  ", " "))
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func add(t *testing.T, s *Store, lines ...string) {
	t.Helper()
	for _, line := range lines {
		told, by := parse(t, line)
		if err := s.Add(model, by, told); err != nil {
			t.Fatal(err)
		}
	}
}

func kept(t *testing.T, s *Store) []string {
	t.Helper()
	entries, err := s.Read(model, "unit-web-0")
	if err != nil {
		t.Fatal(err)
	}
	return printed(entries)
}

// What is told again, in part or as a whole, by whoever and whenever, is there once.
func TestNothingIsKeptTwice(t *testing.T) {
	s := Open(Config{Dir: t.TempDir()})
	told := []string{"workload waiting for it @1", "juju-unit executing a @2", "juju-unit idle @3", "workload active @4", "juju-unit executing a @5", "juju-unit idle @6"}
	add(t, s, told...)
	same(t, "at first", kept(t, s), told)
	for from := range told {
		for to := from; to <= len(told); to++ {
			add(t, s, told[from:to]...)
		}
	}
	same(t, "told again", kept(t, s), told)
	add(t, s, "workload active @9", "juju-unit idle @9")
	same(t, "the same later", kept(t, s), told)
	s = Open(s.config)
	add(t, s, told...)
	same(t, "a store that has begun anew", kept(t, s), told)
}

// An agent that begins anew tells what it finds. It is news only when the agent before it has told of something since.
func TestWhatABegunAgentTells(t *testing.T) {
	s := Open(Config{Dir: t.TempDir()})
	add(t, s, "juju-unit idle @3", "juju-unit idle @3 again 4")
	same(t, "nothing since", kept(t, s), []string{"juju-unit idle @3"})
	add(t, s, "juju-unit executing a @5", "juju-unit idle @3 again 7")
	want := []string{"juju-unit idle @3", "juju-unit executing a @5", "juju-unit idle @7"}
	same(t, "a hook of which the end was not told", kept(t, s), want)
	add(t, s, "juju-unit executing b @8")
	add(t, s, "juju-unit idle @3 again 7")
	same(t, "the same message again", kept(t, s), append(want, "juju-unit executing b @8"))
	add(t, s, "juju-unit error c @9 again 10")
	same(t, "what nobody has told", kept(t, s), append(want, "juju-unit executing b @8", "juju-unit error c @9"))
}

func TestWhatChangesOftenPushesOutItsOwnOnly(t *testing.T) {
	dir := t.TempDir()
	s := Open(Config{Dir: dir, FileSize: 4 << 10})
	add(t, s, "workload blocked no file @1", "workload active @2")
	var all []string
	for i := range 500 {
		all = append(all, fmt.Sprintf("juju-unit executing %d @%d", i, 10+i))
	}
	add(t, s, all...)
	add(t, s, "workload maintenance @600")
	info, err := os.Stat(filepath.Join(dir, "m", "unit-web-0"+suffix))
	if err != nil || info.Size() > 4<<10 {
		t.Fatalf("%v, %v", info, err)
	}
	got := kept(t, s)
	same(t, "the workload", got[:2], []string{"workload blocked no file @1", "workload active @2"})
	agent := got[2 : len(got)-1]
	if len(agent) < 10 {
		t.Fatalf("%d are left of the agent", len(agent))
	}
	same(t, "the agent", agent, all[len(all)-len(agent):])

	var again []agentapi.Status // the answer to all of it was lost
	for _, line := range all {
		told, _ := parse(t, line)
		again = append(again, told)
	}
	if err := s.Add(model, "", again...); err != nil {
		t.Fatal(err)
	}
	newest := all[len(all)-10:]
	got = slices.DeleteFunc(kept(t, s), func(line string) bool { return !strings.HasPrefix(line, "juju-unit") })
	same(t, "told again", got[max(0, len(got)-10):], newest)
	entries, err := s.Read(model, "unit-web-1")
	if err != nil || len(entries) > 0 {
		t.Errorf("another unit has %v, %v", entries, err)
	}
}

func TestOneStatusIsBounded(t *testing.T) {
	s := Open(Config{Dir: t.TempDir()})
	told, _ := parse(t, "workload active @1")
	told.Message, told.Data = strings.Repeat("ü", 1<<20), map[string]string{"x": strings.Repeat("x", 1<<20)}
	for range 2 {
		told.Since = told.Since.Add(time.Second)
		if err := s.Add(model, "", told); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := s.Read(model, told.Entity)
	if err != nil || len(entries) != 1 || len(entries[0].Message) > maxMessage+3 || entries[0].Data != nil || !strings.HasSuffix(entries[0].Message, "ü...") {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
}

func TestALineCutOffByACrashHarmsNoOther(t *testing.T) {
	dir := t.TempDir()
	s := Open(Config{Dir: dir})
	add(t, s, "workload waiting @1", "workload active @2")
	path := filepath.Join(dir, "m", "unit-web-0"+suffix)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(data)/2; cut++ {
		if err := os.WriteFile(path, data[:len(data)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		add(t, s, "workload active @2")
		if got := kept(t, s); !slices.Equal(got, []string{"workload waiting @1", "workload active @2"}) {
			t.Fatalf("%d bytes cut off: %q", cut, got)
		}
	}
}

func TestNamesAreNoPaths(t *testing.T) {
	s := Open(Config{Dir: t.TempDir()})
	for _, name := range []string{"", "..", "../x", "a/b", strings.Repeat("x", 300)} {
		told, _ := parse(t, "workload active @1")
		told.Entity = name
		if s.Add(model, "", told) == nil {
			t.Errorf("%q is taken for an entity", name)
		}
		if _, err := s.Read(model, name); err == nil {
			t.Errorf("%q can be read", name)
		}
	}
	for _, m := range []state.ModelID{"", "..", "../x", "a/b"} {
		told, _ := parse(t, "workload active @1")
		if s.Add(m, "", told) == nil || s.Remove(m) == nil || s.Tidy(m, at(0), nil) == nil {
			t.Errorf("%q is taken for a model", m)
		}
	}
}

func TestWhatIsGoneIsForgottenInTime(t *testing.T) {
	dir := t.TempDir()
	s := Open(Config{Dir: dir, Gone: 1000, Age: time.Hour})
	now := at(0)
	for i, age := range []time.Duration{2 * time.Hour, 30 * time.Minute, 20 * time.Minute, 10 * time.Minute, 0, 3 * time.Hour} {
		told, _ := parse(t, "workload active @1")
		told.Entity, told.Message = fmt.Sprintf("unit-web-%d", i), strings.Repeat("x", 350)
		if err := s.Add(model, "", told); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, "m", told.Entity+suffix), now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Tidy(model, now, func(entity string) bool { return entity == "unit-web-5" }); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "m", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		names[i] = strings.TrimSuffix(filepath.Base(names[i]), suffix)
	}
	same(t, "kept", names, []string{"unit-web-3", "unit-web-4", "unit-web-5"}) // what is there, and of the rest as much as fits, the newest
	if err := s.Remove(model); err != nil {
		t.Fatal(err)
	}
	if models, err := s.Models(); err != nil || len(models) > 0 {
		t.Errorf("left: %v, %v", models, err)
	}
}
