package bodies

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// enforce lets through to each body what its security groups let in, and nothing else, as EC2 does: from outside of it, in a table of this
// host's that has the bridge's name. What a body sends is not held back. It returns the rules, of which before is those in force.
//
// The kernel here may know no connections of bridges: what is no first packet of a connection is taken for an answer.
func (w *World) enforce(ctx context.Context, before string, all []types.Instance) (string, error) {
	out, err := w.API.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		return before, err
	}
	groups := map[string]types.SecurityGroup{}
	for _, g := range out.SecurityGroups {
		groups[aws.ToString(g.GroupId)] = g
	}
	members := map[string][]string{} // addresses
	for _, in := range all {
		for _, g := range groupsOf(in) {
			members[g] = append(members[g], aws.ToString(in.PrivateIpAddress))
		}
	}
	var b strings.Builder
	table := "table bridge " + w.network
	fmt.Fprintf(&b, "%s\ndelete %s\n%s {\n\tchain in {\n\t\ttype filter hook postrouting priority 0; policy accept;\n", table, table, table)
	for _, in := range all {
		address := aws.ToString(in.PrivateIpAddress)
		if address == "" || in.State.Name == types.InstanceStateNameTerminated {
			continue
		}
		to := "\t\tip daddr " + address + " "
		b.WriteString(to + "ip protocol tcp tcp flags & (syn | ack) != syn accept\n")
		b.WriteString(to + "ip protocol icmp icmp type != echo-request accept\n")
		fmt.Fprintf(&b, "%sip saddr %s udp sport { 53, 67 } accept\n", to, w.gateway)
		for _, g := range groupsOf(in) {
			for _, p := range groups[g].IpPermissions {
				for _, rule := range allowed(p, members) {
					b.WriteString(to + rule + "accept\n")
				}
			}
		}
		b.WriteString(to + "drop\n")
	}
	b.WriteString("\t}\n}\n")
	rules := b.String()
	if rules == before {
		return rules, nil
	}
	return rules, w.nft(rules)
}

// groupsOf is the ids of the groups that the instance is in.
func groupsOf(in types.Instance) []string {
	var out []string
	for _, nic := range in.NetworkInterfaces {
		for _, g := range nic.Groups {
			out = append(out, aws.ToString(g.GroupId))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// allowed is what a permission lets in by IPv4, as matches.
func allowed(p types.IpPermission, members map[string][]string) []string {
	var sources []string
	for _, r := range p.IpRanges {
		sources = append(sources, aws.ToString(r.CidrIp))
	}
	for _, pair := range p.UserIdGroupPairs {
		sources = append(sources, members[aws.ToString(pair.GroupId)]...)
	}
	slices.Sort(sources)
	protocol := cmp.Or(aws.ToString(p.IpProtocol), "-1")
	match := ""
	switch protocol {
	case "-1":
	case "tcp", "udp":
		match = fmt.Sprintf("ip protocol %s %s dport %d-%d ", protocol, protocol, aws.ToInt32(p.FromPort), aws.ToInt32(p.ToPort))
	default:
		match = "ip protocol " + protocol + " "
	}
	var out []string
	for _, s := range slices.Compact(sources) {
		out = append(out, "ip saddr "+s+" "+match)
	}
	return out
}

// nft has the kernel take the rules, all or none.
func (w *World) nft(rules string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\nin:\n%s", err, out, rules)
	}
	return nil
}
