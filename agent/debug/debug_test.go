package debug

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/socket"
)

// serve listens as a session does, and answers with f.
func serve(t *testing.T, dir string, f func(ctx context.Context, conn *net.UnixConn)) (stop func()) {
	t.Helper()
	if err := os.MkdirAll(home(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := socket.Listen(socketPath(dir), "a test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return l.Run(ctx, f) })
	return func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestAsk(t *testing.T) {
	install := Hook{Name: "install", Env: []string{"A=b"}}
	say := func(answers ...answer) func(context.Context, *net.UnixConn) {
		return func(_ context.Context, conn *net.UnixConn) {
			defer conn.Close()
			var h Hook
			if err := json.NewDecoder(conn).Decode(&h); err != nil || h.Name != "install" || h.Env[0] != "A=b" {
				t.Errorf("%+v, %v", h, err)
			}
			for _, a := range answers {
				if err := json.NewEncoder(conn).Encode(a); err != nil {
					t.Error(err)
				}
			}
		}
	}
	dir := t.TempDir()
	if _, taken, err := Ask(t.Context(), dir, install); taken || err != nil {
		t.Errorf("where nobody debugs: %v, %v", taken, err)
	}
	for name, c := range map[string]struct {
		answers []answer
		code    int
		taken   bool
		want    string
	}{
		"not wanted":             {answers: []answer{{}}},
		"nothing said":           {},
		"done":                   {answers: []answer{{Taken: true}, {}}, taken: true},
		"failed":                 {answers: []answer{{Taken: true}, {Code: 3}}, taken: true, code: 3},
		"its window was closed":  {answers: []answer{{Taken: true}, {Error: "closed"}}, taken: true, want: "closed"},
		"the session was killed": {answers: []answer{{Taken: true}}, taken: true, want: "the debug session ended"},
	} {
		stop := serve(t, dir, say(c.answers...))
		code, taken, err := Ask(t.Context(), dir, install)
		if stop(); code != c.code || taken != c.taken || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d, %v, %v", name, code, taken, err)
		}
	}
}

// When the hook is to end, its session hears of it: then it closes the window.
func TestAskIsCutShort(t *testing.T) {
	dir, heard := t.TempDir(), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	stop := serve(t, dir, func(_ context.Context, conn *net.UnixConn) {
		defer conn.Close()
		in := json.NewDecoder(conn)
		var h Hook
		_ = in.Decode(&h)
		_ = json.NewEncoder(conn).Encode(answer{Taken: true})
		cancel()
		heard <- in.Decode(&h)
	})
	defer stop()
	if code, _, err := Ask(ctx, dir, Hook{Name: "start"}); code != 0 {
		t.Errorf("%d, %v", code, err)
	}
	if err := <-heard; err == nil {
		t.Error("the agent has not hung up")
	}
}

func TestWants(t *testing.T) {
	has, lacks := Hook{Name: "start", Script: "/charm/hooks/start"}, Hook{Name: "stop"}
	for _, c := range []struct {
		names       string
		at          string
		start, stop bool
	}{
		{"", "", true, true},
		{"*", "", true, true},
		{"stop", "", false, true},
		{"start hello", "", true, false},
		{"", "all", true, false},
	} {
		s := &session{Config: Config{Names: strings.Fields(c.names), At: c.at}}
		if s.wants(has) != c.start || s.wants(lacks) != c.stop {
			t.Errorf("%+v: %v, %v", c, s.wants(has), s.wants(lacks))
		}
	}
}

func TestWithoutTmux(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, install := range []bool{false, true} { // there is no apt-get either
		err := Run(t.Context(), Config{Unit: "web/0", Dir: t.TempDir(), Install: install})
		if err == nil || !strings.Contains(err.Error(), `install it there, for example with "apt-get install tmux"`) {
			t.Error(err)
		}
	}
}

// A new machine has no lists of packages: they are fetched when apt-get does not find tmux.
func TestTmuxIsInstalled(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	const script = `#!/bin/sh
case "$*" in
*update) : >"${0%/*}/lists" ;;
*install*tmux) [ -e "${0%/*}/lists" ] || { echo "E: Unable to locate package tmux"; exit 100; }; : >"${0%/*}/tmux" ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (Config{Unit: "web/0", Install: true, Stderr: io.Discard}).needTmux(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "tmux")); err != nil {
		t.Error(err)
	}
}
