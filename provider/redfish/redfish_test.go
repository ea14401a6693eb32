package redfish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/pyenv"
	"github.com/grigri/grigri/internal/wiretest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/plugintest"
	"github.com/grigri/grigri/provider/providertest"
	"github.com/grigri/grigri/provider/redfish"
)

// The tests are their own plugin.
func TestMain(m *testing.M) {
	plugintest.Main(func(s provider.Spec) (provider.Provider, error) { return redfish.Open(s) })
	os.Exit(m.Run())
}

// emulator is an independent emulator of Redfish.
const emulator = "sushy-tools==2.2.0"

// launch runs the emulator. Its servers obey at once, and not after a random time of up to eleven seconds.
const launch = `import random, sys
random.randint = lambda a, b: 0
from sushy_tools.emulator.main import main
sys.exit(main())`

// emulate starts servers with these names, all of them off, and returns the URL of each.
func emulate(t *testing.T, names ...string) map[string]string {
	t.Helper()
	if testing.Short() {
		t.Skip("takes a while")
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	urls := map[string]string{}
	var systems []string
	for i, n := range names {
		id := fmt.Sprintf("27946b59-9e44-4fa7-8e91-%012d", i)
		systems = append(systems, fmt.Sprintf("{'uuid': '%s', 'name': '%s', 'power_state': 'Off', 'nics': []}", id, n))
		urls[n] = fmt.Sprintf("http://127.0.0.1:%d/redfish/v1/Systems/%s", port, id)
	}
	config := filepath.Join(dir, "config.py")
	text := fmt.Sprintf("SUSHY_EMULATOR_FAKE_DRIVER = True\nSUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = %d\nSUSHY_EMULATOR_STATE_DIR = '%s'\nSUSHY_EMULATOR_FAKE_SYSTEMS = [%s]\n",
		port, dir, strings.Join(systems, ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(pyenv.Need(t, "redfish", "python3", []byte(emulator)).Python, "-c", launch, "--config", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the emulator said:\n%s", said.String()[max(0, said.Len()-2000):])
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(urls[names[0]])
		if err == nil {
			resp.Body.Close()
			return urls
		}
		if time.Now().After(end) {
			t.Fatalf("the emulator does not answer: %v", err)
		}
	}
}

func spec(t *testing.T, urls map[string]string) provider.Spec {
	var systems []string
	n := 10
	for name, url := range urls {
		systems = append(systems, fmt.Sprintf("%s=%s,192.0.2.%d", name, url, n))
		n++
	}
	dir := t.TempDir()
	return provider.Spec{Cloud: provider.Cloud{Name: "rack", Type: "redfish", Config: map[string]string{
		"systems": strings.Join(systems, "\n"), "state-dir": dir + "/state", "seed-dir": dir + "/seed"}}}
}

func TestContract(t *testing.T) {
	urls := emulate(t, "a", "b", "c")
	for _, how := range []string{"directly", "as a plugin"} {
		t.Run(how, func(t *testing.T) {
			specs := map[*testing.T]provider.Spec{}
			providertest.Run(t, providertest.Config{
				Patience: time.Minute,
				Halt:     func(t *testing.T, id provider.InstanceID) { switchOff(t, urls[string(id)]) },
				Init: func(m string) provider.Init {
					return provider.Init{Script: []byte("#!/bin/sh\necho machine " + m + "\n")}
				},
				Open: func(t *testing.T) provider.Provider {
					if _, ok := specs[t]; !ok {
						specs[t] = spec(t, urls)
					}
					if how == "as a plugin" {
						p, _ := plugintest.Open(t, specs[t])
						return p
					}
					p, err := redfish.Open(specs[t])
					if err != nil {
						t.Fatal(err)
					}
					return p
				},
			})
		})
	}
}

// switchOff switches a server off as its own button does.
func switchOff(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Post(url+"/Actions/ComputerSystem.Reset", "application/json", strings.NewReader(`{"ResetType": "ForceOff"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("switch %s off: %s", url, resp.Status)
	}
}

// What goes wrong between us and the management controllers, and with the plugin that we are in.
func TestFaults(t *testing.T) {
	urls := emulate(t, "a", "b", "c")
	at, err := url.Parse(urls["a"])
	if err != nil {
		t.Fatal(err)
	}
	w := wiretest.Start(t, wiretest.Config{
		To: "http://" + at.Host,
		Kind: func(r *http.Request, _ []byte) (string, bool) {
			return r.Method + " " + r.URL.Path, r.Method != http.MethodGet
		},
		Refuse: func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
	})
	through := map[string]string{}
	for name, u := range urls {
		through[name] = strings.Replace(u, "http://"+at.Host, w.URL, 1)
	}
	specs, last, kill := map[*testing.T]provider.Spec{}, provider.Spec{}, func() {}
	providertest.Faults(t, providertest.FaultConfig{
		Config: providertest.Config{
			Patience: time.Minute,
			Init:     func(string) provider.Init { return provider.Init{Script: []byte("#!/bin/sh\n")} },
			Open: func(t *testing.T) provider.Provider {
				if _, ok := specs[t]; !ok {
					specs[t] = spec(t, through)
				}
				last = specs[t]
				p, k := plugintest.Open(t, last)
				kill = k
				return p
			},
		},
		Wire: w,
		Made: func(kind string) bool { return strings.HasSuffix(kind, "ComputerSystem.Reset") },
		Kill: func(*testing.T) { kill() },
		Quota: func(t *testing.T) (string, func()) {
			p, err := redfish.Open(last)
			if err != nil {
				t.Fatal(err)
			}
			for i := range urls {
				if _, err := p.Start(t.Context(), provider.StartRequest{Controller: "another", Model: "m", Machine: i}); err != nil {
					t.Fatal(err)
				}
			}
			return "all 3 servers are in use", sync.OnceFunc(func() {
				if err := p.Stop(context.Background(), "a", "b", "c"); err != nil {
					t.Error(err)
				}
			})
		},
		Stick: func(_ *testing.T, id provider.InstanceID) func() {
			path := strings.TrimPrefix(urls[string(id)], "http://"+at.Host)
			w.Do(providertest.Harm{Fault: providertest.Refuse, Always: true, Only: func(kind string) bool { return strings.HasPrefix(kind, "POST "+path) }})
			return w.Mend
		},
	})
}

// get is what the emulator says of a server.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAServerIsBootedWithItsScriptAndLetGo(t *testing.T) {
	urls := emulate(t, "only")
	s := spec(t, urls)
	p, err := redfish.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := p.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	req := provider.StartRequest{Controller: "c", Model: "m", Machine: "0", Init: provider.Init{Script: []byte("#!/bin/sh\necho up\n")}}
	in, err := p.Start(t.Context(), req)
	if err != nil || in.ID != "only" || in.Addresses[0] != "192.0.2.10" {
		t.Fatalf("%+v, %v", in, err)
	}
	if got := get(t, urls["only"]); !strings.Contains(got, `"PowerState": "On"`) || !strings.Contains(got, `"BootSourceOverrideTarget": "Pxe"`) {
		t.Errorf("the server is %s", got)
	}
	seed := filepath.Join(s.Cloud.Config["seed-dir"], "only")
	if data, err := os.ReadFile(seed + "/user-data"); err != nil || string(data) != "#!/bin/sh\necho up\n" {
		t.Errorf("its script is %q, %v", data, err)
	}
	other := req
	other.Machine = "1"
	if _, err := p.Start(t.Context(), other); !errors.Is(err, provider.ErrTransient) || !strings.Contains(err.Error(), "all 1 servers are in use") {
		t.Errorf("a second one: %v", err)
	}
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	if got := get(t, urls["only"]); !strings.Contains(got, `"PowerState": "Off"`) {
		t.Errorf("the server is %s", got)
	}
	if _, err := os.Stat(seed); err == nil {
		t.Error("its script is left")
	}
	// One that somebody else has switched on is not ours, to take or to switch off.
	resp, err := http.Post(urls["only"]+"/Actions/ComputerSystem.Reset", "application/json", strings.NewReader(`{"ResetType": "On"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := p.Start(t.Context(), other); !errors.Is(err, provider.ErrTransient) || !strings.Contains(err.Error(), "none is off") {
		t.Errorf("one that is on: %v", err)
	}
	if err := p.Stop(t.Context(), "only"); err != nil {
		t.Fatal(err)
	}
	if got := get(t, urls["only"]); !strings.Contains(got, `"PowerState": "On"`) {
		t.Error("a server that is nobody's was switched off")
	}
}

func TestWhatGoesWrong(t *testing.T) {
	status := http.StatusServiceUnavailable
	bmc := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "root" || password != "calvin" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(status)
	}))
	defer bmc.Close()
	s := spec(t, map[string]string{"a": bmc.URL})
	req := provider.StartRequest{Controller: "c", Model: "m", Machine: "0"}
	for _, c := range []struct {
		password string
		status   int
		want     error
	}{{"calvin", http.StatusServiceUnavailable, provider.ErrTransient}, {"wrong", http.StatusOK, provider.ErrRefused}, {"calvin", http.StatusNotFound, provider.ErrRefused}} {
		status = c.status
		s.Credential.Attributes = map[string]string{"username": "root", "password": c.password}
		p, err := redfish.Open(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Start(t.Context(), req); !errors.Is(err, c.want) || strings.Contains(err.Error(), c.password) {
			t.Errorf("%d with %s: %v", c.status, c.password, err)
		}
		if problems, err := p.Check(t.Context()); err != nil || len(problems) != 1 || !strings.Contains(problems[0].What, "server a does not answer") {
			t.Errorf("%d with %s: %v, %v", c.status, c.password, problems, err)
		}
	}
	for key, value := range map[string]string{"systems": "a", "state-dir": "relative", "seed-dir": ""} {
		bad := spec(t, map[string]string{"a": bmc.URL})
		bad.Cloud.Config[key] = value
		if _, err := redfish.Open(bad); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
	for _, text := range []string{"", "a=http://h", "a=,x", "=http://h,1", "a=http://h,1 a=http://i,2", "a=http://h,1 b=http://h,2", "../a=http://h,1"} {
		bad := spec(t, map[string]string{"a": bmc.URL})
		bad.Cloud.Config["systems"] = text
		if _, err := redfish.Open(bad); err == nil {
			t.Errorf("systems %q are taken", text)
		}
	}
}
