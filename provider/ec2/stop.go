package ec2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/provider"
)

// endPatience is how long an instance may take to end.
const endPatience = 10 * time.Minute

var wellFormed = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// Stop implements provider.Provider. It waits until the instances have ended, so that their addresses, disks and groups are free.
func (p *Provider) Stop(ctx context.Context, ids ...provider.InstanceID) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id provider.InstanceID) bool { return !wellFormed.MatchString(string(id)) })
	seen, err := p.look(ctx, ids)
	if err != nil {
		return fmt.Errorf("stop instances %v: %w", ids, err)
	}
	failed := p.terminate(ctx, ids, seen)
	left, err := p.ended(ctx, ids, failed)
	errs := []error{err}
	over := map[machineKey]bool{}
	for _, id := range ids {
		if in, ok := left[id]; !ok {
			if k := keyOf(seen[id].Tags); k.machine != "" && err == nil {
				over[k] = true
			}
		} else if failed[id] != nil {
			errs = append(errs, fmt.Errorf("stop instance %s: %w", id, failed[id]))
		} else {
			errs = append(errs, fmt.Errorf("stop instance %s: it is still %s after %v: %w", id, stateOf(in), endPatience, provider.ErrTransient))
		}
	}
	return errors.Join(append(errs, p.deleteGroups(ctx, over))...)
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

// ended waits until the instances are no more, and returns those that remain. One that could not be asked to end is not waited for,
// unless it ends all the same.
func (p *Provider) ended(ctx context.Context, ids []provider.InstanceID, failed map[provider.InstanceID]error) (map[provider.InstanceID]types.Instance, error) {
	left := map[provider.InstanceID]types.Instance{}
	_, err := p.wait(ctx, endPatience, func() (bool, error) {
		found, err := p.look(ctx, ids)
		if err != nil {
			return false, err
		}
		maps.DeleteFunc(found, func(_ provider.InstanceID, in types.Instance) bool { return terminated(in) })
		left = found
		for id, in := range left {
			if failed[id] == nil || gone(in) {
				return false, nil
			}
		}
		return true, nil
	})
	return left, err
}

// look finds the instances, in as few requests as there can be with what others look for. That one is not there is no error.
func (p *Provider) look(ctx context.Context, ids []provider.InstanceID) (map[provider.InstanceID]types.Instance, error) {
	var mu sync.Mutex
	out := map[provider.InstanceID]types.Instance{}
	g, ctx := errgroup.WithContext(ctx)
	for _, id := range ids {
		g.Go(func() error {
			in, ok, err := p.byID.do(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				out[id] = in
			}
			return err
		})
	}
	return out, g.Wait()
}

func terminated(in types.Instance) bool { return stateOf(in) == types.InstanceStateNameTerminated }
