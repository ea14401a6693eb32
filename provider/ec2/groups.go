package ec2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// A groupKey names a security group: the model's when no machine is named.
type groupKey struct {
	machineKey
	vpc string
}

// name is unique in a VPC, so that two who make the group at once make one.
func (k groupKey) name() string {
	name := "grigri-" + k.controller + "-" + k.model
	if k.machine != "" {
		name += "-" + k.machine
	}
	return name
}

const groupLife = time.Hour

// groupsOf returns the model's group and the machine's, which are made where they are missing.
func (p *Provider) groupsOf(ctx context.Context, key machineKey, vpc string) ([]string, error) {
	model, err := p.group(ctx, groupKey{machineKey{key.controller, key.model, ""}, vpc})
	if err != nil {
		return nil, err
	}
	own, err := p.group(ctx, groupKey{key, vpc})
	if err != nil {
		return nil, err
	}
	return []string{model, own}, nil
}

func (p *Provider) forgetGroups(key machineKey, vpc string) {
	p.groups.forget(groupKey{machineKey{key.controller, key.model, ""}, vpc})
	p.groups.forget(groupKey{key, vpc})
}

func (p *Provider) group(ctx context.Context, k groupKey) (string, error) {
	return p.groups.get(ctx, k, groupLife, func(ctx context.Context) (string, error) {
		id, err := p.makeGroup(ctx, k)
		if err != nil {
			return "", fmt.Errorf("security group %s: %w", k.name(), err)
		}
		return id, nil
	})
}

// makeGroup makes the group, or finds it. A model's group is complete when it has its rules: they are seen to each time.
func (p *Provider) makeGroup(ctx context.Context, k groupKey) (string, error) {
	client, err := p.api(ctx)
	if err != nil {
		return "", err
	}
	what := fmt.Sprintf("grigri: the machines of model %s", k.model)
	if k.machine != "" {
		what = fmt.Sprintf("grigri: open ports of machine %s of model %s", k.machine, k.model)
	}
	var id string
	out, err := client.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String(k.name()), Description: aws.String(what), VpcId: aws.String(k.vpc),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: k.tags("Name", k.name())}}})
	switch {
	case err == nil:
		id = aws.ToString(out.GroupId)
	case is(err, "InvalidGroup.Duplicate"):
		found, err := p.findGroups(ctx, filter("group-name", k.name()), filter("vpc-id", k.vpc))
		if err != nil {
			return "", err
		}
		if len(found) == 0 {
			return "", fmt.Errorf("it is there, and cannot be seen yet: %w", provider.ErrTransient)
		}
		id = aws.ToString(found[0].GroupId)
	default:
		return "", explain(err)
	}
	if k.machine != "" {
		return id, nil
	}
	ssh, err := prefixes(p.settings.sshAllow)
	if err != nil {
		return "", err
	}
	wanted := rules{}
	wanted.add(provider.PortRange{Protocol: provider.TCP, From: 22, To: 22}, ssh)
	if err := p.authorize(ctx, id, wanted); err != nil {
		return "", err
	}
	_, err = client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: aws.String(id), IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: aws.String(id), Description: aws.String("machines of the same model")}}}}})
	if err != nil && !is(err, "InvalidPermission.Duplicate") {
		return "", explain(err)
	}
	return id, nil
}

func (p *Provider) findGroups(ctx context.Context, filters ...types.Filter) ([]types.SecurityGroup, error) {
	client, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	var out []types.SecurityGroup
	for pages := ec2.NewDescribeSecurityGroupsPaginator(client, &ec2.DescribeSecurityGroupsInput{Filters: filters, MaxResults: aws.Int32(pageSize)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(err)
		}
		out = append(out, page.SecurityGroups...)
	}
	return out, nil
}

// SetPorts implements provider.Firewaller.
func (p *Provider) SetPorts(ctx context.Context, id provider.InstanceID, want []provider.Rule) error {
	if err := p.setPorts(ctx, id, want); err != nil {
		return fmt.Errorf("set the open ports of instance %s: %w", id, err)
	}
	return nil
}

func (p *Provider) setPorts(ctx context.Context, id provider.InstanceID, want []provider.Rule) error {
	wanted, err := rulesOf(want)
	if err != nil {
		return err
	}
	in, err := p.instance(ctx, id)
	if err != nil {
		return err
	}
	key := keyOf(in.Tags)
	if key.controller == "" || key.model == "" || key.machine == "" {
		return fmt.Errorf("it is not one of ours: %w", provider.ErrNotFound)
	}
	name := groupKey{machineKey: key}.name()
	found, err := p.findGroups(ctx, filter("vpc-id", aws.ToString(in.VpcId)), filter("group-name", name))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("it has no security group %s: %w", name, provider.ErrTransient)
	}
	there := rulesIn(found[0].IpPermissions)
	group := aws.ToString(found[0].GroupId)
	if err := p.authorize(ctx, group, wanted.without(there)); err != nil {
		return err
	}
	return p.revoke(ctx, group, there.without(wanted))
}

// authorize opens, all at once; and one by one when someone else has opened some of it.
func (p *Provider) authorize(ctx context.Context, group string, r rules) error {
	client, err := p.api(ctx)
	if err != nil || len(r) == 0 {
		return err
	}
	return each(r, "InvalidPermission.Duplicate", func(permissions []types.IpPermission) error {
		_, err := client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: aws.String(group), IpPermissions: permissions})
		return err
	})
}

func (p *Provider) revoke(ctx context.Context, group string, r rules) error {
	client, err := p.api(ctx)
	if err != nil || len(r) == 0 {
		return err
	}
	return each(r, "InvalidPermission.NotFound", func(permissions []types.IpPermission) error {
		_, err := client.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: aws.String(group), IpPermissions: permissions})
		return err
	})
}

// each does all at once, and, when EC2 says that some of it is done, each alone.
func each(r rules, done string, act func([]types.IpPermission) error) error {
	all := r.permissions()
	err := act(all)
	if err == nil || !is(err, done) {
		return explain(err)
	}
	var errs []error
	for _, one := range all {
		if err := act([]types.IpPermission{one}); err != nil && !is(err, done) {
			errs = append(errs, explain(err))
		}
	}
	return errors.Join(errs...)
}
