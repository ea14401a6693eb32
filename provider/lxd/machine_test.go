package lxd_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd"
	"github.com/grigri/grigri/provider/lxd/client"
)

func TestTheFirstBootScriptRunsWithoutCloudInit(t *testing.T) {
	p := open(t, spec(server.Server(t)))
	in := start(t, p, request("0", "echo $((6*7)) >/root/answer; sleep 1000"))
	h, err := p.Host(t.Context(), in.ID)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the script", func() bool {
		var out bytes.Buffer
		return h.Run(t.Context(), "cat /root/answer", &out) == nil && out.String() == "42\n"
	})
}

func TestTheFirstBootScriptRunsByCloudInit(t *testing.T) {
	s := server.Server(t)
	sp := spec(s)
	sp.Cloud.Config["image"] = s.Image
	p := open(t, sp)
	in := start(t, p, request("0", "echo once >>/root/ran"))
	h, err := p.Host(t.Context(), in.ID)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "cloud-init", func() bool { return h.Run(t.Context(), "cloud-init status | grep -q done", &bytes.Buffer{}) == nil })
	var out bytes.Buffer
	if err := h.Run(t.Context(), "cat /root/ran", &out); err != nil || out.String() != "once\n" {
		t.Errorf("it ran %q, %v", out.String(), err)
	}
}

// on is called when something is written.
type on func()

func (f on) Write(p []byte) (int, error) { f(); return len(p), nil }

func TestAHost(t *testing.T) {
	p := open(t, spec(server.Server(t)))
	in := start(t, p, request("0", ""))
	h, err := p.Host(t.Context(), in.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var slow bytes.Buffer
	var beside errgroup.Group
	beside.Go(func() error { return h.Run(t.Context(), "sleep 40; echo slow", &slow) }) // longer than LXD waits between two pings
	defer func() {
		if err := beside.Wait(); err != nil || slow.String() != "slow\n" {
			t.Errorf("a slow script: %v, printed %q", err, slow.String())
		}
	}()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, mode := range []uint32{0o600, 0o755} { // again, over the first
		if err := h.Put(t.Context(), "/opt/a dir/it's", mode, bytes.NewReader(big)); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := h.Run(t.Context(), `cd "/opt/a dir" && stat -c '%a %s %u' "it's" && ls | wc -l`, &out)
		want := strconv.FormatUint(uint64(mode), 8) + " 1048576 0\n1\n"
		if err != nil || out.String() != want {
			t.Errorf("it is %q, %v; want %q", out.String(), err, want)
		}
	}
	var out bytes.Buffer
	err = h.Run(t.Context(), "echo one; echo two >&2; exit 7", &out)
	if exit := (*provider.ExitError)(nil); !errors.As(err, &exit) || exit.Status != 7 || !strings.Contains(out.String(), "one\n") || !strings.Contains(out.String(), "two\n") {
		t.Errorf("%v, printed %q", err, out.String())
	}
	out.Reset()
	if err := h.Run(t.Context(), "#"+strings.Repeat("x", 200<<10)+"\necho long", &out); err != nil || out.String() != "long\n" {
		t.Errorf("a long script: %v, printed %q", err, out.String())
	}
	// Who gives up ends what he has started.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := h.Run(ctx, "echo $$ >/root/pid; echo begun; exec sleep 500", on(cancel)); !errors.Is(err, provider.ErrTransient) && !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	await(t, "the end of what was given up", func() bool {
		return h.Run(t.Context(), "[ ! -d /proc/$(cat /root/pid) ]", &out) == nil
	})
	if _, err := p.Host(t.Context(), "i-never-was"); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("a host that is not there: %v", err)
	}
}

