package ec2

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// Start implements provider.Provider. That a machine has one instance is held by three things: the instance's tags, which a later call
// finds; the client token, which makes the same of two calls at once even before the tags can be seen; and the order of zones, which
// is the same for everyone.
func (p *Provider) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	in, err := p.start(ctx, req)
	if err != nil {
		return provider.Instance{}, fmt.Errorf("start machine %s of model %s in %s: %w", req.Machine, req.Model, p.Spec.Region, err)
	}
	return p.instanceOf(ctx, in), nil
}

// A generation is one life of a machine: what was started, stopped and is started again needs another client token. Generations are
// not written down. They are tried in order, from the first on, so that everyone comes to the same; those of which EC2 still shows the
// remains are passed over, and so is a token that brings back something dead.
const mostGenerations = 200

func (p *Provider) start(ctx context.Context, req provider.StartRequest) (types.Instance, error) {
	key := machineKey{req.Controller, req.Model, req.Machine}
	w, err := wishOf(req, p.Arch, p.settings.volumeType)
	if err != nil {
		return types.Instance{}, err
	}
	data, err := userData(req.Init.Script)
	if err != nil {
		return types.Instance{}, err
	}
	found, _, err := p.machines.do(ctx, key)
	if err != nil {
		return types.Instance{}, err
	}
	if in, ok := oldest(found); ok {
		return p.wake(ctx, in)
	}
	if req.Enrolled {
		return types.Instance{}, req.Missing()
	}
	c, err := p.choose(ctx, w, turnOf(req))
	if err != nil {
		return types.Instance{}, err
	}
	for _, in := range found {
		c.dead = append(c.dead, aws.ToString(in.ClientToken))
	}
	for generation := range mostGenerations {
		in, err := p.launch(ctx, key, c, data, generation)
		if errors.Is(err, provider.ErrRefused) { // else it is tried again, and finds the groups that it has made
			err = errors.Join(err, p.deleteGroups(ctx, map[machineKey]bool{key: true}))
		}
		if err != nil {
			return types.Instance{}, err
		}
		if dead, err := p.wasBefore(ctx, in); err != nil || !dead {
			return in, err
		}
	}
	return types.Instance{}, fmt.Errorf("all of its %d client tokens bring back instances that have ended: %w", mostGenerations, provider.ErrTransient)
}

// wake starts an instance again that has stopped. One that runs or is about to it leaves alone.
func (p *Provider) wake(ctx context.Context, in types.Instance) (types.Instance, error) {
	id := aws.ToString(in.InstanceId)
	switch stateOf(in) {
	case types.InstanceStateNameStopping:
		return in, fmt.Errorf("instance %s is still stopping: %w", id, provider.ErrTransient)
	case types.InstanceStateNameStopped:
	default:
		return in, nil
	}
	client, err := p.api(ctx)
	if err != nil {
		return in, err
	}
	out, err := client.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}})
	if is(err, "IncorrectInstanceState") { // it has gone on meanwhile
		return in, fmt.Errorf("start instance %s again: %w: %w", id, err, provider.ErrTransient)
	}
	if err != nil {
		return in, fmt.Errorf("start instance %s again: %w", id, explain(err))
	}
	in.State, in.StateReason = &types.InstanceState{Name: types.InstanceStateNamePending}, nil
	for _, change := range out.StartingInstances {
		if aws.ToString(change.InstanceId) == id && change.CurrentState != nil && change.CurrentState.Name == types.InstanceStateNameRunning {
			in.State = change.CurrentState
		}
	}
	return in, nil
}

// wasBefore says whether what launch returned is the remains of an earlier life. One that has just been launched and cannot be
// seen yet is not.
func (p *Provider) wasBefore(ctx context.Context, in types.Instance) (bool, error) {
	if in.InstanceId == nil {
		return true, nil
	}
	if gone(in) || time.Since(launched(in)) < p.Settle {
		return gone(in), nil
	}
	now, ok, err := p.byID.do(ctx, provider.InstanceID(aws.ToString(in.InstanceId)))
	return err == nil && (!ok || gone(now)), err
}

// launch runs an instance in the first subnet that has room. It is none, without an error, when the token for that is known to be used up.
func (p *Provider) launch(ctx context.Context, key machineKey, c choice, data string, generation int) (types.Instance, error) {
	var last error
	full := map[string]bool{} // zones without room for this type
	for _, s := range c.subnets {
		if full[s.zone] {
			continue
		}
		in, err := p.run(ctx, key, c, s, data, generation)
		switch {
		case err == nil:
			return in, nil
		case is(err, "InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity", "Unsupported"):
			full[s.zone] = true
		case is(err, "InsufficientFreeAddressesInSubnet"):
		case is(err, "InvalidSubnetID.NotFound", "InvalidSubnet.NotFound"):
			p.network.forget(p.settings.vpc)
		case is(err, "InvalidAMIID."):
			p.images.forget(imageKey{c.base, c.arch, c.imageID})
			return in, err
		default:
			return in, err
		}
		p.Log.Warn("no room for a machine, will try elsewhere", "machine", key.machine, "model", key.model, "zone", s.zone, "subnet", s.id, "type", c.machine.name, "err", err)
		last = err
	}
	return types.Instance{}, last
}

