package state

import (
	"fmt"
	"slices"
	"testing"

	"github.com/grigri/grigri/provider"
)

func TestMachineAddresses(t *testing.T) {
	at := func(addresses ...string) MachineReport { return MachineReport{Addresses: addresses} }
	instance := Instance{Instance: provider.Instance{Addresses: []string{"198.51.100.1", "10.0.0.1"}}}
	first := at("10.0.0.1").After(MachineReport{})
	moved := at("10.0.0.2").After(first)
	again := at("10.0.0.3").After(moved)
	back := at("10.0.0.1").After(again)
	for _, c := range []struct {
		about  string
		report MachineReport
		want   []string
	}{
		{"no agent yet", MachineReport{}, []string{"198.51.100.1", "10.0.0.1"}},
		{"as it was started", first, []string{"198.51.100.1", "10.0.0.1"}},
		{"moved", moved, []string{"198.51.100.1", "10.0.0.2"}},
		{"moved again", again, []string{"198.51.100.1", "10.0.0.3"}},
		{"moved back", back, []string{"198.51.100.1", "10.0.0.1"}},
		{"no address at all", at("0.0.0.0/0", "10.0.0.1"), []string{"198.51.100.1", "10.0.0.1"}},
	} {
		if got := MachineAddresses(instance, c.report); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.about, got, c.want)
		}
	}
	r := MachineReport{}
	for i := range 100 {
		r = at(fmt.Sprintf("10.0.1.%d", i)).After(r)
	}
	if len(r.Former) != mostFormer || r.Former[mostFormer-1] != "10.0.1.98" {
		t.Errorf("of 100 addresses it remembers %v", r.Former)
	}
}
