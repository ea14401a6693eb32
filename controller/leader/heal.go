package leader

import (
	"context"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/state"
)

// attend notes for the planner whether the machine's agent is there, and since when it is not, if the machine has an instance that a provider
// could start again.
func (l *Leader) attend(ctx context.Context, it item, m *plan.Machine, seen plan.Sight) error {
	if m.Life != state.Alive || m.Instance.ID == "" {
		l.unattend(it)
		return nil
	}
	present, err := l.present(ctx, it, m)
	if err != nil {
		return err
	}
	if m.Manual != "" {
		return nil
	}
	a := l.absences[it].Noted(present, l.Now()).Seen(seen, m.Instance.ID)
	if m.Absence = a; present {
		delete(l.absences, it)
	} else {
		l.absences[it] = a
	}
	config, err := state.ReadIf[state.ModelConfig](ctx, l.Store, it.model.ConfigPath())
	m.Healing = config.Value.Healing()
	return err
}

func (l *Leader) unattend(it item) {
	path := it.model.MachineAgentPath(state.MachineID(it.Name))
	if _, ok := l.attended[path]; ok {
		l.watch.Drop(path)
		delete(l.attended, path)
	}
	delete(l.absences, it)
}

// enqueueAbsent looks at the machines of the model whose agents are away: how it is to be healed may have changed.
func (l *Leader) enqueueAbsent(m state.ModelID) {
	for it := range l.absences {
		if it.model == m {
			l.queue[it] = true
		}
	}
}
