package ec2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/grigri/grigri/provider"
)

// mostSkew is how much our clock may differ from EC2's: it believes no signature that is older than five minutes.
const mostSkew = 2 * time.Minute

// fewAddresses is how many free addresses are too few to begin with.
const fewAddresses = 8

// Check implements provider.Checker.
func (p *Provider) Check(ctx context.Context) ([]provider.Problem, error) {
	var out []provider.Problem
	add := func(what, remedy string) { out = append(out, provider.Problem{What: what, Remedy: remedy}) }
	for _, key := range p.settings.unknown {
		add(fmt.Sprintf("the cloud's config has %s, which EC2 knows nothing of", key), "remove it; EC2's keys are "+strings.Join(keys(), ", "))
	}
	client, err := p.api(ctx)
	if err != nil {
		add(err.Error(), `give the cloud a credential: "grigri add-credential `+p.Spec.Cloud.Name+`"`)
		return out, nil
	}
	var dns *net.DNSError
	zones, err := client.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{})
	switch {
	case is(err, strangers...):
		add(explain(err).Error(), `look at the credential: "grigri update-credential `+p.Spec.Cloud.Name+`"; and that the region is enabled for the account`)
		return out, nil
	case is(err, "RequestExpired"):
		add(explain(err).Error(), "set the clock of this host: timedatectl set-ntp true")
		return out, nil
	case is(err, forbidden...):
		add(explain(err).Error(), "give the user or role the permissions that docs/howto/use-ec2.md lists")
		return out, nil
	case errors.As(err, &dns) && dns.IsNotFound:
		add(fmt.Sprintf("region %s has no endpoint: there is no host %s", p.Spec.Region, dns.Name), "see whether the region's name is right, and whether this host's DNS answers")
		return out, nil
	case err != nil:
		return out, fmt.Errorf("check cloud %q: %w", p.Spec.Cloud.Name, explain(err))
	}
	if at, ok := awsmiddleware.GetServerTime(zones.ResultMetadata); ok {
		if skew := time.Until(at).Round(time.Second); skew.Abs() > mostSkew {
			add(fmt.Sprintf("this host's clock differs from EC2's by %v", skew.Abs()), "set the clock: timedatectl set-ntp true")
		}
	}
	return p.checkChoice(ctx, client, out)
}

// checkChoice sees whether a machine for which nothing is asked could be started.
func (p *Provider) checkChoice(ctx context.Context, client *ec2.Client, out []provider.Problem) ([]provider.Problem, error) {
	probe := machineKey{"check", "check", "0"}
	req := provider.StartRequest{Controller: probe.controller, Model: probe.model, Machine: probe.machine}
	w, err := wishOf(req, p.Arch, p.settings.volumeType)
	if err != nil {
		return out, err
	}
	c, err := p.choose(ctx, w, turnOf(req))
	if errors.Is(err, provider.ErrRefused) {
		return append(out, provider.Problem{What: err.Error(), Remedy: "see docs/howto/use-ec2.md for the keys of the cloud's config"}), nil
	}
	if err != nil {
		return out, fmt.Errorf("check cloud %q: %w", p.Spec.Cloud.Name, err)
	}
	var ids []string
	for _, s := range c.subnets {
		ids = append(ids, s.id)
	}
	subnets, err := client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: ids})
	if err != nil {
		return out, fmt.Errorf("check cloud %q: %w", p.Spec.Cloud.Name, explain(err))
	}
	free := 0
	for _, s := range subnets.Subnets {
		free += int(aws.ToInt32(s.AvailableIpAddressCount))
	}
	if free < fewAddresses {
		out = append(out, provider.Problem{What: fmt.Sprintf("the subnets of VPC %s have %d addresses left", c.vpc, free), Remedy: "make a subnet, or name another VPC with the cloud's config " + keyVPC})
	}
	in := c.request(probe, c.subnets[0], nil, clientToken("check", time.Now().String()), "")
	in.DryRun, in.UserData = aws.Bool(true), nil
	_, err = client.RunInstances(ctx, in)
	switch {
	case err == nil, is(err, "DryRunOperation"):
	case is(err, forbidden...):
		out = append(out, provider.Problem{What: explain(err).Error(), Remedy: "give the user or role the permissions that docs/howto/use-ec2.md lists"})
	case is(err, "VcpuLimitExceeded", "InstanceLimitExceeded", "PendingVerification"):
		out = append(out, provider.Problem{What: explain(err).Error(), Remedy: "ask Amazon for a higher quota in this region"})
	default:
		return out, fmt.Errorf("check cloud %q: %w", p.Spec.Cloud.Name, explain(err))
	}
	return out, nil
}
