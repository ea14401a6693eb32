package ec2

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// A rule is one range of ports that one source may reach.
type rule struct {
	protocol string // EC2's: tcp, udp, icmp, icmpv6
	from, to int32
	source   string // a CIDR
}

type rules map[rule]bool

// rulesOf is what rules mean to EC2. No source is everyone, by IPv4 and by IPv6.
func rulesOf(want []provider.Rule) (rules, error) {
	out := rules{}
	for _, r := range want {
		sources := r.Sources
		if len(sources) == 0 {
			sources = []string{"0.0.0.0/0", "::/0"}
		}
		all, err := prefixes(sources)
		if err != nil {
			return nil, err
		}
		out.add(r.PortRange, all)
	}
	return out, nil
}

func (r rules) add(ports provider.PortRange, sources []netip.Prefix) {
	for _, s := range sources {
		one := rule{ports.Protocol, int32(ports.From), int32(ports.To), s.String()}
		if ports.Protocol == provider.ICMP {
			one.from, one.to = -1, -1
			if s.Addr().Is6() {
				one.protocol = "icmpv6"
			}
		}
		r[one] = true
	}
}

// rulesIn is what a group lets in by address. What it lets in otherwise is none of ours.
func rulesIn(permissions []types.IpPermission) rules {
	out := rules{}
	for _, p := range permissions {
		one := rule{protocol: aws.ToString(p.IpProtocol), from: -1, to: -1}
		if p.FromPort != nil {
			one.from = *p.FromPort
		}
		if p.ToPort != nil {
			one.to = *p.ToPort
		}
		if one.protocol == "58" {
			one.protocol = "icmpv6"
		}
		for _, v4 := range p.IpRanges {
			one.source = aws.ToString(v4.CidrIp)
			out[one] = true
		}
		for _, v6 := range p.Ipv6Ranges {
			one.source = aws.ToString(v6.CidrIpv6)
			out[one] = true
		}
	}
	return out
}

func (r rules) without(others rules) rules {
	out := maps.Clone(r)
	maps.DeleteFunc(out, func(one rule, _ bool) bool { return others[one] })
	return out
}

// permissions is the rules as EC2 takes them, in the same order each time.
func (r rules) permissions() []types.IpPermission {
	var out []types.IpPermission
	for _, one := range slices.SortedFunc(maps.Keys(r), func(a, b rule) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		p := types.IpPermission{IpProtocol: aws.String(one.protocol), FromPort: aws.Int32(one.from), ToPort: aws.Int32(one.to)}
		if strings.Contains(one.source, ":") {
			p.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: aws.String(one.source)}}
		} else {
			p.IpRanges = []types.IpRange{{CidrIp: aws.String(one.source)}}
		}
		out = append(out, p)
	}
	return out
}