func TestConstraintsBecomeLimits(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	req := request("0", "")
	cores, mem, disk := 1, 512, 2048
	req.Constraints = provider.Constraints{Cores: &cores, MemoryMiB: &mem, RootDiskMiB: &disk}
	in := start(t, p, req)
	got := config(t, s, in)
	if got.Config["limits.cpu"] != "1" || got.Config["limits.memory"] != "512MiB" || got.Devices["root"]["size"] != "2048MiB" {
		t.Errorf("LXD has %v and %v", got.Config, got.Devices)
	}
	if hw := in.Hardware; hw.Cores != 1 || hw.MemoryMiB != 512 || hw.DiskMiB != 2048 || hw.Arch == "" || hw.VirtType != "container" {
		t.Errorf("it is listed with %+v", hw)
	}
	many, vm, nowhere := 10000, "virtual-machine", "no-such-image"
	for _, c := range []provider.Constraints{{Cores: &many}, {MemoryMiB: func() *int { n := 1 << 30; return &n }()}, {VirtType: &vm}, {ImageID: &nowhere}, {InstanceType: &nowhere}, {Tags: &[]string{"x"}}, {Zones: &[]string{"nowhere"}}} {
		req := request("1", "")
		req.Controller, req.Model, req.Constraints = controller, model, c
		if in, err := p.Start(t.Context(), req); !errors.Is(err, provider.ErrRefused) {
			t.Errorf("%v: %+v, %v", c, in, err)
		}
	}
}

// What reaches a machine from outside is tried from here, and from a container in another bridge.
func TestPortsAreClosedUntilTheyAreOpened(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	one := start(t, p, request("0", "while :; do echo hello | nc -l -p 8080; done &\nwhile :; do echo hello | nc -l -p 22; done"))
	two := start(t, p, request("1", ""))
	stranger := s.Launch(t, "stranger", lxdtest.Options{Image: s.Tiny})
	address := one.Addresses[0]
	from := func(c string) bool { // is port 8080 reached from the container
		_, err := s.Try("exec", c, "--", "sh", "-c", "nc -w 3 "+address+" 8080 </dev/null | grep -q hello")
		return err == nil
	}
	here := func(port string) bool {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, port), 3*time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	await(t, "a machine of the same controller to get through", func() bool { return from(string(two.ID)) })
	if here("8080") || from(stranger.Name) {
		t.Fatal("a port is open that nobody has opened")
	}
	await(t, "ssh", func() bool { return here("22") })
	set := func(sources ...string) {
		t.Helper()
		if err := p.SetPorts(t.Context(), one.ID, []provider.Rule{{PortRange: provider.PortRange{Protocol: "tcp", From: 8000, To: 8090}, Sources: sources}}); err != nil {
			t.Fatal(err)
		}
	}
	set()
	await(t, "the open port, from here", func() bool { return here("8080") })
	await(t, "the open port, from a stranger", func() bool { return from(stranger.Name) })
	set(stranger.Address+"/32", "2001:db8::/32")
	await(t, "the open port, from the one it is open to", func() bool { return from(stranger.Name) })
	if here("8080") {
		t.Error("a port is open to others than it was opened to")
	}
	if err := p.SetPorts(t.Context(), two.ID, nil); err != nil {
		t.Error(err)
	}
	await(t, "the port as it was, when another machine's are set", func() bool { return from(stranger.Name) })
	if err := p.SetPorts(t.Context(), one.ID, nil); err != nil {
		t.Fatal(err)
	}
	if here("8080") || from(stranger.Name) {
		t.Error("the port is not closed again")
	}
	if err := p.SetPorts(t.Context(), "i-never-was", nil); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("the ports of what is not there: %v", err)
	}
}

func TestProfilesFollowTheCharms(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	in := start(t, p, request("0", ""))
	set := func(want map[string]provider.Profile) {
		t.Helper()
		if err := p.SetProfiles(t.Context(), in.ID, want); err != nil {
			t.Fatal(err)
		}
	}
	tun := map[string]map[string]string{"tun": {"type": "unix-char", "source": "/dev/null", "path": "/dev/mine"}}
	set(map[string]provider.Profile{"vpn": {Devices: tun}, "db": {Config: map[string]string{"user.db": "1"}}})
	s.LXC(t, "exec", string(in.ID), "--", "test", "-c", "/dev/mine")
	set(map[string]provider.Profile{"vpn": {Devices: tun}, "db": {Config: map[string]string{"user.db": "2"}}})
	if got := strings.TrimSpace(s.LXC(t, "profile", "get", string(in.ID)+".db", "user.db")); got != "2" {
		t.Errorf("after a refresh it is %q", got)
	}
	set(map[string]provider.Profile{"db": {Config: map[string]string{"user.db": "2"}}})
	if _, err := s.Try("exec", string(in.ID), "--", "test", "-c", "/dev/mine"); err == nil {
		t.Error("a device is still there whose application has gone")
	}
	set(nil)
	if got := config(t, s, in).Profiles; len(got) != 0 {
		t.Errorf("it still has %v", got)
	}
	set(map[string]provider.Profile{"db": {Config: map[string]string{"user.db": "2"}}})
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	if out := s.LXC(t, "profile", "list", "-f", "csv"); strings.Contains(out, "grigri-") {
		t.Errorf("profiles are left: %s", out)
	}
}

