package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/internal/pycharms"
	"github.com/grigri/grigri/state"
)

// What holds only on machines that are ours alone: containers with systemd, of one model.
func TestMachinesThatAreOursAlone(t *testing.T) {
	lxd := lxdtest.Start(t)
	libraries := pycharms.Libraries(t)
	e := newEnvironment(t, "here")
	host, _, err := net.SplitHostPort(lxd.Address)
	if err != nil {
		t.Fatal(err)
	}
	e.moveTo(host)
	w := lxdWorld{e, lxd}
	w.addModel()
	w.must("deploy", "./testdata/tenant", "--config", "serve=true", "--storage", "data=tmpfs,8M")
	w.published(libraries)
	w.must("add-machine")
	stranger := lxd.Launch(t, "stranger", lxdtest.Options{Image: lxd.Tiny})
	plain := lxd.Launch(t, "plain", lxdtest.Options{}) // as machines are before they are ours
	w.settled(map[state.ApplicationName]int{"tenant": 1})

	w.layout()
	w.described()
	w.exposed(stranger)
	w.stored()
	w.restarts()

	w.until("the machine that is to be kept", func(s status.Status) bool { return s.Machines["2"].Agent.Current == "started" })
	kept := []string{w.instance("0"), w.instance("2")}
	w.in("0", "systemctl stop tenant") // the charm's own: by force its stop hook does not run
	w.must("remove-machine", "2", "--keep-instance", "--no-prompt")
	w.must("remove-machine", "0", "--keep-instance", "--force", "--no-prompt")
	w.until("no machine", func(s status.Status) bool { return len(s.Machines) == 0 })
	plain.Await(t, "sh", "-c", "systemctl is-system-running | grep -q -e running -e degraded")
	for _, name := range kept {
		w.clean(name, plain)
		lxd.LXC(t, "delete", "--force", name)
	}
}

type lxdWorld struct {
	*environment
	lxd *lxdtest.Server
}

