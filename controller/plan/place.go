// Package plan decides what the leader does: where units go, what is asked of providers, and how things end.
// Every function is pure: what was read comes in, what is to be done comes out.
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A Homeless is a unit without a machine.
type Homeless struct {
	Name        state.UnitName
	Placement   string // what the user asked for
	Base        charm.Base
	Constraints provider.Constraints // the application's
	Created     time.Time
}

// A Machine is a machine as the planner sees it.
type Machine struct {
	ID state.MachineID
	state.Machine
	Instance state.Instance
	Report   state.MachineReport
	Enrolled bool   // its agent has been there
	Left     bool   // its agent has left a host that is no provider's
	Problem  string // of a container: with its rules and profiles, as noted
	Required bool   // by the controller: no unit is put there unasked
	Absence  Absence
	Healing  state.Healing
}

// Addresses is where the machine can be reached.
func (m Machine) Addresses() []string { return state.MachineAddresses(m.Instance, m.Report) }

// A Home is where a unit goes: onto Machine; onto a new one, or into a container, that is as New says, when Machine is empty;
// nowhere, when Refused says why.
type Home struct {
	Unit    state.UnitName
	Machine state.MachineID
	New     state.NewMachine
	Refused string
}

// Place finds a home for every unit, the oldest first: where the user wants it, else a free machine that fits, else a new one.
// Machines is all that are free or asked for. Model is the model's constraints.
func Place(units []Homeless, model provider.Constraints, machines []Machine) []Home {
	machines = slices.Clone(machines)
	slices.SortFunc(machines, func(a, b Machine) int { return state.CompareMachines(a.ID, b.ID) })
	units = slices.Clone(units)
	slices.SortFunc(units, func(a, b Homeless) int {
		return cmp.Or(a.Created.Compare(b.Created), state.CompareUnits(a.Name, b.Name))
	})
	taken := map[state.MachineID]bool{}
	for _, u := range units { // what is asked for is not given to another
		if p, err := state.ParsePlacement(u.Placement); err == nil && p.Machine != "" {
			taken[p.Machine] = true
		}
	}
	var out []Home
	for _, u := range units {
		h := place(u, model, machines, taken)
		taken[h.Machine] = true
		out = append(out, h)
	}
	return out
}

func place(u Homeless, model provider.Constraints, machines []Machine, taken map[state.MachineID]bool) Home {
	wanted, boxed := state.WantsContainer(provider.Merge(model, u.Constraints))
	h := Home{Unit: u.Name, New: state.NewMachine{Constraints: wanted, Base: u.Base}}
	p, err := state.ParsePlacement(u.Placement)
	switch {
	case err != nil:
		h.Refused = err.Error()
	case p.Machine != "":
		i := slices.IndexFunc(machines, func(m Machine) bool { return m.ID == p.Machine })
		switch {
		case i < 0:
			h.Refused = fmt.Sprintf("machine %s does not exist", p.Machine)
		case machines[i].Life != state.Alive:
			h.Refused = fmt.Sprintf("machine %s is being removed", p.Machine)
		case p.Container:
			h.New.Container, h.New.On = true, p.Machine
		default:
			h.Machine = p.Machine
		}
	case p.Container, p.New, p.Directive != "", boxed:
		h.New.Container, h.New.Placement = p.Container || boxed, p.Directive
	default:
		for _, m := range machines {
			if free(m) && !taken[m.ID] && fits(m, u.Base, h.New.Constraints) {
				h.Machine = m.ID
				return h
			}
		}
	}
	return h
}

// free says whether a unit may be put onto the machine unasked.
func free(m Machine) bool {
	return m.Life == state.Alive && len(m.Units)+len(m.Containers) == 0 && !m.ID.IsContainer() && !m.Required && m.Placement == "" && m.Instance.State != provider.Gone
}

// fits says whether the machine is what a new one for the unit would be, or has at least that.
func fits(m Machine, base charm.Base, want provider.Constraints) bool {
	if base.Name != "" && m.Base.Name != "" && (base.Name != m.Base.Name || base.Channel != m.Base.Channel) {
		return false
	}
	if m.Constraints.String() == want.String() {
		return true
	}
	has := m.Instance.Hardware
	rest := want
	rest.Arch, rest.Cores, rest.MemoryMiB, rest.RootDiskMiB = nil, nil, nil, nil
	return rest.IsZero() && (want.Arch == nil || *want.Arch == "" || *want.Arch == has.Arch) &&
		enough(has.Cores, want.Cores) && enough(has.MemoryMiB, want.MemoryMiB) && enough(has.DiskMiB, want.RootDiskMiB)
}

func enough(has int, want *int) bool { return want == nil || *want <= has }
