package machine_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/agent/machine"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

const shop state.ModelID = "22222222-2222-4222-8222-222222222222"

// A fixture is a machine in a tree in memory, with a controller that takes its logs.
type fixture struct {
	*testing.T
	tree      *memory.Tree
	admin     *memory.Client
	key       state.Key
	conf      enroll.Conf
	data      string
	authority pki.Authority
	logs      *machine.Logs
	names     atomic.Int64

	mu       sync.Mutex
	received []agentapi.LogLine
	deaf     bool // the controller takes nothing

	address string // the machine's own; empty: as its interfaces say
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, tree: memory.New(), key: state.Key("key"), data: t.TempDir(), address: "127.0.0.4"}
	f.tree.Key = f.key
	f.admin = f.tree.Connect(memory.Controller)
	f.edit(func(tx *state.Txn) {
		for _, p := range []string{state.ModelsPath, shop.Path()} {
			tx.Create(p, nil)
		}
		for _, p := range shop.Directories() {
			tx.Create(p, nil)
		}
		tx.Create(shop.ConfigPath(), state.ModelConfig{})
	})
	authority, err := pki.NewAuthority("test", time.Now())
	f.must(err)
	f.authority = authority
	serving, err := authority.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Server, Hosts: []string{"127.0.0.1"}, Now: time.Now()})
	f.must(err)
	pair, err := tls.X509KeyPair(serving.Certificate, serving.Key)
	f.must(err)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	own, err := authority.Identity(pki.Request{Subject: pki.MachineName(shop, "4"), Use: pki.Client, Now: time.Now()})
	f.must(err)
	addresses := state.Addresses{API: []string{srv.Listener.Addr().String()}, ZooKeeper: []string{"127.0.0.1:2181"}, Name: "shop"}
	f.edit(func(tx *state.Txn) { tx.Create(shop.AddressesPath(), addresses) })
	f.conf = enroll.Conf{Model: shop, Machine: "4", Key: string(own.Key), Certificate: string(own.Certificate), CA: string(own.Authority), Addresses: addresses}
	f.must(os.MkdirAll(enroll.Dir(f.data, "4"), 0o700))
	f.logs, err = machine.OpenLogs(filepath.Join(f.data, "log"), "machine-4", time.Now)
	f.must(err)
	t.Cleanup(f.logs.Close)
	return f
}

func (f *fixture) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/v1/agent/enrol" {
		var e agentapi.Enrol
		err := json.NewDecoder(r.Body).Decode(&e)
		if err == nil {
			var cert []byte
			if cert, err = f.authority.Sign(pki.Request{Subject: pki.MachineName(e.Model, e.Machine), Use: pki.Client, Now: time.Now()}, e.Request); err == nil {
				json.NewEncoder(w).Encode(agentapi.Enrolled{Certificate: string(cert), Addresses: f.conf.Addresses})
				return
			}
		}
		http.Error(w, err.Error(), 400)
		return
	}
	if f.deaf || r.URL.Path != "/v1/agent/logs" {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	for dec := json.NewDecoder(r.Body); ; {
		var l agentapi.LogLine
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		f.received = append(f.received, l)
	}
}

func (f *fixture) heard(text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.received, func(l agentapi.LogLine) bool { return strings.Contains(l.Message, text) })
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) edit(change func(*state.Txn)) {
	f.Helper()
	var tx state.Txn
	change(&tx)
	_, err := f.admin.Commit(f.Context(), tx)
	f.must(err)
}

func (f *fixture) await(what string, cond func() bool) {
	f.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("waited in vain: %s", what)
		}
	}
}

func (f *fixture) there(path string) bool {
	_, err := f.admin.Get(f.Context(), path)
	return err == nil
}

// assign makes these the machine's units.
func (f *fixture) assign(units ...state.UnitName) {
	f.Helper()
	secrets := state.MachineSecrets{}
	for _, p := range []state.Principal{state.Agents, shop.ModelAgents()} {
		secrets[p] = f.key.Credential(p).Secret
	}
	for _, u := range units {
		for _, p := range []state.Principal{shop.UnitPrincipal(u), shop.ApplicationPrincipal(u.Application())} {
			secrets[p] = f.key.Credential(p).Secret
		}
	}
	f.must(state.Edit(f.Context(), f.admin, func(ctx context.Context, r state.Reader) (tx state.Txn, err error) {
		m, err := state.ReadIf[state.Machine](ctx, r, shop.MachinePath("4"))
		if err != nil {
			return tx, err
		}
		s, err := state.ReadIf[state.MachineSecrets](ctx, r, shop.SecretsPath("4"))
		if err != nil {
			return tx, err
		}
		m.Value.Units = units
		state.Put(&tx, shop.MachinePath("4"), m, m.Value)
		state.Put(&tx, shop.SecretsPath("4"), s, secrets)
		return tx, nil
	}))
}

