package status

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/state"
)

// Every removal says the one thing that it waits for, and until when: after that it goes on without.

func (b builder) waitUnit(name state.UnitName, u UnitRecord) string {
	switch {
	case u.Life == state.Dead, u.Ledger != nil && u.Ledger.Phase == state.Gone:
		return waits("for the controller to clear it away", u.End)
	case u.Machine == "" && u.Principal == "":
		return waits("for the controller to take it off the list: it has no machine", u.End)
	case len(b.subordinates[name]) > 0:
		return waits("for its subordinate "+string(sortedUnits(b.subordinates[name])[0]), u.End)
	case b.lost(u):
		return waits("for its agent, which is not communicating", u.End)
	case u.Ledger != nil && u.Ledger.Failed != nil:
		return waits(fmt.Sprintf("for its hook %q to succeed or be resolved", u.Ledger.Failed.Name), u.End)
	case u.Status == nil:
		return waits("for its agent, which has not come yet", u.End)
	}
	return waits("for its agent to run the last hooks", u.End)
}

func (b builder) waitApplication(a ApplicationRecord, units []state.UnitName) string {
	if len(units) > 0 {
		return waits(fmt.Sprintf("for unit %s%s", units[0], others(len(units)-1)), a.End)
	}
	for _, m := range a.Relations {
		if r, ok := b.s.Relations[m.Relation]; ok {
			return waits(fmt.Sprintf("for relation %d (%s)", m.Relation, key(r)), a.End)
		}
	}
	return waits("for the controller to clear it away", a.End)
}

func (b builder) waitRelation(r RelationRecord) string {
	if len(r.Members) > 0 {
		members := sortedUnits(slices.Clone(r.Members))
		return waits(fmt.Sprintf("for unit %s to leave it%s", members[0], others(len(members)-1)), r.End)
	}
	return waits("for the controller to clear it away", r.End)
}

func (b builder) waitMachine(id state.MachineID, m MachineRecord) string {
	switch {
	case m.Life == state.Dead && m.Stays():
		return waits("for its agent to leave the host", m.End)
	case len(m.Units) == 0 && len(m.Containers) > 0:
		return waits(fmt.Sprintf("for container %s%s", m.Containers[0], others(len(m.Containers)-1)), m.End)
	case len(m.Units) == 0 && id.IsContainer():
		host, _ := id.Host()
		return waits(fmt.Sprintf("for the agent of machine %s to remove it", host), m.End)
	case m.Life == state.Dead:
		return waits("for the provider to stop its instance", m.End)
	case len(m.Units) > 0:
		return waits(fmt.Sprintf("for unit %s%s", m.Units[0], others(len(m.Units)-1)), m.End)
	case m.Report != nil && m.Agent == nil:
		return waits("for its agent, which is not communicating", m.End)
	case m.Instance == nil || m.Instance.ID == "":
		return waits("for the controller: it has no instance", m.End)
	}
	return waits("for its agent to clear up", m.End)
}

func (b builder) waitModel() string {
	end := b.s.Model.End
	if names := slices.Sorted(maps.Keys(b.s.Applications)); len(names) > 0 {
		return waits(fmt.Sprintf("for application %s%s", names[0], others(len(names)-1)), end)
	}
	ids := slices.SortedFunc(maps.Keys(b.s.Machines), func(x, y state.MachineID) int { return CompareNatural(string(x), string(y)) })
	if len(ids) > 0 {
		return waits(fmt.Sprintf("for machine %s%s", ids[0], others(len(ids)-1)), end)
	}
	return waits("for the controller to clear it away", end)
}

func waits(what string, end state.End) string {
	if end.Force || end.Deadline.IsZero() {
		return "removal waits " + what
	}
	return "removal waits " + what + ", until " + moment(end.Deadline) + " at most"
}

func others(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

func key(r RelationRecord) string {
	text := r.Endpoints[0].String()
	for _, e := range r.Endpoints[1:] {
		text += " " + e.String()
	}
	return text
}

func moment(t time.Time) string { return t.UTC().Format("15:04:05Z") }
