package ec2

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// groupPatience is how long after the end of an instance its groups may still be in use.
const groupPatience = time.Minute

// deleteGroups removes the groups of machines that have ended, and those of their models that have none left. What cannot be removed
// now is swept away later.
func (p *Provider) deleteGroups(ctx context.Context, ended map[machineKey]bool) error {
	models := map[machineKey]map[string]bool{}
	for k := range ended {
		m := machineKey{k.controller, k.model, ""}
		if models[m] == nil {
			models[m] = map[string]bool{}
		}
		models[m][k.machine] = true
	}
	for m, machines := range models {
		ours := []types.Filter{filter("tag:"+tagController, m.controller), filter("tag:"+tagModel, m.model)}
		groups, err := p.findGroups(ctx, ours...)
		if err != nil {
			return err
		}
		live, err := p.describe(ctx, ours...)
		if err != nil {
			return err
		}
		live = slices.DeleteFunc(live, terminated)
		for _, in := range live {
			delete(machines, tag(in.Tags, tagMachine)) // it has another instance by now
		}
		slices.SortFunc(groups, func(a, b types.SecurityGroup) int { return len(a.Tags) - len(b.Tags) })
		for _, g := range slices.Backward(groups) { // the model's last
			machine := tag(g.Tags, tagMachine)
			if !machines[machine] && (machine != "" || len(live) > 0) {
				continue
			}
			p.groups.forget(groupKey{machineKey{m.controller, m.model, machine}, aws.ToString(g.VpcId)})
			if done, err := p.deleteGroup(ctx, aws.ToString(g.GroupId), groupPatience); err != nil || !done {
				p.Log.Warn("a security group stays for now", "group", aws.ToString(g.GroupName), "err", err)
			}
		}
	}
	return nil
}

// deleteGroup removes a group once nothing is in it any more, and says whether it has.
func (p *Provider) deleteGroup(ctx context.Context, id string, patience time.Duration) (bool, error) {
	client, err := p.api(ctx)
	if err != nil {
		return false, err
	}
	return p.wait(ctx, patience, func() (bool, error) {
		_, err := client.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(id)})
		switch {
		case err == nil, is(err, "InvalidGroup.NotFound", "InvalidGroupId.NotFound"):
			return true, nil
		case is(err, "DependencyViolation", "InvalidGroup.InUse"):
			return false, nil
		}
		return false, explain(err)
	})
}

// A sweeping is what is remembered from one sweep to the next.
type sweeping struct {
	at      time.Time
	useless map[string]time.Time // groups, and since when they have been seen to be of no use
}

// A group must have been of no use for useless before it is swept away: long enough for a machine that is being started to get into it.
const (
	useless   = 15 * time.Minute
	sweepRest = 5 * time.Minute
)

// sweep removes groups whose machine has no instance any more, and those of models that have none: what was left behind when an
// instance ended by another's hand, or a controller ended between two steps.
func (p *Provider) sweep(ctx context.Context, controller string, instances []types.Instance, now time.Time) {
	p.mu.Lock()
	before, due := p.swept, now.Sub(p.swept.at) >= sweepRest
	if due {
		p.swept.at = now
	}
	p.mu.Unlock()
	if !due {
		return
	}
	groups, err := p.findGroups(ctx, filter("tag:"+tagController, controller))
	if err != nil {
		p.Log.Warn("groups that are of no use are not swept away", "err", err)
		return
	}
	used := map[machineKey]bool{}
	for _, in := range instances {
		if !terminated(in) {
			k := keyOf(in.Tags)
			used[k], used[machineKey{k.controller, k.model, ""}] = true, true
		}
	}
	next := sweeping{now, map[string]time.Time{}}
	for _, g := range groups {
		id := aws.ToString(g.GroupId)
		if used[keyOf(g.Tags)] {
			continue
		}
		first, seen := before.useless[id]
		if !seen {
			first = now
		}
		if now.Sub(first) < useless {
			next.useless[id] = first
		} else if done, err := p.deleteGroup(ctx, id, 0); err != nil {
			p.Log.Warn("a group that is of no use is not swept away", "group", aws.ToString(g.GroupName), "err", err)
		} else if done {
			p.Log.Info("a group that was of no use is gone", "group", aws.ToString(g.GroupName))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swept = next
}
