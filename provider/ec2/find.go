package ec2

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// This file asks what EC2 has to choose from.

type imageKey struct{ base, arch, id string }

// An image is what an instance boots from.
type image struct {
	id, arch, rootDevice string
	disk                 int // GiB that it needs at least
}

const (
	imageLife   = time.Hour
	networkLife = 5 * time.Minute
	typesLife   = 12 * time.Hour
)

// image is the newest for the base, or that which is asked for.
func (p *Provider) image(ctx context.Context, w wish) (image, error) {
	key := imageKey{w.base, w.arch, w.imageID}
	if w.imageID != "" {
		key.base = ""
	}
	found, err := p.images.get(ctx, key, imageLife, func(ctx context.Context) (image, error) {
		client, err := p.api(ctx)
		if err != nil {
			return image{}, err
		}
		in := &ec2.DescribeImagesInput{ImageIds: []string{w.imageID}}
		var owner, pattern string
		if w.imageID == "" {
			if owner, pattern, err = imagePattern(w.base, w.arch, p.settings); err != nil {
				return image{}, err
			}
			in = &ec2.DescribeImagesInput{Owners: []string{owner}, Filters: []types.Filter{filter("name", pattern), filter("state", "available"),
				filter("architecture", archNames[w.arch]), filter("virtualization-type", "hvm"), filter("root-device-type", "ebs")}}
		}
		out, err := client.DescribeImages(ctx, in)
		if err != nil {
			return image{}, explain(err)
		}
		if len(out.Images) == 0 && w.imageID != "" {
			return image{}, refused("constraint image-id=%s: there is no such image in %s", w.imageID, p.Spec.Region)
		}
		if len(out.Images) == 0 {
			return image{}, refused("account %s has no image named %s in %s", owner, pattern, p.Spec.Region)
		}
		newest := slices.MaxFunc(out.Images, func(a, b types.Image) int {
			return strings.Compare(aws.ToString(a.CreationDate)+aws.ToString(a.ImageId), aws.ToString(b.CreationDate)+aws.ToString(b.ImageId))
		})
		return imageOf(newest), nil
	})
	if err == nil && w.imageID != "" && found.arch != w.arch {
		return image{}, refused("constraint image-id=%s: the image is %s, and the machine is to be %s", w.imageID, found.arch, w.arch)
	}
	return found, err
}

func imageOf(i types.Image) image {
	out := image{id: aws.ToString(i.ImageId), arch: ourArch(string(i.Architecture)), rootDevice: aws.ToString(i.RootDeviceName)}
	for _, d := range i.BlockDeviceMappings {
		if d.Ebs != nil && aws.ToString(d.DeviceName) == out.rootDevice {
			out.disk = int(aws.ToInt32(d.Ebs.VolumeSize))
		}
	}
	return out
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

// vpc is the network that machines are in.
func (p *Provider) vpc(ctx context.Context) (network, error) {
	return p.network.get(ctx, p.settings.vpc, networkLife, func(ctx context.Context) (network, error) {
		client, err := p.api(ctx)
		if err != nil {
			return network{}, err
		}
		which := filter("is-default", "true")
		if p.settings.vpc != "" {
			which = filter("vpc-id", p.settings.vpc)
		}
		vpcs, err := client.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{which}})
		if err != nil {
			return network{}, explain(err)
		}
		if len(vpcs.Vpcs) == 0 && p.settings.vpc == "" {
			return network{}, refused("region %s has no default VPC: name one with the cloud's config %s", p.Spec.Region, keyVPC)
		}
		if len(vpcs.Vpcs) == 0 {
			return network{}, refused("region %s has no VPC %s, which the cloud's config names", p.Spec.Region, p.settings.vpc)
		}
		n := network{vpc: aws.ToString(vpcs.Vpcs[0].VpcId)}
		zones, err := client.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{})
		if err != nil {
			return network{}, explain(err)
		}
		kinds := map[string]string{}
		for _, z := range zones.AvailabilityZones {
			if z.State == types.AvailabilityZoneStateAvailable {
				kinds[aws.ToString(z.ZoneName)] = aws.ToString(z.ZoneType)
			}
		}
		for pages := ec2.NewDescribeSubnetsPaginator(client, &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("vpc-id", n.vpc), filter("state", "available")}}); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return network{}, explain(err)
			}
			for _, s := range page.Subnets {
				if kind, ok := kinds[aws.ToString(s.AvailabilityZone)]; ok {
					n.subnets = append(n.subnets, subnetOf(s, kind))
				}
			}
		}
		if len(n.subnets) == 0 {
			return network{}, refused("VPC %s has no subnet in a zone that is available: make one", n.vpc)
		}
		return n, nil
	})
}

func subnetOf(s types.Subnet, kind string) subnet {
	out := subnet{id: aws.ToString(s.SubnetId), zone: aws.ToString(s.AvailabilityZone), name: tag(s.Tags, "Name"), public: aws.ToBool(s.MapPublicIpOnLaunch),
		cidrs: []string{aws.ToString(s.CidrBlock)}, local: kind != "" && kind != "availability-zone"}
	for _, v6 := range s.Ipv6CidrBlockAssociationSet {
		if v6.Ipv6CidrBlockState != nil && v6.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			out.ipv6, out.cidrs = true, append(out.cidrs, aws.ToString(v6.Ipv6CidrBlock))
		}
	}
	return out
}

