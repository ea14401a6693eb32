package ec2

import (
	"cmp"
	"context"
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

// The tags by which we know what is ours, and for what.
const (
	tagController = "grigri-controller-uuid"
	tagModel      = "grigri-model-uuid"
	tagMachine    = "grigri-machine"
	tagVolume     = "grigri-volume"
	tagDisk       = "grigri-root-disk-mib"
)

// A machineKey is what an instance is started for.
type machineKey struct{ controller, model, machine string }

func (k machineKey) tags(more ...string) []types.Tag {
	pairs := append([]string{tagController, k.controller, tagModel, k.model}, more...)
	if k.machine != "" {
		pairs = append(pairs, tagMachine, k.machine)
	}
	var out []types.Tag
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, types.Tag{Key: aws.String(pair[0]), Value: aws.String(pair[1])})
	}
	return out
}

func keyOf(tags []types.Tag) machineKey {
	return machineKey{tag(tags, tagController), tag(tags, tagModel), tag(tags, tagMachine)}
}

// List implements provider.Provider. Now and then it also removes groups that have lost their machine.
func (p *Provider) List(ctx context.Context, controller string) ([]provider.Instance, error) {
	found, err := p.describe(ctx, filter("tag:"+tagController, controller))
	if err != nil {
		return nil, fmt.Errorf("list the instances of controller %s in %s: %w", controller, p.Spec.Region, err)
	}
	out := make([]provider.Instance, 0, len(found))
	for _, in := range found {
		out = append(out, p.instanceOf(ctx, in))
	}
	slices.SortFunc(out, func(a, b provider.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) })
	p.sweep(ctx, controller, found, time.Now())
	return out, nil
}

// describe reads all pages.
func (p *Provider) describe(ctx context.Context, filters ...types.Filter) ([]types.Instance, error) {
	client, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	var out []types.Instance
	for pages := ec2.NewDescribeInstancesPaginator(client, &ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(pageSize)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(err)
		}
		for _, r := range page.Reservations {
			out = append(out, r.Instances...)
		}
	}
	return out, nil
}

const pageSize = 500

// fetchMachines finds the instances of many machines in one request for each model.
func (p *Provider) fetchMachines(ctx context.Context, keys []machineKey) (map[machineKey][]types.Instance, error) {
	models := map[machineKey][]string{}
	for _, k := range keys {
		model := machineKey{controller: k.controller, model: k.model}
		models[model] = append(models[model], k.machine)
	}
	out := map[machineKey][]types.Instance{}
	for m, machines := range models {
		found, err := p.describe(ctx, filter("tag:"+tagController, m.controller), filter("tag:"+tagModel, m.model), filter("tag:"+tagMachine, machines...))
		if err != nil {
			return nil, err
		}
		for _, in := range found {
			k := keyOf(in.Tags)
			out[k] = append(out[k], in)
		}
	}
	return out, nil
}

// fetchInstances finds many instances in one request. That one is not there is no error.
func (p *Provider) fetchInstances(ctx context.Context, ids []provider.InstanceID) (map[provider.InstanceID]types.Instance, error) {
	var names []string
	for _, id := range ids {
		names = append(names, string(id))
	}
	found, err := p.describe(ctx, filter("instance-id", names...))
	if err != nil {
		return nil, err
	}
	out := map[provider.InstanceID]types.Instance{}
	for _, in := range found {
		out[provider.InstanceID(aws.ToString(in.InstanceId))] = in
	}
	return out, nil
}

// instance is one that is there and has not ended.
func (p *Provider) instance(ctx context.Context, id provider.InstanceID) (types.Instance, error) {
	in, ok, err := p.byID.do(ctx, id)
	if err == nil && (!ok || gone(in)) {
		err = provider.ErrNotFound
	}
	return in, err
}

func stateOf(in types.Instance) types.InstanceStateName {
	if in.State == nil {
		return types.InstanceStateNamePending
	}
	return in.State.Name
}

// gone says that the instance has ended, or is about to: nothing brings it back.
func gone(in types.Instance) bool {
	return stateOf(in) == types.InstanceStateNameTerminated || stateOf(in) == types.InstanceStateNameShuttingDown
}

func (p *Provider) instanceOf(ctx context.Context, in types.Instance) provider.Instance {
	key := keyOf(in.Tags)
	out := provider.Instance{ID: provider.InstanceID(aws.ToString(in.InstanceId)), Model: key.model, Machine: key.machine, Addresses: addresses(in)}
	switch stateOf(in) {
	case types.InstanceStateNamePending:
		out.State = provider.Pending
	case types.InstanceStateNameRunning:
		out.State = provider.Running
	case types.InstanceStateNameStopping, types.InstanceStateNameStopped:
		out.State = provider.Stopped
	default:
		out.State = provider.Gone
	}
	if in.StateReason != nil && out.State != provider.Running {
		out.Message = aws.ToString(in.StateReason.Message)
	}
	out.Hardware = provider.Hardware{Arch: ourArch(string(in.Architecture)), VirtType: string(in.VirtualizationType)}
	if in.Placement != nil {
		out.Hardware.Zone = aws.ToString(in.Placement.AvailabilityZone)
	}
	out.Hardware.DiskMiB, _ = strconv.Atoi(tag(in.Tags, tagDisk))
	if t, err := p.machineType(ctx, string(in.InstanceType)); err != nil {
		p.Log.Warn("what an instance has is not known now", "instance", out.ID, "type", in.InstanceType, "err", err)
	} else {
		out.Hardware.Cores, out.Hardware.MemoryMiB = t.cores, t.memory
	}
	return out
}

// addresses is the public one first, by which users reach the machine, then those inside the VPC.
func addresses(in types.Instance) []string {
	var out []string
	add := func(a *string) {
		if s := aws.ToString(a); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	add(in.PublicIpAddress)
	add(in.PrivateIpAddress)
	for _, nic := range in.NetworkInterfaces {
		add(nic.PrivateIpAddress)
		for _, v6 := range nic.Ipv6Addresses {
			add(v6.Ipv6Address)
		}
	}
	return out
}

// oldest is the first of them that lives. There is only one, unless someone else has made copies.
func oldest(all []types.Instance) (types.Instance, bool) {
	live := slices.DeleteFunc(slices.Clone(all), gone)
	if len(live) == 0 {
		return types.Instance{}, false
	}
	return slices.MinFunc(live, func(a, b types.Instance) int {
		return cmp.Or(launched(a).Compare(launched(b)), strings.Compare(aws.ToString(a.InstanceId), aws.ToString(b.InstanceId)))
	}), true
}

func launched(in types.Instance) time.Time { return aws.ToTime(in.LaunchTime) }
