package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/grigri/grigri/internal/reaper"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/local"
	"github.com/grigri/grigri/provider/plugin"
	"github.com/grigri/grigri/provider/providertest"
)

// The tests are their own plugin, and the reaper of its machines.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "supervise":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := reaper.Main(ctx, os.Args[2:], os.Environ, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case os.Getenv("PLUGIN_OF_TESTS") == "local":
		plugin.Serve(func(s provider.Spec) (provider.Provider, error) {
			p, err := local.Open(local.Config{Dir: s.Cloud.Config["dir"], Reaper: []string{os.Args[0], "supervise"}, Grace: time.Second})
			if s.Cloud.Config["plain"] != "" { // it can do no more than it must
				return struct{ provider.Provider }{p}, err
			}
			return p, err
		})
		os.Exit(0)
	case os.Getenv("PLUGIN_OF_TESTS") == "odd":
		fmt.Fprintln(os.Stderr, "the odd one begins")
		plugin.Serve(func(s provider.Spec) (provider.Provider, error) {
			if s.Credential.Attributes["key"] != "right" {
				return nil, fmt.Errorf("the key is wrong: %w", provider.ErrRefused)
			}
			return &odd{}, nil
		})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// logged keeps what is logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func config(t *testing.T, which string, spec provider.Spec) (plugin.Config, *logged) {
	t.Helper()
	hash, err := plugin.Hash(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	spec.Cloud.Name, spec.Cloud.Type, spec.Cloud.PluginHash = "there", "test", hash
	log := &logged{}
	return plugin.Config{File: os.Args[0], Spec: spec, Environment: []string{"PLUGIN_OF_TESTS=" + which}, Log: slog.New(slog.NewTextHandler(log, nil))}, log
}

func open(t *testing.T, c plugin.Config) provider.Provider {
	t.Helper()
	p, err := plugin.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.(io.Closer).Close() })
	return p
}

// halt kills all that runs on a machine of this host.
func halt(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		rec, err := reaper.ReadRecord(filepath.Join(dir, reaper.LockFile))
		if err == nil && rec.Alive() {
			if err := syscall.Kill(-rec.PID, syscall.SIGKILL); err != nil { // it leads its group
				t.Fatal(err)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("there is no reaper to kill: %v", err)
		}
	}
}

// A provider in a plugin keeps the contract that it keeps by itself.
func TestContract(t *testing.T) {
	dirs := map[*testing.T]string{}
	providertest.Run(t, providertest.Config{
		Init: func(string) provider.Init { return provider.Init{Script: []byte("exec sleep 1000\n")} },
		Halt: func(t *testing.T, id provider.InstanceID) { halt(t, filepath.Join(dirs[t], string(id))) },
		Open: func(t *testing.T) provider.Provider {
			if dirs[t] == "" {
				dirs[t] = t.TempDir()
			}
			c, _ := config(t, "local", provider.Spec{Cloud: provider.Cloud{Config: map[string]string{"dir": dirs[t]}}})
			p, err := plugin.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
	})
}

// An odd provider has every ability, and fails in every way.
type odd struct{ hosts int }

func (o *odd) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	switch req.Machine {
	case "wait":
		<-ctx.Done()
		return provider.Instance{}, ctx.Err()
	case "die":
		os.Exit(3)
	case "pid":
		return provider.Instance{ID: provider.InstanceID(strconv.Itoa(os.Getpid()))}, nil
	case "quota":
		return provider.Instance{}, fmt.Errorf("the quota is used up: %w", provider.ErrTransient)
	case "both":
		return provider.Instance{}, errors.Join(fmt.Errorf("one: %w", provider.ErrNotFound), fmt.Errorf("two: %w", provider.ErrRefused))
	}
	return provider.Instance{}, errors.New("a plain error")
}

func (o *odd) Stop(context.Context, ...provider.InstanceID) error { return nil }

