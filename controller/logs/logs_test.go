package logs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

const model = state.ModelID("m")

func line(entity, level, module, message string) agentapi.LogLine {
	return agentapi.LogLine{Time: time.Unix(0, 0).UTC(), Entity: entity, Level: level, Module: module, Message: message}
}

func add(t *testing.T, s *Store, lines ...agentapi.LogLine) {
	t.Helper()
	if err := s.Append(model, lines); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *Store, f userapi.LogFilter) []string {
	t.Helper()
	var out []string
	err := s.Read(context.Background(), model, f, func(l agentapi.LogLine) error {
		out = append(out, l.Message)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFilters(t *testing.T) {
	s := Open(Config{Dir: t.TempDir()})
	defer s.Close()
	add(t, s,
		line("unit-web-0", "INFO", "unit.web/0.juju-log", "a"),
		line("unit-web-1", "DEBUG", "unit.web/1.uniter.operation", "b"),
		line("unit-my-db-0", "ERROR", "unit.my-db/0.juju-log", "c"),
		line("machine-4", "WARNING", "juju.worker", "d"))
	for _, c := range []struct {
		f    userapi.LogFilter
		want string
	}{
		{userapi.LogFilter{}, "a b c d"},
		{userapi.LogFilter{Include: []string{"web/0"}}, "a"},
		{userapi.LogFilter{Include: []string{"web"}}, "a b"},
		{userapi.LogFilter{Include: []string{"unit-web-*"}}, "a b"},
		{userapi.LogFilter{Include: []string{"4", "my-db/0"}}, "c d"},
		{userapi.LogFilter{Exclude: []string{"machine-4", "my-db"}}, "a b"},
		{userapi.LogFilter{Level: "WARNING"}, "c d"},
		{userapi.LogFilter{IncludeModule: []string{"unit.web/1"}}, "b"},
		{userapi.LogFilter{IncludeModule: []string{"unit.web"}}, ""},
		{userapi.LogFilter{ExcludeModule: []string{"juju.worker", "unit.my-db/0.juju-log"}}, "a b"},
		{userapi.LogFilter{Last: 2}, "c d"},
		{userapi.LogFilter{Last: -1}, ""},
		{userapi.LogFilter{Limit: 3}, "a b c"},
		{userapi.LogFilter{Include: []string{"web"}, Last: 1}, "b"},
	} {
		if got := strings.Join(read(t, s, c.f), " "); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.f, got, c.want)
		}
	}
	if Check(userapi.LogFilter{Level: "LOUD"}) == nil || Check(userapi.LogFilter{Include: []string{"["}}) == nil {
		t.Error("a filter that means nothing is taken")
	}
}

func TestTheLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := Open(Config{Dir: dir, FileSize: 1000, Files: 3})
	defer s.Close()
	var all []string
	for i := range 200 {
		all = append(all, fmt.Sprint(i))
		add(t, s, line("unit-web-0", "INFO", "m", fmt.Sprint(i)))
	}
	files, err := filepath.Glob(dir + "/m/*.log")
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	if size := bytes(t, dir); size > 3000 {
		t.Fatalf("%d bytes are kept", size)
	}
	got := read(t, s, userapi.LogFilter{})
	if len(got) == 0 || !slices.Equal(got, all[len(all)-len(got):]) {
		t.Fatalf("kept %v, which is not the end of the log", got)
	}
	if got := read(t, s, userapi.LogFilter{Last: 12}); !slices.Equal(got, all[188:]) { // more than one file has
		t.Fatalf("the last 12 are %v", got)
	}
}

// TestTheBoundMoves: a lower bound holds as soon as the next line comes, a higher one lets the log grow again. What is kept is always the end.
func TestTheBoundMoves(t *testing.T) {
	dir := t.TempDir()
	s := Open(Config{Dir: dir, FileSize: 1000, Files: 4})
	defer s.Close()
	n := 0
	write := func(lines int, about string, least, most int64) {
		t.Helper()
		for range lines {
			n++
			add(t, s, line("unit-web-0", "INFO", "m", fmt.Sprint(n)))
		}
		if size := bytes(t, dir); size < least || size > most {
			t.Errorf("%s: %d bytes are kept, want %d to %d", about, size, least, most)
		}
		kept := read(t, s, userapi.LogFilter{})
		for i, got := range kept {
			if want := fmt.Sprint(n - len(kept) + i + 1); got != want {
				t.Fatalf("%s: line %d is %q, want %q", about, i, got, want)
			}
		}
	}
	write(100, "at first", 3000, 4000)
	s.Limit(1200)
	write(1, "after the next line", 1, 1200)
	write(100, "with a lower bound", 600, 1200)
	s.Limit(4000)
	write(100, "with the first bound again", 3000, 4000)
}

// bytes is how many bytes the files of the log have.
func bytes(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := filepath.Glob(dir + "/m/*.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

func TestALineCutOffByACrashHarmsNoOther(t *testing.T) {
	dir := t.TempDir()
	s := Open(Config{Dir: dir})
	add(t, s, line("unit-web-0", "INFO", "m", "before"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(dir+"/m/1.log", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"entity":"unit-we`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	s = Open(Config{Dir: dir})
	defer s.Close()
	add(t, s, line("unit-web-0", "INFO", "m", "after"))
	if got := read(t, s, userapi.LogFilter{}); !slices.Equal(got, []string{"before", "after"}) {
		t.Fatalf("got %v", got)
	}
}

func TestFollow(t *testing.T) {
	s := Open(Config{Dir: t.TempDir(), FileSize: 300, Files: 100}) // a file every few lines
	defer s.Close()
	add(t, s, line("unit-web-0", "INFO", "m", "old"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var got []string
	want := []string{"old"}
	err := s.Read(ctx, model, userapi.LogFilter{Follow: true, Limit: 21}, func(l agentapi.LogLine) error {
		got = append(got, l.Message)
		next := fmt.Sprint(len(got))
		want = append(want, next)
		return s.Append(model, []agentapi.LogLine{line("unit-web-0", "INFO", "m", next)}) // each line brings the next one
	})
	if err != nil || !slices.Equal(got, want[:21]) {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestAModelIsNoPath(t *testing.T) {
	s := Open(Config{Dir: t.TempDir()})
	defer s.Close()
	for _, m := range []state.ModelID{"", "..", "../x", "a/b"} {
		if s.Append(m, []agentapi.LogLine{{}}) == nil || s.Remove(m) == nil {
			t.Errorf("%q is taken for a model", m)
		}
	}
}