// Over HTTPS: with a token, whose certificate is then trusted; with that alone; and not when the server is another one.
func TestHTTPS(t *testing.T) {
	s := server.Server(t)
	token := strings.TrimSpace(s.LXC(t, "config", "trust", "add", "--name", "t-"+s.Project, "-q"))
	if i := strings.LastIndex(token, "\n"); i >= 0 {
		token = token[i+1:]
	}
	sp := spec(s)
	sp.Cloud.Endpoint = "https://" + s.Address
	sp.Credential = provider.Credential{Name: "me", AuthType: lxd.AuthInteractive, Attributes: map[string]string{"trust-token": token}}
	cred, err := lxd.Finish(t.Context(), sp)
	if err != nil {
		t.Fatal(err)
	}
	if cred.AuthType != lxd.AuthCertificate || cred.Attributes["trust-token"] != "" || cred.Attributes["server-cert"] == "" {
		t.Fatalf("the credential is of the type %s with %d attributes", cred.AuthType, len(cred.Attributes))
	}
	if _, err := lxd.Finish(t.Context(), sp); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("a token that was used: %v", err)
	}
	sp.Credential = cred
	p := open(t, sp)
	block, _ := pem.Decode([]byte(cred.Attributes["client-cert"]))
	t.Cleanup(func() { _, _ = s.Try("config", "trust", "remove", client.Fingerprint(block.Bytes)) })
	in := start(t, p, request("0", ""))
	h, err := p.Host(t.Context(), in.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context(), "true", &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
	if sh, err := p.Shell(t.Context(), in.ID); err != nil || !sh.SSH {
		t.Errorf("a shell from elsewhere: %+v, %v", sh, err)
	}
	// The certificate alone, as its owner and an administrator who has added it would have it; and with an authority in place of the server's own.
	s.LXC(t, "config", "trust", "remove", client.Fingerprint(block.Bytes))
	if _, err := open(t, sp).List(t.Context(), controller); err == nil || !strings.Contains(err.Error(), "does not trust the certificate of credential \"me\"") {
		t.Errorf("with a certificate that nobody has added: %v", err)
	}
	file := filepath.Join(t.TempDir(), "grigri.crt")
	if err := os.WriteFile(file, []byte(cred.Attributes["client-cert"]), 0o600); err != nil {
		t.Fatal(err)
	}
	s.LXC(t, "config", "trust", "add", file, "--name", "f-"+s.Project)
	for _, by := range []string{"server-cert", "ca-certificates"} {
		other := sp
		other.Credential.Attributes = maps.Clone(cred.Attributes)
		if by == "ca-certificates" {
			delete(other.Credential.Attributes, "server-cert")
			if _, err := lxd.Open(lxd.Config{Spec: other}); err == nil || !strings.Contains(err.Error(), "could be recognised") {
				t.Errorf("with nothing known of the server: %v", err)
			}
			other.Cloud.CACertificates = []string{cred.Attributes["server-cert"]}
		}
		if all, err := open(t, other).List(t.Context(), controller); err != nil || len(all) != 1 {
			t.Errorf("with a certificate that was added, by %s: %v, %v", by, all, err)
		}
	}
	sp.Credential.Attributes["server-cert"] = cred.Attributes["client-cert"]
	problems, err := open(t, sp).Check(t.Context())
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].What, "another certificate") {
		t.Errorf("with another server's certificate: %v, %v", problems, err)
	}
}

// What a controller on a machine is given opens the same LXD from there, until it is forgotten.
func TestRelocate(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	in := start(t, p, request("0", ""))
	there, err := p.Relocate(t.Context(), controller)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode([]byte(there.Credential.Attributes["server-cert"])); block == nil {
		t.Fatal("the server's certificate is not known")
	}
	address := strings.Replace(strings.TrimPrefix(there.Endpoint(), "https://"), ":", " ", 1)
	await(t, "the way from the machine to LXD", func() bool {
		_, err := s.Try("exec", string(in.ID), "--", "sh", "-c", "nc -w 3 "+address+" </dev/null")
		return err == nil
	})
	q := open(t, there)
	if all, err := q.List(t.Context(), controller); err != nil || len(all) != 1 {
		t.Errorf("from there are %v, %v", all, err)
	}
	if err := p.Forget(t.Context(), controller); !errors.Is(err, provider.ErrTransient) {
		t.Errorf("it is forgotten while it has a machine: %v", err)
	}
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	if err := p.Forget(t.Context(), controller); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, there).List(t.Context(), controller); err == nil {
		t.Error("it is trusted though it was forgotten")
	}
	if err := p.Forget(t.Context(), controller); err != nil {
		t.Error(err)
	}
}

