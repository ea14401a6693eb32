package ec2_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
)

const small = "instance-type=t3.small zones=us-east-1a,us-east-1b"

// one checks that there is one instance, this one, and that every fault has happened.
func one(t *testing.T, s *mototest.Server, id provider.InstanceID) {
	t.Helper()
	if all := live(t, s); len(all) != 1 || aws.ToString(all[0].InstanceId) != string(id) {
		t.Errorf("there are %d instances, and %s is to be the only one", len(all), id)
	}
	if n := s.Pending(); n != 0 {
		t.Errorf("%d faults have not happened", n)
	}
}

func throttled(t *testing.T, s *mototest.Server) {
	for _, action := range []string{"DescribeInstances", "CreateSecurityGroup", "RunInstances"} {
		s.Inject(mototest.Fault{Action: action, Status: 503, Code: "RequestLimitExceeded", Text: "Request limit exceeded."})
	}
	s.Inject(mototest.Fault{Action: "RunInstances", Status: 500, Code: "InternalError", Text: "An internal error has occurred"})
	p := open(t, s)
	in := start(t, p, "0", small)
	one(t, s, in.ID)
	s.Inject(mototest.Fault{Action: "TerminateInstances", Status: 503, Code: "RequestLimitExceeded", Text: "Request limit exceeded."})
	stop(t, p, in.ID)
	if n := len(live(t, s)); n != 0 || s.Pending() != 0 {
		t.Errorf("%d are left, %d faults have not happened", n, s.Pending())
	}
}

// The call takes effect, and its answer never arrives.
func lost(t *testing.T, s *mototest.Server) {
	for _, action := range []string{"CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances"} {
		s.Inject(mototest.Fault{Action: action, After: true, Drop: true})
	}
	p := open(t, s)
	in := start(t, p, "0", small)
	one(t, s, in.ID)
	for _, action := range []string{"TerminateInstances", "DeleteSecurityGroup"} {
		s.Inject(mototest.Fault{Action: action, After: true, Drop: true})
	}
	stop(t, p, in.ID)
	if n := s.Pending(); n != 0 {
		t.Errorf("%d faults have not happened", n)
	}
	s.Inject(mototest.Fault{Action: "RunInstances", Times: -1, After: true, Status: 500, Code: "InternalError", Text: "oh"})
	if _, err := p.Start(t.Context(), request("0", small)); !errors.Is(err, provider.ErrTransient) {
		t.Errorf("with no answer at all: %v", err)
	}
	s.Mend()
	adopted := start(t, open(t, s), "0", small)
	one(t, s, adopted.ID)
}

// EC2 takes longer than we wait.
func late(t *testing.T, s *mototest.Server) {
	p := open(t, s, func(c *ec2.Config) { c.Timeout = time.Second })
	start(t, p, "1", small) // all that is remembered is
	stop(t, p, provider.InstanceID(aws.ToString(live(t, s)[0].InstanceId)))
	s.Inject(mototest.Fault{Action: "RunInstances", Delay: 1500 * time.Millisecond})
	in := start(t, p, "1", small)
	one(t, s, in.ID)
}

// The network repeats the call.
func twice(t *testing.T, s *mototest.Server) {
	for _, action := range []string{"CreateSecurityGroup", "RunInstances"} {
		s.Inject(mototest.Fault{Action: action, Twice: true})
	}
	p := open(t, s)
	in := start(t, p, "0", small)
	one(t, s, in.ID)
	s.Inject(mototest.Fault{Action: "TerminateInstances", Twice: true})
	stop(t, p, in.ID)
}

func noRoom(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	first := start(t, p, "0", small)
	stop(t, p, first.ID)
	full := find(t, s, first.ID)
	inFull := func(form url.Values) bool {
		return form.Get("NetworkInterface.1.SubnetId") == aws.ToString(full.SubnetId)
	}
	s.Inject(mototest.Fault{Action: "RunInstances", Match: inFull, Code: "InsufficientInstanceCapacity", Text: "We currently do not have sufficient t3.small capacity in the Availability Zone you requested."})
	in := start(t, p, "0", small)
	one(t, s, in.ID)
	if in.Hardware.Zone == first.Hardware.Zone {
		t.Errorf("it is in %s, which is full", in.Hardware.Zone)
	}
	stop(t, p, in.ID)
	s.Inject(mototest.Fault{Action: "RunInstances", Times: -1, Code: "InsufficientInstanceCapacity", Text: "no capacity"})
	if _, err := p.Start(t.Context(), request("0", small)); !errors.Is(err, provider.ErrTransient) || !strings.Contains(err.Error(), "InsufficientInstanceCapacity") {
		t.Errorf("no zone has room: %v", err)
	}
}

