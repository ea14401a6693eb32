package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/grigri/grigri/provider"
)

// Relocate implements provider.Relocator. A controller's own instance that has a role proves itself with that, and is given no
// secret. Otherwise it gets the access key that we use ourselves, wherever we have found it: the files and variables of this host are not
// there. Keys that end after a while are of no use to a controller, unless the user has given them to us as such.
func (p *Provider) Relocate(ctx context.Context, controller string) (provider.Spec, error) {
	spec, err := p.relocate(ctx, controller)
	if err != nil {
		return spec, fmt.Errorf("find what the controller can prove itself with to cloud %q: %w", p.Spec.Cloud.Name, err)
	}
	if types := spec.Cloud.AuthTypes; len(types) > 0 && !slices.Contains(types, spec.Credential.AuthType) {
		spec.Cloud.AuthTypes = append(slices.Clone(types), spec.Credential.AuthType)
	}
	return spec, nil
}

func (p *Provider) relocate(ctx context.Context, controller string) (provider.Spec, error) {
	spec := p.Spec
	name := cmp.Or(spec.Credential.Name, "grigri")
	all, err := p.describe(ctx, filter("tag:"+tagController, controller))
	if err != nil {
		return spec, err
	}
	if in, ok := oldest(all); ok && in.IamInstanceProfile != nil {
		spec.Credential = provider.Credential{Name: name, AuthType: AuthInstanceRole}
		return spec, nil
	}
	const remedy = "give its instance a role, with --bootstrap-constraints instance-role=NAME, or use a credential of type " + AuthAccessKey
	switch spec.Credential.AuthType {
	case AuthAccessKey:
		return spec, nil
	case AuthInstanceRole:
		return spec, errors.New("credential " + name + " is the role of an instance, and the controller's instance has none: " + remedy)
	}
	conf, err := p.load(ctx)
	if err != nil {
		return spec, err
	}
	key, err := conf.Credentials.Retrieve(ctx)
	if err != nil {
		return spec, err
	}
	if key.CanExpire {
		return spec, fmt.Errorf("the keys of this host end at %s: %s", key.Expires.UTC().Format(time.RFC3339), remedy)
	}
	spec.Credential = provider.Credential{Name: name, AuthType: AuthAccessKey, Attributes: map[string]string{"access-key": key.AccessKeyID, "secret-key": key.SecretAccessKey}}
	if key.SessionToken != "" {
		spec.Credential.Attributes["session-token"] = key.SessionToken
	}
	return spec, nil
}

// Forget implements provider.Relocator: what Relocate gives is not made for the controller. The groups of instances that somebody else has
// ended are left, and go now.
func (p *Provider) Forget(ctx context.Context, controller string) error {
	groups, err := p.findGroups(ctx, filter("tag:"+tagController, controller))
	for _, g := range groups {
		if done, failed := p.deleteGroup(ctx, aws.ToString(g.GroupId), groupPatience); failed != nil {
			err = errors.Join(err, failed)
		} else if !done {
			err = errors.Join(err, fmt.Errorf("security group %s is in use by something that is not the controller's", aws.ToString(g.GroupName)))
		}
	}
	if err != nil {
		return fmt.Errorf("remove the security groups of controller %s: %w", controller, err)
	}
	return nil
}
