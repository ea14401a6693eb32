package ec2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/grigri/grigri/provider"
)

// endPatience is how long an instance may take to end.
const endPatience = 10 * time.Minute

var wellFormed = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// Stop implements provider.Provider. It waits until the instances have ended, so that their addresses, disks and groups are free.
func (p *Provider) Stop(ctx context.Context, ids ...provider.InstanceID) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id provider.InstanceID) bool { return !wellFormed.MatchString(string(id)) })
	seen := map[provider.InstanceID]types.Instance{}
	for some := range slices.Chunk(ids, p.byID.most) {
		found, err := p.fetchInstances(ctx, some)
		if err != nil {
			return fmt.Errorf("stop instances %v: %w", ids, err)
		}
		maps.Copy(seen, found)
	}
	failed := p.terminate(ctx, ids, seen)
	over := map[machineKey]bool{}
	for _, id := range ids {
		if failed[id] == nil {
			failed[id] = p.ended(ctx, id)
		}
		if k := keyOf(seen[id].Tags); failed[id] == nil && k.machine != "" {
			over[k] = true
		}
	}
	errs := []error{p.deleteGroups(ctx, over)}
	for id, err := range failed {
		if err != nil {
			errs = append(errs, fmt.Errorf("stop instance %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// terminate asks for the end of all at once; and of each alone when EC2 refuses some of them. It returns why which could not be asked.
func (p *Provider) terminate(ctx context.Context, ids []provider.InstanceID, seen map[provider.InstanceID]types.Instance) map[provider.InstanceID]error {
	failed := map[provider.InstanceID]error{}
	end := func(ids ...provider.InstanceID) error {
		client, err := p.api(ctx)
		if err != nil {
			return err
		}
		var names []string
		for _, id := range ids {
			names = append(names, string(id))
		}
		_, err = client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: names})
		return err
	}
	var known, alone []provider.InstanceID // an unknown id would spoil the call for all
	for _, id := range ids {
		if in, ok := seen[id]; !ok {
			alone = append(alone, id)
		} else if !terminated(in) {
			known = append(known, id)
		}
	}
	if len(known) > 0 {
		err := explain(end(known...))
		if errors.Is(err, provider.ErrRefused) {
			alone = append(alone, known...)
		} else if err != nil {
			for _, id := range known {
				failed[id] = err
			}
		}
	}
	for _, id := range alone {
		if err := end(id); err != nil && !is(err, "InvalidInstanceID.") {
			failed[id] = explain(err)
		}
	}
	return failed
}

// ended waits until the instance is no more.
func (p *Provider) ended(ctx context.Context, id provider.InstanceID) error {
	done, err := p.wait(ctx, endPatience, func() (bool, error) {
		in, ok, err := p.byID.do(ctx, id)
		return !ok || terminated(in), err
	})
	if err == nil && !done {
		err = fmt.Errorf("it has not ended within %v: %w", endPatience, provider.ErrTransient)
	}
	return err
}

func terminated(in types.Instance) bool { return stateOf(in) == types.InstanceStateNameTerminated }