func (o *odd) List(_ context.Context, controller string) ([]provider.Instance, error) {
	if controller != "many" {
		return nil, fmt.Errorf("half of it cannot be read: %w", provider.ErrTransient)
	}
	out := make([]provider.Instance, 5000)
	for i := range out {
		out[i] = provider.Instance{ID: provider.InstanceID(strconv.Itoa(i)), Message: strings.Repeat("long ", 200), Hardware: provider.Hardware{Cores: i}}
	}
	return out, nil
}

func (o *odd) SetPorts(_ context.Context, id provider.InstanceID, want []provider.Rule) error {
	return fmt.Errorf("%s %v: %w", id, want, provider.ErrNotFound)
}

func (o *odd) SetProfiles(_ context.Context, id provider.InstanceID, want map[string]provider.Profile) error {
	return fmt.Errorf("%s %v", id, want)
}

func (o *odd) Check(context.Context) ([]provider.Problem, error) {
	return []provider.Problem{{What: "w", Remedy: "r"}}, nil
}

func (o *odd) CreateVolume(_ context.Context, q provider.VolumeRequest) (provider.Volume, error) {
	return provider.Volume{ID: "v", SizeMiB: q.SizeMiB}, nil
}
func (o *odd) AttachVolume(_ context.Context, v provider.VolumeID, id provider.InstanceID) (provider.Volume, error) {
	return provider.Volume{ID: v, Instance: id, Device: "/dev/x"}, nil
}
func (o *odd) DetachVolume(context.Context, provider.VolumeID, provider.InstanceID) error { return nil }
func (o *odd) DeleteVolume(context.Context, ...provider.VolumeID) error                   { return provider.ErrTransient }
func (o *odd) ListVolumes(context.Context, string) ([]provider.Volume, error) {
	return []provider.Volume{{ID: "a"}, {ID: "b"}}, nil
}

func (o *odd) Host(_ context.Context, id provider.InstanceID) (provider.Host, error) {
	if id != "i-1" {
		return nil, provider.ErrNotFound
	}
	o.hosts++
	return &host{o: o}, nil
}

// A host keeps one file, and says what it was told.
type host struct {
	o    *odd
	file string
}

func (h *host) Put(_ context.Context, path string, mode uint32, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err == nil {
		h.file = fmt.Sprintf("%s %o %d bytes", path, mode, len(data))
	}
	return err
}

func (h *host) Run(ctx context.Context, script string, out io.Writer) error {
	switch script {
	case "wait":
		io.WriteString(out, "waiting")
		<-ctx.Done()
		return ctx.Err()
	case "hosts":
		fmt.Fprint(out, h.o.hosts)
		return nil
	}
	fmt.Fprint(out, script, ": ", h.file)
	return &provider.ExitError{Status: 7}
}

func (h *host) Close() error { h.o.hosts--; return nil }

func spec() provider.Spec {
	return provider.Spec{Credential: provider.Credential{Attributes: map[string]string{"key": "right"}}}
}

func start(p provider.Provider, machine string) (provider.Instance, error) {
	return p.Start(context.Background(), provider.StartRequest{Machine: machine})
}

