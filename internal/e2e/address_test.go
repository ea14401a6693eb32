package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/sshtest"
	"github.com/grigri/grigri/state"
)

// Two neighbours, on a host of its own network and on this one, are related twice: once as it is, and once with networks of the
// relation's own. What the one hears of the other's address follows the host's address and the model's settings, and nothing else wakes anybody.
func TestNeighboursHearOfAddresses(t *testing.T) {
	h := sshtest.Start(t, sshtest.Config{Network: true}) // first: the controller is to listen there, to the last
	e := newEnvironment(t, "street")
	e.moveTo(netip.MustParseAddr(h.Address).Prev().String())
	id := e.addHost(h)
	const via = "10.1.0.0/16,192.0.2.7/32"
	e.must("model-config", "update-status-hook-interval=0")
	e.must("deploy", "./testdata/neighbour", "mover", "--to", string(id))
	e.must("deploy", "./testdata/neighbour", "stayer")
	e.must("integrate", "mover:near", "stayer:far")
	e.must("integrate", "mover:far", "stayer:near", "--via", via)
	heard := func(about, unit, want string) {
		t.Helper()
		e.eventually(about, func() error {
			app, _, _ := strings.Cut(unit, "/")
			u := e.now().Applications[state.ApplicationName(app)].Units[state.UnitName(unit)]
			if got := u.Workload.Message; got != want || u.Agent.Current != "idle" {
				return fmt.Errorf("%s has heard %q, want %q; its agent is %+v", unit, got, want, u.Agent)
			}
			return nil
		})
	}
	ran := func(unit string) []string {
		t.Helper()
		return strings.Fields(e.must("exec", "--unit", unit, "cat ../hooks.log"))
	}
	told := func(address, egress string) string {
		return fmt.Sprintf("near: %[1]s %[1]s %[3]s; far: %[1]s %[1]s %[2]s", address, egress, via)
	}
	old, home := h.Address, strings.TrimSpace(e.must("exec", "--unit", "stayer/0", "unit-get private-address"))
	hears := func(egress string) string {
		return fmt.Sprintf("near: %[1]s %[1]s %[3]s; far: %[1]s %[1]s %[2]s", home, via, egress)
	}
	heard("at first", "stayer/0", told(old, old+"/32"))
	heard("at first", "mover/0", hears(home+"/32"))
	before := map[string]int{"mover/0": len(ran("mover/0")), "stayer/0": len(ran("stayer/0"))}
	since := func(unit string, want ...string) { // one of these
		t.Helper()
		e.eventually("the hooks of "+unit, func() error {
			got := strings.Join(ran(unit)[before[unit]:], " ")
			if !slices.Contains(want, got) {
				return fmt.Errorf("it has run %s, want %q", got, want)
			}
			return nil
		})
		before[unit] += len(strings.Fields(want[0]))
	}

	h.Move(t)
	heard("with another address", "stayer/0", told(h.Address, h.Address+"/32"))
	s := e.now()
	m := s.Machines[id]
	if m.DNSName != h.Address || strings.Join(m.IPAddresses, " ") != h.Address || m.Interfaces["eth0"].IPAddresses[0] != h.Address {
		t.Errorf("the machine is shown at %s, %v, %+v", m.DNSName, m.IPAddresses, m.Interfaces)
	}
	if u := s.Applications["mover"].Units["mover/0"]; u.PublicAddress != h.Address {
		t.Errorf("the unit is shown at %s", u.PublicAddress)
	}
	if out := e.must("machines"); !strings.Contains(out, " "+h.Address+" ") {
		t.Errorf("machines says\n%s", out)
	}
	for script, want := range map[string]string{
		"unit-get private-address":                  h.Address,
		"unit-get public-address":                   h.Address,
		"network-get near --ingress-address":        h.Address,
		"network-get near --bind-address":           h.Address,
		"network-get near --egress-subnets":         h.Address + "/32",
		"network-get far -r far:1 --egress-subnets": strings.ReplaceAll(via, ",", "\n"),
	} {
		if got := strings.TrimSpace(e.must("exec", "--unit", "mover/0", script)); got != want {
			t.Errorf("%s says %q, want %q", script, got, want)
		}
	}
	since("mover/0", "config-changed")
	since("stayer/0", "far-relation-changed near-relation-changed")

	// The model's own networks are in the relation that has none, and both sides hear of them.
	e.must("model-config", "egress-subnets=198.51.100.0/24,203.0.113.0/24")
	heard("with the model's networks", "stayer/0", told(h.Address, "198.51.100.0/24,203.0.113.0/24"))
	heard("with the model's networks", "mover/0", hears("198.51.100.0/24,203.0.113.0/24"))
	since("mover/0", "config-changed near-relation-changed", "near-relation-changed config-changed")
	since("stayer/0", "config-changed far-relation-changed", "far-relation-changed config-changed")
	e.must("model-config", "--reset", "egress-subnets")
	heard("without them", "stayer/0", told(h.Address, h.Address+"/32"))
}
