package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// The attributes of a pool of volumes.
const (
	attrType       = "volume-type" // gp3, gp2, io1, io2, st1, sc1, standard
	attrIOPS       = "iops"
	attrThroughput = "throughput" // MiB/s, of gp3
	attrEncrypted  = "encrypted"
	attrKey        = "kms-key-id"
)

// volumePatience is how long a volume may take to be made, attached and detached.
const volumePatience = 5 * time.Minute

// CreateVolume implements provider.Volumer.
func (p *Provider) CreateVolume(ctx context.Context, req provider.VolumeRequest) (provider.Volume, error) {
	v, err := p.createVolume(ctx, req)
	if err != nil {
		return provider.Volume{}, fmt.Errorf("create volume %s of model %s in %s: %w", req.Volume, req.Model, p.Spec.Region, err)
	}
	return volumeOf(v), nil
}

func (p *Provider) createVolume(ctx context.Context, req provider.VolumeRequest) (types.Volume, error) {
	in, err := volumeRequest(req, p.settings.volumeType)
	if err != nil {
		return types.Volume{}, err
	}
	client, err := p.api(ctx)
	if err != nil {
		return types.Volume{}, err
	}
	found, err := p.volumes(ctx, filter("tag:"+tagController, req.Controller), filter("tag:"+tagModel, req.Model), filter("tag:"+tagVolume, req.Volume))
	if err != nil {
		return types.Volume{}, err
	}
	if len(found) > 0 {
		if v, exists, err := p.made(ctx, found[0]); exists || err != nil {
			return v, err
		}
	}
	for generation := range mostGenerations { // as with instances
		in.ClientToken = aws.String(clientToken("volume", req.Controller, req.Model, req.Volume, req.Zone, strconv.Itoa(generation)))
		out, err := client.CreateVolume(ctx, in)
		if is(err, "IdempotentParameterMismatch") {
			continue // it was asked for with another size or type, and is not there any more
		}
		if err != nil {
			return types.Volume{}, explain(err)
		}
		v, exists, err := p.made(ctx, types.Volume{VolumeId: out.VolumeId, CreateTime: out.CreateTime})
		if exists || err != nil {
			return v, err
		}
	}
	return types.Volume{}, fmt.Errorf("all of its %d client tokens bring back volumes that are gone: %w", mostGenerations, provider.ErrTransient)
}

// volumeRequest is pure.
func volumeRequest(req provider.VolumeRequest, volumeType string) (*ec2.CreateVolumeInput, error) {
	if req.Controller == "" || req.Model == "" || req.Volume == "" || req.SizeMiB <= 0 {
		return nil, refused("the request names no controller, model, volume or size")
	}
	if req.Zone == "" {
		return nil, refused("it needs the zone of the machine that will use it: a volume cannot be used from another zone")
	}
	key := machineKey{controller: req.Controller, model: req.Model}
	in := &ec2.CreateVolumeInput{AvailabilityZone: aws.String(req.Zone), Size: aws.Int32(int32((req.SizeMiB + 1023) / 1024)), VolumeType: types.VolumeType(volumeType),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume,
			Tags: key.tags("Name", fmt.Sprintf("grigri-%.8s-volume-%s", req.Model, req.Volume), tagVolume, req.Volume)}}}
	for _, name := range slices.Sorted(maps.Keys(req.Attributes)) {
		value := req.Attributes[name]
		var err error
		switch name {
		case attrType:
			in.VolumeType = types.VolumeType(value)
		case attrIOPS:
			in.Iops, err = number(value)
		case attrThroughput:
			in.Throughput, err = number(value)
		case attrEncrypted:
			var yes bool
			yes, err = strconv.ParseBool(value)
			in.Encrypted = aws.Bool(yes)
		case attrKey:
			in.KmsKeyId = aws.String(value)
		default:
			return nil, refused("attribute %s=%s: EC2 has %s, %s, %s, %s and %s", name, value, attrType, attrIOPS, attrThroughput, attrEncrypted, attrKey)
		}
		if err != nil {
			return nil, refused("attribute %s=%s: %v", name, value, err)
		}
	}
	return in, nil
}

