package lxd

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/grigri/grigri/provider/lxd/client"
)

// A controller's machines are in a bridge of its own, with NAT, and each has an address in it that stays the same. What reaches them
// from outside is said by one list of rules, which LXD makes into those of its host's firewall. Between machines all is open.

// The keys of a bridge.
const (
	keyAddress = "ipv4.address"
	keyACLs    = "security.acls"
)

// join puts a machine's network interface into the bridge, which is made if it is missing. Each try proposes another address.
func (p *Provider) join(ctx context.Context, s *client.InstanceServer, key machineKey, nic map[string]string, try int) error {
	name := p.bridge(key.controller)
	network, _, err := s.GetNetwork(ctx, name)
	if client.IsNotFound(err) {
		if err = p.build(ctx, s, key.controller, name); err == nil || exists(err) {
			network, _, err = s.GetNetwork(ctx, name)
		}
	}
	if err != nil {
		return fmt.Errorf("network %s: %w", name, err)
	}
	if network.Config[tagController] != key.controller {
		return fmt.Errorf("network %s of LXD has our name and is not ours: delete it, or set the cloud's config %s", name, keyNetwork)
	}
	subnet, err := netip.ParsePrefix(network.Config[keyAddress])
	if err != nil {
		return fmt.Errorf("network %s of LXD has the address %q: %w", name, network.Config[keyAddress], err)
	}
	all, err := s.GetInstances(ctx)
	if err != nil {
		return err
	}
	used := map[netip.Addr]bool{subnet.Addr(): true}
	for _, i := range all {
		if a, err := netip.ParseAddr(i.Devices["eth0"][keyAddress]); err == nil && i.Devices["eth0"]["network"] == name {
			used[a] = true
		}
	}
	address, ok := free(subnet.Masked(), used, key.instance(), try)
	if !ok {
		return transient("network %s has no free address in %s: set the cloud's config %s to a larger one for new controllers", name, subnet.Masked(), keySubnet)
	}
	nic["network"], nic[keyAddress] = name, address.String()
	return nil
}

// free is an address of the network that is not used: which one follows from the name, so that two rarely propose the same.
func free(network netip.Prefix, used map[netip.Addr]bool, name string, try int) (netip.Addr, bool) {
	h := fnv.New32a()
	h.Write([]byte(name))
	size := uint32(1)<<(32-network.Bits()) - 2
	first := binary.BigEndian.Uint32(network.Addr().AsSlice()) + 1
	for i := range size {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], first+(h.Sum32()%size+uint32(try)*7+i)%size)
		if a := netip.AddrFrom4(b); !used[a] {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// build makes the bridge and its rules.
func (p *Provider) build(ctx context.Context, s *client.InstanceServer, controller, name string) error {
	about, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if !about.HasExtension("network_acl") {
		return refuse("LXD %s has no network ACLs: take a newer one, or name a network of yours with the cloud's config %s", about.Environment.ServerVersion, keyNetwork)
	}
	if apart, err := p.scattered(ctx, s); err != nil {
		return err
	} else if apart {
		return refuse("%s: name a network that spans it, such as one of the type ovn or macvlan, with the cloud's config %s", scatteredNote, keyNetwork)
	}
	tags := map[string]string{tagController: controller, tagProject: p.project()}
	err = s.CreateNetworkACL(ctx, client.NetworkACL{Name: name, Description: "grigri: what reaches the machines of controller " + controller, Config: tags,
		Ingress: p.always(), Egress: []client.NetworkACLRule{}})
	if err != nil && !exists(err) {
		return fmt.Errorf("its rules: %w", err)
	}
	gateway, err := p.subnet(ctx, s, name)
	if err != nil {
		return err
	}
	post := client.NetworksPost{Name: name, Type: "bridge", Description: "grigri: the machines of controller " + controller, Config: map[string]string{
		keyAddress: gateway.String(), "ipv4.nat": "true", "ipv6.address": "none", tagController: controller, tagProject: p.project(),
		keyACLs: name, "security.acls.default.ingress.action": "reject", "security.acls.default.egress.action": "allow",
	}}
	p.Log.Info("a network is made", "network", name, "address", gateway)
	if about.Environment.ServerClustered { // of one member: it is made there first
		target := client.NetworksPost{Name: name, Type: "bridge", Config: map[string]string{}}
		if err := s.CreateNetwork(ctx, target, about.Environment.ServerName); err != nil && !exists(err) {
			return err
		}
	}
	return s.CreateNetwork(ctx, post, "")
}

func (p *Provider) project() string {
	if p.settings.project == "" {
		return "default"
	}
	return p.settings.project
}

// subnet is the address of a new bridge, and its network: the one asked for, or one in 10.0.0.0/8 in which LXD's host has no address.
// LXD's own search is not used: it sends packets to an address, and takes any answer for a sign of life.
func (p *Provider) subnet(ctx context.Context, s *client.InstanceServer, name string) (netip.Prefix, error) {
	if n := p.settings.subnet; n.IsValid() {
		return netip.PrefixFrom(n.Addr().Next(), n.Bits()), nil
	}
	networks, err := s.GetNetworks(ctx)
	if err != nil {
		return netip.Prefix{}, err
	}
	var taken []netip.Prefix
	for _, text := range p.Avoid {
		if a, err := netip.ParseAddrPort(text); err == nil {
			taken = append(taken, netip.PrefixFrom(a.Addr().Unmap(), a.Addr().Unmap().BitLen()))
		}
	}
	for _, n := range networks {
		if prefix, err := netip.ParsePrefix(n.Config[keyAddress]); err == nil {
			taken = append(taken, prefix.Masked())
		}
		state, err := s.GetNetworkState(ctx, n.Name)
		if client.IsNotFound(err) {
			continue
		}
		if err != nil {
			return netip.Prefix{}, err
		}
		for _, a := range state.Addresses {
			if prefix, err := netip.ParsePrefix(a.Address + "/" + a.Netmask); err == nil {
				taken = append(taken, prefix.Masked())
			}
		}
	}
	return vacant(taken, name+p.Where)
}

// vacant is the first address of a network of 254 machines that overlaps none of those taken, beginning anywhere.
func vacant(taken []netip.Prefix, name string) (netip.Prefix, error) {
	h := fnv.New32a()
	h.Write([]byte(name))
next:
	for i := range uint32(1 << 16) {
		n := h.Sum32() + i
		one := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 1}), 24)
		for _, t := range taken {
			if t.Overlaps(one) {
				continue next
			}
		}
		return one, nil
	}
	return netip.Prefix{}, fmt.Errorf("LXD's host has addresses in all of 10.0.0.0/8: set the cloud's config %s", keySubnet)
}
