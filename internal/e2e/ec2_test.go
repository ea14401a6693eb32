package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/internal/mototest/bodies"
	"github.com/grigri/grigri/state"
)

// secretKey is the cloud's credential, which must be in no user data and in no log.
const secretKey = "wJalrXUtnFEMI/K7MDENG/a-secret-of-this-test"

var limited = mototest.Fault{Status: 503, Code: "RequestLimitExceeded", Text: "Request limit exceeded."}

// The whole life of an environment in EC2, from bootstrap to the last trace. The cloud is an emulator, whose instances have bodies:
// containers that boot with their user data, and which are reached as their security groups say.
func TestAnEnvironmentLivesInEC2(t *testing.T) {
	lxd := lxdtest.Start(t)
	cloud := mototest.Start(t)
	world := bodies.Start(t, cloud, lxd)
	outside := world.Outsider(t)
	w := ec2World{newClient(t, "far"), cloud, world}
	t.Cleanup(w.end)
	w.addCloud()

	w.refuses()
	w.crashes()
	failed := make(chan error, 1)
	go func() { failed <- w.fails() }()
	w.throttle("RunInstances")
	said, err := w.both("bootstrap", "emulated/us-east-1", "far", "--bootstrap-constraints", "mem=4G")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	controller := w.instances(1)[0]
	w.isOurs(controller, "0", "t3a.medium")
	w.keysAreGone(controller)

	// What goes wrong at first is tried again.
	w.must("add-model", "away", "--credential", "me")
	w.throttle("RunInstances")
	cloud.Inject(mototest.Fault{Action: "RunInstances", Code: "InsufficientInstanceCapacity", Text: "We currently do not have sufficient capacity."})
	cloud.Inject(mototest.Fault{Action: "RunInstances", After: true, Drop: true})
	w.must("deploy", "./testdata/ec2web", "web", "-n", "2", "--constraints", "instance-type=t3.small root-disk=20G", "--storage", "data=ebs,1G")
	w.settled(map[state.ApplicationName]int{"web": 2})
	if n := cloud.Pending(); n != 0 {
		t.Errorf("%d faults have not happened", n)
	}
	one, two := w.machine("0"), w.machine("1")
	w.isOurs(one, "0", "t3.small")
	if aws.ToString(one.SubnetId) == aws.ToString(two.SubnetId) && cloud.Pending() == 0 {
		t.Log("both are in one zone: the other was full for a moment") // the fault says so of the first that is asked for
	}

	// A charm is told its public address, where the cloud has one for it, and the zone: only the cloud knows of them.
	want := strings.Join([]string{cmp.Or(aws.ToString(one.PublicIpAddress), aws.ToString(one.PrivateIpAddress)), aws.ToString(one.PrivateIpAddress), aws.ToString(one.Placement.AvailabilityZone)}, " ")
	if got := w.must("exec", "--unit", "web/0", `echo $(unit-get public-address) $(unit-get private-address) $JUJU_AVAILABILITY_ZONE`); strings.TrimSpace(got) != want {
		t.Errorf("web/0 knows of %q, and is at %q", got, want)
	}

	// From outside each port is closed until it is exposed, and open to whom it is exposed.
	me, other := outside.Addresses[0], outside.Addresses[1]
	address := func(in types.Instance) string { return aws.ToString(in.PrivateIpAddress) }
	if _, err := outside.Fetch(me, address(one), 8080); err == nil {
		t.Error("nothing is exposed, and it is reached")
	}
	w.must("expose", "web")
	for _, in := range []types.Instance{one, two} {
		outside.Until(t, me, address(in), 8080, true)
		outside.Until(t, other, address(in), 8080, true)
	}
	outside.Until(t, me, address(one), 8081, true)
	w.must("expose", "web", "--to-cidrs", me+"/32")
	w.must("expose", "web", "--endpoints", "admin,public", "--to-cidrs", other+"/32")
	outside.Until(t, me, address(one), 8081, false) // which was opened for admin
	outside.Until(t, other, address(one), 8081, true)
	outside.Until(t, other, address(one), 8080, true) // and this for all
	w.must("unexpose", "web", "--endpoints", "public,admin")
	outside.Until(t, other, address(one), 8080, false)
	outside.Until(t, me, address(one), 8080, true)
	outside.Until(t, me, address(one), 8081, true)
	outside.Until(t, me, address(two), 8080, true)
	if page, err := outside.Fetch(me, address(two), 8080); err != nil || page != "web/1\n" {
		t.Errorf("web/1 says %q, %v", page, err)
	}

	// A machine that reboots comes back with its units.
	if _, err := w.world.Cloud().RebootInstances(t.Context(), &ec2.RebootInstancesInput{InstanceIds: []string{*one.InstanceId}}); err != nil {
		t.Fatal(err)
	}
	outside.Until(t, me, address(one), 8080, false)
	outside.Until(t, me, address(one), 8080, true)
	w.must("unexpose", "web")
	outside.Until(t, me, address(one), 8080, false)

	// Less, with an answer that is lost.
	cloud.Inject(mototest.Fault{Action: "TerminateInstances", After: true, Drop: true})
	w.throttle("TerminateInstances")
	w.must("remove-unit", "web/1", "--no-prompt")
	w.instances(2)
	w.settled(map[state.ApplicationName]int{"web": 1})

	// More: the volume of the one that has gone has all that was on it.
	w.must("add-unit", "web", "--attach-storage", "data/1")
	w.settled(map[state.ApplicationName]int{"web": 2})
	three := w.machine("2")
	if got, err := w.world.Try(*three.InstanceId, "sh", "-c", "cat /srv/web/index.html && findmnt -no FSTYPE /srv/web"); err != nil || got != "web/1\next4\n" {
		t.Errorf("on the volume is %q, %v", got, err)
	}
	w.noSecretIn(said, controller, one)

	w.must("destroy-controller", "far", "--destroy-all-models", "--destroy-storage", "--no-prompt")
	w.nothing()
	if out := w.must("controllers", "--format", "json"); strings.Contains(out, `"far"`) {
		t.Errorf("the client remembers it: %s", out)
	}
}

