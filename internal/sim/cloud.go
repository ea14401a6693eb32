package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A cloud is a provider whose machines are hosts of the simulation. It fails at times, also after it has done what it was asked for.
type cloud struct {
	s         *Sim
	instances []provider.Instance // in the order of their start
	failures  map[string]int
	started   int
}

// fails says whether to fail now. It never fails so often with one machine that the leader would wait for long.
func (c *cloud) fails(what, machine string) bool {
	if c.failures[machine] >= 2 || !c.s.accident(6) {
		return false
	}
	c.failures[machine]++
	c.s.log("the cloud fails: %s %s", what, machine)
	c.s.count("failures of the cloud")
	return true
}

// only is the provider of every place.
func (c *cloud) only(context.Context, state.Place) (provider.Provider, error) { return c, nil }

// Start implements provider.Provider.
func (c *cloud) Start(_ context.Context, req provider.StartRequest) (provider.Instance, error) {
	if c.fails("start", req.Machine) {
		return provider.Instance{}, fmt.Errorf("busy: %w", provider.ErrTransient)
	}
	i := slices.IndexFunc(c.instances, func(in provider.Instance) bool { return in.Model == req.Model && in.Machine == req.Machine })
	if i < 0 && req.Enrolled {
		return provider.Instance{}, req.Missing()
	}
	if i < 0 {
		c.started++
		c.instances = append(c.instances, provider.Instance{ID: provider.InstanceID(fmt.Sprintf("i-%d", c.started)), Model: req.Model,
			Machine: req.Machine, State: provider.Running, Addresses: []string{fmt.Sprintf("127.1.0.%d", c.started)}})
		i = len(c.instances) - 1
		c.s.log("the cloud starts %s for machine %s", c.instances[i].ID, req.Machine)
		c.s.hosts[state.MachineID(req.Machine)] = newHost(c.s, state.MachineID(req.Machine), c.started)
	}
	if c.fails("answer to start", req.Machine) {
		return provider.Instance{}, fmt.Errorf("no answer: %w", provider.ErrTransient)
	}
	return c.instances[i], nil
}

// Stop implements provider.Provider.
func (c *cloud) Stop(_ context.Context, ids ...provider.InstanceID) error {
	for _, id := range ids {
		i := slices.IndexFunc(c.instances, func(in provider.Instance) bool { return in.ID == id })
		if i < 0 {
			continue
		}
		if c.fails("stop", c.instances[i].Machine) {
			return fmt.Errorf("busy: %w", provider.ErrTransient)
		}
		machine := state.MachineID(c.instances[i].Machine)
		c.s.log("the cloud stops %s of machine %s", id, machine)
		c.instances = slices.Delete(c.instances, i, i+1)
		if h := c.s.hosts[machine]; h != nil {
			h.kill("with its machine", c.s.now)
			delete(c.s.hosts, machine)
		}
	}
	return nil
}

// List implements provider.Provider.
func (c *cloud) List(context.Context, string) ([]provider.Instance, error) {
	if c.fails("list", "") {
		return nil, fmt.Errorf("busy: %w", provider.ErrTransient)
	}
	return slices.Clone(c.instances), nil
}