// run asks for the instance in one subnet.
func (p *Provider) run(ctx context.Context, key machineKey, c choice, s subnet, data string, generation int) (types.Instance, error) {
	client, err := p.api(ctx)
	if err != nil {
		return types.Instance{}, err
	}
	token := clientToken("instance", key.controller, key.model, key.machine, s.id, strconv.Itoa(generation))
	if slices.Contains(c.dead, token) {
		return types.Instance{}, nil
	}
	for try := 0; ; try++ {
		groups, err := p.groupsOf(ctx, key, c.vpc)
		if err != nil {
			return types.Instance{}, err
		}
		out, err := client.RunInstances(ctx, c.request(key, s, groups, token, data))
		switch {
		case is(err, "InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound") && try < 5:
			p.forgetGroups(key, c.vpc) // removed with the last machine that was in it, just now
		case is(err, "IdempotentParameterMismatch"):
			return p.earlier(ctx, key, token, err)
		case err != nil:
			return types.Instance{}, explain(err)
		case len(out.Instances) == 0:
			return types.Instance{}, fmt.Errorf("RunInstances: EC2 says that it is done, and names no instance: %w", provider.ErrTransient)
		default:
			return out.Instances[0], nil
		}
	}
}

// earlier is what an earlier call with the token has made, when that call asked for something else: another image, say, because there
// was no newer one then.
func (p *Provider) earlier(ctx context.Context, key machineKey, token string, cause error) (types.Instance, error) {
	found, _, err := p.machines.do(ctx, key)
	if err != nil {
		return types.Instance{}, err
	}
	i := slices.IndexFunc(found, func(in types.Instance) bool { return aws.ToString(in.ClientToken) == token })
	if i < 0 {
		return types.Instance{}, explain(cause) // it cannot be seen yet
	}
	return found[i], nil
}

// request is pure.
func (c choice) request(key machineKey, s subnet, groups []string, token, data string) *ec2.RunInstancesInput {
	nic := types.InstanceNetworkInterfaceSpecification{DeviceIndex: aws.Int32(0), SubnetId: aws.String(s.id), Groups: groups,
		DeleteOnTermination: aws.Bool(true), AssociatePublicIpAddress: c.public}
	if c.ipv6 {
		nic.Ipv6AddressCount = aws.Int32(1)
	}
	name := fmt.Sprintf("grigri-%.8s-machine-%s", key.model, key.machine)
	in := &ec2.RunInstancesInput{
		ImageId: aws.String(c.image.id), InstanceType: types.InstanceType(c.machine.name), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		ClientToken: aws.String(token), UserData: aws.String(data), NetworkInterfaces: []types.InstanceNetworkInterfaceSpecification{nic},
		MetadataOptions: &types.InstanceMetadataOptionsRequest{HttpTokens: types.HttpTokensStateRequired, HttpEndpoint: types.InstanceMetadataEndpointStateEnabled,
			HttpPutResponseHopLimit: aws.Int32(1)}, // containers on the machine are no concern of its role
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeInstance, Tags: key.tags("Name", name, tagDisk, strconv.Itoa(c.disk*1024))},
			{ResourceType: types.ResourceTypeVolume, Tags: key.tags("Name", name+"-root")},
			{ResourceType: types.ResourceTypeNetworkInterface, Tags: key.tags("Name", name)},
		},
	}
	if c.disk > 0 {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String(c.image.rootDevice), Ebs: &types.EbsBlockDevice{
			VolumeSize: aws.Int32(int32(c.disk)), VolumeType: types.VolumeType(c.diskType), DeleteOnTermination: aws.Bool(true)}}}
	}
	if c.role != "" {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: aws.String(c.role)}
		if strings.HasPrefix(c.role, "arn:") {
			in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: aws.String(c.role)}
		}
	}
	return in
}

// clientToken is the same for the same words, and for no others.
func clientToken(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:])
}

// mostUserData is how much EC2 takes.
const mostUserData = 16 << 10

// userData is the script as EC2 takes it: as it is while that is small enough, else compressed, which cloud-init sees for itself.
func userData(script []byte) (string, error) {
	data := script
	if len(data) > mostUserData {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return "", err
		}
		if _, err := z.Write(script); err != nil {
			return "", err
		}
		if err := z.Close(); err != nil {
			return "", err
		}
		data = b.Bytes()
	}
	if len(data) > mostUserData {
		return "", refused("its init script is %d bytes, %d compressed: EC2 takes %d", len(script), len(data), mostUserData)
	}
	return base64.StdEncoding.EncodeToString(data), nil
}
