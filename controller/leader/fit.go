package leader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// itemFitting is an item of a machine whose instance may have to be fitted. There are no tickets for it: it follows from those of
// machines, units and applications.
const itemFitting = "fitting"

// lookFitting has the ports of the machine's instance, and the profiles that its charms want, made what they are to be.
func (l *Leader) lookFitting(ctx context.Context, it item) error {
	m, id := it.model, state.MachineID(it.Name)
	if l.working[it] {
		return nil // it is looked at again when the provider has answered
	}
	if id.IsContainer() {
		l.enqueue(m, state.TicketMachine, it.Name) // with the rest
		return nil
	}
	place, ok := l.places[m]
	if !ok {
		return nil
	}
	if l.hosts[m][id] {
		return l.lookHost(ctx, it)
	}
	if p, err := l.Providers(ctx, place); err != nil || !canFit(p) {
		return nil // where there is no provider its listing says so
	}
	machine, err := l.readMachine(ctx, m, id)
	if err != nil || machine == nil || machine.Instance.ID == "" {
		return err
	}
	fitted, err := state.ReadIf[state.Fitting](ctx, l.Store, m.FittingPath(id))
	if err != nil {
		return err
	}
	tenants, err := l.tenants(ctx, m, id, machine.Units)
	if err != nil {
		return err
	}
	switch a := plan.Fit(*machine, fitted.Value, tenants, l.Now()).(type) {
	case plan.Wait:
		l.again(it, a.Until)
	case plan.Refit:
		l.job(Job{Kind: JobFit, Place: place, item: it, Instances: []provider.InstanceID{machine.Instance.ID}, fit: a})
	}
	return nil
}

func canFit(p provider.Provider) bool {
	_, ports := p.(provider.Firewaller)
	_, profiles := p.(provider.Profiler)
	return ports || profiles
}

// controllerTenant is the controller itself on its own machine: all clients and agents must reach it.
func (c Config) controllerTenant(ctx context.Context, m state.ModelID) ([]plan.Tenant, error) {
	model, err := state.ReadIf[state.Model](ctx, c.Store, m.Path())
	if err != nil || model.Value.Name != state.ControllerModel {
		return nil, err
	}
	addresses, err := state.ReadIf[state.Addresses](ctx, c.Store, m.AddressesPath())
	if err != nil {
		return nil, err
	}
	return plan.ControllerTenant(slices.Concat(addresses.Value.API, addresses.Value.ZooKeeper)), nil
}

// tenants reads of the units what their machine must be fitted for.
func (c Config) tenants(ctx context.Context, m state.ModelID, id state.MachineID, units []state.UnitName) ([]plan.Tenant, error) {
	var out []plan.Tenant
	if id == state.FirstMachine {
		own, err := c.controllerTenant(ctx, m)
		if err != nil {
			return nil, err
		}
		out = own
	}
	for _, u := range units {
		name := u.Application()
		t := plan.Tenant{Application: name}
		ports, err := state.ReadIf[[]state.OpenPort](ctx, c.Store, m.PortsPath(u))
		if err != nil {
			return nil, err
		}
		exposed, err := state.ReadIf[state.Exposed](ctx, c.Store, m.ExposedPath(name))
		if err != nil {
			return nil, err
		}
		app, err := state.ReadIf[state.Application](ctx, c.Store, m.ApplicationPath(name))
		if err != nil {
			return nil, err
		}
		ch, err := state.ReadIf[state.Charm](ctx, c.Store, m.CharmPath(app.Value.Charm.String()))
		if err != nil {
			return nil, err
		}
		t.Open, t.Exposed, t.Profile = ports.Value, exposed.Value, ch.Value.Charm.Profile
		out = append(out, t)
	}
	return out, nil
}

// fit has the provider fit an instance. That it is asked is written down first.
func (c Config) fit(ctx context.Context, j Job) error {
	m, id, instance := j.item.model, state.MachineID(j.item.Name), j.Instances[0]
	note := func(change func(state.Fitting) state.Fitting) error {
		return c.record(ctx, func() (state.Txn, error) {
			return state.SetFitting(ctx, c.Store, m, id, func(f state.Fitting) state.Fitting {
				if f.Instance != instance {
					f = state.Fitting{Instance: instance}
				}
				f = change(f)
				f.Since = c.Now()
				return f
			})
		})
	}
	var gone *state.NotFoundError
	if err := note(func(f state.Fitting) state.Fitting { f.Pending = true; return f }); err != nil {
		if errors.As(err, &gone) {
			return nil
		}
		return err
	}
	err := within(ctx, mostCall, func(ctx context.Context) error { return c.askToFit(ctx, j, instance) })
	if errors.Is(err, provider.ErrNotFound) {
		return nil // the next listing says what has become of it
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	now := c.Now()
	noted := note(func(f state.Fitting) state.Fitting {
		if err == nil {
			return state.Fitting{Instance: instance, Rules: j.fit.Rules, Profiles: j.fit.Profiles}
		}
		f.Failures++
		f.Error, f.Tried = err.Error(), j.fit.Rules
		f.Retry = now.Add(plan.Backoff(f.Failures, firstRetry, mostRetry))
		return f
	})
	if errors.As(noted, &gone) {
		return nil
	}
	return errors.Join(err, noted)
}

func (c Config) askToFit(ctx context.Context, j Job, id provider.InstanceID) error {
	p, err := c.Providers(ctx, j.Place)
	if err != nil {
		return err
	}
	if f, ok := p.(provider.Firewaller); ok {
		if err := f.SetPorts(ctx, id, j.fit.Rules); err != nil {
			return fmt.Errorf("set the open ports of machine %s: %w", j.item.Name, err)
		}
	}
	if f, ok := p.(provider.Profiler); ok {
		if err := f.SetProfiles(ctx, id, j.fit.Profiles); err != nil {
			return fmt.Errorf("set the profiles of machine %s: %w", j.item.Name, err)
		}
	}
	c.Log.Info("an instance is fitted", "model", j.item.model, "machine", j.item.Name, "rules", len(j.fit.Rules), "profiles", len(j.fit.Profiles))
	return nil
}
