package leader

import (
	"context"
	"slices"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/state"
)

// rememberHost keeps in mind which machines are hosts that users have added, and looks at their firewalls again when
// a machine of their model has other addresses.
func (l *Leader) rememberHost(it item, m *plan.Machine) {
	id, hosts := state.MachineID(it.Name), l.hosts[it.model]
	if m != nil && m.Manual != "" {
		if hosts == nil {
			hosts = map[state.MachineID]bool{}
			l.hosts[it.model] = hosts
		}
		hosts[id] = true
	} else {
		delete(hosts, id)
	}
	var addresses []string
	if m != nil {
		addresses = m.Addresses()
	}
	if slices.Equal(l.addresses[it], addresses) {
		return
	}
	if l.addresses[it] = addresses; addresses == nil {
		delete(l.addresses, it)
	}
	l.enqueueHosts(it.model)
}

// enqueueHosts looks at the firewalls of all hosts of the model.
func (l *Leader) enqueueHosts(m state.ModelID) {
	for id := range l.hosts[m] {
		l.enqueue(m, itemFitting, string(id))
	}
}

// lookHost tells the agent of a host what its firewall is to be.
func (l *Leader) lookHost(ctx context.Context, it item) error {
	m, id := it.model, state.MachineID(it.Name)
	machine, err := l.readMachine(ctx, m, id)
	if err != nil || machine == nil || machine.Life != state.Alive { // what goes keeps what it has
		return err
	}
	model, err := state.ReadIf[state.Model](ctx, l.Store, m.Path())
	if err != nil {
		return err
	}
	machine.Required = model.Value.Name == state.ControllerModel && id == "0"
	config, err := state.ReadIf[state.ModelConfig](ctx, l.Store, m.ConfigPath())
	if err != nil {
		return err
	}
	var tenants []plan.Tenant
	var others []plan.Machine
	if plan.HostRules(*machine, config.Value, nil, nil) != nil { // otherwise the rest does not matter
		if tenants, err = l.tenants(ctx, m, id, machine.Units); err != nil {
			return err
		}
		if others, err = l.machines(ctx, m); err != nil {
			return err
		}
	}
	t, err := state.SetRules(ctx, l.Store, m, id, plan.HostRules(*machine, config.Value, tenants, others))
	if err != nil || len(t.Ops) == 0 {
		return err
	}
	l.Log.Info("a host is to have another firewall", "model", m, "machine", id)
	return l.write(ctx, t)
}

// machines is all machines of the model.
func (c Config) machines(ctx context.Context, m state.ModelID) ([]plan.Machine, error) {
	ids, err := state.MachinesOf(ctx, c.Store, m)
	if err != nil {
		return nil, err
	}
	var out []plan.Machine
	for _, id := range ids {
		machine, err := c.readMachine(ctx, m, id)
		if err != nil {
			return nil, err
		}
		if machine != nil {
			out = append(out, *machine)
		}
	}
	return out, nil
}