// An ec2World is a client with a cloud.
type ec2World struct {
	*environment
	cloud *mototest.Server
	world *bodies.World
}

func (w ec2World) end() {
	if !w.Failed() {
		return
	}
	for _, id := range w.world.Living() {
		out, _ := w.world.Try(id, "sh", "-c", "cloud-init status --long; tail -n 20 /var/log/cloud-init-output.log; journalctl -q -n 40 --no-pager -o cat -u grigrid -u 'grigri-machine-*'; tail -n 20 /var/log/juju/*")
		w.Logf("%s:\n%s", id, out)
	}
	if out, err := w.run("status", "--relations"); err == nil {
		w.Log(out)
	}
	if out, err := w.run("debug-log", "--replay", "--no-tail", "--level", "INFO", "-m", "far:controller"); err == nil {
		w.Log(last(out, 60))
	}
}

func (w ec2World) throttle(action string) {
	f := limited
	f.Action, f.Times = action, 2
	w.cloud.Inject(f)
}

func (w ec2World) addCloud() {
	w.Helper()
	write := func(name string, v any) string {
		data, err := json.Marshal(v) // which is YAML too
		if err != nil {
			w.Fatal(err)
		}
		file := filepath.Join(w.data, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			w.Fatal(err)
		}
		return file
	}
	type object = map[string]any
	w.must("add-cloud", "emulated", "--client", "--file", write("cloud.yaml", object{"clouds": object{"emulated": object{"type": "ec2", "auth-types": []string{"access-key"},
		"endpoint": w.world.Endpoint, "ca-certificates": []string{w.world.CA}, "regions": object{bodies.Region: object{}}, "config": object{"vpc-id": w.world.VPC}}}}))
	w.must("add-credential", "emulated", "--client", "--file", write("credential.yaml", object{"credentials": object{"emulated": object{
		"me": object{"auth-type": "access-key", "access-key": "AKIAEMULATED", "secret-key": secretKey}}}}))
}

