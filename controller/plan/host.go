package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// HostFirewall is the model's setting that has agents keep the firewalls of hosts that users have added. Without it they are left alone.
const HostFirewall = "manual-firewall"

// HostRules is what the agent of a manual machine is to keep; nil: it is to leave the host's firewall alone. Others is the machines of the
// model, itself or not. A host that is the controller's is left alone: others than its model come to it.
func HostRules(m Machine, config state.ModelConfig, tenants []Tenant, others []Machine) *state.Rules {
	on, err := strconv.ParseBool(config[HostFirewall])
	if m.Manual == "" || m.Required || err != nil || !on {
		return nil
	}
	out := &state.Rules{Ports: Rules(tenants), SSH: sshPort(m.Manual)}
	for _, o := range others {
		if host, in := o.ID.Host(); o.ID == m.ID || o.Instance.State == provider.Gone || in && host != m.ID {
			continue // containers on other machines come with those machines' addresses
		}
		out.Peers = append(out.Peers, o.Addresses()...)
	}
	slices.Sort(out.Peers)
	out.Peers = slices.Compact(out.Peers)
	return out
}

// sshPort is the port in user@host:port; zero where there is none.
func sshPort(target string) int {
	_, host, _ := strings.Cut(target, "@")
	if strings.Count(host, ":") > 1 && !strings.Contains(host, "]:") {
		return 0 // an IPv6 address alone
	}
	n, _ := strconv.Atoi(host[strings.LastIndexByte(host, ':')+1:])
	if !strings.Contains(host, ":") {
		return 0
	}
	return n
}
