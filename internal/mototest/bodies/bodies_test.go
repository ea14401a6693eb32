package bodies_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/internal/mototest/bodies"
)

const data = `#!/bin/sh
cat >/etc/systemd/system/web.service <<END
[Service]
ExecStart=/usr/bin/python3 -m http.server --directory /etc 8080
[Install]
WantedBy=multi-user.target
END
systemctl enable --now web.service
`

// The life of an instance is that of its body.
func TestAnInstanceHasABody(t *testing.T) {
	w := bodies.Start(t, mototest.Start(t), lxdtest.Start(t))
	group, err := w.API.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("d"), VpcId: aws.String(w.VPC)})
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.API.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String("ami-debian12new"), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		UserData: aws.String(base64.StdEncoding.EncodeToString([]byte(data))), SubnetId: aws.String(w.Subnets[1]), SecurityGroupIds: []string{*group.GroupId}})
	if err != nil {
		t.Fatal(err)
	}
	id, address := *out.Instances[0].InstanceId, *out.Instances[0].PrivateIpAddress
	ids := []string{id}
	await := func(command ...string) string {
		t.Helper()
		for end := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
			said, err := w.Try(id, command...)
			if err == nil {
				return said
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	await("systemctl", "is-active", "web.service")
	if got := await("hostname", "-I"); strings.TrimSpace(got) != address {
		t.Errorf("its address is %s, and that of the instance %s", got, address)
	}
	if got := w.UserData()[id]; got != data {
		t.Errorf("its user data is %q", got)
	}

	// What its group lets in, and no more, comes through.
	o := w.Outsider(t)
	one, two := o.Addresses[0], o.Addresses[1]
	if _, err := o.Fetch(one, address, 8080); err == nil {
		t.Error("its group is empty, and it is reached")
	}
	let := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(8000), ToPort: aws.Int32(8090), IpRanges: []types.IpRange{{CidrIp: aws.String(one + "/32")}}}
	if _, err := w.API.AuthorizeSecurityGroupIngress(t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: []types.IpPermission{let}}); err != nil {
		t.Fatal(err)
	}
	o.Until(t, one, address, 8080, true)
	if _, err := o.Fetch(two, address, 8080); err == nil {
		t.Error("it is reached by an address that its group does not let in")
	}

	boot := func() string { return await("stat", "-c", "%y", "/run/systemd") }
	before := boot()
	if _, err := w.API.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	o.Until(t, one, address, 8080, false)
	if _, err := w.API.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	o.Until(t, one, address, 8080, true)
	started := boot()
	if started == before {
		t.Error("it was stopped and started, and has not booted again")
	}
	cloud := w.Cloud()
	if _, err := cloud.RebootInstances(t.Context(), &ec2.RebootInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(4 * time.Minute); boot() == started; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not reboot")
		}
	}
	if _, err := w.API.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(4 * time.Minute); slices.Contains(w.Living(), id); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not end")
		}
	}
	if _, err := w.Try(id, "true"); err == nil || !strings.Contains(fmt.Sprint(err), "not found") {
		t.Errorf("its body is there still: %v", err)
	}
}
