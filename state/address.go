package state

import (
	"net/netip"
	"slices"
)

// mostFormer is how many addresses a machine remembers that it has lost.
const mostFormer = 16

// After is the report with what the machine has lost since it said was, and before.
func (r MachineReport) After(was MachineReport) MachineReport {
	r.Former = nil
	for _, a := range slices.Concat(was.Former, was.Addresses) {
		if !slices.Contains(r.Addresses, a) && !slices.Contains(r.Former, a) {
			r.Former = append(r.Former, a)
		}
	}
	r.Former = r.Former[max(0, len(r.Former)-mostFormer):]
	return r
}

// MachineAddresses is where a machine can be reached: what its provider says first, then what it says itself. What the provider was
// told long ago, and the machine has lost since, is none of it.
func MachineAddresses(i Instance, r MachineReport) []string {
	var out []string
	for _, a := range i.Addresses {
		if !slices.Contains(r.Former, a) {
			out = append(out, a)
		}
	}
	for _, a := range r.Addresses {
		if _, err := netip.ParseAddr(a); err == nil && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
