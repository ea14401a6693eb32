package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/sshtest"
)

// A boxClient is a client with a plugin and a cloud that needs it.
type boxClient struct {
	*testing.T
	program
	data string
	host *sshtest.Host
}

func newBoxClient(t *testing.T) boxClient {
	t.Helper()
	host := sshtest.Start(t, sshtest.Config{Network: true})
	bin, err := filepath.Abs(buildPrograms(t))
	if err != nil {
		t.Fatal(err)
	}
	data := shortDir(t)
	u := boxClient{t, program{bin, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GRIGRI_DATA="+data, "HOME="+t.TempDir(), "SSH_AUTH_SOCK=")}, data, host}
	build := exec.Command("go", "build", "-o", u.plugin(), "./testdata/plugin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	return u
}

func (u boxClient) plugin() string { return filepath.Join(u.data, "plugins", "grigri-provider-box") }

// definition is the file that defines a cloud.
func (u boxClient) definition(name string) string {
	u.Helper()
	key, err := os.ReadFile(u.host.KeyFile)
	if err != nil {
		u.Fatal(err)
	}
	data, err := json.Marshal(map[string]any{"clouds": map[string]any{name: map[string]any{"type": "box", "auth-types": []string{"empty"},
		"config": map[string]string{"target": u.host.Target("root"), "key": string(key), "host-key": u.host.HostKey}}}}) // which is YAML too
	file := filepath.Join(u.data, name+".yaml")
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		u.Fatal(err)
	}
	return file
}

func (u boxClient) must(args ...string) string {
	u.Helper()
	out, err := u.run(args...)
	if err != nil {
		u.Fatalf("grigri %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (u boxClient) fails(want string, args ...string) {
	u.Helper()
	if out, err := u.run(args...); err == nil || !strings.Contains(out, want) {
		u.Fatalf("grigri %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
	}
}

// until waits until a command prints the text, and returns what it prints.
func (u boxClient) until(want string, do func() string) string {
	u.Helper()
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out := do()
		if strings.Contains(out, want) {
			return out
		}
		if time.Now().After(end) {
			u.Fatalf("waited in vain for %q:\n%s\n%s", want, out, u.host.Run(u.T, "tail -n 30 /var/lib/grigri/controller/grigrid.log"))
		}
	}
}

// A controller is made on a machine of a plugin's cloud, and so gets the plugin; another one is sent to it, and killed in the middle of
// its work.
func TestAControllerRunsPlugins(t *testing.T) {
	if testing.Short() {
		t.Skip("it brings up a controller with its ZooKeeper")
	}
	t.Parallel()
	u := newBoxClient(t)
	u.fails("no provider: the types are", "add-cloud", "else", "--client", "--file", u.typed("else", "crate"))
	u.must("add-cloud", "box", "--client", "--file", u.definition("box"))
	u.must("bootstrap", "box", "one")
	t.Cleanup(func() {
		if out, err := u.run("kill-controller", "one", "--no-prompt", "--timeout", "10s"); t.Failed() && err != nil {
			t.Log(out)
		}
	})
	hash := u.kept(1)

	// The controller's own cloud works with the plugin that bootstrap has put there.
	u.must("add-machine", "-m", "controller")
	u.until(`"current":"started"`, func() string { return u.must("show-machine", "1", "-m", "controller", "--format", "json") })

	// Another program for the same type: the one that this cloud pins is sent, and both are run.
	program, err := os.ReadFile(u.plugin())
	if err == nil {
		err = os.Remove(u.plugin())
	}
	if err == nil {
		err = os.WriteFile(u.plugin(), append(program, "another\n"...), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	u.fails(`"zz" is no SHA-256`, "add-cloud", "bad", "-c", "one", "--file", u.with("bad", "plugin-hash", "zz"))
	if out := u.must("add-cloud", "far", "-c", "one", "--file", u.with("far", "plugin-hash", strings.Repeat("0", 64))); !strings.Contains(out, "WARNING neither controller") {
		t.Errorf("a cloud whose plugin nobody has: %s", out)
	}
	u.must("remove-cloud", "far", "-c", "one")
	if out := u.must("add-cloud", "other", "-c", "one", "--file", u.definition("other")); !strings.Contains(out, `Plugin "grigri-provider-box" sent to controller "one"`) {
		t.Errorf("add-cloud: %s", out)
	}
	if out := u.must("update-cloud", "other", "-c", "one", "--file", u.definition("other")); strings.Contains(out, "sent to") {
		t.Errorf("a plugin that is there is sent again: %s", out)
	}
	if both := u.kept(2); !strings.Contains(both, hash) {
		t.Errorf("the plugin that bootstrap has put there is gone: %s", both)
	}

	// A machine that is being started when the plugin is killed is started once, by the next one.
	u.must("add-model", "shop", "other")
	u.host.Run(t, "touch /srv/box/hold")
	u.must("deploy", u.charm())
	began := strings.Fields(u.until(" 0", func() string { return u.host.Run(t, "cat /srv/box/began 2>/dev/null || true") }))
	u.host.Run(t, fmt.Sprintf("kill -9 %s; rm /srv/box/hold", began[0]))
	u.until("up and running", func() string { return u.must("status") })
	u.must("add-unit", "web")
	u.until(`"web/1"`, func() string { return u.must("status", "--format", "json") })
	u.until("3 are", func() string {
		return fmt.Sprint(strings.Count(u.must("status"), "up and running"), " are") // the application is, and its units
	})
	if n := u.host.Run(t, "ls -d /srv/box/machines/*-0 /srv/box/machines/*-1 | wc -l"); n != "3" { // and machine 1 of the controllers' model
		t.Errorf("there are %s machines: %s", n, u.host.Run(t, "ls /srv/box/machines"))
	}
	if log := u.host.Run(t, "cat /var/lib/grigri/controller/grigrid.log"); !strings.Contains(log, "a plugin has ended and will be started again") {
		t.Errorf("nothing of the plugin's death is in the log:\n%s", lastLines(log, 20))
	}
	u.must("destroy-model", "shop", "--no-prompt")
	u.until("there is 1", func() string { return "there is " + u.host.Run(t, "ls /srv/box/machines | wc -l") })
	u.must("kill-controller", "one", "--no-prompt")
	if out := u.must("controllers", "--format", "json"); strings.Contains(out, `"one"`) {
		t.Errorf("the controller is remembered: %s", out)
	}
}

// kept is the names of the plugins that the controller was given, of which there must be n, for nobody else to change.
func (u boxClient) kept(n int) string {
	u.Helper()
	const at = "/var/lib/grigri/controller/plugins/by-hash"
	out := u.host.Run(u.T, "cd "+at+" && stat -c '%a %U %n' *; stat -c %a .")
	lines := strings.Split(out, "\n")
	if len(lines) != n+1 || strings.Count(out, "700 root ") != n || lines[n] != "700" {
		u.Fatalf("there are the plugins\n%s", out)
	}
	return out[:strings.LastIndex(out, "\n")]
}

// with is a definition with one more key.
func (u boxClient) with(name, key, value string) string {
	u.Helper()
	file := u.definition(name)
	return u.edit(file, `"type":"box"`, fmt.Sprintf(`"type":"box",%q:%q`, key, value))
}

// typed is the definition of a cloud of another type.
func (u boxClient) typed(name, kind string) string {
	u.Helper()
	return u.edit(u.definition(name), `"type":"box"`, fmt.Sprintf(`"type":%q`, kind))
}

func (u boxClient) edit(file, old, new string) string {
	u.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(data), old, new, 1)), 0o600)
	}
	if err != nil {
		u.Fatal(err)
	}
	return file
}

func (u boxClient) charm() string {
	u.Helper()
	dir := filepath.Join(u.TempDir(), "web")
	for name, text := range map[string]string{
		"metadata.yaml": "name: web\nsummary: s\ndescription: d\n",
		"hooks/start":   "#!/bin/sh\nstatus-set active 'up and running'\n",
	} {
		file := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o755)
		}
		if err != nil {
			u.Fatal(err)
		}
	}
	return dir
}
