//go:build vm

package lxd_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/provider"
)

const vmPatience = 15 * time.Minute // for two boots on an emulated processor, on a host with much to do

// A virtual machine of a real LXD boots: it is started once, with what was asked for; its first-boot script runs once and reaches out; it
// is listed with its address; it goes. Its processor is emulated, and LXD does not reach its agent in it.
func TestAVirtualMachineBoots(t *testing.T) {
	m, image := lxdtest.VMMember(t)
	began := time.Now()
	l := m.Listen(t, strings.Split(m.Address, ":")[0]+":0")
	said := make(chan string, 10)
	web := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		said <- string(data)
	})}
	go web.Serve(l)
	t.Cleanup(func() { web.Close() })

	p := open(t, memberSpec(m, map[string]string{"image": image, "profiles": lxdtest.VMProfile}))
	kind, cores, memory, disk := "virtual-machine", 2, 512, 2048
	req := request("0", fmt.Sprintf(`exec >/root/said
hostname
nproc
awk '$1 == "MemTotal:" {print ($2 > 400*1024 && $2 <= 512*1024)}' /proc/meminfo
lsblk -bndo SIZE /dev/sda
df -m --output=size / | awk 'NR == 2 && $1 > 1800 && $1 < 2048 {print "grown"}'
ip -4 -o addr show enp5s0 | awk '{print $4}'
curl -sS --retry 5 --data-binary @/root/said http://%s/
`, l.Addr()))
	req.Controller, req.Model = controller, model
	req.Constraints = provider.Constraints{VirtType: &kind, Cores: &cores, MemoryMiB: &memory, RootDiskMiB: &disk}
	in, err := p.Start(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: it is started", time.Since(began))
	if again, err := p.Start(t.Context(), req); err != nil || again.ID != in.ID {
		t.Errorf("started again it is %s, %v", again.ID, err)
	}
	answer := ""
	select {
	case answer = <-said:
	case <-time.After(vmPatience):
		t.Error("its first-boot script has not run")
	}
	t.Logf("%v: its script has run", time.Since(began))
	if again, err := p.Start(t.Context(), req); err != nil || again.ID != in.ID { // LXD does not know that it has booted
		t.Errorf("started once more it is %s, %v", again.ID, err)
	}
	all, err := p.List(t.Context(), controller)
	if err != nil || len(all) != 1 {
		t.Fatalf("listed are %v, %v", all, err)
	}
	got := all[0]
	if got.ID != in.ID || got.Machine != "0" || got.State != provider.Running || len(got.Addresses) != 1 {
		t.Errorf("it is %+v", got)
	}
	if want := (provider.Hardware{Arch: "amd64", VirtType: kind, Cores: cores, MemoryMiB: memory, DiskMiB: disk}); got.Hardware != want {
		t.Errorf("its hardware is %+v", got.Hardware)
	}
	if want := fmt.Sprintf("%s\n%d\n1\n%d\ngrown\n%s/24\n", in.ID, cores, disk<<20, strings.Join(got.Addresses, " ")); answer != want {
		t.Errorf("it says %q, not %q", answer, want)
	}
	if err := p.SetPorts(t.Context(), in.ID, []provider.Rule{{PortRange: provider.PortRange{Protocol: "tcp", From: 80, To: 80}}}); err != nil {
		t.Error(err)
	}
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	if all, err := p.List(t.Context(), controller); err != nil || len(all) != 0 {
		t.Errorf("when it is stopped there are %v, %v", all, err)
	}
	if left := m.LXC(t, "list", "-f", "csv"); left != "" {
		t.Errorf("LXD still has %s", left)
	}
	t.Logf("%v: it has gone", time.Since(began))
	if len(said) > 0 {
		t.Error("its script has run more than once")
	}
}
