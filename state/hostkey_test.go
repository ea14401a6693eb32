package state_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/state"
)

func TestHostKeys(t *testing.T) {
	const ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"
	if got, err := state.ParseHostKey(ed + " root@box\n"); got != ed || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	bad := []string{"", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + ed[12:], "* " + ed, "@cert-authority * " + ed, "ssh-ed25519 " + ed[12:] + "!",
		ed[:50] + "\n* " + ed, "ssh-rsa " + strings.Repeat("A", 4000)}
	for _, line := range bad {
		if key, err := state.ParseHostKey(line); err == nil {
			t.Errorf("%q is the key %q", line, key)
		}
	}
	if key, err := state.ParseHostKey(ed + "\n* " + ed); key != ed || err != nil {
		t.Errorf("of two lines it is %q, %v", key, err) // never more than one key
	}
	got := state.HostKeys(state.Machine{HostKeys: []string{ed}}, state.MachineReport{HostKeys: append(slices.Clone(bad), ed)})
	if !slices.Equal(got, []string{ed}) {
		t.Errorf("%q", got)
	}
	if got := state.HostKeys(state.Machine{}, state.MachineReport{HostKeys: append(slices.Clone(bad[:state.MaxHostKeys]), ed)}); len(got) != 0 {
		t.Errorf("after %d others: %q", state.MaxHostKeys, got)
	}
}
