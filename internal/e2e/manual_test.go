package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/sshtest"
	"github.com/grigri/grigri/state"
)

// addHost adds the host and returns its machine.
func (e *environment) addHost(h *sshtest.Host) state.MachineID {
	e.Helper()
	e.must("add-machine", "ssh:"+h.Target("root"), "--private-key", h.KeyFile, "--host-key", h.HostKey)
	for id, m := range e.now().Machines {
		if m.InstanceID == "manual:"+strings.TrimSuffix(h.Target("root"), ":22") {
			return id
		}
	}
	e.Fatal("add-machine has added none")
	return ""
}

func (e *environment) now() status.Status {
	e.Helper()
	s, err := e.status()
	if err != nil {
		e.Fatal(err)
	}
	return s
}

// changes is what has changed on the host, but for what logging in changes.
func changes(t *testing.T, h *sshtest.Host) []string {
	return slices.DeleteFunc(h.Changes(t), func(line string) bool {
		name, _, _ := strings.Cut(line, " ")
		if _, err := os.Stat("/" + name); err == nil && strings.HasSuffix(name, "/") {
			return true // a directory of this machine's own, in which something was, and is no more or is in a line of its own
		}
		return slices.Contains([]string{"./var/log/wtmp", "./var/log/lastlog", "./var/log/btmp", "./var/log/", "./var/", "./var/lib/", "./var/lib/sudo/"}, name)
	})
}

