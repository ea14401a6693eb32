package status_test

import (
	"reflect"
	"testing"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// What the provider says of a machine, what the machine finds in itself, and what its charms have been given, are shown together.
func TestWhatAMachineHas(t *testing.T) {
	machine := func(change func(*status.MachineRecord)) status.Machine {
		s := sample()
		m := s.Machines["0"]
		change(&m)
		s.Machines["0"] = m
		return status.Build(s, now).Status.Machines["0"]
	}
	m := machine(func(m *status.MachineRecord) {
		m.Instance.Hardware = provider.Hardware{Cores: 2, Zone: "a", VirtType: "container"}
		m.Report.Hardware = provider.Hardware{Arch: "amd64", Cores: 16, MemoryMiB: 2048}
		m.Report.Links = []state.Link{{Name: "eth0", MAC: "00:16:3e:00:00:01", Addresses: []string{"10.1.0.9"}, Gateway: "10.1.0.1"}}
		m.Fitting = &state.Fitting{Instance: "i-0", Since: now, Profiles: map[string]provider.Profile{"web": {Config: map[string]string{"a": "b"}}}}
	})
	if want := "arch=amd64 cores=2 mem=2048M availability-zone=a virt-type=container"; m.Hardware != want {
		t.Errorf("the hardware is %q, want %q", m.Hardware, want)
	}
	if want := map[string]status.NetworkInterface{"eth0": {IPAddresses: []string{"10.1.0.9"}, MAC: "00:16:3e:00:00:01", Gateway: "10.1.0.1", Space: "alpha", Up: true}}; !reflect.DeepEqual(m.Interfaces, want) {
		t.Errorf("the interfaces are %+v", m.Interfaces)
	}
	profile := status.Profile{Config: map[string]string{"a": "b"}, Devices: map[string]map[string]string{}}
	if !reflect.DeepEqual(m.Profiles, map[string]status.Profile{"i-0.web": profile}) || m.Modification.Current != "applied" {
		t.Errorf("the profiles are %+v, %+v", m.Profiles, m.Modification)
	}
	m = machine(func(m *status.MachineRecord) {
		m.Fitting = &state.Fitting{Instance: "i-0", Since: now, Error: "no such device", Failures: 1}
	})
	if m.Modification.Current != "error" || m.Modification.Message != "no such device (failed 1 times)" {
		t.Errorf("a failed change is %+v", m.Modification)
	}
	m = machine(func(m *status.MachineRecord) { m.Fitting = &state.Fitting{Instance: "i-0", Since: now} })
	if m.Modification.Current != "idle" || m.Profiles != nil {
		t.Errorf("without profiles: %+v, %v", m.Modification, m.Profiles)
	}
}
