package e2e

import (
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
	"github.com/grigri/grigri/state"
)

// Containers on a machine, which is a container of LXD itself: LXD is installed there, runs out of images, gets one, and has units.
func TestContainersOnAMachine(t *testing.T) {
	lxd := lxdtest.Start(t)
	e := newEnvironment(t, "here")
	address, _, err := net.SplitHostPort(lxd.Address)
	if err != nil {
		t.Fatal(err)
	}
	e.moveTo(address)
	w := nestWorld{e, lxd}
	w.addModel()

	// A machine, and on it a container. There is no image server, and the machine cannot make an image itself.
	e.must("add-machine", "--base", "debian@12")
	host := w.host()
	w.inside(host, mendCgroups)
	w.inside(host, `printf '#!/bin/sh\necho no mirror answers; exit 1\n' >/usr/local/sbin/debootstrap; chmod 755 /usr/local/sbin/debootstrap`)
	if out, err := e.run("add-machine", "lxd:7"); err == nil || out != "" || !strings.Contains(err.Error(), `machine "7" not found`) {
		t.Errorf("on a machine that is not there: %q, %v", out, err)
	}
	e.must("add-machine", "lxd:0", "--constraints", "mem=512M")
	w.until("0/lxd/0", "the error", func(m status.Machine) bool {
		return m.Instance.Current == "provisioning error" && strings.Contains(m.Instance.Message, "no mirror answers")
	})

	// With an image in LXD there the next try succeeds.
	lxd.LXC(t, "config", "device", "add", host, "images", "disk", "source="+filepath.Join(lxdtest.Root(), "images"), "path=/mnt/images")
	w.inside(host, "lxc image import /mnt/images/"+strings.TrimPrefix(lxd.Image, "grigri-")+".tar --alias grigri/debian@12")
	e.must("retry-provisioning", "0/lxd/0")
	e.must("deploy", examples+"store", "--base", "debian@12", "--to", "0/lxd/0")
	e.settled(map[state.ApplicationName]int{"store": 1})
	box := w.until("0/lxd/0", "the container", func(m status.Machine) bool {
		return m.Agent.Current == "started" && m.Instance.Current == "running"
	})
	if limit := w.inside(host, "lxc config get "+box.InstanceID+" limits.memory"); limit != "512MiB\n" || box.Constraints != "mem=512M" || len(box.IPAddresses) != 1 || box.Base.String() != "debian@12" {
		t.Errorf("the container is %+v, with %s", box, limit)
	}
	if text := e.must("status"); !strings.Contains(text, "\n0/lxd/0  started") || !strings.Contains(text, "\nstore/0*") {
		t.Errorf("status:\n%s", text)
	}
	for _, want := range []string{"container +provisioning error .*no mirror answers", "container +running", "juju-container +started"} {
		if got := e.must("show-status-log", "0/lxd/0"); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("its log of statuses has no %q:\n%s", want, got)
		}
	}
	if got := e.must("exec", "--unit", "store/0", "echo $JUJU_MACHINE_ID $(unit-get private-address) $(hostname)"); strings.TrimSpace(got) != "0/lxd/0 "+box.IPAddresses[0]+" "+box.InstanceID {
		t.Errorf("in the container it is %q", got)
	}
	if got := e.must("exec", "--machine", "0/lxd/0", "hostname"); strings.TrimSpace(got) != box.InstanceID {
		t.Errorf("machine 0/lxd/0 is %q", got)
	}

	if !strings.Contains(box.Hardware, "mem=512M") {
		t.Errorf("its hardware is %q", box.Hardware)
	}
	if got := e.must("ssh", "0/lxd/0", "echo", "$(hostname)", "'a b'"); strings.TrimSpace(got) != box.InstanceID+" a b" {
		t.Errorf("over ssh it is %q", got)
	}

	// A unit asks for one of its own. The agent of the host is killed, and takes over what there is.
	e.must("add-unit", "store", "--to", "lxd:0")
	e.settled(map[state.ApplicationName]int{"store": 2})
	w.inside(host, "systemctl kill -s KILL grigri-machine-0")
	was := w.instances(host)
	if len(was) != 2 {
		t.Errorf("in LXD on the machine there are %v", was)
	}
	if _, err := e.run("remove-machine", "0", "--no-prompt"); err == nil || !strings.Contains(err.Error(), "cannot remove machine 0: machine is hosting containers 0/lxd/0, 0/lxd/1") {
		t.Errorf("the machine is removed with its containers: %v", err)
	}
	e.must("remove-unit", "store/1", "--no-prompt")
	e.eventually("the container is gone, and only it", func() error {
		if _, there := e.now().Machine("0/lxd/1"); there {
			return fmt.Errorf("machine 0/lxd/1 is there")
		}
		if have := w.instances(host); len(have) != 1 || !slices.Contains(was, have[0]) || have[0] != box.InstanceID {
			return fmt.Errorf("in LXD on the machine there are %v", have)
		}
		return nil
	})
	if out := e.must("remove-machine", "0", "--force", "--dry-run"); !strings.Contains(out, "- will remove container 0/lxd/0\n- will remove unit store/0\n") {
		t.Errorf("with the machine goes %q", out)
	}
	e.must("destroy-model", "boxes", "--no-prompt")
	if out := lxd.LXC(t, "list", "--format", "csv", "-c", "n"); out != "" {
		t.Errorf("in LXD is left: %s", out)
	}
}