func (f *fixture) unit(app state.ApplicationName) {
	f.Helper()
	f.edit(func(tx *state.Txn) {
		tx.Create(shop.ApplicationPath(app), state.Application{CharmRev: 1})
		tx.Create(shop.ElectionPath(app), nil)
		tx.Create(shop.LeaderPath(app), nil)
		tx.Create(shop.UnitPath(app.Unit(0)), state.Unit{Machine: "4"})
		tx.Create(shop.TasksPath(state.Receiver(app.Unit(0))), nil)
	})
}

// run runs the agent until the test ends it.
func (f *fixture) run() (end func() error) {
	f.Helper()
	ctx, stop := context.WithCancel(context.Background())
	client := f.tree.Connect(shop.MachinePrincipal("4"))
	done := make(chan error, 1)
	n := f.names.Add(1)
	go func() {
		done <- machine.Run(ctx, machine.Config{
			Conf: f.conf, DataDir: f.data, HookTool: "/bin/true", Store: client, Address: f.address, Boot: "boot",
			Run:  state.Presence{Boot: fmt.Sprint("run-", n), Version: "1", Since: time.Now()},
			Logs: f.logs, Now: time.Now, ID: func() string { return fmt.Sprint("commit-", f.names.Add(1)) },
		})
	}()
	var once sync.Once
	var err error
	end = func() error {
		once.Do(func() { stop(); err = <-done })
		return err
	}
	f.Cleanup(func() { end() })
	return end
}

func TestAMachineRunsItsUnits(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	f := newFixture(t)
	f.unit("web")
	f.unit("db")
	f.assign("web/0", "db/0")
	end := f.run()
	f.await("the machine present", func() bool { return f.there(shop.MachineAgentPath("4")) })
	f.await("both units present", func() bool { return f.there(shop.AgentPath("web/0")) && f.there(shop.AgentPath("db/0")) })
	rec, err := state.Read[state.MachineReport](t.Context(), f.admin, shop.MachineReportPath("4"))
	if err != nil || !slices.Equal(rec.Value.Addresses, []string{"127.0.0.4"}) || rec.Value.Hardware.Cores == 0 {
		t.Errorf("the report is %+v, %v", rec.Value, err)
	}
	// Their charm cannot be had, which is shown and tried again, and hurts no one else.
	f.await("the error shown", func() bool {
		s, _ := state.ReadIf[state.UnitStatus](t.Context(), f.admin, shop.StatusPath("web/0"))
		return s.Value.Agent.Status == "failed" && strings.Contains(s.Value.Agent.Message, "unpack charm")
	})

	f.assign("db/0")
	f.await("web/0's directories gone", func() bool {
		_, err := os.Stat(filepath.Join(f.data, "agents/unit-web-0"))
		return errors.Is(err, os.ErrNotExist)
	})
	if _, err := os.Stat(filepath.Join(f.data, "agents/unit-db-0")); err != nil {
		t.Error(err)
	}
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("told to end, it said %v", err)
	}
	// While no agent runs a unit is taken away; directories that are not ours are there too.
	f.assign()
	foreign := filepath.Join(f.data, "agents/unit-other-0")
	f.must(os.MkdirAll(foreign, 0o755))
	end = f.run()
	f.await("db/0's directories gone", func() bool {
		_, err := os.Stat(filepath.Join(f.data, "agents/unit-db-0"))
		return errors.Is(err, os.ErrNotExist)
	})
	if _, err := os.Stat(foreign); err != nil {
		t.Error("a directory that is not ours was removed")
	}
	end()
}