const nothing = `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><reservationSet/></DescribeInstancesResponse>`

// EC2 does not show at once what it has made: only the client token holds that there is one.
func unseen(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	in := start(t, p, "20", small)
	s.Inject(mototest.Fault{Action: "DescribeInstances", Times: 3, Body: nothing})
	for range 3 {
		if again := start(t, open(t, s), "20", small); again.ID != in.ID {
			t.Errorf("started %s as well", again.ID)
		}
	}
	one(t, s, in.ID)
	// What has ended and cannot be seen any more is not taken for a machine.
	stop(t, p, in.ID)
	s.Inject(mototest.Fault{Action: "DescribeInstances", Body: nothing})
	again := start(t, p, "20", small)
	one(t, s, again.ID)
}

// The token has been used for another request: the image is newer by now, say.
func otherParameters(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	in := start(t, p, "21", small)
	s.Inject(mototest.Fault{Action: "DescribeInstances", Body: nothing})
	req := request("21", small)
	req.Init.Script = []byte("#!/bin/sh\necho another\n")
	again, err := p.Start(t.Context(), req)
	if err != nil || again.ID != in.ID {
		t.Errorf("started %+v, %v", again, err)
	}
	one(t, s, in.ID)
}

// Another controller has removed the groups with what was the last machine.
func vanished(t *testing.T, s *mototest.Server) {
	p, other := open(t, s), open(t, s)
	stop(t, other, start(t, p, "0", small).ID)
	in := start(t, p, "0", small)
	one(t, s, in.ID)
	if n := len(ourGroups(t, s)); n != 2 {
		t.Errorf("there are %d groups", n)
	}
	s.Inject(mototest.Fault{Action: "DeleteSecurityGroup", Times: 3, Code: "DependencyViolation", Text: "resource has a dependent object"})
	stop(t, p, in.ID)
	if n := s.Pending(); n != 0 {
		t.Errorf("%d faults have not happened", n)
	}
}

func stoppedInPart(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	a, b := start(t, p, "0", small), start(t, p, "1", small)
	if _, err := raw(s).ModifyInstanceAttribute(t.Context(), protection(a.ID, true)); err != nil {
		t.Fatal(err)
	}
	err := p.Stop(t.Context(), a.ID, b.ID, "i-0123456789abcdef0", "nonsense")
	if err == nil || !strings.Contains(err.Error(), string(a.ID)) || strings.Contains(err.Error(), string(b.ID)) {
		t.Errorf("one of them is protected: %v", err)
	}
	one(t, s, a.ID)
	if _, err := raw(s).ModifyInstanceAttribute(t.Context(), protection(a.ID, false)); err != nil {
		t.Fatal(err)
	}
}

