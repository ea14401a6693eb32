package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/sshtest"
)

// A controller on a host that its user has, from the first look to the last trace.
func TestAControllerOnAHost(t *testing.T) {
	if testing.Short() {
		t.Skip("it brings up a controller with its ZooKeeper")
	}
	host := sshtest.Start(t, sshtest.Config{Network: true})
	changes := func() string { // directories in which something has been are other directories: what is in them counts
		files := slices.DeleteFunc(host.Changes(t), func(line string) bool { return strings.HasSuffix(line, "/") })
		return strings.Join(files, "\n") + host.Run(t, "ls -d /var/lib/grigri /usr/local/lib/grigri /var/lib/juju /var/log/juju 2>/dev/null || true")
	}
	before := changes()
	bin, err := filepath.Abs(buildPrograms(t))
	if err != nil {
		t.Fatal(err)
	}
	g := program{bin: bin, env: append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GRIGRI_DATA="+shortDir(t), "HOME="+t.TempDir(), "SSH_AUTH_SOCK=")}
	keys := []string{"--private-key", host.KeyFile, "--host-key", host.HostKey}
	target := "manual/" + host.Target("root")
	do := func(args ...string) string {
		t.Helper()
		out, err := g.run(args...)
		if err != nil {
			t.Fatalf("grigri %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	fails := func(want string, args ...string) {
		t.Helper()
		if out, err := g.run(args...); err == nil || !strings.Contains(out, want) {
			t.Fatalf("grigri %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
		}
	}
	clean := func(when string) {
		t.Helper()
		if now := changes(); now != before {
			t.Errorf("%s the host has changed:\n%s", when, now)
		}
	}
	fails("expected [user@]host[:port]", "bootstrap", "manual/", "one")
	fails("and must be SHA256:AAAA", "bootstrap", target, "one", "--private-key", host.KeyFile, "--host-key", "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	fails("development", append([]string{"bootstrap", target, "one", "--config", "development=perhaps"}, keys...)...)
	clean("after a bootstrap that failed")
	if out := do("controllers", "--format", "json"); strings.Contains(out, `"one"`) {
		t.Fatalf("a controller is remembered that is not there: %s", out)
	}

	do(append([]string{"bootstrap", target, "one"}, keys...)...)
	fails("already exists", append([]string{"bootstrap", target, "one"}, keys...)...)
	fails("there is a controller in /var/lib/grigri/controller already", append([]string{"bootstrap", target, "two"}, keys...)...)
	if out := do("controllers", "--refresh"); !strings.Contains(out, "manual") {
		t.Errorf("controllers: %s", out)
	}
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out := do("machines", "-m", "one:controller", "--format", "json")
		if strings.Contains(out, `"current":"started"`) && strings.Contains(out, host.Address) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the agent of the controller's machine is not there:\n%s\n%s", out, host.Run(t, "tail -n 20 /var/lib/grigri/controller/grigrid.log /var/log/juju/*"))
		}
	}
	do("add-model", "shop")
	upgraded(t, g, host, keys)
	do(append([]string{"destroy-controller", "one", "--no-prompt", "--destroy-all-models"}, keys...)...)
	clean("after the controller was destroyed")

	do(append([]string{"bootstrap", target, "two"}, keys...)...)
	do(append([]string{"kill-controller", "two", "--no-prompt"}, keys...)...)
	clean("after the controller was killed")
}

// upgraded has the controller on the host go on with another build, first through its API, then, when it is killed, over ssh.
func upgraded(t *testing.T, g program, host *sshtest.Host, keys []string) {
	t.Helper()
	for i, how := range []string{"sending the programs", "replacing the programs"} {
		next := program{bin: t.TempDir(), env: g.env}
		for _, name := range []string{"grigri", "grigrid", "grigri-agent", "hooktool"} {
			data, err := os.ReadFile(filepath.Join(g.bin, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(next.bin, name), append(data, strings.Repeat("\n", i+1)...), 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 {
			host.Run(t, "kill -9 $(cat /var/lib/grigri/controller/lock)")
		}
		out, err := next.run(append([]string{"upgrade-controller"}, keys...)...)
		if err != nil || !strings.Contains(out, how) || !strings.Contains(out, `controller "one" runs `) {
			t.Fatalf("upgrade-controller: %v, want %q\n%s", err, how, out)
		}
		if out, err := next.run("upgrade-controller"); err != nil || !strings.Contains(out, "no upgrades available") {
			t.Fatalf("upgrade-controller again: %v\n%s", err, out)
		}
		if out, err := next.run("models"); err != nil || !strings.Contains(out, "shop") {
			t.Fatalf("models: %v\n%s", err, out)
		}
	}
}
