package leader

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/state"
)

// lookContainer does what becomes of a container: its host's agent makes it, and says how it is.
func (l *Leader) lookContainer(ctx context.Context, it item, machine *plan.Machine) error {
	m, id := it.model, machine.ID
	nest, err := l.readNest(ctx, m, machine)
	if err != nil {
		return err
	}
	l.serveStorage(it, machine)
	if machine.Life != state.Alive {
		l.unattend(it)
	} else if _, err := l.present(ctx, it, machine); err != nil {
		return err
	}
	switch a := plan.Contain(*machine, nest, l.Now()).(type) {
	case plan.Wait:
		l.again(it, a.Until)
	case plan.Bury:
		return l.buryMachine(ctx, it)
	case plan.Perish:
		t, err := state.EndMachine(ctx, l.Store, m, id, a.End)
		if err != nil {
			return err
		}
		l.queue[it] = true
		return l.commit(ctx, it, t)
	case plan.Lose:
		l.Log.Warn("a container is gone with the machine that it was on", "model", m, "machine", id)
		t, err := state.LoseInstance(ctx, l.Store, m, id, l.Now())
		if err != nil {
			return err
		}
		return l.commit(ctx, it, t)
	case plan.Note:
		t, err := state.NoteContainer(ctx, l.Store, m, id)
		if err != nil {
			return err
		}
		l.queue[it] = true // it is told the rest
		return l.commit(ctx, it, t)
	case plan.Tell:
		want, err := l.container(ctx, m, machine, a.Gone)
		if err != nil {
			return err
		}
		t, err := state.TellContainer(ctx, l.Store, m, id, want)
		if err != nil {
			return err
		}
		if a.Gone {
			l.again(it, machine.Deadline)
		}
		return l.commit(ctx, it, t)
	}
	return nil
}

func (c Config) readNest(ctx context.Context, m state.ModelID, machine *plan.Machine) (n plan.Nest, err error) {
	host, _ := machine.ID.Host()
	if n.Host, err = c.readMachine(ctx, m, host); err != nil {
		return n, err
	}
	told, err := state.ReadIf[state.Container](ctx, c.Store, m.ContainerPath(machine.ID))
	if err != nil {
		return n, err
	}
	if told.Exists() {
		n.Told = &told.Value
	}
	report, err := state.ReadIf[state.ContainerReport](ctx, c.Store, m.ContainerReportPath(machine.ID))
	if err != nil {
		return n, err
	}
	if report.Exists() {
		n.Report = &report.Value
	}
	fitted, err := state.ReadIf[state.Fitting](ctx, c.Store, m.FittingPath(machine.ID))
	machine.Problem = fitted.Value.Error
	return n, err
}

// container is what its host's agent is told of the container: without secrets once it has enrolled, or is to go.
func (c Config) container(ctx context.Context, m state.ModelID, machine *plan.Machine, gone bool) (state.Container, error) {
	want := state.Container{Gone: gone}
	request := c.startRequest
	if gone || machine.Enrolled {
		request = c.request
	}
	var err error
	if want.Start, err = request(ctx, m, *machine); err != nil {
		return want, fmt.Errorf("say what container %s is to be: %w", machine.ID, err)
	}
	if gone {
		return want, nil
	}
	tenants, err := c.tenants(ctx, m, machine.ID, machine.Units)
	want.Rules, want.Profiles = plan.Rules(tenants), plan.Profiles(tenants)
	return want, err
}
