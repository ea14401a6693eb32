package ec2_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
)

// opened is the rules of a group as text.
func opened(g types.SecurityGroup) string {
	var out []string
	for _, p := range g.IpPermissions {
		ports := ""
		if p.FromPort != nil {
			ports = fmt.Sprintf("%d-%d", *p.FromPort, *p.ToPort)
		}
		for _, r := range p.IpRanges {
			out = append(out, aws.ToString(p.IpProtocol)+ports+"<"+aws.ToString(r.CidrIp))
		}
		for _, r := range p.Ipv6Ranges {
			out = append(out, aws.ToString(p.IpProtocol)+ports+"<"+aws.ToString(r.CidrIpv6))
		}
		for range p.UserIdGroupPairs {
			out = append(out, aws.ToString(p.IpProtocol)+ports+"<group")
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func rules(t *testing.T, texts ...string) []provider.Rule {
	var out []provider.Rule
	for _, text := range texts {
		port, sources, _ := strings.Cut(text, "<")
		r, err := provider.ParsePort(port)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, provider.Rule{PortRange: r, Sources: strings.FieldsFunc(sources, func(r rune) bool { return r == ',' })})
	}
	return out
}

func ports(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	in, other := start(t, p, "0", "instance-type=t3.small"), start(t, p, "1", "instance-type=t3.small")
	own := "grigri-" + controller + "-" + model + "-0"
	ofModel := opened(ourGroups(t, s)["grigri-"+controller+"-"+model])
	if ofModel != "-1<group tcp22-22<0.0.0.0/0 tcp22-22<::/0" {
		t.Errorf("the model's group: %s", ofModel)
	}
	for _, test := range []struct {
		want []string
		is   string
	}{
		{[]string{"80"}, "tcp80-80<0.0.0.0/0 tcp80-80<::/0"},
		{[]string{"80"}, "tcp80-80<0.0.0.0/0 tcp80-80<::/0"},
		{[]string{"80<10.1.2.3/8,2001:db8::1/32", "8000-8010/udp<192.0.2.0/24"}, "tcp80-80<10.0.0.0/8 tcp80-80<2001:db8::/32 udp8000-8010<192.0.2.0/24"},
		{[]string{"80<10.0.0.0/8", "80<10.0.0.0/8,10.0.0.0/8", "icmp"}, "icmp-1--1<0.0.0.0/0 icmpv6-1--1<::/0 tcp80-80<10.0.0.0/8"},
		{[]string{"443", "53/udp"}, "tcp443-443<0.0.0.0/0 tcp443-443<::/0 udp53-53<0.0.0.0/0 udp53-53<::/0"},
		{nil, ""},
	} {
		if err := p.SetPorts(t.Context(), in.ID, rules(t, test.want...)); err != nil {
			t.Fatalf("%v: %v", test.want, err)
		}
		if got := opened(ourGroups(t, s)[own]); got != test.is {
			t.Errorf("%v: got %s, want %s", test.want, got, test.is)
		}
	}
	if got := opened(ourGroups(t, s)["grigri-"+controller+"-"+model+"-1"]); got != "" {
		t.Errorf("the other machine has %s", got)
	}
	if got := opened(ourGroups(t, s)["grigri-"+controller+"-"+model]); got != ofModel {
		t.Errorf("the model's group was changed to %s", got)
	}
	if err := p.SetPorts(t.Context(), in.ID, rules(t, "80<nonsense")); !errors.Is(err, provider.ErrRefused) {
		t.Errorf("nonsense: %v", err)
	}
	if err := p.SetPorts(t.Context(), "i-0123456789abcdef0", rules(t, "80")); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("no instance: %v", err)
	}

	// Someone else is opening some of it at the same time.
	group := aws.String(aws.ToString(ourGroups(t, s)[own].GroupId))
	s.Inject(mototest.Fault{Action: "DescribeSecurityGroups", Body: `<DescribeSecurityGroupsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><securityGroupInfo><item><groupId>` +
		aws.ToString(group) + `</groupId></item></securityGroupInfo></DescribeSecurityGroupsResponse>`})
	if _, err := raw(s).AuthorizeSecurityGroupIngress(t.Context(), &sdk.AuthorizeSecurityGroupIngressInput{GroupId: group, IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(80), ToPort: aws.Int32(80), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}}}); err != nil {
		t.Fatal(err)
	}
	if err := p.SetPorts(t.Context(), in.ID, rules(t, "80")); err != nil || s.Pending() != 0 {
		t.Errorf("half of it is open: %v, %d", err, s.Pending())
	}
	if got := opened(ourGroups(t, s)[own]); got != "tcp80-80<0.0.0.0/0 tcp80-80<::/0" {
		t.Errorf("half of it was open: %s", got)
	}
	stop(t, p, in.ID)
	if groups := ourGroups(t, s); len(groups) != 2 {
		t.Errorf("one machine is left, with the groups %v", groups)
	}
	stop(t, p, other.ID)

	closed := open(t, s, func(c *ec2.Config) { c.Spec.Cloud.Config["ssh-allow"] = "" })
	start(t, closed, "5", "instance-type=t3.small")
	if got := opened(ourGroups(t, s)["grigri-"+controller+"-"+model]); got != "-1<group" {
		t.Errorf("ssh is for no one, and the model's group is %s", got)
	}
}