func TestAHostIsAddedAndLeftAsItWas(t *testing.T) {
	e := newEnvironment(t, "metal")
	one, two := sshtest.Start(t, sshtest.Config{}), sshtest.Start(t, sshtest.Config{})
	before := changes(t, one)
	id := e.addHost(one)
	m := e.now().Machines[id]
	if m.Hostname != one.Name || !strings.Contains(m.Hardware, "cores=") || m.Base == nil || m.Base.Name != "debian" || m.InstanceID != "manual:"+one.Target("root") {
		t.Errorf("the machine is %+v, its base %+v", m, m.Base)
	}
	if slices.Equal(changes(t, one), before) {
		t.Fatal("nothing has changed on the host: this test sees nothing")
	}

	// The same host again is refused, and nothing changes.
	e.eventually("a refusal that changes nothing", func() error { // the agent that is there may be beginning, and change something itself
		after := len(changes(t, one))
		out, err := e.run("add-machine", "ssh:"+one.Target("root"), "--private-key", one.KeyFile, "--host-key", one.HostKey)
		if err == nil || !strings.Contains(err.Error(), "machine is already provisioned: it has the agent of machine-"+string(id)) || out != "" {
			t.Errorf("added again: %q, %v", out, err)
		}
		if now := len(changes(t, one)); now != after {
			return fmt.Errorf("there are %d changes on the host, which were %d", now, after)
		}
		return nil
	})
	if n := len(e.now().Machines); n != 1 {
		t.Errorf("there are %d machines", n)
	}

	// Units run there, and the machine stays when they go.
	e.must("deploy", examples+"store", "--to", string(id))
	other := e.addHost(two)
	e.must("add-unit", "store", "--to", string(other))
	e.settled(map[state.ApplicationName]int{"store": 2})
	if got := e.must("exec", "--unit", "store/1", "hostname"); strings.TrimSpace(got) != two.Name {
		t.Errorf("store/1 runs on %q", got)
	}
	e.knows(other, two)
	e.must("remove-application", "store", "--no-prompt")
	e.eventually("no unit", func() error {
		if s := e.now(); len(s.Applications) > 0 || len(s.Machines) != 2 {
			return fmt.Errorf("applications %v, %d machines", s.Applications, len(s.Machines))
		}
		return nil
	})

	// The agent is killed and comes back; the machine is removed and the host is what it was.
	one.Run(t, "pkill -KILL -f '^[^ ]*/grigri-agent run'")
	e.must("remove-machine", string(id), "--no-prompt")
	e.eventually("the machine gone", func() error {
		if _, there := e.now().Machines[id]; there {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	e.eventually("the host as it was", func() error {
		if now := changes(t, one); !slices.Equal(now, before) {
			return fmt.Errorf("was:\n%s\nis:\n%s", strings.Join(before, "\n"), strings.Join(now, "\n"))
		}
		if keys := one.Run(t, "cat /root/.ssh/authorized_keys"); strings.Contains(keys, "ann@desk") || strings.Contains(keys, "grigri") {
			return fmt.Errorf("it lets in %s", keys)
		}
		if left := one.Run(t, "ps -eo args | grep '[g]rigri' || true"); left != "" {
			return fmt.Errorf("there is left: %s", left)
		}
		return nil
	})
	if got := e.addHost(one); got == id {
		t.Errorf("added once more it is machine %s again", got)
	}

	// A host that is gone does not keep its machine.
	two.Kill(t)
	e.must("remove-machine", string(other), "--no-prompt", "--force")
	e.eventually("the dead host's machine gone", func() error {
		if _, there := e.now().Machines[other]; there {
			return fmt.Errorf("it is there")
		}
		return nil
	})
}

// knows logs in to the host, with nobody to ask: it is known by the key that it was added with. One with another key is refused until the
// agent has told that key.
func (e *environment) knows(id state.MachineID, h *sshtest.Host) {
	e.Helper()
	login := func(target string, options ...string) (string, error) {
		return e.run(append(append([]string{"ssh"}, options...), target, "-i", h.KeyFile, "-o", "BatchMode=yes", "hostname")...)
	}
	for _, target := range []string{string(id), "store/1"} {
		if got, err := login(target); err != nil || strings.TrimSpace(got) != h.Name {
			e.Errorf("%s is %q, %v", target, got, err)
		}
	}
	key := filepath.Join(e.TempDir(), "another")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann@desk", "-f", key).CombinedOutput(); err != nil {
		e.Fatalf("make a key: %v\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		e.Fatal(err)
	}
	lets := func(want bool) {
		e.eventually(fmt.Sprintf("ann is let in: %v", want), func() error {
			if _, err := e.run("ssh", string(id), "-i", key, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "true"); (err == nil) != want {
				return fmt.Errorf("it says %w", err)
			}
			return nil
		})
	}
	before := h.Run(e.T, "cat /root/.ssh/authorized_keys")
	e.must("add-ssh-key", string(public))
	lets(true)
	e.must("remove-ssh-key", "ann@desk")
	lets(false)
	if now := h.Run(e.T, "cat /root/.ssh/authorized_keys"); now != before {
		e.Errorf("authorized_keys was\n%s\nand is\n%s", before, now)
	}
	e.must("add-ssh-key", string(public)) // it goes when the host goes
	back := filepath.Join(e.TempDir(), "passwd")
	if _, err := e.run("scp", "--", "-i", h.KeyFile, "-o", "BatchMode=yes", string(id)+":/etc/passwd", "root@store/1:a file"); err != nil {
		e.Errorf("copy a file: %v", err)
	}
	if _, err := e.run("scp", "--", "-i", h.KeyFile, "store/1:a file", back); err != nil {
		e.Errorf("copy it back: %v", err)
	}
	if got, err := os.ReadFile(back); err != nil || len(got) == 0 {
		e.Errorf("the file is %q, %v", got, err)
	}
	h.Run(e.T, `ssh-keygen -q -t ed25519 -N "" -f /run/sshd/other && mv /run/sshd/other /run/sshd/hostkey && kill -HUP 1`)
	e.eventually("another key is refused", func() error {
		if out, err := login(string(id)); err == nil || !strings.Contains(err.Error(), "exit status 255") || !strings.Contains(err.Error(), "verification failed") {
			return fmt.Errorf("it says %q, %w", out, err)
		}
		return nil
	})
	if got, err := login(string(id), "--no-host-key-checks"); err != nil || strings.TrimSpace(got) != h.Name {
		e.Errorf("unchecked it is %q, %v", got, err)
	}
	h.Run(e.T, "mv /run/sshd/other.pub /etc/ssh/ssh_host_ed25519_key.pub")
	e.eventually("the new key is known", func() error {
		_, err := login(string(id))
		return err
	})
}

func TestAHostThatWillNotDo(t *testing.T) {
	e := newEnvironment(t, "metal")
	for _, c := range []struct{ setup, want string }{
		{`sed -i "s/^ID=.*/ID=haiku/; s/^PRETTY_NAME=.*/PRETTY_NAME=Haiku/" /etc/os-release`, "it runs Haiku: machines must run one of: debian, ubuntu"},
		{`mkdir -p /var/lib/juju/agents/machine-7; touch /var/lib/juju/agents/machine-7/agent.conf`, "machine is already provisioned: it has the agent of machine-7"},
		{`mkdir -p /var/lib/juju; touch /var/lib/juju/file`, "there is something in /var/lib/juju, where agents keep what is theirs"},
		{`mount -t tmpfs -o size=64m none /var/lib`, "it has 64 MiB free in /var/lib, and an agent needs 128: make room"},
		{`mv /usr/bin/gzip /usr/bin/gzip.away; mv /bin/gzip /bin/gzip.away 2>/dev/null; true`, "it lacks gzip: install what is missing"},
	} {
		h := sshtest.Start(t, sshtest.Config{Setup: c.setup})
		before := changes(t, h)
		out, err := e.run("add-machine", "ssh:"+h.Target("root"), "--private-key", h.KeyFile, "--host-key", h.HostKey)
		if err == nil || !strings.Contains(err.Error(), c.want) || out != "" {
			t.Errorf("want %s, got %q, %v", c.want, out, err)
		}
		if now := changes(t, h); !slices.Equal(now, before) {
			t.Errorf("%s: the host was changed:\n%s", c.want, strings.Join(now, "\n"))
		}
	}
	away := sshtest.Start(t, sshtest.Config{Network: true}) // from there 127.0.0.1 is another one
	_, err := e.run("add-machine", "ssh:"+away.Target("root"), "--private-key", away.KeyFile, "--host-key", away.HostKey)
	if err == nil || !strings.Contains(err.Error(), "it cannot reach the controller at 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
	if n := len(e.now().Machines); n != 0 {
		t.Errorf("there are %d machines", n)
	}
	for _, args := range [][]string{{"ssh:"}, {"ssh:h:x"}, {"ssh:h", "-n", "2"}, {"ssh:h", "--constraints", "mem=1G"}, {"zone=a", "--host-key", "x"}} {
		if _, err := e.run(append([]string{"add-machine"}, args...)...); err == nil || !strings.Contains(err.Error(), "exit status 2") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// held has the host begin with the program only when there is the file.
func held(program, file string) string {
	return fmt.Sprintf(`mv %[1]s %[1]s.real
printf '#!/bin/sh\nuntil [ -e %[2]s ]; do sleep 0.02; done\nexec %[1]s.real "$@"\n' >%[1]s; chmod 755 %[1]s
`, program, file)
}

// slowTar has the host unpack nothing before there is the file /tmp/go.
var slowTar = held("/usr/bin/tar", "/tmp/go")

// Whoever is interrupted while he adds a host leaves nothing, here or there; whoever is killed can begin again.
func TestAddingAHostIsInterrupted(t *testing.T) {
	e := newEnvironment(t, "metal")
	h := sshtest.Start(t, sshtest.Config{Setup: slowTar})
	before := changes(t, h)
	for _, signal := range []os.Signal{os.Interrupt, os.Kill} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, filepath.Join(e.bin, "grigri"), "add-machine", "ssh:"+h.Target("root"), "--private-key", h.KeyFile, "--host-key", h.HostKey)
		cmd.Env = append(os.Environ(), "GRIGRI_DATA="+e.data)
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		e.eventually("it has begun there", func() error {
			if len(changes(t, h)) == len(before) {
				return errors.New("nothing is there yet")
			}
			return nil
		})
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		cancel()
		if signal == os.Kill {
			break
		}
		if err == nil || !strings.Contains(said.String(), "interrupted: all that was made has been removed") {
			t.Errorf("interrupted it ends with %v, and says:\n%s", err, &said)
		}
		if now := changes(t, h); !slices.Equal(now, before) {
			t.Errorf("interrupted it leaves:\n%s", strings.Join(now, "\n"))
		}
		e.eventually("no machine", func() error {
			if n := len(e.now().Machines); n > 0 {
				return fmt.Errorf("there are %d", n)
			}
			return nil
		})
	}
	h.Run(t, "touch /tmp/go; mkdir -p /var/lib/juju/tools /var/lib/juju/agents/machine-99 /var/log/juju") // as another did, and was killed
	begun := time.Now()
	if id := e.addHost(h); len(e.now().Machines) != 1 {
		t.Errorf("it is machine %s, and there are %d", id, len(e.now().Machines))
	}
	t.Logf("added in %s", time.Since(begun))
}
