package ec2_test

import (
	"encoding/base64"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
	"github.com/grigri/grigri/provider/providertest"
)

const (
	region     = "us-east-1"
	controller = "c0000000-0000-4000-8000-000000000001"
	model      = "d0000000-0000-4000-8000-000000000001"
)

func spec(s *mototest.Server) provider.Spec {
	return provider.Spec{
		Cloud:      provider.Cloud{Name: "emulated", Type: "ec2", Endpoint: s.URL, Config: map[string]string{}},
		Region:     region,
		Credential: provider.Credential{AuthType: ec2.AuthAccessKey, Attributes: map[string]string{"access-key": "AKIAEMULATED", "secret-key": "emulated"}},
	}
}

// open opens the provider, in haste.
func open(t *testing.T, s *mototest.Server, change ...func(*ec2.Config)) *ec2.Provider {
	t.Helper()
	c := ec2.Config{Spec: spec(s), Arch: "amd64", Poll: 10 * time.Millisecond, Settle: time.Minute, Timeout: time.Minute, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&c)
	}
	p, err := ec2.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// raw speaks to the emulator with nothing of ours in between.
func raw(s *mototest.Server) *sdk.Client {
	return sdk.New(sdk.Options{Region: region, BaseEndpoint: aws.String(s.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAEMULATED", "emulated", "")})
}

func instances(t *testing.T, s *mototest.Server) []types.Instance {
	t.Helper()
	out, err := raw(s).DescribeInstances(t.Context(), &sdk.DescribeInstancesInput{})
	if err != nil {
		t.Fatal(err)
	}
	var all []types.Instance
	for _, r := range out.Reservations {
		all = append(all, r.Instances...)
	}
	return all
}

// live is the instances that have not ended.
func live(t *testing.T, s *mototest.Server) []types.Instance {
	t.Helper()
	return slices.DeleteFunc(instances(t, s), func(in types.Instance) bool { return in.State.Name == types.InstanceStateNameTerminated })
}

func ourGroups(t *testing.T, s *mototest.Server) map[string]types.SecurityGroup {
	t.Helper()
	out, err := raw(s).DescribeSecurityGroups(t.Context(), &sdk.DescribeSecurityGroupsInput{Filters: []types.Filter{{Name: aws.String("tag-key"), Values: []string{"grigri-controller-uuid"}}}})
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]types.SecurityGroup{}
	for _, g := range out.SecurityGroups {
		groups[aws.ToString(g.GroupName)] = g
	}
	return groups
}

func tags(tags []types.Tag) map[string]string {
	out := map[string]string{}
	for _, t := range tags {
		out[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return out
}

const script = "#!/bin/sh\necho hello\n"

func request(machine string, constraints ...string) provider.StartRequest {
	req := provider.StartRequest{Controller: controller, Model: model, Machine: machine, Base: "debian@12", Init: provider.Init{Script: []byte(script)}}
	for _, text := range constraints {
		c, err := provider.ParseConstraints(text)
		if err != nil {
			panic(err)
		}
		req.Constraints = c
	}
	return req
}

func start(t *testing.T, p *ec2.Provider, machine string, constraints ...string) provider.Instance {
	t.Helper()
	in, err := p.Start(t.Context(), request(machine, constraints...))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func stop(t *testing.T, p *ec2.Provider, ids ...provider.InstanceID) {
	t.Helper()
	if err := p.Stop(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	s := mototest.Start(t)
	providertest.Run(t, providertest.Config{
		Open: func(t *testing.T) provider.Provider {
			return open(t, s, func(c *ec2.Config) { c.Settle = 300 * time.Millisecond })
		},
		Init: func(string) provider.Init { return provider.Init{Script: []byte(script)} },
		Halt: func(t *testing.T, id provider.InstanceID) { halt(t, s, id) },
	})
	if groups := ourGroups(t, s); len(groups) > 0 {
		t.Errorf("groups are left: %v", groups)
	}
}

// halt stops an instance, as at the console.
func halt(t *testing.T, s *mototest.Server, id provider.InstanceID) {
	t.Helper()
	if _, err := raw(s).StopInstances(t.Context(), &sdk.StopInstancesInput{InstanceIds: []string{string(id)}}); err != nil {
		t.Fatal(err)
	}
}

// All that is asked of one emulator, which takes a while to start. Each leaves nothing behind.
func TestEmulated(t *testing.T) {
	s := mototest.Start(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *mototest.Server)
	}{
		{"what is asked for", asked},
		{"constraints", constraints},
		{"places", places},
		{"what is refused", refusals},
		{"ports are exactly what is wanted", ports},
		{"user data", data},
		{"volumes", volumes},
		{"check", check},
		{"no default VPC", noDefault},
		{"what a controller gets", relocated},
		{"throttled", throttled},
		{"an answer that is lost", lost},
		{"an answer that comes late", late},
		{"twice", twice},
		{"no room in a zone", noRoom},
		{"not seen yet", unseen},
		{"other parameters", otherParameters},
		{"groups that vanish", vanished},
		{"stopped in part", stoppedInPart},
		{"many at once", many},
		{"what users are told", told},
		{"ended by another", endedByAnother},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, s)
			s.Mend()
			var ids []provider.InstanceID
			for _, in := range live(t, s) {
				ids = append(ids, provider.InstanceID(aws.ToString(in.InstanceId)))
			}
			p := open(t, s)
			stop(t, p, ids...)
			p.Sweep(t.Context(), controller, time.Now())
			p.Sweep(t.Context(), controller, time.Now().Add(16*time.Minute))
			if groups := ourGroups(t, s); len(groups) > 0 {
				t.Errorf("groups are left: %v", groups)
			}
		})
	}
}

// asked is what EC2 is asked for.
func asked(t *testing.T, s *mototest.Server) {
	p := open(t, s)
	in := start(t, p, "7", "instance-type=t3.xlarge root-disk=20G")
	all := live(t, s)
	if len(all) != 1 || aws.ToString(all[0].InstanceId) != string(in.ID) {
		t.Fatalf("there are %d instances", len(all))
	}
	got := all[0]
	if want := "ami-debian12new"; aws.ToString(got.ImageId) != want {
		t.Errorf("image %s, want %s", aws.ToString(got.ImageId), want)
	}
	if m := got.MetadataOptions; m.HttpTokens != types.HttpTokensStateRequired || m.HttpEndpoint != types.InstanceMetadataEndpointStateEnabled || aws.ToInt32(m.HttpPutResponseHopLimit) != 1 {
		t.Errorf("metadata: tokens %v, endpoint %v, %d hops", m.HttpTokens, m.HttpEndpoint, aws.ToInt32(m.HttpPutResponseHopLimit))
	}
	for k, v := range map[string]string{"grigri-controller-uuid": controller, "grigri-model-uuid": model, "grigri-machine": "7", "Name": "grigri-d0000000-machine-7"} {
		if tags(got.Tags)[k] != v {
			t.Errorf("tag %s is %q", k, tags(got.Tags)[k])
		}
	}
	if in.Hardware.Cores != 4 || in.Hardware.Arch != "amd64" || in.Hardware.DiskMiB != 20480 || in.Hardware.MemoryMiB < 2048 || in.Hardware.Zone == "" {
		t.Errorf("hardware %+v of %s", in.Hardware, got.InstanceType)
	}
	attr, err := raw(s).DescribeInstanceAttribute(t.Context(), &sdk.DescribeInstanceAttributeInput{InstanceId: got.InstanceId, Attribute: types.InstanceAttributeNameUserData})
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := base64.StdEncoding.DecodeString(aws.ToString(attr.UserData.Value)); string(data) != script {
		t.Errorf("user data %q", data)
	}
	groups := ourGroups(t, s)
	own, ofModel := groups["grigri-"+controller+"-"+model+"-7"], groups["grigri-"+controller+"-"+model]
	if len(groups) != 2 || len(own.IpPermissions) != 0 || len(ofModel.IpPermissions) != 2 {
		t.Errorf("groups %+v", groups)
	}
	var in_ []string
	for _, g := range got.NetworkInterfaces[0].Groups {
		in_ = append(in_, aws.ToString(g.GroupId))
	}
	slices.Sort(in_)
	if want := slices.Sorted(slices.Values([]string{aws.ToString(own.GroupId), aws.ToString(ofModel.GroupId)})); !slices.Equal(in_, want) {
		t.Errorf("it is in the groups %v, want %v", in_, want)
	}
}