func (w lxdWorld) addModel() {
	w.Helper()
	text := fmt.Sprintf("clouds:\n  box:\n    type: lxd\n    auth-types: [empty]\n    endpoint: %s\n    regions: {default: {}}\n    config: {project: %s, image: %s, pool: %s}\n",
		w.lxd.Socket, w.lxd.Project, w.lxd.Image, lxdtest.Pool)
	file := filepath.Join(w.data, "box.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	w.must("add-cloud", "box", "--client", "--controller", w.name, "--file", file)
	w.must("add-model", "away", "box")
}

func (w lxdWorld) instance(id state.MachineID) string {
	w.Helper()
	return w.now().Machines[id].InstanceID
}

// try runs a script in the machine, as root and outside of any hook.
func (w lxdWorld) try(id state.MachineID, script string) (string, error) {
	w.Helper()
	out, err := w.lxd.Try("exec", w.instance(id), "--", "sh", "-c", script)
	return strings.TrimSpace(out), err
}

func (w lxdWorld) in(id state.MachineID, script string) string {
	w.Helper()
	out, err := w.try(id, script)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// layout is where charms, their libraries and their cron jobs look.
func (w lxdWorld) layout() {
	w.Helper()
	// What charmhelpers' juju_version does.
	const version = `python3 -c 'import glob, subprocess
print(subprocess.check_output([glob.glob("/var/lib/juju/tools/machine-*/jujud")[0], "version"], universal_newlines=True).strip())'`
	if got := w.in("0", version); !regexp.MustCompile(`^3\.6\.\d+-debian-\w+$`).MatchString(got) {
		w.Errorf("the version is %q", got)
	}
	for script, want := range map[string]string{
		"cat /var/lib/juju/agents/unit-*/charm/metadata.yaml | head -n 1":                                          "name: tenant",
		"readlink /usr/bin/juju-run":                                                                               "/var/lib/juju/tools/machine-0/juju-run",
		"readlink /usr/bin/juju-exec":                                                                              "/var/lib/juju/tools/machine-0/juju-exec",
		"env -i /usr/bin/juju-run tenant/0 'config-get serve; pwd; echo $JUJU_UNIT_NAME'":                          "True\n/var/lib/juju/agents/unit-tenant-0/charm\ntenant/0",
		"env -i /usr/bin/juju-exec -u unit-tenant-0 'exit 7'; echo $?":                                             "7",
		"su nobody -s /bin/sh -c 'juju-run tenant/0 id' 2>&1 | grep -o 'only root may do this'":                    "only root may do this",
		"juju-exec other/9 id 2>&1":                                                                                `ERROR unit "other/9" not found on this machine`,
		"test -c /dev/tenant && echo there":                                                                        "there", // by the charm's lxd-profile.yaml
		"find /etc/systemd/system -name 'grigri*' -type f; systemctl is-enabled grigri-machine-0; umask; id -u -n": "/etc/systemd/system/grigri-machine-0.service\nenabled\n0022\nroot",
	} {
		if got, _ := w.try("0", script); got != want {
			w.Errorf("%s\nsays %q, want %q", script, got, want)
		}
	}
}

// described is how status shows such a machine.
func (w lxdWorld) described() {
	w.Helper()
	m := w.now().Machines["0"]
	name := w.in("0", "hostname")
	nic := m.Interfaces["eth0"]
	if m.Hostname != name || m.InstanceID != name || m.Base == nil || m.Base.Channel != "12" || m.Modification.Current != "applied" ||
		m.Profiles[name+".tenant"].Devices["tenant"]["path"] != "/dev/tenant" || !nic.Up || len(nic.IPAddresses) == 0 || nic.IPAddresses[0] != m.DNSName ||
		nic.MAC == "" || nic.Gateway != w.in("0", "ip route show default | awk '{print $3}'") || nic.Space != "alpha" {
		w.Errorf("the machine is shown as %+v", m)
	}
	if !regexp.MustCompile(`^arch=\w+ cores=\d+ mem=\d+M .*virt-type=container`).MatchString(m.Hardware) {
		w.Errorf("its hardware is %q", m.Hardware)
	}
}

// exposed connects from this host and from a container of another network, both outside of the machine's.
func (w lxdWorld) exposed(stranger *lxdtest.Container) {
	w.Helper()
	w.in("0", "for n in $(seq 100); do python3 -c 'import socket\nfor p in 8080, 8081, 8082: socket.create_connection((\"127.0.0.1\", p))' 2>/dev/null && exit; sleep 0.2; done; exit 1")
	x := exposure{w.environment, stranger, w.now().Machines["0"].DNSName}
	x.endpoints()
	x.opens("", "unexpose", "tenant")
}

// stored has storage of every kind. What a container cannot have says so, and can be removed.
func (w lxdWorld) stored() {
	w.Helper()
	w.must("add-storage", "tenant/0", "data=rootfs,8M")
	w.must("add-storage", "tenant/0", "data=lxd,8M")
	w.must("add-storage", "tenant/0", "data=loop,8M")
	shows := func(want string) {
		w.Helper()
		w.eventually("storage is shown: "+want, func() error {
			if out := w.must("storage"); !regexp.MustCompile(want).MatchString(out) {
				return errors.New(out)
			}
			return nil
		})
	}
	shows(`data/1 .* attached`)
	shows(`data/2 .* attached`)
	shows(`data/3 .* error .*no loop devices`)
	w.must("remove-storage", "data/3", "--force")
	w.eventually("what cannot be had goes", func() error {
		if out := w.must("storage"); strings.Contains(out, "data/3") {
			return errors.New(out)
		}
		return nil
	})
	if got := w.in("0", "findmnt -n -o FSTYPE /srv/tenant/0; echo kept >/srv/tenant/2/file; echo kept >/srv/tenant/1/file"); got != "tmpfs" {
		w.Errorf("storage from tmpfs is of the kind %q", got)
	}
	w.must("detach-storage", "data/2")
	shows(`(?m)^ +data/2 .* detached`)
	w.must("attach-storage", "tenant/0", "data/2")
	w.eventually("what was detached is back", func() error {
		if got, err := w.try("0", "cat /srv/tenant/2/file"); err != nil || got != "kept" {
			return fmt.Errorf("it holds %q, %v", got, err)
		}
		return nil
	})
}

// restarts are those that a hook asks for, at its end and at once, and one that nobody has asked for.
func (w lxdWorld) restarts() {
	w.Helper()
	const file = "/var/lib/juju/agents/unit-tenant-0/record"
	boot := w.in("0", "cat /proc/sys/kernel/random/boot_id; rm "+file)
	recorded := func(want ...string) {
		w.Helper()
		w.eventually("the hooks around a restart", func() error {
			got, err := w.try("0", "cat "+file)
			if err == nil && got != strings.Join(want, "\n") {
				err = fmt.Errorf("they are %q", got)
			}
			return err
		})
		now := w.in("0", "cat /proc/sys/kernel/random/boot_id; rm "+file)
		if now == boot {
			w.Error("the machine has not been started again")
		}
		boot = now
		w.settled(map[state.ApplicationName]int{"tenant": 1})
		if got := w.in("0", "findmnt -n -o FSTYPE /srv/tenant/0; cat /srv/tenant/1/file /srv/tenant/2/file"); got != "tmpfs\nkept\nkept" {
			w.Errorf("after a restart its storage is %q", got)
		}
	}
	w.must("config", "tenant", "reboot=now")
	recorded("config-changed, machine to start again: now", "config-changed", "start")
	w.must("config", "tenant", "reboot=end")
	recorded("config-changed, machine to start again: end", "config-changed", "start")
	w.lxd.LXC(w.T, "restart", "--force", w.instance("0"))
	recorded("start")
}

// clean compares a machine that was ours with one that never was. The empty directories in which storage was stay.
func (w lxdWorld) clean(name string, plain *lxdtest.Container) {
	w.Helper()
	const list = `{
find / -xdev \( -path /proc -o -path /sys -o -path '/var/lib/cloud/*' -o -path '/var/log/journal/*' -o -path '/tmp/systemd-private*' -o -path '/var/tmp/systemd-private*' -o -path /srv/tenant -o -path /var/lib/grigri-volumes \) -prune -o -printf '%p %y %m %U\n'
find /run /dev -iname '*grigri*' -o -iname '*juju*'
getent passwd
systemctl list-unit-files --no-legend --no-pager
systemctl list-units --failed --plain --no-legend --no-pager
nft list ruleset
ps -eo args | grep -i -e '[g]rigri' -e '[j]uju'
} | sed 's/ *$//' | sort`
	theirs := strings.Split(plain.Exec(w.T, "sh", "-c", list), "\n")
	w.eventually("nothing of ours is left on "+name, func() error { // by force nobody waits for the agent
		ours, err := w.lxd.Try("exec", name, "--", "sh", "-c", list)
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(strings.Split(ours, "\n"), func(line string) bool { return slices.Contains(theirs, line) })
		if len(left) > 0 {
			return fmt.Errorf("there is:\n%s", strings.Join(left, "\n"))
		}
		return nil
	})
}
