package lxd

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// Of an instance on a member of a cluster that does not answer LXD says the name and the member, and nothing else. It may run there all the
// same: it is listed as it was when it was last seen, and where nobody has seen it the listing says that it is in part.

// silent is the status, in what complete returns, of what LXD can say nothing of.
const silent = "Silent"

// complete replaces what LXD can say nothing of by what it has said before, and returns besides what it has never said anything of.
func (p *Provider) complete(all []client.InstanceFull) (out []client.InstanceFull, unknown map[provider.InstanceID]string) {
	seen, unknown := map[string]client.InstanceFull{}, map[provider.InstanceID]string{}
	p.mu.Lock()
	before := p.seen
	p.mu.Unlock()
	for _, i := range all {
		switch last, known := before[i.Name]; {
		case i.Config != nil || i.StatusCode != client.Error || !strings.HasPrefix(i.Name, "grigri-"):
			seen[i.Name] = i
			out = append(out, i)
		case known:
			seen[i.Name] = last
			seen[i.Name] = last
			last.Status, last.Location = silent, i.Location
			out = append(out, last)
		default:
			unknown[provider.InstanceID(i.Name)] = noAnswer(i.Location)
		}
	}
	p.mu.Lock()
	p.seen = maps.Clone(seen)
	p.mu.Unlock()
	return out, unknown
}

func noAnswer(member string) string {
	return fmt.Sprintf("member %s of LXD's cluster does not answer: bring it back, or remove it with \"lxc cluster remove --force %[1]s\"", member)
}

// scattered says that LXD has several hosts: a bridge of ours would be another network on each of them.
func (p *Provider) scattered(ctx context.Context, s *client.InstanceServer) (bool, error) {
	about, err := p.describe(ctx)
	if err != nil || !about.Environment.ServerClustered {
		return false, err
	}
	members, err := s.GetClusterMembers(ctx)
	return len(members) > 1, err
}

const scatteredNote = "LXD is a cluster, in which machines on different members do not reach one another over a bridge of ours"

// A crowd is how many instances a member of a cluster has: of one group of a model, of the model, and all.
type crowd struct{ group, model, all int }

// A chosen is the member for a machine that is being started, and the group of that.
type chosen struct{ member, group string }

// target is the member of a cluster on which the instance is to be made; "" leaves it to LXD. Until the start of the instance has
// ended it counts as being there: others that start at the same time see it.
func (p *Provider) target(ctx context.Context, s *client.InstanceServer, key machineKey, w wish) (string, error) {
	about, err := p.describe(ctx)
	if err != nil {
		return "", err
	}
	if !about.Environment.ServerClustered {
		return "", w.here(about.Environment.ServerName)
	}
	members, err := s.GetClusterMembers(ctx)
	if err != nil {
		return "", err
	}
	all, err := s.GetInstances(ctx)
	if err != nil {
		return "", err
	}
	load, there := map[string]crowd{}, map[string]bool{}
	add := func(member, model, group string) {
		c := load[member]
		if c.all++; model == key.model {
			c.model++
			if w.group != "" && group == w.group {
				c.group++
			}
		}
		load[member] = c
	}
	for _, i := range all {
		there[i.Name] = true
		add(i.Location, i.Config[tagModel], i.Config[tagGroup])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, c := range p.chosen {
		if !there[other.instance()] && other != key {
			add(c.member, other.model, c.group)
		}
	}
	member, err := w.choose(members, load)
	if err == nil {
		if p.chosen == nil {
			p.chosen = map[machineKey]chosen{}
		}
		p.chosen[key] = chosen{member, w.group}
	}
	return member, err
}

// arrived says that the machine's start has ended.
func (p *Provider) arrived(key machineKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.chosen, key)
}