func volumes(t *testing.T, s *mototest.Server) {
	p := open(t, s, func(c *ec2.Config) { c.Settle = 100 * time.Millisecond })
	a := start(t, p, "0", "instance-type=t3.small zones=us-east-1a")
	b := start(t, p, "1", "instance-type=t2.small zones=us-east-1a")
	req := provider.VolumeRequest{Controller: controller, Model: model, Volume: "3", SizeMiB: 1500, Zone: "us-east-1a", Attributes: map[string]string{"volume-type": "gp3", "iops": "4000"}}
	v, err := p.CreateVolume(t.Context(), req)
	if err != nil || v.SizeMiB != 2048 || v.Volume != "3" || v.Model != model || v.Instance != "" {
		t.Fatalf("%+v, %v", v, err)
	}
	if again, err := open(t, s).CreateVolume(t.Context(), req); err != nil || again.ID != v.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	for _, in := range []provider.Instance{a, b} {
		for range 2 {
			got, err := p.AttachVolume(t.Context(), v.ID, in.ID)
			if err != nil || got.Instance != in.ID {
				t.Fatalf("attached %+v, %v", got, err)
			}
			want := "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + strings.ReplaceAll(string(v.ID), "-", "")
			if in.ID == b.ID {
				want = "/dev/xvdf"
			}
			if got.Device != want {
				t.Errorf("device %s, want %s", got.Device, want)
			}
		}
		if in.ID == a.ID {
			if _, err := p.AttachVolume(t.Context(), v.ID, b.ID); !errors.Is(err, provider.ErrTransient) {
				t.Errorf("attached to another one too: %v", err)
			}
		}
		all, err := p.ListVolumes(t.Context(), controller)
		if err != nil || len(all) != 1 || all[0].Instance != in.ID {
			t.Errorf("listed %+v, %v", all, err)
		}
		for range 2 {
			if err := p.DetachVolume(t.Context(), v.ID, in.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if err := p.DeleteVolume(t.Context(), v.ID, "vol-0123456789abcdef0"); err != nil {
			t.Fatal(err)
		}
	}
	next, err := p.CreateVolume(t.Context(), req)
	if err != nil || next.ID == v.ID {
		t.Errorf("made again: %+v, %v", next, err)
	}
	if err := p.DeleteVolume(t.Context(), next.ID); err != nil {
		t.Error(err)
	}
	if all, err := p.ListVolumes(t.Context(), controller); err != nil || len(all) != 0 {
		t.Errorf("left: %+v, %v", all, err)
	}
	for _, bad := range []provider.VolumeRequest{{}, {Controller: "c", Model: "m", Volume: "1", SizeMiB: 1},
		{Controller: "c", Model: "m", Volume: "1", SizeMiB: 1, Zone: "us-east-1a", Attributes: map[string]string{"iops": "many"}},
		{Controller: "c", Model: "m", Volume: "1", SizeMiB: 1, Zone: "us-east-1a", Attributes: map[string]string{"colour": "blue"}}} {
		if _, err := p.CreateVolume(t.Context(), bad); !errors.Is(err, provider.ErrRefused) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := p.AttachVolume(t.Context(), "vol-0123456789abcdef0", a.ID); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("no volume: %v", err)
	}
	if err := p.DetachVolume(t.Context(), "vol-0123456789abcdef0", a.ID); err != nil {
		t.Errorf("no volume: %v", err)
	}
}
