package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var out strings.Builder
	l := &tail{next: &out}
	var want strings.Builder
	for i := range 5000 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if out.String() != want.String() {
		t.Error("the tail did not hand on all")
	}
	got := l.String()
	if len(got) > tailSize || len(got) < tailSize-20 || !strings.HasSuffix(want.String(), "\n"+got+"\n") {
		t.Errorf("the tail is %d bytes: %q", len(got), got)
	}
	if _, err := l.Write([]byte("\n" + strings.Repeat("x", 3*tailSize) + "\nend\n")); err != nil {
		t.Fatal(err)
	}
	if got := l.String(); got != "end" || cap(l.last) > 2*tailSize {
		t.Errorf("after a long line the tail is %q, in %d bytes", got, cap(l.last))
	}
}

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := &LogFile{Path: path, Max: 100}
	for i := range 1000 {
		if _, err := fmt.Fprintf(l, "line %03d\n", i); err != nil {
			t.Fatal(err)
		}
		if i == 500 { // as after a restart of ours
			_ = l.Close()
		}
	}
	_ = l.Close()
	var all string
	for _, p := range []string{path + ".1", path} {
		data, err := os.ReadFile(p)
		if err != nil || len(data) > 100 {
			t.Errorf("%s has %d bytes, %v", p, len(data), err)
		}
		all += string(data)
	}
	if !strings.HasSuffix(all, "line 998\nline 999\n") || strings.Count(all, "\n") < 12 {
		t.Errorf("the log is %q", all)
	}
}

func TestLogFileFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	l := &LogFile{Path: filepath.Join(dir, "log"), Max: 100}
	out := &tail{next: l}
	if n, err := out.Write([]byte("lost\n")); n != 5 || err != nil {
		t.Errorf("the process would see an error: %d, %v", n, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write([]byte("kept\n")); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if data, err := os.ReadFile(l.Path); err != nil || string(data) != "kept\n" {
		t.Errorf("the log holds %q, %v", data, err)
	}
}
