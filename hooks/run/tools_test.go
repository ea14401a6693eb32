package run_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/hooks/serve"
	"github.com/grigri/grigri/hooks/wire"
)

// tools runs a script that uses tools and returns its standard output and error, and its exit status.
func (p *place) tools(t testing.TB, text string) string {
	t.Helper()
	h := hooks.Hook{Kind: hooks.Action, Action: "try", Endpoint: "db", Relation: 7, RemoteApp: "mysql", RemoteUnit: "mysql/0"}
	p.file(t, "actions/try", 0o755, "#!/bin/bash\n"+text)
	res, _ := p.run(t, t.Context(), h)
	return fmt.Sprintf("%s%s[%d]", res.Stdout.Text, res.Stderr.Text, res.Code)
}

func TestTools(t *testing.T) {
	p := newPlace(t, t.TempDir())
	p.file(t, "pairs.yaml", 0o644, "a: file\n")
	for _, c := range []struct{ script, want string }{
		{"config-get name", "shop\n[0]"},
		{"config-get --nonsense", "ERROR option provided but not defined: --nonsense\n[2]"},
		{"relation-get --help | head -1", "Usage: relation-get [options] [<key>|-] [<unit>|<application>]\n[0]"},
		{"type relation-get goal-state >/dev/null && ! type function-get k8s-spec-set 2>/dev/null", "[0]"},
		// Standard input is left to whoever comes next, unless the tool is told to read it.
		{"echo next | { config-get name; cat; }", "shop\nnext\n[0]"},
		{"echo 'a: in' | relation-set --file -; relation-get a web/0", "in\n[0]"},
		{`python3 -c 'import json; print(json.dumps({"a": "\U0001F600", "b": None}))' | relation-set --file - && relation-get a web/0`, "😀\n[0]"},
		{"relation-set --file pairs.yaml; relation-get a web/0", "file\n[0]"},
		{"cd hooks 2>/dev/null || mkdir hooks && cd hooks; relation-set --file ../pairs.yaml; relation-get a web/0", "file\n[0]"},
		{"relation-set --file <(echo a: fifo); relation-get a web/0", "fifo\n[0]"},
		{"relation-set --file nowhere.yaml; relation-get a web/0", "ERROR open nowhere.yaml: no such file or directory\n[0]"},
		{"relation-set --file .", "ERROR read .: is a directory\n[1]"},
		{"config-get name -o out; cat out; rm out", "shop\n[0]"},
		{"config-get name -o nowhere/out", "ERROR open nowhere/out: no such file or directory\n[1]"},
		{"config-get name -o >(cat)", "shop\n[0]"},
		{"unset JUJU_CONTEXT_ID; config-get", "ERROR JUJU_CONTEXT_ID not set\n[1]"},
		{"JUJU_CONTEXT_ID= config-get", "ERROR JUJU_CONTEXT_ID not set\n[1]"},
		{"unset JUJU_AGENT_SOCKET_ADDRESS; config-get", "ERROR JUJU_AGENT_SOCKET_ADDRESS not set\n[1]"},
		{"JUJU_AGENT_SOCKET_NETWORK=tcp config-get", "ERROR JUJU_AGENT_SOCKET_NETWORK is tcp: only unix is known\n[1]"},
		{"JUJU_AGENT_SOCKET_ADDRESS=/nowhere config-get", "ERROR cannot reach the unit's agent at /nowhere: no such file or directory\n[1]"},
		{"JUJU_CONTEXT_ID=web/0-x config-get", "ERROR bad request: wrong context ID; got \"web/0-x\"\n[1]"},
		{"cp $(readlink -f $(which config-get)) nonsense; ./nonsense; e=$?; rm nonsense; exit $e", "ERROR bad request: unknown command: nonsense\n[1]"},
		{"for i in $(seq 20); do relation-set k$i=v & done; wait; relation-get --format json - web/0 | python3 -c 'import json,sys; print(len([k for k in json.load(sys.stdin) if k[0] == \"k\"]))'", "20\n[0]"},
		{"relation-set k=\"$(head -c 100000 /dev/zero | tr '\\0' x)\"; relation-get k web/0 | wc -c", "100001\n[0]"},
		{"config-get name >/dev/full", "ERROR no space left on device\n[1]"},
		{"config-get name >&-", "[0]"}, // the runtime of Go puts /dev/null there
		{"relation-set a=b; set -o pipefail; relation-get - web/0 --format json | head -1", "{\"a\":\"b\"}\n[0]"},
		{`python3 - <<'END'
import json, subprocess
out = subprocess.run(["config-get", "--format=json"], capture_output=True, check=True)
assert out.stderr == b"", out.stderr
assert json.loads(out.stdout) == {"name": "shop", "port": 80}, out.stdout
out = subprocess.run(["relation-get", "--format=json", "-r", "db:7", "-", "mysql/0"], capture_output=True, check=True)
assert json.loads(out.stdout) == {"host": "10.0.0.5"}, out.stdout
out = subprocess.run(["relation-list", "--format", "json"], capture_output=True, check=True)
assert out.stdout.count(b"\n") == 1 and json.loads(out.stdout) == ["mysql/0", "mysql/1"], out.stdout
END`, "[0]"},
	} {
		if got := p.tools(t, c.script); got != c.want {
			t.Errorf("%s\ngot  %.300q\nwant %.300q", c.script, got, c.want)
		}
	}
}

func TestLongPaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 60))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, dir)
	if got := p.tools(t, "config-get name"); got != "shop\n[0]" {
		t.Errorf("got %q", got)
	}
}

// What a hook leaves behind cannot go on as the hook, nor wait for ever.
func TestAfterTheEnd(t *testing.T) {
	p := newPlace(t, t.TempDir())
	res, _ := p.script(t, "cat > late <<< \"$JUJU_CONTEXT_ID\"")
	token, err := os.ReadFile(filepath.Join(p.config.CharmDir, "late"))
	if err != nil || res.Outcome != run.Done {
		t.Fatal(res, err)
	}
	want := fmt.Sprintf("ERROR bad request: wrong context ID; got %q\n", strings.TrimSpace(string(token)))
	if got, code := p.tool(t, strings.TrimSpace(string(token)), p.config.Socket); got != want || code != 1 {
		t.Errorf("got %q, %d", got, code)
	}
}

// tool calls config-get from outside of any hook.
func (p *place) tool(t *testing.T, token, socket string) (string, int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(p.config.ToolsDir, "config-get"))
	cmd.Env = []string{"JUJU_CONTEXT_ID=" + token, "JUJU_AGENT_SOCKET_ADDRESS=" + socket}
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// An agent that dies, or answers nonsense, fails the tool at once.
func TestBadAgents(t *testing.T) {
	p := newPlace(t, t.TempDir())
	for name, c := range map[string]struct {
		answer string
		want   string
	}{
		"hangs up":           {"", "ERROR the unit's agent has not answered: it has hung up\n"},
		"stops in the midst": {"\x00\x00\x00\x10abc", "ERROR the unit's agent has not finished its answer: it has hung up\n"},
		"nonsense":           {"\x00\x00\x00\x03abc", "ERROR malformed message between hook tool and agent\n"},
		"too long":           {"\xff\xff\xff\xff", "ERROR malformed message between hook tool and agent\n"},
	} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				var header [wire.Header]byte
				_, _ = io.ReadFull(conn, header[:])
				n, _ := wire.Length(header)
				_, _ = io.CopyN(io.Discard, conn, int64(n))
				_, err = io.WriteString(conn, c.answer)
				conn.Close()
			}
			done <- err
		}()
		if got, code := p.tool(t, "x", path); got != c.want || code != 1 {
			t.Errorf("%s: got %q, %d; want %q", name, got, code, c.want)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.Close()
		// The file is gone, or nobody listens.
		if got, code := p.tool(t, "x", path); !strings.HasPrefix(got, "ERROR cannot reach the unit's agent at "+path) || code != 1 {
			t.Errorf("after %s: got %q, %d", name, got, code)
		}
	}
}

// BenchmarkToolCall is a call of a tool, from fork to exit, in times of the same with /bin/true. It alternates
// the two, so that what else the machine does weighs on both.
func BenchmarkToolCall(b *testing.B) {
	p := newPlace(b, b.TempDir())
	session := p.server.Begin(serve.Config{Hook: hooks.Hook{Kind: hooks.Install}, Unit: "web/0", Reader: p.unit, Writer: p.unit})
	defer session.End()
	env := []string{"JUJU_CONTEXT_ID=" + session.Token(), "JUJU_AGENT_SOCKET_ADDRESS=" + p.config.Socket}
	call := func(path string, args ...string) time.Duration {
		start := time.Now()
		cmd := exec.Command(path, args...)
		cmd.Env = env
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	var tool, nothing time.Duration
	for b.Loop() {
		nothing += call("/bin/true")
		tool += call(filepath.Join(p.config.ToolsDir, "config-get"), "name")
	}
	b.ReportMetric(float64(tool)/float64(nothing), "times-true")
	b.ReportMetric(float64(tool.Microseconds())/float64(b.N), "µs/call")
}
