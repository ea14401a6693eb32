package ec2_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
)

// find is the emulator's own record of the instance.
func find(t *testing.T, s *mototest.Server, id provider.InstanceID) types.Instance {
	t.Helper()
	for _, in := range instances(t, s) {
		if aws.ToString(in.InstanceId) == string(id) {
			return in
		}
	}
	t.Fatalf("there is no instance %s", id)
	return types.Instance{}
}

func constraints(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	for i, test := range []struct{ base, constraints, kind, image string }{
		{"debian@12", "", "t3a.small", "ami-debian12new"},
		{"", "mem=512M", "t3a.nano", "ami-debian12new"},
		{"debian@13", "cores=4 cpu-power=100", "t3a.xlarge", "ami-debian13"},
		{"debian@12", "arch=arm64", "t4g.small", "ami-debian12arm"},
		{"ubuntu@22.04", "mem=30G", "r5a.xlarge", "ami-jammy"},
		{"ubuntu@24.04", "cores=8 mem=1G", "t3a.2xlarge", "ami-noble"},
		{"debian@12", "instance-type=m5.large", "m5.large", "ami-debian12new"},
		{"ubuntu@22.04", "image-id=ami-debian12old mem=1G", "t3a.micro", "ami-debian12old"},
		{"debian@12", "arch=arm64 mem=1000G", "x2gd", "ami-debian12arm"}, // of no usual family
	} {
		req := request(string(rune('a'+i)), test.constraints)
		req.Base = test.base
		in, err := p.Start(t.Context(), req)
		if err != nil {
			t.Errorf("%s %s: %v", test.base, test.constraints, err)
			continue
		}
		got := find(t, s, in.ID)
		if !strings.HasPrefix(string(got.InstanceType), test.kind) || aws.ToString(got.ImageId) != test.image {
			t.Errorf("%s %s: %s of %s, want %s of %s", test.base, test.constraints, got.InstanceType, aws.ToString(got.ImageId), test.kind, test.image)
		}
	}
}