func TestAMachineThatIsRemovedEnds(t *testing.T) {
	f := newFixture(t)
	f.assign()
	end := f.run()
	f.await("the machine present", func() bool { return f.there(shop.MachineReportPath("4")) && f.there(shop.MachineAgentPath("4")) })
	f.edit(func(tx *state.Txn) {
		for _, p := range []string{shop.MachineAgentPath("4"), shop.MachineReportPath("4"), shop.SecretsPath("4"), shop.MachinePath("4")} {
			tx.Delete(p, state.Any)
		}
	})
	f.await("the end logged", func() bool { return f.heard("the machine has been removed") })
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestUnitsHearOfSettings(t *testing.T) {
	f := newFixture(t)
	f.unit("web")
	f.assign("web/0")
	f.run()
	f.await("the unit present", func() bool { return f.there(shop.AgentPath("web/0")) })
	f.edit(func(tx *state.Txn) {
		a := f.conf.Addresses
		a.API = append(slices.Clone(a.API), "127.0.0.1:9")
		tx.Set(shop.AddressesPath(), a, state.Any)
	})
	f.await("new addresses kept for the next start", func() bool {
		c, err := enroll.Load(f.data)
		return err == nil && len(c.Addresses.API) == 2
	})
}

// An old certificate is traded for a new one, and the agent begins again with it.
func TestTheCertificateIsRenewed(t *testing.T) {
	f := newFixture(t)
	f.assign()
	old, err := f.authority.Identity(pki.Request{Subject: pki.MachineName(shop, "4"), Use: pki.Client, Now: time.Now().Add(-2 * time.Hour), Life: 150 * time.Minute})
	f.must(err)
	key, request, err := pki.NewRequest()
	f.must(err)
	first, err := f.authority.Sign(pki.Request{Subject: pki.MachineName(shop, "4"), Use: pki.Client, Now: time.Now().Add(-2 * time.Hour), Life: 150 * time.Minute}, request)
	f.must(err)
	f.conf.Key, f.conf.Certificate, f.conf.CA, f.conf.Request = string(key), string(first), string(old.Authority), request
	f.run()
	f.await("a new certificate kept for the next start", func() bool {
		c, err := enroll.Load(f.data)
		return err == nil && c.Certificate != string(first) && c.Key == string(key)
	})
}

func TestASessionIsLost(t *testing.T) {
	f := newFixture(t)
	f.assign()
	f.run()
	f.await("the machine present", func() bool { return f.there(shop.MachineAgentPath("4")) })
	f.edit(func(tx *state.Txn) { tx.Delete(shop.MachineAgentPath("4"), state.Any) })
	f.await("the machine present again", func() bool { return f.there(shop.MachineAgentPath("4")) })
}

func TestLogsReachTheControllersAndAreBounded(t *testing.T) {
	f := newFixture(t)
	f.assign()
	f.mu.Lock()
	f.deaf = true
	f.mu.Unlock()
	end := f.run()
	line := func(text string) {
		f.logs.Line(agentapi.LogLine{Time: time.Now(), Entity: "unit-web-0", Level: "INFO", Module: "m", Message: text})
	}
	for range 6 << 10 {
		line(strings.Repeat("x", 1<<10))
	}
	line("the newest")
	f.mu.Lock()
	f.deaf = false
	f.mu.Unlock()
	f.await("the newest line", func() bool { return f.heard("the newest") })
	f.await("word of what is lost", func() bool { return f.heard("lines did not reach the controllers") })
	f.mu.Lock()
	if n := len(f.received); n > 5<<10 { // what waits, and a batch that is on its way
		t.Errorf("memory has no bound: %d lines of a kilobyte came", n)
	}
	f.mu.Unlock()
	line("the last")
	end()
	if !f.heard("the last") {
		t.Error("what waited at the end was not sent")
	}
	names, err := filepath.Glob(filepath.Join(f.data, "log/unit-web-0.log*"))
	if err != nil || len(names) == 0 {
		t.Errorf("files: %v, %v", names, err)
	}
	for range 20 << 10 {
		line(strings.Repeat("x", 1<<10))
	}
	var total int64
	names, _ = filepath.Glob(filepath.Join(f.data, "log/unit-web-0.log*"))
	for _, n := range names {
		fi, err := os.Stat(n)
		f.must(err)
		total += fi.Size()
	}
	if len(names) != 2 || total > 17<<20 {
		t.Errorf("%v have %d bytes", names, total)
	}
}
