package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/hookstest"
	"github.com/grigri/grigri/hooks/serve"
	"github.com/grigri/grigri/hooks/wire"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must calls a tool that is to succeed, and returns what it prints.
func (w *world) must(t testing.TB, line ...string) string {
	t.Helper()
	resp := w.do(t, line, "")
	if resp.Code != 0 || len(resp.Stderr) > 0 {
		t.Fatalf("%q: %d, %s", line, resp.Code, resp.Stderr)
	}
	return string(resp.Stdout)
}

// refused calls a tool that is to fail, and returns what it complains about.
func (w *world) refused(t testing.TB, code int, line ...string) string {
	t.Helper()
	resp := w.do(t, line, "")
	if resp.Code != code || len(resp.Stdout) > 0 || !strings.HasPrefix(string(resp.Stderr), "ERROR ") {
		t.Fatalf("%.200q: %d, %q, %q; want exit status %d", line, resp.Code, resp.Stdout, resp.Stderr, code)
	}
	return string(resp.Stderr)
}

func TestEffects(t *testing.T) {
	w := newWorld(t)
	if e := w.session.End(); !e.Empty() {
		t.Errorf("a hook that asked for nothing changes %+v", e)
	}
	w.unit.Leads = true
	w.begin(hooks.Hook{Kind: hooks.Action, Action: "backup"})
	w.must(t, "relation-set", "-r", "7", "a=1", "gone=")
	w.must(t, "relation-set", "-r", "7", "b=2")
	w.must(t, "relation-set", "-r", "10", "--app", "c=3", "gone=")
	w.must(t, "relation-set", "-r", "10", "--app", "d=4")
	w.must(t, "open-port", "80")
	w.must(t, "close-port", "80/tcp")
	w.must(t, "state-set", "k=v")
	w.must(t, "state-delete", "seen")
	w.must(t, "action-set", "r.a=1")
	w.must(t, "action-set", "r.b=2", "s=x")
	w.must(t, "action-fail", "no space")
	got, v := w.session.End(), "v"
	port := state.OpenPort{PortRange: provider.PortRange{Protocol: "tcp", From: 80, To: 80}}
	want := hooks.Effects{
		Settings:    map[state.RelationID]relation.Settings{7: {"a": "1", "b": "2", "gone": ""}},
		Application: map[state.RelationID]relation.Settings{10: {"c": "3", "d": "4", "gone": ""}},
		Ports:       []hooks.PortChange{{Port: port}, {Port: port, Close: true}},
		State:       map[string]*string{"k": &v, "seen": nil},
		Action: &hooks.ActionOutcome{Failed: true, Message: "no space",
			Results: map[string]any{"r": map[string]any{"a": "1", "b": "2"}, "s": "x"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if again := w.session.End(); !reflect.DeepEqual(again, want) {
		t.Errorf("the second End gives %+v", again)
	}
}

func TestImmediate(t *testing.T) {
	w := newWorld(t)
	w.must(t, "application-version-set", "8.0.1")
	w.must(t, "status-set", "blocked", "no db")
	w.must(t, "juju-log", "-l", "error", "one", "two")
	w.must(t, "juju-log", "-l", "loud", "three")
	w.must(t, "juju-log", "--debug", "and", "a", "half")
	w.begin(hooks.Hook{Kind: hooks.RelationChanged, Endpoint: "db", Relation: 7, RemoteApp: "mysql"})
	w.must(t, "juju-log", "four")
	w.begin(hooks.Hook{Kind: hooks.Action, Action: "backup"})
	w.must(t, "action-log", "half", "way")
	if w.unit.Version != "8.0.1" || w.unit.Workload.Status != "blocked" || w.unit.Workload.Message != "no db" {
		t.Errorf("version %q, status %+v", w.unit.Version, w.unit.Workload)
	}
	logs := []hookstest.Line{
		{Level: "ERROR", Message: "one two"},
		{Level: "WARNING", Message: `Specified log level of "loud" is not valid`},
		{Level: "INFO", Message: "three"},
		{Level: "DEBUG", Message: "and a half"},
		{Level: "INFO", Message: "db:7: four"},
	}
	if !slices.Equal(w.unit.Logs, logs) || !slices.Equal(w.unit.Actions, []string{"half way"}) {
		t.Errorf("logs %q, action %q", w.unit.Logs, w.unit.Actions)
	}
}

// The world does not change under a hook.
func TestAnswersHold(t *testing.T) {
	w := newWorld(t)
	before := []string{w.must(t, "config-get"), w.must(t, "relation-get", "-r7", "-", "mysql/0"), w.must(t, "relation-list", "-r7"), w.must(t, "leader-get")}
	w.unit.Look(func(u *hookstest.Unit) {
		u.Options["name"] = "other"
		u.UnitBags[7]["mysql/0"]["host"] = "other"
		u.Others[7] = nil
		u.ForLeader["password"] = "other"
	})
	after := []string{w.must(t, "config-get"), w.must(t, "relation-get", "-r7", "-", "mysql/0"), w.must(t, "relation-list", "-r7"), w.must(t, "leader-get")}
	if !slices.Equal(before, after) {
		t.Errorf("before %q\nafter  %q", before, after)
	}
	slices.Sort(w.unit.Asked)
	if once := slices.Compact(slices.Clone(w.unit.Asked)); !slices.Equal(once, w.unit.Asked) {
		t.Errorf("asked more than once: %q", w.unit.Asked)
	}
}

// Leadership is not kept for the whole hook, since it is promised for 30 s only; but who has lost it stays without.
func TestLeadershipEnds(t *testing.T) {
	w := newWorld(t)
	lead := func(leads bool) string {
		w.unit.Look(func(u *hookstest.Unit) { u.Leads = leads })
		return w.must(t, "is-leader")
	}
	if got := lead(true) + lead(false) + lead(true); got != "True\nFalse\nFalse\n" {
		t.Errorf("got %q", got)
	}
}

// Addresses are those of a relation only where the relation has a say.
func TestNetworkOfRelation(t *testing.T) {
	w := newWorld(t)
	w.must(t, "network-get", "db")
	w.must(t, "network-get", "db", "-r", "10")
	w.begin(hooks.Hook{Kind: hooks.RelationChanged, Endpoint: "db", Relation: 7, RemoteApp: "mysql"})
	w.must(t, "network-get", "db")
	w.must(t, "network-get", "website")
	asked := slices.DeleteFunc(w.unit.Asked, func(q string) bool { return !strings.HasPrefix(q, "network") })
	if want := []string{"network db -1", "network db 10", "network db 7", "network website -1"}; !slices.Equal(asked, want) {
		t.Errorf("got %q, want %q", asked, want)
	}
}

func TestReaderErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("read x: %w", hooks.ErrDenied), "ERROR permission denied\n"},
		{fmt.Errorf("read x: %w", state.ErrDenied), "ERROR permission denied\n"},
		{fmt.Errorf("read x: %w", hooks.ErrNotLeader), "ERROR this unit is not the leader\n"},
		{errors.New("read x: connection lost"), "ERROR read x: connection lost\n"},
	} {
		w := newWorld(t)
		w.unit.Err = c.err
		if got := w.refused(t, 1, "config-get"); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
		w.unit.Err = nil
		w.must(t, "config-get") // an error is no answer that holds
	}
	w := newWorld(t)
	w.unit.Err = hooks.ErrNoRelation
	if got := w.refused(t, 2, "relation-list", "-r", "7"); got != "ERROR invalid value \"7\" for option -r: relation not found\n" {
		t.Errorf("got %q", got)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	file := func(value string) string {
		name := filepath.Join(t.TempDir(), "pairs.yaml")
		if err := os.WriteFile(name, []byte("big: "+value), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	large := strings.Repeat("x", 64<<10)
	for i := range 6 {
		w.must(t, "relation-set", "-r7", fmt.Sprintf("k%d=%s", i, large))
	}
	if msg := w.refused(t, 1, "relation-set", "-r7", "k7="+large); !strings.Contains(msg, "the settings of web/0 in relation 7") || !strings.Contains(msg, "409600") {
		t.Errorf("got %q", msg)
	}
	if got := w.must(t, "relation-get", "-r7", "k5", "web/0"); got != large+"\n" {
		t.Errorf("what was set before is lost: %.20q", got)
	}
	if got := w.must(t, "relation-get", "-r7", "k7", "web/0"); got != "" {
		t.Errorf("what was refused is there: %.20q", got)
	}
	// What takes no room as text may take much as JSON.
	w.refused(t, 1, "relation-set", "-r10", "--file", file(strings.Repeat("<", 90<<10)))
	// All together are one transaction.
	w.must(t, "relation-set", "-r10", "--file", file(strings.Repeat("x", 300<<10)))
	if msg := w.refused(t, 1, "relation-set", "-r2", "--file", file(strings.Repeat("x", 200<<10))); !strings.Contains(msg, "this hook would write") {
		t.Errorf("got %q", msg)
	}
	w.must(t, "relation-set", "-r10", "big=")
	w.must(t, "relation-set", "-r2", "--file", file(strings.Repeat("x", 200<<10)))
	w.refused(t, 1, "relation-set", "-r7", "bin=\xff")
	if e := w.session.End(); (&state.Txn{Ops: []state.Op{{Data: state.Encode(e)}}}).Size() > state.MaxTxn {
		t.Error("the effects do not fit into a transaction")
	}

	w.begin(hooks.Hook{Kind: hooks.Start})
	w.must(t, "state-set", strings.Repeat("k", 256)+"=v", "v="+large)
	if msg := w.refused(t, 1, "state-set", strings.Repeat("k", 257)+"=v"); !strings.Contains(msg, "257 bytes") {
		t.Errorf("got %q", msg)
	}
	if msg := w.refused(t, 1, "state-set", "ok=1", "v=x"+large); !strings.Contains(msg, `the value of "v" has 65537 bytes`) {
		t.Errorf("got %q", msg)
	}
	if got := w.must(t, "state-get", "ok"); got != "" {
		t.Errorf("half of what was refused is there: %q", got)
	}
	w.must(t, "state-set", "a="+large, "b="+large, "c="+large, "d="+large)
	w.must(t, "state-set", "e="+large)
	w.refused(t, 1, "state-set", "f="+large)
	w.begin(hooks.Hook{Kind: hooks.Action, Action: "backup"})
	w.must(t, "action-set", "a="+strings.Repeat("x", 60<<10))
	w.refused(t, 1, "action-set", "b="+strings.Repeat("x", 10<<10))
	w.unit.Leads = true
	w.refused(t, 1, "leader-set", "--", "k="+strings.Repeat("x", 410<<10))
}

func TestHelp(t *testing.T) {
	w := newWorld(t)
	for _, name := range serve.Names() {
		for _, option := range []string{"--help", "-h"} {
			text := w.must(t, name, "some", option)
			if !strings.HasPrefix(text, "Usage: "+name) || !strings.Contains(text, "\nSummary:\n") {
				t.Errorf("%s %s: %s", name, option, text)
			}
		}
	}
	if text := w.must(t, "relation-set", "--help"); !strings.Contains(text, "--file") {
		t.Errorf("charmhelpers looks for --file in\n%s", text)
	}
	w.begin(hooks.Hook{Kind: hooks.RelationChanged, Endpoint: "db", Relation: 7})
	want := `Usage: relation-list [options]

Summary:
Print the remote units of a relation.

Options:
--app  (= false)
    Print the remote application instead
--format  (= smart)
    Print as smart, yaml, json
-o, --output  (= "")
    Write to a file instead of standard output
-r, --relation  (= db:7)
    The relation, by its id
`
	if text := w.must(t, "relation-list", "--help"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestOutputFile(t *testing.T) {
	w := newWorld(t)
	resp := w.do(t, []string{"config-get", "name", "-o", "dir/file"}, "")
	if resp.Output != "dir/file" || string(resp.Stdout) != "shop\n" {
		t.Errorf("%+v", resp)
	}
	if resp := w.do(t, []string{"config-get", "--nonsense", "-o", "f"}, ""); resp.Output != "" {
		t.Errorf("a failure goes to a file: %+v", resp)
	}
}

// One at a time, and none after the end.
func TestTurns(t *testing.T) {
	w := newWorld(t)
	busy := 0
	slow := slowReader{w.unit, func() {
		if busy++; busy > 1 {
			t.Error("two tools at once")
		}
		runtime.Gosched()
		busy--
	}}
	w.session = w.server.Begin(serve.Config{Hook: hooks.Hook{Kind: hooks.Start}, Unit: "web/0", Charm: webCharm(), Reader: slow, Writer: w.unit})
	var g errgroup.Group
	for i := range 40 {
		g.Go(func() error {
			for _, line := range [][]string{{"relation-set", "-r7", fmt.Sprintf("k%d=v", i)}, {"is-leader"}} {
				if resp := w.do(t, line, ""); resp.Code != 0 {
					return fmt.Errorf("%q: %s", line, resp.Stderr)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if n := len(w.session.End().Settings[7]); n != 40 {
		t.Errorf("%d of 40 settings are left", n)
	}
}

type slowReader struct {
	*hookstest.Unit
	during func()
}

func (s slowReader) Leader(ctx context.Context) (bool, error) { s.during(); return s.Unit.Leader(ctx) }

// The end of a hook waits for no tool: whoever is being answered is cut off, whoever waits is turned away.
func TestEndCutsOff(t *testing.T) {
	w := newWorld(t)
	started := make(chan struct{})
	w.session = w.server.Begin(serve.Config{Hook: hooks.Hook{Kind: hooks.Start}, Unit: "web/0", Reader: stuckReader{w.unit, started}, Writer: w.unit})
	var g errgroup.Group
	answers := make(chan string, 2)
	g.Go(func() error { answers <- string(w.do(t, []string{"config-get"}, "").Stderr); return nil })
	<-started
	g.Go(func() error { answers <- string(w.do(t, []string{"is-leader"}, "").Stderr); return nil })
	w.session.End()
	_ = g.Wait()
	wrong := fmt.Sprintf("ERROR bad request: wrong context ID; got %q\n", w.session.Token())
	got := []string{<-answers, <-answers}
	slices.Sort(got)
	if want := []string{wrong, "ERROR context canceled\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := w.refused(t, 1, "is-leader"); got != wrong {
		t.Errorf("after the end: %q", got)
	}
}

type stuckReader struct {
	*hookstest.Unit
	started chan struct{}
}

func (s stuckReader) Config(ctx context.Context) (map[string]any, error) {
	close(s.started)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	first := w.session.Token()
	w.session.End()
	w.begin(hooks.Hook{Kind: hooks.RelationJoined, Endpoint: "db"})
	second := w.session.Token()
	name, secret := second[:len(second)-32], second[len(second)-32:]
	if name != "web/0-db-relation-joined-" || strings.HasSuffix(first, secret) || strings.Trim(secret, "0123456789abcdef") != "" {
		t.Errorf("tokens %q and %q", first, second)
	}
	resp := w.server.Do(context.Background(), wire.Request{Token: name, Tool: "is-leader"})
	if resp.Code != 1 || string(resp.Stderr) != "ERROR bad request: wrong context ID; got \"web/0-db-relation-joined-\"\n" {
		t.Errorf("a guessed token: %+v", resp)
	}
}

// A socket of a process that is gone is replaced, a long path is no obstacle, and nothing is left in the end.
func TestSocket(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "agent.socket")
		if _, err := serve.Listen(path); err != nil {
			t.Fatal(err)
		}
		server, err := serve.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var g errgroup.Group
		g.Go(func() error { return server.Run(ctx) })
		t.Chdir(dir)
		// Nonsense, lies and silence get no answer and do no harm.
		for _, nonsense := range []string{"", "\xff\xff\xff\xff", "\x00\x00\x00\x08abcdefgh", "\x00\x00\x10\x00abc"} {
			conn, err := net.Dial("unix", "agent.socket")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, nonsense); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(conn); len(answer) > 0 || err != nil {
				t.Errorf("%q is answered with %q, %v", nonsense, answer, err)
			}
			conn.Close()
		}
		silent, err := net.Dial("unix", "agent.socket")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		silent.Close()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	}
}

func TestNotASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.socket")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := serve.Listen(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// No command line makes a tool panic, and exit status and standard error always agree.
func FuzzCommandLine(f *testing.F) {
	for _, line := range []string{"relation-get\x00-r7\x00--app=t\x00-", "config-get\x00-ao", "network-get\x00--format=yaml\x00db",
		"relation-set\x00--file\x00-\x00a=b", "action-set\x00a.b=c\x00a=d", "open-port\x001-2", "x", "state-get\x00--\x00--"} {
		f.Add(line, "a: 1\n")
	}
	w := newWorld(f)
	w.begin(hooks.Hook{Kind: hooks.Action, Endpoint: "db", Relation: 7, RemoteApp: "mysql", RemoteUnit: "mysql/0"})
	f.Fuzz(func(t *testing.T, line, stdin string) {
		words := strings.Split(line, "\x00")
		for _, word := range words {
			if strings.Contains(word, "file") && word != "--file" { // do() reads files
				return
			}
		}
		if i := slices.Index(words, "--file"); i >= 0 && (i+1 == len(words) || words[i+1] != "-") {
			return
		}
		resp := w.do(t, words, stdin)
		if resp.Code < 0 || resp.Code > 2 || resp.Code != 0 != strings.HasPrefix(string(resp.Stderr), "ERROR ") {
			t.Errorf("%q: %d, %q, %q", words, resp.Code, resp.Stdout, resp.Stderr)
		}
	})
}