// mendCgroups has in a container each hierarchy of control groups that its host has. Where the host's were not mounted by systemd, that of the
// container looks for cpu and cpuacct as one, and for LXD in the container each must be there.
const mendCgroups = `for c in cpu cpuacct; do
	grep -q ":$c:" /proc/self/cgroup && ! mountpoint -q /sys/fs/cgroup/$c || continue
	mount -o remount,rw /sys/fs/cgroup && rm -f /sys/fs/cgroup/$c && mkdir /sys/fs/cgroup/$c && mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c
done`

type nestWorld struct {
	*environment
	lxd *lxdtest.Server
}

// addModel makes a model in LXD, whose containers have no image server.
func (w nestWorld) addModel() {
	w.Helper()
	file := filepath.Join(w.data, "cloud.yaml")
	text := fmt.Sprintf("clouds:\n  box:\n    type: lxd\n    endpoint: unix://%s\n    auth-types: [empty]\n    regions: {default: {}}\n    config: {project: %s, image: %s, pool: %s}\n",
		w.lxd.Socket, w.lxd.Project, w.lxd.Image, lxdtest.Pool)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	w.must("add-cloud", "box", "--client", "--controller", w.name, "--file", file)
	w.must("add-model", "boxes", "box", "--config", "container-image-metadata-defaults-disabled=true")
}

// host is the instance of machine 0, when its agent has come.
func (w nestWorld) host() string {
	w.Helper()
	return w.until("0", "the machine", func(m status.Machine) bool { return m.Agent.Current == "started" }).InstanceID
}

// until waits for the machine to be so.
func (w nestWorld) until(id state.MachineID, what string, so func(status.Machine) bool) (m status.Machine) {
	w.Helper()
	w.eventually(what, func() error {
		st, err := w.status()
		if err != nil {
			return err
		}
		var ok bool
		if m, ok = st.Machine(id); !ok || !so(m) {
			return fmt.Errorf("machine %s is %+v", id, m)
		}
		return nil
	})
	return m
}

func (w nestWorld) inside(host, script string) string {
	w.Helper()
	return w.lxd.LXC(w.T, "exec", host, "--", "sh", "-ec", script)
}

// instances is those of LXD on the machine.
func (w nestWorld) instances(host string) []string {
	w.Helper()
	return strings.Fields(w.inside(host, "lxc list --format csv -c n"))
}