func tag(tags []types.Tag, key string) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// machineTypes is the instance types for the architecture that can be had on demand in the region: those of the usual families, or all.
func (p *Provider) machineTypes(ctx context.Context, arch string, all bool) ([]machineType, error) {
	return p.catalogue.get(ctx, catalogueKey{arch, all}, typesLife, func(ctx context.Context) ([]machineType, error) {
		filters := []types.Filter{filter("processor-info.supported-architecture", archNames[arch]), filter("supported-usage-class", "on-demand"),
			filter("supported-virtualization-type", "hvm"), filter("supported-root-device-type", "ebs")}
		if !all {
			filters = append(filters, filter("instance-type", usual...))
		}
		return p.describeTypes(ctx, &ec2.DescribeInstanceTypesInput{Filters: filters})
	})
}

type catalogueKey struct {
	arch string
	all  bool
}

// machineType is one by its name.
func (p *Provider) machineType(ctx context.Context, name string) (machineType, error) {
	all, err := p.types.get(ctx, name, typesLife, func(ctx context.Context) ([]machineType, error) {
		return p.describeTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{types.InstanceType(name)}})
	})
	if is(err, "InvalidInstanceType", "InvalidParameterValue") || err == nil && len(all) == 0 {
		return machineType{}, refused("constraint instance-type=%s: there is none in %s", name, p.Spec.Region)
	}
	if err != nil {
		return machineType{}, err
	}
	return all[0], nil
}

func (p *Provider) describeTypes(ctx context.Context, in *ec2.DescribeInstanceTypesInput) ([]machineType, error) {
	client, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	var out []machineType
	for pages := ec2.NewDescribeInstanceTypesPaginator(client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(err)
		}
		for _, t := range page.InstanceTypes {
			out = append(out, machineTypeOf(t))
		}
	}
	return out, nil
}

func machineTypeOf(t types.InstanceTypeInfo) machineType {
	out := machineType{name: string(t.InstanceType), nitro: t.Hypervisor != types.InstanceTypeHypervisorXen}
	if t.ProcessorInfo != nil {
		for _, a := range t.ProcessorInfo.SupportedArchitectures {
			out.arches = append(out.arches, ourArch(string(a)))
		}
	}
	if t.VCpuInfo != nil {
		out.cores = int(aws.ToInt32(t.VCpuInfo.DefaultVCpus))
	}
	if t.MemoryInfo != nil {
		out.memory = int(aws.ToInt64(t.MemoryInfo.SizeInMiB))
	}
	return out
}

// offered says for each of the instance types in which zones it is offered.
func (p *Provider) offered(ctx context.Context, some []machineType) (map[string]map[string]bool, error) {
	var names []string
	for _, t := range some {
		names = append(names, t.name)
	}
	return p.offers.get(ctx, strings.Join(names, ","), typesLife, func(ctx context.Context) (map[string]map[string]bool, error) {
		client, err := p.api(ctx)
		if err != nil {
			return nil, err
		}
		out := map[string]map[string]bool{}
		for pages := ec2.NewDescribeInstanceTypeOfferingsPaginator(client, &ec2.DescribeInstanceTypeOfferingsInput{
			LocationType: types.LocationTypeAvailabilityZone, Filters: []types.Filter{filter("instance-type", names...)}}); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, explain(err)
			}
			for _, o := range page.InstanceTypeOfferings {
				name := string(o.InstanceType)
				if out[name] == nil {
					out[name] = map[string]bool{}
				}
				out[name][aws.ToString(o.Location)] = true
			}
		}
		return out, nil
	})
}

// A choice is all that EC2 is to be asked for.
type choice struct {
	wish
	image   image
	machine machineType
	vpc     string
	subnets []subnet // to try in this order: machine is offered in all of them
	dead    []string // client tokens of instances that have ended
}

func (p *Provider) choose(ctx context.Context, w wish, turn int) (choice, error) {
	c := choice{wish: w}
	n, err := p.vpc(ctx)
	if err != nil {
		return c, err
	}
	c.vpc = n.vpc
	subnets, err := n.candidates(w, p.settings.subnets)
	if err != nil {
		return c, err
	}
	if w.typeName != "" {
		var t machineType
		if t, err = p.machineType(ctx, w.typeName); err == nil {
			err = c.settle(ctx, p, []machineType{t}, subnets)
		}
	} else {
		for _, all := range []bool{false, true} {
			var some []machineType
			if some, err = p.machineTypes(ctx, w.arch, all); err == nil {
				err = c.settle(ctx, p, some, subnets)
			}
			if !errors.Is(err, provider.ErrRefused) {
				break
			}
		}
	}
	if err != nil {
		return c, err
	}
	c.subnets = inTurn(c.subnets, turn)
	if c.image, err = p.image(ctx, w); err != nil {
		return c, err
	}
	c.disk = max(c.disk, c.image.disk)
	return c, nil
}

// settle settles on the cheapest type that suits, and is offered where the machine may be.
func (c *choice) settle(ctx context.Context, p *Provider, all []machineType, subnets []subnet) error {
	fitting, err := c.fitting(all)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(fitting, 20) {
		offers, err := p.offered(ctx, some)
		if err != nil {
			return err
		}
		for _, c.machine = range some {
			c.subnets = slices.DeleteFunc(slices.Clone(subnets), func(s subnet) bool { return !offers[c.machine.name][s.zone] })
			if len(c.subnets) > 0 {
				return nil
			}
		}
	}
	return refused("no instance type that suits is offered where the machine may be (%s)", cmp.Or(c.typeName, c.whereabouts()))
}