// Many machines that start at once share what they ask.
func many(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	before := map[string]int{}
	actions := []string{"DescribeInstances", "DescribeImages", "DescribeInstanceTypes", "DescribeVpcs", "DescribeSecurityGroups"}
	for _, a := range actions {
		before[a] = s.Calls(a)
	}
	const n = 12
	var wg sync.WaitGroup
	ids, errs := make([]provider.InstanceID, n), make([]error, n)
	for i := range n {
		wg.Go(func() {
			in, err := p.Start(t.Context(), request(fmt.Sprint(i), small))
			ids[i], errs[i] = in.ID, err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	stop(t, p, ids...)
	for a, most := range map[string]int{"DescribeInstances": 10, "DescribeImages": 1, "DescribeInstanceTypes": 1, "DescribeVpcs": 1, "DescribeSecurityGroups": 3} {
		if got := s.Calls(a) - before[a]; got > most {
			t.Errorf("%s was called %d times, at most %d are needed", a, got, most)
		}
	}
}

func told(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	for _, test := range []struct {
		code, text, want string
		kind             error
	}{
		{"VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 5 allows.", "ask Amazon for a higher quota", provider.ErrTransient},
		{"UnauthorizedOperation", "You are not authorized to perform this operation. Encoded authorization failure message: XYZ", "needs the permission ec2:RunInstances", provider.ErrRefused},
		{"AuthFailure", "AWS was not able to validate the provided access credentials", "is the credential right?", provider.ErrRefused},
		{"InvalidParameterValue", "Value (x) for parameter y is invalid.", "InvalidParameterValue: Value (x) for parameter y is invalid", provider.ErrRefused},
		{"RequestExpired", "Request has expired.", "set the clock", provider.ErrTransient},
		{"WhatIsThis", "Something new.", "RunInstances: WhatIsThis: Something new", provider.ErrRefused},
	} {
		s.Inject(mototest.Fault{Action: "RunInstances", Times: -1, Code: test.code, Text: test.text})
		_, err := p.Start(t.Context(), request("0", small))
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "XYZ") {
			t.Errorf("%s: %v", test.code, err)
		} else {
			t.Log(err)
		}
		s.Mend()
		if groups := ourGroups(t, s); test.kind == provider.ErrRefused && len(groups) > 0 {
			t.Errorf("%s, and groups are left: %v", test.code, groups)
		}
	}
	// A listing that fails says nothing about what there is.
	in := start(t, p, "0", small)
	s.Inject(mototest.Fault{Action: "DescribeInstances", Times: -1, Code: "UnauthorizedOperation", Text: "no"})
	if all, err := p.List(t.Context(), controller); err == nil {
		t.Errorf("listed %v", all)
	}
	s.Mend()
	one(t, s, in.ID)
}

func protection(id provider.InstanceID, on bool) *sdk.ModifyInstanceAttributeInput {
	return &sdk.ModifyInstanceAttributeInput{InstanceId: aws.String(string(id)), DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(on)}}
}

// An instance that someone ends in Amazon's console leaves a group behind, which is swept away, later.
func endedByAnother(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	in := start(t, p, "0", small)
	if _, err := raw(s).TerminateInstances(t.Context(), &sdk.TerminateInstancesInput{InstanceIds: []string{string(in.ID)}}); err != nil {
		t.Fatal(err)
	}
	all, err := p.List(t.Context(), controller)
	if err != nil || !slices.ContainsFunc(all, func(i provider.Instance) bool { return i.ID == in.ID && i.State == provider.Gone }) {
		t.Errorf("listed %+v, %v", all, err)
	}
	if n := len(ourGroups(t, s)); n != 2 {
		t.Errorf("there are %d groups at once", n)
	}
	for _, after := range []time.Duration{0, 6 * time.Minute, 16 * time.Minute} {
		p.Sweep(t.Context(), controller, time.Now().Add(after))
	}
	if groups := ourGroups(t, s); len(groups) != 0 {
		t.Errorf("not swept away: %v", groups)
	}
}

func check(t *testing.T, s *mototest.Server) {
	problems := func(change ...func(*ec2.Config)) string {
		t.Helper()
		found, err := open(t, s, change...).Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range found {
			if p.Remedy == "" {
				t.Errorf("%s has no remedy", p.What)
			}
			out = append(out, p.What)
		}
		return strings.Join(out, "; ")
	}
	if got := problems(); got != "" {
		t.Errorf("all is well, but %s", got)
	}
	for want, change := range map[string]func(*ec2.Config){
		"which EC2 knows nothing of": func(c *ec2.Config) { c.Spec.Cloud.Config["colour"] = "blue" },
		"no VPC vpc-none":            func(c *ec2.Config) { c.Spec.Cloud.Config["vpc-id"] = "vpc-none" },
		"no image named":             func(c *ec2.Config) { c.Spec.Cloud.Config["image-owner"], c.Spec.Cloud.Config["image-name"] = "1", "x" },
		"access-key and secret-key":  func(c *ec2.Config) { c.Spec.Credential.Attributes = nil },
		"region mars-1 has no endpoint": func(c *ec2.Config) { // nobody need be asked for such a name
			c.Spec.Region, c.Spec.Cloud.Endpoint = "mars-1", "http://"+strings.Repeat("x", 64)+".mars-1.example.com"
		},
	} {
		if got := problems(change); !strings.Contains(got, want) || strings.Contains(got, ";") {
			t.Errorf("%s: %s", want, got)
		}
	}
	for want, f := range map[string]mototest.Fault{
		"OptInRequired":         {Action: "DescribeAvailabilityZones", Code: "OptInRequired", Text: "You are not subscribed to this service"},
		"AuthFailure":           {Action: "DescribeAvailabilityZones", Code: "AuthFailure", Text: "no"},
		"RequestExpired":        {Action: "DescribeAvailabilityZones", Times: -1, Code: "RequestExpired", Text: "old"},
		"ec2:RunInstances":      {Action: "RunInstances", Code: "UnauthorizedOperation", Text: "no"},
		"VcpuLimitExceeded":     {Action: "RunInstances", Code: "VcpuLimitExceeded", Text: "no"},
		"this host's clock":     {Action: "DescribeAvailabilityZones", Skew: time.Hour},
		"have 0 addresses left": {Action: "DescribeSubnets", Match: func(f url.Values) bool { return f.Has("SubnetId.1") }, Body: `<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><subnetSet/></DescribeSubnetsResponse>`},
	} {
		s.Inject(f)
		if got := problems(); !strings.Contains(got, want) || strings.Contains(got, ";") {
			t.Errorf("%s: %s", want, got)
		}
		s.Mend()
	}
}