// A start is interrupted when it has made the bridge and as good as nothing else: all of it goes, also what LXD goes on to make.
func TestForgetAnInterruptedStart(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	const another = "c0000000-0000-4000-8000-0000000000f1"
	bridges := func() int {
		return strings.Count(s.LXC(t, "network", "list", "--project", "default", "-f", "csv"), another)
	}
	for _, later := range []time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond} {
		req := request("0", "")
		req.Controller, req.Model = another, model
		ctx, cancel := context.WithCancel(t.Context())
		var g errgroup.Group
		g.Go(func() error {
			_, err := p.Start(ctx, req)
			return err
		})
		await(t, "the bridge", func() bool { return bridges() > 0 })
		time.AfterFunc(later, cancel)
		if err := g.Wait(); err == nil && later == 0 {
			t.Log("the start was faster")
		}
		cancel()
		await(t, "all of it to be gone", func() bool {
			err := p.Forget(t.Context(), req.Controller)
			if err != nil && !errors.Is(err, provider.ErrTransient) {
				t.Fatal(err)
			}
			all, listed := p.List(t.Context(), req.Controller)
			for _, in := range all {
				listed = errors.Join(listed, p.Stop(t.Context(), in.ID))
			}
			if listed != nil {
				t.Fatal(listed)
			}
			return err == nil
		})
		if n := bridges(); n > 0 {
			t.Errorf("%d bridges are left", n)
		}
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	s := server.Server(t)
	if problems, err := open(t, spec(s)).Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("with all there: %v, %v", problems, err)
	}
	for key, value := range map[string]string{"pool": "nowhere", "network": "nowhere", "project": "nowhere", "profiles": "nowhere", "image": "nowhere", "nowhere": "x"} {
		sp := spec(s)
		sp.Cloud.Config[key] = value
		problems, err := open(t, sp).Check(t.Context())
		found := false
		for _, problem := range problems {
			found = found || strings.Contains(problem.What, "nowhere") && problem.Remedy != ""
		}
		if err != nil || !found {
			t.Errorf("with %s=%s: %v, %v", key, value, problems, err)
		}
	}
	sp := spec(s)
	sp.Cloud.Endpoint = t.TempDir() + "/unix.socket"
	if problems, err := open(t, sp).Check(t.Context()); err != nil || len(problems) != 1 || !strings.Contains(problems[0].Remedy, "lxd init") {
		t.Errorf("with no LXD: %v, %v", problems, err)
	}
	images := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer images.Close()
	sp = spec(s)
	sp.Cloud.Config["image"], sp.Cloud.Config["image-server"] = "elsewhere/12", images.URL
	if problems, err := open(t, sp).Check(t.Context()); err != nil || len(problems) != 1 || !strings.Contains(problems[0].What, "certificate") {
		t.Errorf("with an image server that nobody knows: %v, %v", problems, err)
	}
	sp.Cloud.Config["image-cert"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: images.Certificate().Raw}))
	if problems, err := open(t, sp).Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("with an image server and its certificate: %v, %v", problems, err)
	}
}

func TestWhatHasOurNameAndIsNotOursIsLeftAlone(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	in := start(t, p, request("0", ""))
	s.LXC(t, "config", "set", string(in.ID), "user.grigri-machine=77")
	req := request("0", "")
	req.Controller, req.Model = controller, model
	if _, err := p.Start(t.Context(), req); err == nil || errors.Is(err, provider.ErrTransient) {
		t.Errorf("it was adopted: %v", err)
	}
	s.LXC(t, "config", "unset", string(in.ID), "user.grigri-controller")
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Error(err)
	}
	s.LXC(t, "info", string(in.ID)) // it is there
	s.LXC(t, "config", "set", string(in.ID), "user.grigri-controller="+controller)
}
