package initscript_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/provider"
)

// fakeAgent writes down how it is called. Its enrol works the second time.
const fakeAgent = `#!/bin/sh
echo "$*" | sed "s|$GRIGRI_DATA_DIR|DATA|g" >>"$GRIGRI_DATA_DIR/calls"
case $1 in
enrol)
	[ "$GRIGRI_TOKEN" = "it's a token" ] || exit 1
	[ -e "$GRIGRI_DATA_DIR/once" ] || { : >"$GRIGRI_DATA_DIR/once"; exit 1; }
	echo conf >"$GRIGRI_DATA_DIR/agents/machine-4/agent.conf" ;;
esac
`

type machine struct {
	*testing.T
	dir     string
	archive []byte
	init    provider.Init
	fetched atomic.Int32
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	archive, err := initscript.Archive(map[string][]byte{initscript.Agent: []byte(fakeAgent), initscript.HookTool: []byte("#!/bin/sh\n")})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(archive)
	m := &machine{T: t, dir: t.TempDir(), archive: archive}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/agent/binaries/"+m.init.AgentHash {
			http.NotFound(w, r)
			return
		}
		m.fetched.Add(1)
		w.Write(m.archive)
	}))
	t.Cleanup(srv.Close)
	srv.Config.ErrorLog = nil
	m.init = provider.Init{
		Addresses: []string{"127.0.0.1:1", strings.TrimPrefix(srv.URL, "https://")}, // the first controller is down
		CA:        string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})),
		Token:     "it's a token",
		AgentHash: hex.EncodeToString(sum[:]),
	}
	return m
}

// run runs the script with a search path of its own, and returns the agent's calls so far.
func (m *machine) run(ctx context.Context, env ...string) (string, error) {
	m.Helper()
	cmd := exec.CommandContext(ctx, "/bin/sh")
	cmd.Stdin = bytes.NewReader(initscript.Script("m-1", "4", m.init))
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GRIGRI_SUPERVISED=1", "GRIGRI_DATA_DIR=" + m.dir, "GRIGRI_LOG_DIR=" + m.dir + "/log"}, env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	m.Logf("%s", out)
	calls, _ := os.ReadFile(filepath.Join(m.dir, "calls"))
	return string(calls), err
}

func TestItInstallsEnrolsAndStarts(t *testing.T) {
	m := newMachine(t)
	calls, err := m.run(t.Context())
	enrol := "enrol --data-dir DATA --model m-1 --machine 4 --ca DATA/agents/machine-4/ca.pem --addresses " + strings.Join(m.init.Addresses, " ") + "\n"
	if want := enrol + enrol + "run --data-dir DATA\n"; err != nil || calls != want {
		t.Fatalf("%v, calls:\n%swant:\n%s", err, calls, want)
	}
	// Again: nothing is fetched, no token is used.
	calls, err = m.run(t.Context())
	if want := enrol + enrol + "run --data-dir DATA\nrun --data-dir DATA\n"; err != nil || calls != want {
		t.Errorf("%v, calls:\n%swant:\n%s", err, calls, want)
	}
	if n := m.fetched.Load(); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
	for _, name := range []string{"jujud", initscript.HookTool} {
		if fi, err := os.Stat(filepath.Join(m.dir, "tools/machine-4", name)); err != nil || fi.Mode()&0o100 == 0 {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
	}
	if fi, err := os.Stat(filepath.Join(m.dir, "agents/machine-4")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the directory of secrets: %v, %v", fi, err)
	}
}

// Where there is no systemd the agent is kept running by itself, out of reach of whoever ran the script.
func TestItStartsWithoutSystemd(t *testing.T) {
	m := newMachine(t)
	if _, err := m.run(t.Context(), "GRIGRI_SUPERVISED="); err != nil {
		t.Fatal(err)
	}
	want := "supervise --dir DATA/agents/machine-4 -- DATA/tools/machine-4/grigri-agent run --data-dir DATA\n"
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		calls, _ := os.ReadFile(filepath.Join(m.dir, "calls"))
		if strings.HasSuffix(string(calls), want) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("calls:\n%s", calls)
		}
	}
}

