//go:build vm

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/state"
)

// A unit runs in a virtual machine of LXD, from deploy to the last trace: the machine takes its agent from the controller with its
// first-boot script, and nobody enters it from outside.
func TestAUnitInAVirtualMachineBoots(t *testing.T) {
	m, image := lxdtest.VMMember(t)
	e := newEnvironment(t, "here")
	e.slow = true
	e.moveTo(m.LinkHost(t))
	text := fmt.Sprintf("clouds:\n  box:\n    type: lxd\n    auth-types: [empty]\n    endpoint: %s\n    regions: {default: {}}\n    config: {image: %s, image-server: '', pool: %s, profiles: %s}\n",
		m.Socket, image, lxdtest.Pool, lxdtest.VMProfile)
	file := filepath.Join(e.data, "box.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e.must("add-cloud", "box", "--client", "--controller", e.name, "--file", file)
	e.must("add-model", "away", "box")
	began := time.Now()
	e.must("deploy", "./testdata/ec2web", "--constraints", "virt-type=virtual-machine cores=2 mem=512M root-disk=2G")
	e.until("its agent", func(s status.Status) bool { return s.Machines["0"].Agent.Current == "started" })
	t.Logf("%v: its agent has enrolled", time.Since(began))
	e.settled(map[state.ApplicationName]int{"ec2web": 1})
	t.Logf("%v: its unit is active", time.Since(began))
	machine := e.now().Machines["0"]
	if unit := e.now().Applications["ec2web"].Units["ec2web/0"]; unit.Workload.Message != "on "+machine.InstanceID || machine.Hostname != machine.InstanceID {
		t.Errorf("the unit says %q, of machine %+v", unit.Workload.Message, machine)
	}
	if !regexp.MustCompile(`^arch=amd64 cores=2 mem=512M root-disk=2048M virt-type=virtual-machine`).MatchString(machine.Hardware) {
		t.Errorf("its hardware is %q", machine.Hardware)
	}
	if got, want := e.must("exec", "--unit", "ec2web/0", "systemd-detect-virt; nproc; unit-get private-address"), "qemu\n2\n"+machine.DNSName+"\n"; got != want {
		t.Errorf("in it is %q, not %q", got, want)
	}
	e.must("remove-application", "ec2web", "--no-prompt")
	e.until("no machine", func(s status.Status) bool { return len(s.Machines) == 0 })
	if left := m.LXC(t, "list", "-f", "csv"); left != "" {
		t.Errorf("LXD still has %s", left)
	}
	t.Logf("%v: it has gone", time.Since(began))
}