func places(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	zones := map[string]int{}
	for _, id := range []string{"0", "1", "2", "3", "4", "5"} {
		zones[start(t, p, id, "instance-type=t3.small zones=us-east-1a,us-east-1b,us-east-1c").Hardware.Zone]++
	}
	if len(zones) != 3 || zones["us-east-1a"] != 2 || zones["us-east-1b"] != 2 {
		t.Errorf("six machines in three zones are %v", zones)
	}
	place := func(id, placement string) (provider.Instance, error) {
		req := request(id, "instance-type=t3.small")
		req.Placement = placement
		return p.Start(t.Context(), req)
	}
	if in, err := place("10", "zone=us-east-1d"); err != nil || in.Hardware.Zone != "us-east-1d" {
		t.Errorf("%+v, %v", in, err)
	}
	subnets, err := raw(s).DescribeSubnets(t.Context(), &sdk.DescribeSubnetsInput{Filters: []types.Filter{{Name: aws.String("availability-zone"), Values: []string{"us-east-1c"}}}})
	if err != nil {
		t.Fatal(err)
	}
	id := aws.ToString(subnets.Subnets[0].SubnetId)
	if in, err := place("11", "subnet="+id); err != nil || aws.ToString(find(t, s, in.ID).SubnetId) != id {
		t.Errorf("%+v, %v", in, err)
	}
	for _, placement := range []string{"zone=us-east-1z", "subnet=subnet-none", "rack=3", "zone="} {
		if _, err := place("12", placement); !errors.Is(err, provider.ErrRefused) {
			t.Errorf("%s: %v", placement, err)
		}
	}

	// A VPC of the user's own, without public addresses.
	vpc, err := raw(s).CreateVpc(t.Context(), &sdk.CreateVpcInput{CidrBlock: aws.String("10.77.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	vpcID := aws.ToString(vpc.Vpc.VpcId)
	own := open(t, s, func(c *ec2.Config) { c.Spec.Cloud.Config["vpc-id"] = vpcID })
	if _, err := own.Start(t.Context(), request("20", "instance-type=t3.small")); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "no subnet") {
		t.Errorf("a VPC without subnets: %v", err)
	}
	if _, err := raw(s).CreateSubnet(t.Context(), &sdk.CreateSubnetInput{VpcId: aws.String(vpcID), CidrBlock: aws.String("10.77.1.0/24"), AvailabilityZone: aws.String("us-east-1b")}); err != nil {
		t.Fatal(err)
	}
	own = open(t, s, func(c *ec2.Config) { c.Spec.Cloud.Config["vpc-id"] = vpcID })
	in := start(t, own, "20", "instance-type=t3.small")
	if len(in.Addresses) != 1 || !strings.HasPrefix(in.Addresses[0], "10.77.1.") {
		t.Errorf("addresses %v", in.Addresses)
	}
	if got := find(t, s, in.ID); aws.ToString(got.VpcId) != vpcID {
		t.Errorf("in VPC %s", aws.ToString(got.VpcId))
	}
	if in := start(t, p, "21", "instance-type=t3.small allocate-public-ip=true"); len(in.Addresses) != 2 {
		t.Errorf("addresses %v", in.Addresses)
	}
	stop(t, own, in.ID)
	none := open(t, s, func(c *ec2.Config) { c.Spec.Cloud.Config["vpc-id"] = "vpc-none" })
	if _, err := none.Start(t.Context(), request("22", "instance-type=t3.small")); !errors.Is(err, provider.ErrRefused) {
		t.Errorf("a VPC that is not there: %v", err)
	}
}

func refusals(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	for _, text := range []string{"arch=s390x", "container=lxd", "virt-type=container", "spaces=dmz", "instance-role=auto", "ip-family=ipv6", "ip-family=dual",
		"instance-type=huge.large", "instance-type=t4g.small", "image-id=ami-none", "image-id=ami-debian12arm", "zones=mars"} {
		if !strings.Contains(text, "instance-type") {
			text += " instance-type=t3.small"
		}
		if _, err := p.Start(t.Context(), request("0", text)); !errors.Is(err, provider.ErrRefused) {
			t.Errorf("%s: %v", text, err)
		} else {
			t.Log(err)
		}
	}
	req := request("0", "instance-type=t3.small")
	req.Base = "centos@9"
	if _, err := p.Start(t.Context(), req); !errors.Is(err, provider.ErrRefused) {
		t.Errorf("centos: %v", err)
	}
	own := open(t, s, func(c *ec2.Config) {
		c.Spec.Cloud.Config["image-owner"], c.Spec.Cloud.Config["image-name"] = mototest.Ubuntu, "ubuntu/images/*/{name}-noble-{channel}-{arch}-*"
	})
	req.Base = "ubuntu@24.04"
	if in, err := own.Start(t.Context(), req); err != nil || aws.ToString(find(t, s, in.ID).ImageId) != "ami-noble" {
		t.Errorf("an image of our own choice: %+v, %v", in, err)
	}
}

func data(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	text := "#!/bin/sh\n" + strings.Repeat("# the same again and again\n", 2000)
	req := request("0", "instance-type=t3.small")
	req.Init.Script = []byte(text)
	in, err := p.Start(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(userData(t, s, in.ID)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	noise := make([]byte, 20<<10)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	req = request("1", "instance-type=t3.small")
	req.Init.Script = noise
	if _, err := p.Start(t.Context(), req); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "16384") {
		t.Errorf("too much: %v", err)
	}
}

func userData(t *testing.T, s *mototest.Server, id provider.InstanceID) []byte {
	t.Helper()
	out, err := raw(s).DescribeInstanceAttribute(t.Context(), &sdk.DescribeInstanceAttributeInput{InstanceId: aws.String(string(id)), Attribute: types.InstanceAttributeNameUserData})
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(aws.ToString(out.UserData.Value))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