// refuses is what bootstrap finds out before it makes anything.
func (w ec2World) refuses() {
	w.Helper()
	w.cloud.Inject(mototest.Fault{Action: "DescribeAvailabilityZones", Code: "AuthFailure", Text: "AWS was not able to validate the provided access credentials"})
	for want, args := range map[string][]string{
		`grigri update-credential emulated`: {"emulated"},
		`no region "nowhere"`:               {"emulated/nowhere"},
	} {
		if _, err := w.run(append(append([]string{"bootstrap"}, args...), "no")...); err == nil || !strings.Contains(err.Error(), want) {
			w.Errorf("bootstrap %v: %v, want %q", args, err, want)
		}
	}
	w.nothing()
}

// crashes is a bootstrap that is killed: what it has left goes with kill-controller. Volumes, if there are any, are named and stay.
func (w ec2World) crashes() {
	w.Helper()
	ctx, kill := context.WithCancel(w.Context())
	cmd := w.command(ctx, "bootstrap", "emulated", "crashed", "--no-switch")
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	left := w.instances(1)[0]
	kill()
	_ = cmd.Wait() // it was killed
	var ours []types.Tag
	for _, tag := range left.Tags {
		if strings.HasPrefix(aws.ToString(tag.Key), "grigri-") && *tag.Key != "grigri-machine" {
			ours = append(ours, tag)
		}
	}
	volume, err := w.world.API.CreateVolume(w.Context(), &ec2.CreateVolumeInput{AvailabilityZone: aws.String(bodies.Region + "a"), Size: aws.Int32(1),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: append(ours, types.Tag{Key: aws.String("grigri-volume"), Value: aws.String("data-0")})}}})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.both("bootstrap", "emulated", "crashed"); err == nil || !strings.Contains(err.Error(), "kill-controller crashed") {
		w.Errorf("bootstrapped again: %v", err)
	}
	if out, err := w.both("kill-controller", "crashed", "--no-prompt"); err != nil || !strings.Contains(out, *volume.VolumeId) {
		w.Errorf("killed: %v\n%s", err, out)
	}
	if _, err := w.world.API.DeleteVolume(w.Context(), &ec2.DeleteVolumeInput{VolumeId: volume.VolumeId}); err != nil {
		w.Error(err)
	}
	w.nothing()
}

// fails is a bootstrap that comes to grief on the instance: it says where, with what was said there last, and leaves nothing.
func (w ec2World) fails() error {
	out, err := w.both("bootstrap", "emulated", "broken", "--no-switch", "--config", "development=perhaps")
	if err == nil {
		return errors.New("a bootstrap with a setting that is none has worked")
	}
	for _, want := range []string{"make the controller: exit status", "it said last:", "development", "removing what has been made"} {
		if !strings.Contains(out+err.Error(), want) {
			return fmt.Errorf("the bootstrap that fails does not say %q: %w", want, err)
		}
	}
	return nil
}

