package plan

import (
	"reflect"
	"testing"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func TestHostRules(t *testing.T) {
	port := provider.PortRange{Protocol: provider.TCP, From: 80, To: 80}
	tenants := []Tenant{{Application: "web", Open: []state.OpenPort{{PortRange: port}}, Exposed: state.Exposed{Exposed: true, Endpoints: map[string]state.ExposedEndpoint{"": {}}}}}
	at := func(addresses ...string) func(*Machine) {
		return func(m *Machine) { m.Instance.Addresses, m.Instance.State = addresses, provider.Running }
	}
	moved := func(m *Machine) {
		m.Report = state.MachineReport{Addresses: []string{"192.0.2.2"}, Former: []string{"192.0.2.9"}}
	}
	others := []Machine{machine("0", manual, at("192.0.2.1")), machine("1", at("192.0.2.3", "fd00::3")), machine("2", at("192.0.2.9", "192.0.2.3"), moved), machine("3", gone)}
	on := state.ModelConfig{HostFirewall: "true"}
	want := &state.Rules{Ports: []provider.Rule{{PortRange: port}}, Peers: []string{"192.0.2.2", "192.0.2.3", "fd00::3"}}
	if got := HostRules(others[0], on, tenants, others); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for about, got := range map[string]*state.Rules{
		"not asked for":    HostRules(others[0], state.ModelConfig{}, tenants, others),
		"a provider's":     HostRules(others[1], on, tenants, others),
		"the controller's": HostRules(machine("0", manual, func(m *Machine) { m.Required = true }), on, tenants, others),
	} {
		if got != nil {
			t.Errorf("%s: %+v", about, got)
		}
	}
	for target, port := range map[string]int{"root@h": 0, "root@h:2222": 2222, "root@[fd00::1]:2222": 2222, "root@[fd00::1]": 0, "root@fd00::1": 0} {
		if got := sshPort(target); got != port {
			t.Errorf("%s: %d", target, got)
		}
	}
}
