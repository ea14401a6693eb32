package leader

import (
	"context"
	"time"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A Tell keeps a status of the thing with this tag. It may be told again what it has been told, also by the leader after this one.
type Tell func(m state.ModelID, tag string, s state.StatusRecord)

// tellInstance tells what the provider says of the machine.
func (l *Leader) tellInstance(m state.ModelID, machine *plan.Machine) {
	if info, ok := instanceStatus(machine.Instance); ok {
		l.Tell(m, machine.ID.Tag(), state.StatusRecord{StatusInfo: info, Type: state.StatusOfInstance})
	}
}

// instanceStatus is the status of an instance in the log of statuses: without what changes at each try.
func instanceStatus(i state.Instance) (state.StatusInfo, bool) {
	out := state.StatusInfo{Status: string(i.State), Message: i.Message, Since: i.Since}
	switch {
	case i.ID == "" && i.Error != "":
		out.Status, out.Message = "provisioning error", i.Error
	case i.ID == "":
		return out, false
	case i.State == provider.Gone:
		out.Status = "error"
	case i.State == provider.Running && i.Message == "":
		out.Message = "Running"
	case i.Error != "":
		out.Message = i.Error
	}
	return out, true
}

// present says whether the machine's agent is there, and tells of it. It is watched as long as the machine is alive.
func (l *Leader) present(ctx context.Context, it item, m *plan.Machine) (bool, error) {
	path := it.model.MachineAgentPath(m.ID)
	l.watch.Data(path)
	l.attended[path] = it
	there, err := l.exists(ctx, path)
	if err != nil {
		return false, err
	}
	switch {
	case there:
		l.tellMachine(it.model, m.ID, state.AgentStarted, "")
	case !m.Report.Started.IsZero(): // it has been there
		l.tellMachine(it.model, m.ID, state.AgentDown, state.AgentSilent)
	}
	return there, nil
}

func (c Config) tellMachine(m state.ModelID, id state.MachineID, status, message string) {
	c.Tell(m, id.Tag(), state.StatusRecord{StatusInfo: state.StatusInfo{Status: status, Message: message, Since: c.Now()}, Type: state.StatusOfMachine})
}

// ended is the last status of a unit that is removed. Why says that it has not ended as it should.
func ended(why string, now time.Time) state.StatusRecord {
	return state.StatusRecord{StatusInfo: state.StatusInfo{Status: "terminated", Message: why, Since: now}, Type: state.StatusOfWorkload}
}
