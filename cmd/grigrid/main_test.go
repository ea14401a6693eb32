package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

// asDaemon makes the test's own program be grigrid.
const asDaemon = "GRIGRID_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A host is a directory with the programs of grigri.
type host struct {
	t       *testing.T
	program string
	dir     string // of the controller
}

func newHost(t *testing.T) host {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	h := host{t, filepath.Join(programs, "grigrid"), filepath.Join(t.TempDir(), "c1")}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"grigrid": data, "grigri-agent": []byte("#!/bin/sh\n"), "hooktool": []byte("#!/bin/sh\n")} {
		if err := os.WriteFile(filepath.Join(programs, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h host) command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.program, args...)
	cmd.Env = append(os.Environ(), asDaemon+"=1")
	return cmd
}

// do runs a command that must succeed.
func (h host) do(args ...string) {
	h.t.Helper()
	if out, err := h.command(args...).CombinedOutput(); err != nil {
		h.t.Fatalf("grigrid %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// fails runs a command that must fail with this exit code, and say this.
func (h host) fails(code int, text string, args ...string) {
	h.t.Helper()
	out, err := h.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code || !strings.Contains(string(out), text) {
		h.t.Errorf("grigrid %s: %v, want exit status %d and %q\n%s", strings.Join(args, " "), err, code, text, out)
	}
}

func (h host) bootstrap(more ...string) controller.Bootstrapped {
	h.t.Helper()
	result := filepath.Join(h.t.TempDir(), "result.json")
	h.do(append([]string{"bootstrap", "--data-dir", h.dir, "--name", "c1", "--listen", "127.0.0.1:0", "--result", result}, more...)...)
	var b controller.Bootstrapped
	data, err := os.ReadFile(result)
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// A running is a daemon that runs.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	log *bytes.Buffer
}

// start starts the daemon, and returns when it says that it is ready.
func (h host) start() running {
	h.t.Helper()
	cmd := h.command("run", "--data-dir", h.dir)
	r := running{h.t, cmd, &bytes.Buffer{}}
	cmd.Stderr = r.log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if h.t.Failed() {
			h.t.Logf("grigrid said\n%s", r.log)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	var said ready
	if err != nil || json.Unmarshal([]byte(line), &said) != nil || !said.Ready || said.PID != cmd.Process.Pid {
		h.t.Fatalf("it is not ready: %q, %v\n%s", line, err, r.log)
	}
	return r
}

func (r running) signal(s os.Signal) error {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
	done := time.AfterFunc(time.Minute, func() { _ = r.cmd.Process.Kill() })
	defer done.Stop()
	return r.cmd.Wait()
}

func dial(t *testing.T, b controller.Bootstrapped) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Name: b.Name, Addresses: b.Addresses, CA: b.CA, User: b.User, Password: b.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatal("not in a minute: " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAControllerWithItsOwnZooKeeper(t *testing.T) {
	h := newHost(t)
	h.fails(1, "there is no controller in", "run", "--data-dir", h.dir)
	b := h.bootstrap()
	h.fails(1, "already", "bootstrap", "--data-dir", h.dir, "--name", "c1", "--result", filepath.Join(t.TempDir(), "r"))
	r := h.start()
	c := dial(t, b)
	if _, err := c.CreateModel(t.Context(), userapi.CreateModel{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	h.fails(1, "another grigrid, process "+strconv.Itoa(r.cmd.Process.Pid)+", uses "+h.dir, "run", "--data-dir", h.dir)

	// Killed without warning, it leaves no ZooKeeper behind, and begins where it was.
	offspring := map[int]bool{}
	for _, task := range tasks(t, r.cmd.Process.Pid) {
		for _, p := range childrenOf(t, r.cmd.Process.Pid, task) {
			offspring[p] = true
		}
	}
	if len(offspring) == 0 {
		t.Fatal("it has no ZooKeeper")
	}
	_ = r.signal(syscall.SIGKILL)
	await(t, "its ZooKeeper is gone", func() bool {
		for p := range offspring {
			if syscall.Kill(p, 0) == nil && !zombie(p) {
				return false
			}
		}
		return true
	})
	r = h.start()
	if m, err := c.Model("shop").Info(t.Context()); err != nil || m.Name != "shop" {
		t.Fatalf("the model is %+v, %v", m, err)
	}
	if err := r.signal(syscall.SIGTERM); err != nil {
		t.Fatalf("asked to end: %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, readyFile)); err == nil {
		t.Error("it says that it is ready")
	}
	r = h.start()
	h.do("destroy", "--data-dir", h.dir)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("destroyed: %v", err)
	}
	h.do("destroy", "--data-dir", h.dir)
}

func TestAControllerOnAnEnsemble(t *testing.T) {
	s := zktest.Start(t)
	id, err := s.Authority.Identity(pki.Request{Subject: pki.ControllerName(), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"--zookeeper", s.Addr, "--zookeeper-server-name", pki.ZooKeeperHost}
	for flag, data := range map[string][]byte{"ca": s.Authority.Certificate(), "cert": id.Certificate, "key": id.Key} {
		file := filepath.Join(dir, flag)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--zookeeper-"+flag, file)
	}
	h := newHost(t)
	b := h.bootstrap(args...)
	r := h.start()
	c := dial(t, b)
	m, err := c.CreateModel(t.Context(), userapi.CreateModel{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it leads", func() bool {
		info, err := c.Controller(t.Context())
		return err == nil && info.Leader
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store, err := zk.Open(ctx, zk.Config{Servers: []string{s.Addr}, TLS: s.Controller(), Controller: pki.ControllerName(), Machine: pki.MachineName,
		Secret: func(state.Principal) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if open, err := store.World(ctx); err != nil || len(open) > 0 {
		t.Errorf("open to the world: %v, %v", open, err)
	}
	addresses, err := state.Read[state.Addresses](ctx, store, m.UUID.AddressesPath())
	if err != nil || addresses.Value.ZooKeeperCA != string(s.Authority.Certificate()) || addresses.Value.ZooKeeperName != pki.ZooKeeperHost {
		t.Errorf("agents are told %+v, %v", addresses.Value, err)
	}
	other := newHost(t)
	other.fails(1, `holds the tree of controller "c1" already`, append([]string{"bootstrap", "--data-dir", other.dir, "--name", "c2", "--listen", "127.0.0.1:0", "--result", filepath.Join(dir, "r")}, args...)...)
	if err := r.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.do("destroy", "--data-dir", h.dir)
	if left, err := store.Children(ctx, "/"); err != nil || len(left) > 0 {
		t.Errorf("left in the ensemble: %v, %v", left, err)
	}
}

func TestABootstrapThatFailsLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	result := filepath.Join(t.TempDir(), "result.json")
	authority, err := pki.NewAuthority("other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, err := authority.Identity(pki.Request{Subject: pki.ZooKeeperName(), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	if err := errors.Join(os.WriteFile(cert, other.Certificate, 0o600), os.WriteFile(key, other.Key, 0o600)); err != nil {
		t.Fatal(err)
	}
	base := func(h host, more ...string) []string {
		return append([]string{"bootstrap", "--data-dir", h.dir, "--name", "c1", "--result", result}, more...)
	}
	for name, c := range map[string]struct {
		code int
		text string
		args []string
	}{
		"no such cloud":      {2, `unknown cloud "moon": the clouds are: local`, []string{"--cloud", "moon"}},
		"no such java":       {1, "java", []string{"--listen", "127.0.0.1:0", "--java", "/nonexistent/java"}},
		"the port is taken":  {1, "address already in use: choose another address with --listen", []string{"--listen", taken.Addr().String()}},
		"a bad setting":      {1, "development", []string{"--listen", "127.0.0.1:0", "--config", "development=perhaps"}},
		"nobody answers":     {1, "127.0.0.1:1", []string{"--listen", "127.0.0.1:0", "--zookeeper", "127.0.0.1:1"}},
		"every address":      {1, "--advertise", []string{"--listen", "0.0.0.0:0"}},
		"a flag alone":       {2, "belong together", []string{"--zookeeper", "127.0.0.1:1", "--zookeeper-key", "x"}},
		"another's name":     {1, "it must name CN=controller,O=grigri", []string{"--listen", "127.0.0.1:0", "--zookeeper", "127.0.0.1:1", "--zookeeper-cert", cert, "--zookeeper-key", key}},
		"no directory":       {2, "--data-dir is missing", []string{"--data-dir", ""}},
		"a flag that is not": {2, "unknown flag", []string{"--nonsense"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.fails(c.code, c.text, base(h, c.args...)...)
			if _, err := os.Stat(h.dir); err == nil {
				t.Error("its directory is left")
			}
			if _, err := os.Stat(result); err == nil {
				t.Error("a result is left")
			}
		})
	}
	h := newHost(t)
	if err := os.Remove(filepath.Join(filepath.Dir(h.program), "hooktool")); err != nil {
		t.Fatal(err)
	}
	h.fails(1, "the program hooktool must be beside grigrid", base(h, "--listen", "127.0.0.1:0")...)
}

// tasks is the threads of a process.
func tasks(t *testing.T, pid int) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// childrenOf is the processes that a thread has started.
func childrenOf(t *testing.T, pid int, task string) []int {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + task + "/children")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var out []int
	for _, f := range strings.Fields(string(data)) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	return out
}

func zombie(pid int) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	defer f.Close()
	data, _ := io.ReadAll(f)
	_, rest, _ := strings.Cut(string(data), ") ")
	return strings.HasPrefix(rest, "Z")
}
