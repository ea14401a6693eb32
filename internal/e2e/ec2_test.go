package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/state"
)

// The whole life of a model in EC2. The cloud is an emulator, which starts no machines: the user data that it was given boots one
// for real, a container with cloud-init.
func TestAModelLivesInEC2(t *testing.T) {
	lxd := lxdtest.Start(t)
	cloud := mototest.Start(t)
	e := newEnvironment(t, "here")
	host, _, err := net.SplitHostPort(lxd.Address)
	if err != nil {
		t.Fatal(err)
	}
	e.moveTo(host)
	w := ec2World{e, cloud, ec2.New(ec2.Options{Region: "us-east-1", BaseEndpoint: aws.String(cloud.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEMULATED", "emulated", "")})}
	w.addModel()

	// What goes wrong at first is tried again.
	cloud.Inject(mototest.Fault{Action: "RunInstances", Times: 2, Status: 503, Code: "RequestLimitExceeded", Text: "Request limit exceeded."})
	cloud.Inject(mototest.Fault{Action: "RunInstances", Code: "InsufficientInstanceCapacity", Text: "We currently do not have sufficient capacity."})
	cloud.Inject(mototest.Fault{Action: "RunInstances", After: true, Drop: true})
	e.must("deploy", "./testdata/ec2web", "web", "--constraints", "instance-type=t3.small root-disk=20G")
	web := w.instances(1)[0]
	if n := cloud.Pending(); n != 0 {
		t.Errorf("%d faults have not happened", n)
	}
	if tags := tagsOf(web.Tags); tags["grigri-machine"] != "0" || !strings.HasPrefix(tags["Name"], "grigri-") || len(tags["grigri-model-uuid"]) != 36 {
		t.Errorf("tags %v", tags)
	}
	if aws.ToString(web.ImageId) != "ami-debian12new" || web.InstanceType != "t3.small" || web.MetadataOptions.HttpTokens != types.HttpTokensStateRequired {
		t.Errorf("image %s, type %s, metadata %s", aws.ToString(web.ImageId), web.InstanceType, web.MetadataOptions.HttpTokens)
	}

	machine := lxd.Launch(t, "web", lxdtest.Options{UserData: w.userData(web)})
	e.settled(map[state.ApplicationName]int{"web": 1})
	machine.Exec(t, "systemctl", "is-active", "grigri-machine-0")
	if rules := w.rules("0"); rules != "" {
		t.Errorf("nothing is exposed, and open is %s", rules)
	}
	e.must("expose", "web")
	w.until("0", "8080<0.0.0.0/0 8080<::/0")
	e.must("expose", "web", "--to-cidrs", "192.0.2.0/24")
	w.until("0", "8080<192.0.2.0/24")
	e.must("unexpose", "web")
	w.until("0", "")

	// More machines, which never come up, and go all the same.
	e.must("add-unit", "web", "-n", "2")
	zones := map[string]bool{}
	for _, in := range w.instances(3) {
		zones[aws.ToString(in.Placement.AvailabilityZone)] = true
	}
	if len(zones) < 2 { // the first machine is not where it was to be
		t.Errorf("three machines are in the zones %v", zones)
	}
	cloud.Inject(mototest.Fault{Action: "TerminateInstances", Times: 2, Status: 503, Code: "RequestLimitExceeded", Text: "Request limit exceeded."})
	cloud.Inject(mototest.Fault{Action: "TerminateInstances", After: true, Drop: true})
	e.must("remove-machine", "--no-prompt", "--force", "1", "2")
	w.instances(1)
	e.settled(map[state.ApplicationName]int{"web": 1})
	e.must("remove-application", "web", "--no-prompt")
	w.instances(0)
	e.eventually("the groups are gone", func() error {
		if groups := w.groups(); len(groups) > 0 {
			return fmt.Errorf("there are %v", groups)
		}
		return nil
	})
	e.must("destroy-model", "away", "--no-prompt")
}

// An ec2World is an environment with a cloud.
type ec2World struct {
	*environment
	cloud *mototest.Server
	raw   *ec2.Client
}

func (w ec2World) addModel() {
	w.Helper()
	for name, text := range map[string]string{
		"cloud.yaml":      "clouds:\n  emulated:\n    type: ec2\n    auth-types: [access-key]\n    endpoint: " + w.cloud.URL + "\n    regions:\n      us-east-1: {}\n",
		"credential.yaml": "credentials:\n  emulated:\n    me: {auth-type: access-key, access-key: AKIAEMULATED, secret-key: emulated}\n",
	} {
		if err := os.WriteFile(filepath.Join(w.data, name), []byte(text), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	w.must("add-cloud", "emulated", "--client", "--controller", w.name, "--file", filepath.Join(w.data, "cloud.yaml"))
	w.must("add-credential", "emulated", "--client", "--controller", w.name, "--file", filepath.Join(w.data, "credential.yaml"))
	w.must("add-model", "away", "emulated/us-east-1", "--credential", "me")
}

// instances waits until there are so many.
func (w ec2World) instances(n int) []types.Instance {
	w.Helper()
	var live []types.Instance
	w.eventually(fmt.Sprintf("%d instances", n), func() error {
		out, err := w.raw.DescribeInstances(w.Context(), &ec2.DescribeInstancesInput{})
		if err != nil {
			return err
		}
		live = nil
		for _, r := range out.Reservations {
			live = append(live, r.Instances...)
		}
		live = slices.DeleteFunc(live, func(in types.Instance) bool { return in.State.Name == types.InstanceStateNameTerminated })
		if len(live) != n {
			return fmt.Errorf("there are %d", len(live))
		}
		return nil
	})
	return live
}

// userData is exactly what the instance was given.
func (w ec2World) userData(in types.Instance) string {
	w.Helper()
	out, err := w.raw.DescribeInstanceAttribute(w.Context(), &ec2.DescribeInstanceAttributeInput{InstanceId: in.InstanceId, Attribute: types.InstanceAttributeNameUserData})
	if err != nil {
		w.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(aws.ToString(out.UserData.Value))
	if err != nil {
		w.Fatal(err)
	}
	return string(data)
}

func (w ec2World) groups() map[string]types.SecurityGroup {
	w.Helper()
	out, err := w.raw.DescribeSecurityGroups(w.Context(), &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{{Name: aws.String("tag-key"), Values: []string{"grigri-controller-uuid"}}}})
	if err != nil {
		w.Fatal(err)
	}
	groups := map[string]types.SecurityGroup{}
	for _, g := range out.SecurityGroups {
		groups[tagsOf(g.Tags)["grigri-machine"]] = g
	}
	return groups
}

// rules is what is open on the machine, and for whom.
func (w ec2World) rules(machine string) string {
	w.Helper()
	var out []string
	for _, p := range w.groups()[machine].IpPermissions {
		for _, r := range p.IpRanges {
			out = append(out, fmt.Sprintf("%d<%s", *p.FromPort, *r.CidrIp))
		}
		for _, r := range p.Ipv6Ranges {
			out = append(out, fmt.Sprintf("%d<%s", *p.FromPort, *r.CidrIpv6))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (w ec2World) until(machine, want string) {
	w.Helper()
	w.eventually("open on machine "+machine+": "+want, func() error {
		if got := w.rules(machine); got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

func tagsOf(tags []types.Tag) map[string]string {
	out := map[string]string{}
	for _, t := range tags {
		out[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return out
}

// moveTo has the controller, and its ZooKeeper, listen on another address of this host.
func (e *environment) moveTo(host string) {
	e.Helper()
	all := e.processes()
	i := slices.IndexFunc(all, func(p process) bool { return p.program() == "grigrid" })
	if i < 0 {
		e.Fatal("there is no grigrid")
	}
	if err := syscall.Kill(all[i].pid, syscall.SIGTERM); err != nil {
		e.Fatal(err)
	}
	e.eventually("grigrid ends", all[i].ended)
	for _, path := range []string{e.controllerFile("grigrid.json"), filepath.Join(e.data, "controllers.yaml")} {
		data, err := os.ReadFile(path)
		if err != nil {
			e.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "127.0.0.1:", host+":")
		text = strings.Replace(text, `"zookeeper": {`, `"zookeeper": {"listen": "`+host+`:0",`, 1)
		text = strings.Replace(text, `:0",}`, `:0"}`, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			e.Fatal(err)
		}
	}
	log, err := os.OpenFile(e.controllerFile("grigrid.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		e.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(e.bin, "grigrid"), "run", "--data-dir", e.controllerFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // it is ours, and would stay as a zombie
	e.again("", "models")
}