// both is run with what is printed to stderr too.
func (w ec2World) both(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	cmd := w.command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("grigri %s: %w: %s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// instances waits until there are so many.
func (w ec2World) instances(n int) []types.Instance {
	w.Helper()
	var live []types.Instance
	w.eventually(fmt.Sprintf("%d instances", n), func() error {
		all, err := w.world.Instances(w.Context())
		if err != nil {
			return err
		}
		live = slices.DeleteFunc(all, func(in types.Instance) bool { return in.State.Name == types.InstanceStateNameTerminated })
		if len(live) != n {
			return fmt.Errorf("there are %d", len(live))
		}
		return nil
	})
	return live
}

// machine is the instance of a machine of the model in focus.
func (w ec2World) machine(id state.MachineID) types.Instance {
	w.Helper()
	st, err := w.status()
	if err != nil {
		w.Fatal(err)
	}
	all, err := w.world.Instances(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	i := slices.IndexFunc(all, func(in types.Instance) bool { return aws.ToString(in.InstanceId) == string(st.Machines[id].InstanceID) })
	if i < 0 {
		w.Fatalf("machine %s has the instance %q, which is not there", id, st.Machines[id].InstanceID)
	}
	return all[i]
}

// isOurs checks what the emulator has recorded of an instance.
func (w ec2World) isOurs(in types.Instance, machine string, kind types.InstanceType) {
	w.Helper()
	tags := tagsOf(in.Tags)
	if tags["grigri-machine"] != machine || !strings.HasPrefix(tags["Name"], "grigri-") || len(tags["grigri-model-uuid"]) != 36 || len(tags["grigri-controller-uuid"]) != 36 {
		w.Errorf("tags %v", tags)
	}
	if aws.ToString(in.ImageId) != "ami-debian12new" || in.InstanceType != kind || in.MetadataOptions.HttpTokens != types.HttpTokensStateRequired {
		w.Errorf("image %s, type %s, metadata %s", aws.ToString(in.ImageId), in.InstanceType, in.MetadataOptions.HttpTokens)
	}
}

// keysAreGone checks that with what the user data of the controller's instance holds nobody gets in, or passes for it.
func (w ec2World) keysAreGone(in types.Instance) {
	w.Helper()
	data := w.world.UserData()[*in.InstanceId]
	_, key, _ := strings.Cut(data, "PRIVATE KEY-----\n")
	lines := strings.Split(key, "\n")
	if len(lines) < 4 {
		w.Fatal("the user data has no key: this test sees nothing")
	}
	key = lines[2] // of a key's lines the first is always the same
	if out, err := w.world.Try(*in.InstanceId, "sh", "-c", "cat /etc/ssh/ssh_host_*_key /root/.ssh/authorized_keys"); err != nil || strings.Contains(out, key) || strings.Contains(out, "grigri") {
		w.Errorf("keys that the user data holds are in use still: %v\n%s", err, out)
	}
}

// noSecretIn checks that the cloud's credential is in no log and no user data.
func (w ec2World) noSecretIn(said string, in ...types.Instance) {
	w.Helper()
	places := map[string]string{"what bootstrap says": said, "grigri status": w.must("status", "--format", "yaml")}
	for id, text := range w.world.UserData() {
		places["the user data of "+id] = text
	}
	logs := "journalctl -q --no-pager; find /var/log -name 'journal' -prune -o -type f -exec cat {} +; cat /var/lib/cloud/instance/user-data.txt; for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; done 2>/dev/null"
	for _, i := range in {
		out, err := w.world.Try(*i.InstanceId, "sh", "-c", logs+"; true")
		if err != nil || !strings.Contains(out, "grigri") {
			w.Errorf("the logs on %s cannot be read, or are empty: %v", *i.InstanceId, err)
		}
		places["the logs on "+*i.InstanceId] = out
	}
	places["debug-log"] = w.must("debug-log", "--replay", "--no-tail", "-m", "far:controller") + w.must("debug-log", "--replay", "--no-tail")
	for where, text := range places {
		if i := strings.Index(text, secretKey); i >= 0 {
			w.Errorf("%s: the secret key is in it, after %q", where, text[max(0, i-100):i])
		}
	}
}

// nothing checks that there is nothing of ours in the cloud.
func (w ec2World) nothing() {
	w.Helper()
	w.instances(0)
	w.eventually("nothing is left in the cloud", func() error {
		ours := []types.Filter{{Name: aws.String("tag-key"), Values: []string{"grigri-controller-uuid"}}}
		groups, err := w.world.API.DescribeSecurityGroups(w.Context(), &ec2.DescribeSecurityGroupsInput{Filters: ours})
		if err != nil {
			return err
		}
		volumes, err := w.world.API.DescribeVolumes(w.Context(), &ec2.DescribeVolumesInput{})
		if err != nil {
			return err
		}
		keys, err := w.world.API.DescribeKeyPairs(w.Context(), &ec2.DescribeKeyPairsInput{})
		if err != nil {
			return err
		}
		if n := len(groups.SecurityGroups) + len(volumes.Volumes) + len(keys.KeyPairs); n > 0 {
			return fmt.Errorf("there are the groups %v, volumes %v, keys %v", groups.SecurityGroups, volumes.Volumes, keys.KeyPairs)
		}
		if living := w.world.Living(); len(living) > 0 {
			return fmt.Errorf("there live %v", living)
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