func number(text string) (*int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	return aws.Int32(int32(n)), err
}

// made waits until the volume can be used, and says whether there is one. It may take a while until a new one is seen.
func (p *Provider) made(ctx context.Context, v types.Volume) (types.Volume, bool, error) {
	id, created, exists := aws.ToString(v.VolumeId), aws.ToTime(v.CreateTime), true
	done, err := p.wait(ctx, volumePatience, func() (bool, error) {
		found, err := p.volumes(ctx, filter("volume-id", id))
		if err != nil {
			return false, err
		}
		if len(found) == 0 {
			exists = time.Since(created) < p.Settle
			return !exists, nil
		}
		v = found[0]
		exists = v.State != types.VolumeStateDeleting && v.State != types.VolumeStateDeleted
		if v.State == types.VolumeStateError {
			return false, refused("volume %s came out in error: look at its encryption key", id)
		}
		return !exists || v.State == types.VolumeStateAvailable || v.State == types.VolumeStateInUse, nil
	})
	if err == nil && !done {
		err = fmt.Errorf("volume %s is still %s: %w", id, cmp.Or(v.State, "unseen"), provider.ErrTransient)
	}
	return v, exists, err
}

func (p *Provider) volumes(ctx context.Context, filters ...types.Filter) ([]types.Volume, error) {
	client, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	var out []types.Volume
	for pages := ec2.NewDescribeVolumesPaginator(client, &ec2.DescribeVolumesInput{Filters: filters, MaxResults: aws.Int32(pageSize)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(err)
		}
		out = append(out, page.Volumes...)
	}
	return out, nil
}

func volumeOf(v types.Volume) provider.Volume {
	out := provider.Volume{ID: provider.VolumeID(aws.ToString(v.VolumeId)), Model: tag(v.Tags, tagModel), Volume: tag(v.Tags, tagVolume), SizeMiB: int(aws.ToInt32(v.Size)) * 1024}
	if a, ok := attachment(v, ""); ok {
		out.Instance = provider.InstanceID(aws.ToString(a.InstanceId))
	}
	return out
}

// attachment is where the volume is attached: to the instance, or to any.
func attachment(v types.Volume, id provider.InstanceID) (types.VolumeAttachment, bool) {
	i := slices.IndexFunc(v.Attachments, func(a types.VolumeAttachment) bool {
		return a.State != types.VolumeAttachmentStateDetached && (id == "" || aws.ToString(a.InstanceId) == string(id))
	})
	if i < 0 {
		return types.VolumeAttachment{}, false
	}
	return v.Attachments[i], true
}

// DeleteVolume implements provider.Volumer.
func (p *Provider) DeleteVolume(ctx context.Context, ids ...provider.VolumeID) error {
	client, err := p.api(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		_, err := client.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: aws.String(string(id))})
		if err != nil && !is(err, "InvalidVolume.NotFound", "InvalidParameterValue", "InvalidVolumeID.") {
			errs = append(errs, fmt.Errorf("delete volume %s: %w", id, explain(err)))
		}
	}
	return errors.Join(errs...)
}

// ListVolumes implements provider.Volumer. The root disks of instances are not among them.
func (p *Provider) ListVolumes(ctx context.Context, controller string) ([]provider.Volume, error) {
	found, err := p.volumes(ctx, filter("tag:"+tagController, controller), filter("tag-key", tagVolume))
	if err != nil {
		return nil, fmt.Errorf("list the volumes of controller %s in %s: %w", controller, p.Spec.Region, err)
	}
	var out []provider.Volume
	for _, v := range found {
		if v.State != types.VolumeStateDeleting && v.State != types.VolumeStateDeleted {
			out = append(out, volumeOf(v))
		}
	}
	slices.SortFunc(out, func(a, b provider.Volume) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out, nil
}

// Storage implements provider.Storer.
func (p *Provider) Storage() provider.Storage { return provider.Storage{Volumes: "ebs"} }
