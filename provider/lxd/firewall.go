package lxd

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// SetPorts implements provider.Firewaller. In a network that is not ours it changes nothing: there ports are as that network has them.
func (p *Provider) SetPorts(ctx context.Context, id provider.InstanceID, want []provider.Rule) error {
	if err := p.setPorts(ctx, id, want); err != nil {
		return fmt.Errorf("set the open ports of instance %s: %w", id, classify(err))
	}
	return nil
}

func (p *Provider) setPorts(ctx context.Context, id provider.InstanceID, want []provider.Rule) error {
	s, i, err := p.find(ctx, id)
	if err != nil {
		return err
	}
	nic := i.Devices["eth0"]
	if nic["network"] != p.bridge(i.Config[tagController]) {
		return nil
	}
	rules, err := rulesOf(want, i.Name, nic[keyAddress])
	if err != nil {
		return err
	}
	return p.setRules(ctx, s, nic["network"], i.Name, rules)
}

// rulesOf is what rules mean to LXD. Addresses of IPv6 are left out: our bridge has none.
func rulesOf(want []provider.Rule, name, address string) ([]client.NetworkACLRule, error) {
	var out []client.NetworkACLRule
	for _, r := range want {
		var sources []string
		for _, cidr := range r.Sources {
			prefix, err := netip.ParsePrefix(cidr)
			if err != nil {
				return nil, refuse("%q is no CIDR, such as 192.0.2.0/24", cidr)
			}
			if prefix.Addr().Is4() {
				sources = append(sources, prefix.Masked().String())
			}
		}
		if len(r.Sources) > 0 && len(sources) == 0 {
			continue
		}
		rule := client.NetworkACLRule{Action: "allow", State: "enabled", Source: strings.Join(sources, ","), Destination: address, Protocol: r.Protocol, Description: name}
		if r.Protocol == provider.ICMP {
			rule.Protocol = "icmp4"
		} else if rule.DestinationPort = strconv.Itoa(r.From); r.To != r.From {
			rule.DestinationPort += "-" + strconv.Itoa(r.To)
		}
		out = append(out, rule)
	}
	return out, nil
}

// always is what reaches all machines: ssh, and echo requests.
func (p *Provider) always() []client.NetworkACLRule {
	rules := []client.NetworkACLRule{{Action: "allow", State: "enabled", Protocol: "icmp4", ICMPType: "8", Description: "echo"}}
	if len(p.settings.sshAllow) > 0 {
		var sources []string
		for _, cidr := range p.settings.sshAllow {
			if prefix := netip.MustParsePrefix(cidr); prefix.Addr().Is4() {
				sources = append(sources, prefix.Masked().String())
			}
		}
		rules = append(rules, client.NetworkACLRule{Action: "allow", State: "enabled", Protocol: "tcp", DestinationPort: "22", Source: strings.Join(sources, ","), Description: "ssh"})
	}
	return rules
}

// setRules makes the rules about an instance exactly those. The list is shared, and others change it at the same time: LXD refuses
// what was made of an older one.
func (p *Provider) setRules(ctx context.Context, s *client.InstanceServer, acl, name string, rules []client.NetworkACLRule) error {
	for try := range tries {
		list, etag, err := s.GetNetworkACL(ctx, acl)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(slices.Clone(list.Ingress), func(r client.NetworkACLRule) bool { return r.Description == name })
		ingress := slices.Concat(others, rules)
		if slices.Equal(ingress, list.Ingress) {
			return nil
		}
		list.Ingress, list.UsedBy = ingress, nil
		err = s.UpdateNetworkACL(ctx, acl, *list, etag)
		if !client.StatusErrorCheck(err, http.StatusPreconditionFailed) && !unknown(err) {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	return transient("the rules of network %s are changed by too many at once", acl)
}

// closed takes the rules of an instance away before it goes: its address will be another's.
func (p *Provider) closed(ctx context.Context, s *client.InstanceServer, i *client.Instance) error {
	network := i.Devices["eth0"]["network"]
	if network != p.bridge(i.Config[tagController]) {
		return nil
	}
	if err := p.setRules(ctx, s, network, i.Name, nil); err != nil && !client.IsNotFound(err) {
		return err
	}
	return nil
}

// leave removes the controller's bridge when its last machine has gone. Who makes another machine makes it again.
func (p *Provider) leave(ctx context.Context, s *client.InstanceServer, controller string) error {
	name := p.bridge(controller)
	network, _, err := s.GetNetwork(ctx, name)
	if err == nil && (network.Config[tagController] != controller || len(network.UsedBy) > 0) {
		return nil
	}
	if err == nil {
		err = s.DeleteNetwork(ctx, name)
	}
	if says(err, "in use") || says(err, "Cannot find device") { // somebody is on it again, or deletes it at the same time
		return nil
	}
	if err != nil && !client.IsNotFound(err) {
		return err
	}
	acl, _, err := s.GetNetworkACL(ctx, name)
	if err == nil && acl.Config[tagController] == controller && len(acl.UsedBy) == 0 {
		err = s.DeleteNetworkACL(ctx, name)
	}
	if client.IsNotFound(err) || says(err, "in use") {
		return nil
	}
	return err
}

// find is an instance of ours.
func (p *Provider) find(ctx context.Context, id provider.InstanceID) (*client.InstanceServer, *client.Instance, error) {
	s, err := p.server(ctx)
	if err != nil {
		return nil, nil, err
	}
	i, _, err := s.GetInstance(ctx, string(id))
	if client.IsNotFound(err) || err == nil && !ours(*i) {
		return nil, nil, provider.ErrNotFound
	}
	return s, i, err
}