// With each of the programs that can fetch, and no other.
func TestItFetchesWithWhatThereIs(t *testing.T) {
	for _, tool := range []string{"curl", "wget", "python3"} {
		t.Run(tool, func(t *testing.T) {
			bin := t.TempDir()
			for _, name := range []string{tool, "sh", "tar", "gzip", "sha256sum", "mkdir", "rm", "mv", "ln", "cp", "cat", "sed", "chmod", "sleep"} {
				path, err := exec.LookPath(name)
				if name == "python3" { // it may be a wrapper that needs more
					var out []byte
					out, err = exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
					path = strings.TrimSpace(string(out))
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
					t.Fatal(err)
				}
			}
			m := newMachine(t)
			if calls, err := m.run(t.Context(), "PATH="+bin); err != nil || !strings.Contains(calls, "run ") || m.fetched.Load() != 1 {
				t.Errorf("%v, calls:\n%s", err, calls)
			}
		})
	}
}

func TestACopyAtHandIsUsed(t *testing.T) {
	m := newMachine(t)
	file := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(file, m.archive, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.run(t.Context(), "GRIGRI_AGENT_ARCHIVE="+file); err != nil || m.fetched.Load() != 0 {
		t.Errorf("%v, fetched %d times", err, m.fetched.Load())
	}
	m = newMachine(t)
	if err := os.WriteFile(file, m.archive[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.run(t.Context(), "GRIGRI_AGENT_ARCHIVE="+file); err != nil || m.fetched.Load() != 1 {
		t.Errorf("with a wrong copy: %v, fetched %d times", err, m.fetched.Load())
	}
}

func TestAWrongArchiveIsNotInstalled(t *testing.T) {
	m := newMachine(t)
	m.archive = append(m.archive[:len(m.archive):len(m.archive)], 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for m.fetched.Load() < 3 && ctx.Err() == nil { // it has tried, found it wrong, and tries again
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	if calls, err := m.run(ctx); err == nil || calls != "" {
		t.Errorf("%v, calls:\n%s", err, calls)
	}
	if _, err := os.Stat(filepath.Join(m.dir, "tools", m.init.AgentHash)); err == nil {
		t.Error("it was unpacked")
	}
}

func otherAuthority(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "other"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestAControllerWithAnotherCertificateIsNotAsked(t *testing.T) {
	m := newMachine(t)
	m.init.CA = otherAuthority(t)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if calls, err := m.run(ctx); err == nil || calls != "" || m.fetched.Load() != 0 {
		t.Errorf("%v, fetched %d times, calls:\n%s", err, m.fetched.Load(), calls)
	}
}

func TestTheSameFilesGiveTheSameArchive(t *testing.T) {
	a, b := newMachine(t).archive, newMachine(t).archive
	if !bytes.Equal(a, b) {
		t.Error("two archives of the same files differ")
	}
}

func TestNothingEscapesItsQuotes(t *testing.T) {
	m := newMachine(t)
	evil := "$(touch " + m.dir + "/evil)'; touch " + m.dir + "/evil; '`touch " + m.dir + "/evil`"
	script := initscript.Script(evil, "4\ntouch "+m.dir+"/evil", provider.Init{Token: evil, CA: evil, AgentHash: evil, Addresses: []string{evil}})
	head, _, _ := bytes.Cut(script, []byte("set -eu"))
	cmd := exec.Command("/bin/sh")
	cmd.Stdin = io.MultiReader(bytes.NewReader(head), strings.NewReader("\nprintf %s \"$token\""))
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != evil {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := os.Stat(m.dir + "/evil"); err == nil {
		t.Error("a value was run")
	}
}
