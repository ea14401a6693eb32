package programs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/initscript"
)

// archive is an agent's archive whose agent is this script.
func archive(t *testing.T, script string) (hash string, data []byte) {
	t.Helper()
	data, err := initscript.Archive(map[string][]byte{initscript.Agent: []byte("#!/bin/sh\n" + script), initscript.HookTool: []byte("#!/bin/sh\n")})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), data
}

func source(data []byte) func(context.Context, string) (io.ReadCloser, error) {
	return func(context.Context, string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// machine is one with the programs in place, as the init script leaves it.
func machine(t *testing.T) (p Dir, first string) {
	t.Helper()
	data := t.TempDir()
	p = Agent(data, "machine-4", data)
	first, content := archive(t, "exit 0 # first")
	if err := p.Fetch(t.Context(), first, source(content)); err != nil {
		t.Fatal(err)
	}
	if err := p.point(first); err != nil {
		t.Fatal(err)
	}
	return p, first
}

func names(t *testing.T, p Dir) string {
	t.Helper()
	entries, err := os.ReadDir(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func refused(p Dir) string {
	hash, _ := p.Refused()
	return hash
}

func TestReplaced(t *testing.T) {
	p, first := machine(t)
	second, data := archive(t, "exit 0 # second")
	for range 2 { // the second time it is there
		if err := p.Fetch(t.Context(), second, source(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Replace(second); err != nil {
		t.Fatal(err)
	}
	if err := p.Starting(); err != nil || p.Current() != second {
		t.Fatalf("%s starts: %v", p.Current(), err)
	}
	for _, name := range initscript.Aliases() {
		if _, err := os.Stat(filepath.Join(p.Path, "machine-4", name)); err != nil {
			t.Error(err)
		}
	}
	if err := p.Settled(); err != nil || strings.Contains(names(t, p), first) || refused(p) != "" {
		t.Errorf("there are %s, %v", names(t, p), err)
	}
	for range 2 * tries { // what has come up once may be started as often as it likes
		if err := p.Starting(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPutBack(t *testing.T) {
	p, first := machine(t)
	bad, data := archive(t, "exit 0 # does not come up")
	if err := p.Fetch(t.Context(), bad, source(data)); err != nil {
		t.Fatal(err)
	}
	if err := p.Replace(bad); err != nil {
		t.Fatal(err)
	}
	for range tries {
		if err := p.Starting(); err != nil || p.Current() != bad {
			t.Fatalf("%s starts: %v", p.Current(), err)
		}
	}
	if err := p.Starting(); !errors.Is(err, ErrReplaced) || p.Current() != first || refused(p) != bad {
		t.Errorf("%s is in place, %s refused, %v", p.Current(), refused(p), err)
	}
	if err := p.Starting(); err != nil {
		t.Error(err)
	}
	if err := p.Settled(); err != nil || refused(p) != bad {
		t.Errorf("refused is %q, %v", refused(p), err)
	}
	good, data := archive(t, "exit 0 # good")
	if err := p.Fetch(t.Context(), good, source(data)); err != nil {
		t.Fatal(err)
	}
	if err := p.Replace(good); err != nil || p.Starting() != nil || p.Current() != good {
		t.Errorf("%s is in place, %v", p.Current(), err)
	}
}

// What is not what it should be never comes into place, and nothing of it stays.
func TestFetchRefuses(t *testing.T) {
	p, first := machine(t)
	broken, data := archive(t, "echo no; exit 3")
	other, _ := archive(t, "exit 0 # other")
	before := names(t, p)
	for want, fetch := range map[string]func() error{
		"does not run on this machine: exit status 3: no": func() error { return p.Fetch(t.Context(), broken, source(data)) },
		"what came has the hash":                          func() error { return p.Fetch(t.Context(), other, source(data)) },
		"gzip":                                            func() error { return p.Fetch(t.Context(), other, source([]byte("no archive"))) },
		"unexpected EOF":                                  func() error { return p.Fetch(t.Context(), broken, source(data[:len(data)/2])) },
		"is not the SHA-256":                              func() error { return p.Fetch(t.Context(), "../x", source(data)) },
	} {
		if err := fetch(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := p.Replace(other); err == nil {
		t.Error("what was never fetched is in place")
	}
	if now := names(t, p); now != before || p.Current() != first {
		t.Errorf("there are %s, %s is in place", now, p.Current())
	}
}

// A controller's first programs are those that it was made with, wherever they are; they are kept when others are to be in place.
func TestTheFirstAreElsewhere(t *testing.T) {
	p := Controller(t.TempDir())
	p.Main = initscript.Agent
	if err := p.Starting(); err != nil || p.Current() != "" {
		t.Fatalf("%q is in place, %v", p.Current(), err)
	}
	bad, data := archive(t, "exit 0 # bad")
	if err := p.Fetch(t.Context(), bad, source(data)); err != nil {
		t.Fatal(err)
	}
	if err := p.Replace(bad); err == nil || p.Current() != "" {
		t.Fatalf("%q is in place, and nothing to go back to", p.Current())
	}
	first, data := archive(t, "exit 0 # first")
	if err := p.Adopt(first, func(string) error { return errors.New("full") }); err == nil || p.Current() != "" || names(t, p) != bad {
		t.Fatalf("there are %s: %v", names(t, p), err)
	}
	for range 2 {
		if err := p.Adopt(first, func(dir string) error { return Unpack(dir, bytes.NewReader(data)) }); err != nil || p.Current() != first {
			t.Fatalf("%q is in place, %v", p.Current(), err)
		}
	}
	if err := p.Replace(bad); err != nil || p.Current() != bad {
		t.Fatalf("%q is in place, %v", p.Current(), err)
	}
	if err := p.GiveUp("it does not answer"); !errors.Is(err, ErrReplaced) || p.Current() != first {
		t.Errorf("%q is in place, %v", p.Current(), err)
	}
	if hash, why := p.Refused(); hash != bad || why != "it does not answer" {
		t.Errorf("refused: %q, %q", hash, why)
	}
	if err := p.Replace(bad); err != nil || p.Settled() != nil || p.Current() != bad || refused(p) != "" {
		t.Errorf("%q is in place, %v", p.Current(), err)
	}
	if err := p.GiveUp("too late"); err != nil || p.Current() != bad {
		t.Errorf("what has come up was taken back: %v", err)
	}
}

// What a fetch has left that was killed is removed by the next.
func TestLeftovers(t *testing.T) {
	p, _ := machine(t)
	left := filepath.Join(p.Path, unfinished+"1")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	next, data := archive(t, "exit 0 # next")
	if err := p.Fetch(t.Context(), next, source(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("it is still there")
	}
}