func TestErrorsAreWhatTheyWere(t *testing.T) {
	c, _ := config(t, "odd", spec())
	p := open(t, c)
	for _, test := range []struct {
		machine, text string
		is, not       []error
	}{
		{"quota", "the quota is used up: try again later", []error{provider.ErrTransient}, []error{provider.ErrRefused, provider.ErrNotFound}},
		{"both", "one: no such instance\ntwo: the provider will never do this", []error{provider.ErrNotFound, provider.ErrRefused}, []error{provider.ErrTransient}},
		{"plain", "a plain error", nil, []error{provider.ErrTransient, provider.ErrRefused, provider.ErrNotFound, context.Canceled}},
	} {
		_, err := start(p, test.machine)
		if err == nil || err.Error() != test.text {
			t.Errorf("%s: %v", test.machine, err)
		}
		for _, e := range test.is {
			if !errors.Is(err, e) {
				t.Errorf("%s: %v is not %v", test.machine, err, e)
			}
		}
		for _, e := range test.not {
			if errors.Is(err, e) {
				t.Errorf("%s: %v is %v", test.machine, err, e)
			}
		}
	}
	if all, err := p.List(t.Context(), "half"); !errors.Is(err, provider.ErrTransient) || all != nil {
		t.Errorf("half a list is %v, %v", all, err)
	}
	if all, err := p.List(t.Context(), "many"); err != nil || len(all) != 5000 || all[4999].Hardware.Cores != 4999 {
		t.Errorf("many are %d, %v", len(all), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := p.Start(ctx, provider.StartRequest{Machine: "wait"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	bad := spec()
	bad.Credential.Attributes["key"] = "wrong"
	c, _ = config(t, "odd", bad)
	if _, err := plugin.Open(c); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "the key is wrong") {
		t.Errorf("opened with a wrong key: %v", err)
	}
}

func TestAbilities(t *testing.T) {
	c, log := config(t, "odd", spec())
	p := open(t, c)
	rule := provider.Rule{PortRange: provider.PortRange{Protocol: "tcp", From: 1, To: 2}, Sources: []string{"::/0"}}
	if err := p.(provider.Firewaller).SetPorts(t.Context(), "i-1", []provider.Rule{rule}); !errors.Is(err, provider.ErrNotFound) || !strings.Contains(err.Error(), fmt.Sprint("i-1 ", []provider.Rule{rule})) {
		t.Errorf("ports: %v", err)
	}
	if err := p.(provider.Profiler).SetProfiles(t.Context(), "i-1", map[string]provider.Profile{"a": {Description: "d"}}); err == nil || !strings.Contains(err.Error(), "i-1 map[a:{d ") {
		t.Errorf("profiles: %v", err)
	}
	if got, err := p.(provider.Checker).Check(t.Context()); err != nil || !slices.Equal(got, []provider.Problem{{What: "w", Remedy: "r"}}) {
		t.Errorf("check: %v, %v", got, err)
	}
	if _, ok := p.(provider.Sheller); ok {
		t.Error("a provider without shells has shells in a plugin")
	}
	v := p.(provider.Volumer)
	if got, err := v.CreateVolume(t.Context(), provider.VolumeRequest{SizeMiB: 5}); err != nil || got.SizeMiB != 5 {
		t.Errorf("volume: %+v, %v", got, err)
	}
	if got, err := v.AttachVolume(t.Context(), "v", "i-1"); err != nil || got.Instance != "i-1" || got.ID != "v" {
		t.Errorf("attach: %+v, %v", got, err)
	}
	if err := v.DetachVolume(t.Context(), "v", "i-1"); err != nil {
		t.Error(err)
	}
	if err := v.DeleteVolume(t.Context(), "v"); !errors.Is(err, provider.ErrTransient) {
		t.Error(err)
	}
	if got, err := v.ListVolumes(t.Context(), "c"); err != nil || len(got) != 2 {
		t.Errorf("volumes: %+v, %v", got, err)
	}
	if !strings.Contains(log.String(), "the odd one begins") {
		t.Errorf("what it said is not in the log:\n%s", log)
	}
	c, _ = config(t, "local", provider.Spec{Cloud: provider.Cloud{Config: map[string]string{"dir": t.TempDir(), "plain": "yes"}}})
	plain := open(t, c)
	if _, ok := plain.(provider.Volumer); ok {
		t.Error("a provider without volumes has volumes in a plugin")
	}
	if _, ok := plain.(provider.Hoster); ok {
		t.Error("a provider without hosts has hosts in a plugin")
	}
	if err := plain.(provider.Firewaller).SetPorts(t.Context(), "i-1", nil); err != nil {
		t.Errorf("a provider that leaves ports as they are: %v", err)
	}
}

func TestHost(t *testing.T) {
	c, _ := config(t, "odd", spec())
	hoster := open(t, c).(provider.Hoster)
	if _, err := hoster.Host(t.Context(), "i-2"); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("a host that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h, err := hoster.Host(ctx, "i-1")
	if err != nil {
		t.Fatal(err)
	}
	cancel() // it stays open
	said := func(script string) (string, error) {
		var out strings.Builder
		err := h.Run(t.Context(), script, &out)
		return out.String(), err
	}
	if err := h.Put(t.Context(), "/a b", 0o640, bytes.NewReader(make([]byte, 1<<20+1))); err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(bytes.NewReader(make([]byte, 1<<18)), iotest.ErrReader(errors.New("the disk is bad")))
	if err := h.Put(t.Context(), "/c", 0o640, broken); err == nil || !strings.Contains(err.Error(), "the disk is bad") {
		t.Errorf("half a file: %v", err)
	}
	var exit *provider.ExitError
	if got, err := said("x"); got != "x: /a b 640 1048577 bytes" || !errors.As(err, &exit) || exit.Status != 7 {
		t.Errorf("%q, %v", got, err)
	}
	running, stop := context.WithCancel(t.Context())
	if err := h.Run(running, "wait", writer(func(p []byte) { stop() })); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	other, err := hoster.Host(t.Context(), "i-1")
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	for end := time.Now().Add(time.Minute); ; {
		if got, err := said("hosts"); got == "1" && err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%s hosts are open, %v", got, err)
		}
	}
	h.Close()
	if _, err := said("hosts"); err == nil {
		t.Error("a closed host works on")
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func TestAPluginThatDiesIsStartedAgain(t *testing.T) {
	c, log := config(t, "odd", spec())
	p := open(t, c)
	pid := func() string {
		for end := time.Now().Add(3 * time.Minute); ; { // the longest pause is a minute
			in, err := start(p, "pid")
			if err == nil {
				return string(in.ID)
			}
			if !errors.Is(err, provider.ErrTransient) || time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	first := pid()
	for range 2 {
		if _, err := start(p, "die"); !errors.Is(err, provider.ErrTransient) {
			t.Errorf("while it died: %v", err)
		}
		next := pid()
		if next == first {
			t.Errorf("it is %s again", next)
		}
		first = next
	}
	if _, err := start(p, "die"); !errors.Is(err, provider.ErrTransient) {
		t.Errorf("while it died: %v", err)
	}
	for paused := false; !paused; {
		_, err := start(p, "pid")
		if err == nil { // on a slow machine its pause was over; the next one is longer
			_, err = start(p, "die")
		}
		if !errors.Is(err, provider.ErrTransient) {
			t.Fatalf("just after it has died for the third time: %v", err)
		}
		paused = strings.Contains(err.Error(), "is started again in")
	}
	if !strings.Contains(log.String(), "a plugin has ended") {
		t.Errorf("nothing of it in the log:\n%s", log)
	}
	pid()
	p.(io.Closer).Close()
	if _, err := start(p, "pid"); err == nil {
		t.Error("a closed provider works on")
	}
}

func TestOnlyTheTrustedProgramIsRun(t *testing.T) {
	c, _ := config(t, "odd", spec())
	right := c.Spec.Cloud.PluginHash
	for hash, want := range map[string]string{
		"":                               "has no hash of it",
		"zz":                             "is no SHA-256",
		strings.Repeat("00", 32):         "its SHA-256 is " + right + ", and cloud \"there\" trusts " + strings.Repeat("00", 32),
		strings.ToUpper(right)[:10] + "": "is no SHA-256",
	} {
		c.Spec.Cloud.PluginHash = hash
		if _, err := plugin.Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", hash, err)
		}
	}
	c.File = plugin.File(t.TempDir(), "none")
	c.Spec.Cloud.PluginHash = right
	if _, err := plugin.Open(c); err == nil || !strings.Contains(err.Error(), "grigri-provider-none") {
		t.Errorf("a plugin that is not there: %v", err)
	}
	script := filepath.Join(t.TempDir(), plugin.Prefix+"old")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho '1|99|unix|/nowhere|grpc|'\nsleep 5\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.File = script
	c.Spec.Cloud.PluginHash, _ = plugin.Hash(script)
	if _, err := plugin.Open(c); err == nil || !strings.Contains(err.Error(), "ersion") {
		t.Errorf("a plugin of another protocol: %v", err)
	}
}
