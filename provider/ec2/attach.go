package ec2

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// AttachVolume implements provider.Volumer. It waits until the instance runs: before that it takes no volumes.
func (p *Provider) AttachVolume(ctx context.Context, v provider.VolumeID, id provider.InstanceID) (provider.Volume, error) {
	out, err := p.attachVolume(ctx, v, id)
	if err != nil {
		return provider.Volume{}, fmt.Errorf("attach volume %s to instance %s: %w", v, id, err)
	}
	return out, nil
}

func (p *Provider) attachVolume(ctx context.Context, id provider.VolumeID, to provider.InstanceID) (provider.Volume, error) {
	v, err := p.volume(ctx, id)
	if err != nil {
		return provider.Volume{}, err
	}
	if a, ok := attachment(v, ""); ok && aws.ToString(a.InstanceId) != string(to) {
		return provider.Volume{}, fmt.Errorf("it is attached to instance %s: %w", aws.ToString(a.InstanceId), provider.ErrTransient)
	}
	var in types.Instance
	ready, err := p.wait(ctx, volumePatience, func() (bool, error) {
		in, err = p.instance(ctx, to)
		return stateOf(in) == types.InstanceStateNameRunning || stateOf(in) == types.InstanceStateNameStopped, err
	})
	if err != nil {
		return provider.Volume{}, err
	}
	if !ready {
		return provider.Volume{}, fmt.Errorf("the instance is still %s: %w", stateOf(in), provider.ErrTransient)
	}
	if _, ok := attachment(v, to); !ok {
		if err := p.attachAnywhere(ctx, id, in); err != nil {
			return provider.Volume{}, err
		}
	}
	done, err := p.wait(ctx, volumePatience, func() (bool, error) {
		if v, err = p.volume(ctx, id); err != nil {
			return false, err
		}
		a, ok := attachment(v, to)
		return ok && a.State == types.VolumeAttachmentStateAttached, nil
	})
	if err == nil && !done {
		err = fmt.Errorf("it is not attached within %v: %w", volumePatience, provider.ErrTransient)
	}
	if err != nil {
		return provider.Volume{}, err
	}
	out := volumeOf(v)
	a, _ := attachment(v, to)
	out.Device, err = p.device(ctx, out.ID, aws.ToString(a.Device), string(in.InstanceType))
	return out, err
}

// attachAnywhere attaches the volume under the first device name that is free. Others may take it at the same time.
func (p *Provider) attachAnywhere(ctx context.Context, id provider.VolumeID, in types.Instance) error {
	client, err := p.api(ctx)
	if err != nil {
		return err
	}
	var used []string
	for _, d := range in.BlockDeviceMappings {
		used = append(used, aws.ToString(d.DeviceName))
	}
	for _, name := range deviceNames() {
		if slices.Contains(used, name) {
			continue
		}
		_, err := client.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: aws.String(string(id)), InstanceId: in.InstanceId, Device: aws.String(name)})
		switch {
		case is(err, "InvalidParameterValue") && strings.Contains(err.Error(), "already in use"):
			continue
		case is(err, "VolumeInUse"):
			return nil // by an earlier call of ours: whoever waits for it sees where
		}
		return explain(err)
	}
	return refused("instance %s has no device name left: it has %d disks", aws.ToString(in.InstanceId), len(used))
}

// deviceNames is the names that Amazon recommends for disks of Linux machines, and then those that work as well.
func deviceNames() []string {
	var out []string
	for c := 'f'; c <= 'p'; c++ {
		out = append(out, "/dev/sd"+string(c))
	}
	for _, b := range "bc" {
		for c := 'a'; c <= 'z'; c++ {
			out = append(out, "/dev/xvd"+string(b)+string(c))
		}
	}
	return out
}

// device is the path on the machine. Disks of newer instance types are NVMe, and named by their serial number.
func (p *Provider) device(ctx context.Context, id provider.VolumeID, name, instanceType string) (string, error) {
	t, err := p.machineType(ctx, instanceType)
	if err != nil {
		return "", err
	}
	if t.nitro {
		return "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + strings.ReplaceAll(string(id), "-", ""), nil
	}
	return "/dev/xvd" + strings.TrimPrefix(strings.TrimPrefix(name, "/dev/sd"), "/dev/xvd"), nil
}

// volume is one that is there.
func (p *Provider) volume(ctx context.Context, id provider.VolumeID) (types.Volume, error) {
	found, err := p.volumes(ctx, filter("volume-id", string(id)))
	if err == nil && (len(found) == 0 || found[0].State == types.VolumeStateDeleting || found[0].State == types.VolumeStateDeleted) {
		err = fmt.Errorf("there is no such volume: %w", provider.ErrNotFound)
	}
	if err != nil {
		return types.Volume{}, err
	}
	return found[0], nil
}

// DetachVolume implements provider.Volumer.
func (p *Provider) DetachVolume(ctx context.Context, v provider.VolumeID, id provider.InstanceID) error {
	client, err := p.api(ctx)
	if err != nil {
		return err
	}
	asked := false
	done, err := p.wait(ctx, volumePatience, func() (bool, error) {
		found, err := p.volumes(ctx, filter("volume-id", string(v)))
		if err != nil || len(found) == 0 {
			return err == nil, err
		}
		a, ok := attachment(found[0], id)
		if !ok {
			return true, nil
		}
		if asked || a.State == types.VolumeAttachmentStateDetaching {
			return false, nil
		}
		asked = true
		_, err = client.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: aws.String(string(v)), InstanceId: aws.String(string(id))})
		if is(err, "IncorrectState", "InvalidAttachment.NotFound", "InvalidVolume.NotFound", "InvalidInstanceID.NotFound") {
			return false, nil // it has just gone
		}
		return false, explain(err)
	})
	if err == nil && !done {
		err = fmt.Errorf("it is still attached after %v: is it mounted? %w", volumePatience, provider.ErrTransient)
	}
	if err != nil {
		return fmt.Errorf("detach volume %s from instance %s: %w", v, id, err)
	}
	return nil
}
