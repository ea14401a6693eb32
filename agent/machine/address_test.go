package machine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/internal/nettest"
	"github.com/grigri/grigri/state"
)

// A machine's address changes while nothing else happens, and the tree knows, as does the leader.
func TestAMachineTellsThatItsAddressHasChanged(t *testing.T) {
	if !nettest.Own(t) {
		return
	}
	f := newFixture(t)
	f.address = ""
	f.assign()
	nettest.Link(t, "eth7", "10.77.0.2/24")
	f.run()
	told := func(addresses, former string) {
		t.Helper()
		var r state.MachineReport
		f.await("addresses "+addresses+", former "+former, func() bool {
			rec, err := state.ReadIf[state.MachineReport](t.Context(), f.admin, shop.MachineReportPath("4"))
			f.must(err)
			r = rec.Value
			return strings.Join(r.Addresses, " ") == addresses && strings.Join(r.Former, " ") == former
		})
	}
	tickets := func() int {
		names, err := f.admin.Children(t.Context(), shop.ChangesPath())
		f.must(err)
		return len(slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "machine=4:") }))
	}
	told("10.77.0.2", "")
	if n := tickets(); n != 0 {
		t.Errorf("the leader is told %d times of what it has just made", n)
	}
	nettest.IP(t, "addr add 10.77.0.3/24 dev eth7")
	told("10.77.0.2 10.77.0.3", "")
	nettest.IP(t, "addr flush dev eth7")
	f.edit(func(tx *state.Txn) {
		a := f.conf.Addresses
		a.API = append(slices.Clone(a.API), "127.0.0.1:9")
		tx.Set(shop.AddressesPath(), a, state.Any)
	})
	f.await("between two addresses it looks, and keeps what it had", func() bool {
		c, err := enroll.Load(f.data)
		return err == nil && len(c.Addresses.API) == 2
	})
	nettest.IP(t, "addr add 10.77.0.9/24 dev eth7")
	told("10.77.0.9", "10.77.0.2 10.77.0.3")
	nettest.IP(t, "addr add 10.77.0.2/24 dev eth7")
	told("10.77.0.9 10.77.0.2", "10.77.0.3")
	if n := tickets(); n != 3 {
		t.Errorf("the leader is told %d times of three changes", n)
	}
}
