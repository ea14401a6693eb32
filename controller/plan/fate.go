package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// A Fate is what becomes of a thing. At most one of its parts is set, but for Again.
type Fate struct {
	Home         bool                    // of a unit: it needs a machine
	Subordinates []state.ApplicationName // of a unit: it needs one of each
	End          *state.End              // it begins to end so, or ends sooner
	EndOthers    []state.UnitName        // these must end first, as End of the thing itself
	Bury         bool                    // it is removed
	Why          string                  // of Bury: why before everyone had answered; for the history
	Again        time.Time               // when to look again if nothing changes before
}

// Grace is how long after its deadline a unit whose agent is there may go on: the agent leaves failing hooks
// behind at the deadline and ends by itself.
const Grace = time.Minute

// A Unit is a unit as the planner sees it.
type Unit struct {
	Name state.UnitName
	state.Unit
	Application state.Record[state.Application]
	Principal   state.Record[state.Unit] // of a subordinate
	Ledger      state.Record[state.Ledger]
	Agent       bool // its agent is there
	Host        *Machine
	// Entered says in which container-scoped relations this principal unit is.
	Entered map[state.RelationID]bool
}

// UnitFate is what becomes of the unit.
func UnitFate(u Unit, now time.Time) Fate {
	if u.Life == state.Alive {
		return aliveUnit(u, now)
	}
	if len(u.Subordinates) > 0 {
		return Fate{EndOthers: u.Subordinates} // each tells when it has gone
	}
	late := u.Deadline
	if u.Agent {
		late = late.Add(Grace)
	}
	switch {
	case u.Ledger.Value.Phase == state.Gone && len(u.Ledger.Value.LeftBehind) > 0:
		return Fate{Bury: true, Why: "at its deadline hooks still failed and were left behind: " + strings.Join(u.Ledger.Value.LeftBehind, ", ")}
	case u.Life == state.Dead, u.Ledger.Value.Phase == state.Gone:
		return Fate{Bury: true}
	case u.Force:
		return Fate{Bury: true, Why: "forced" + doing(u)}
	case !u.Ledger.Exists() && !u.Agent && (u.Host == nil || u.Host.Instance.ID == ""):
		return Fate{Bury: true} // it has never been anywhere
	case !now.Before(late):
		return Fate{Bury: true, Why: "not gone at its deadline" + doing(u)}
	}
	return Fate{Again: late}
}

func doing(u Unit) string {
	l := u.Ledger.Value
	switch {
	case l.Failed != nil:
		return fmt.Sprintf(", hook failed: %q %s", l.Failed.Name, l.Failed.Exit)
	case !u.Agent:
		return ", its agent was not there"
	case l.Phase == state.New:
		return ""
	}
	return fmt.Sprintf(", it was %s", l.Phase)
}

func aliveUnit(u Unit, now time.Time) Fate {
	gone := state.End{Life: state.Dying, Deadline: now.Add(state.DefaultDeadline)}
	switch {
	case !u.Application.Exists():
		return Fate{End: &gone}
	case u.Application.Value.Life != state.Alive:
		return Fate{End: &u.Application.Value.End}
	case u.Unit.Principal != "" && !u.Principal.Exists():
		return Fate{End: &gone}
	case u.Unit.Principal != "" && u.Principal.Value.Life != state.Alive:
		return Fate{End: &u.Principal.Value.End}
	case u.Unit.Principal != "" && !attached(u.Application.Value, u.Unit.Principal.Application()):
		return Fate{End: &gone}
	case u.Machine == "":
		return Fate{Home: true}
	case u.Host == nil:
		return Fate{End: &gone}
	case u.Host.Life != state.Alive:
		return Fate{End: &u.Host.End}
	}
	if u.Unit.Principal != "" {
		return Fate{}
	}
	var want []state.ApplicationName
	for _, r := range u.Application.Value.Relations {
		name := state.ApplicationName(r.Remote.Application)
		have := slices.ContainsFunc(u.Subordinates, func(s state.UnitName) bool { return s.Application() == name })
		if r.Scope == charm.Container && r.Life == state.Alive && r.Remote.Subordinate && u.Entered[r.Relation] && !have && !slices.Contains(want, name) {
			want = append(want, name)
		}
	}
	return Fate{Subordinates: want}
}

// attached says whether an alive container-scoped relation ties the subordinate application to the principal one.
func attached(sub state.Application, principal state.ApplicationName) bool {
	return slices.ContainsFunc(sub.Relations, func(r state.Membership) bool {
		return r.Scope == charm.Container && r.Life == state.Alive && r.Remote.Application == string(principal)
	})
}

// RelationFate is what becomes of a relation that these units are still in, and whose applications are there or not.
func RelationFate(r state.Relation, applications bool, members []state.UnitName, now time.Time) Fate {
	switch {
	case !applications:
		return Fate{Bury: true}
	case r.Life == state.Alive:
		return Fate{}
	case len(members) == 0:
		return Fate{Bury: true}
	case r.Force:
		return Fate{Bury: true, Why: "forced, with " + some(members) + " in it"}
	case !now.Before(r.Deadline.Add(Grace)):
		return Fate{Bury: true, Why: "at its deadline " + some(members) + " had not left"}
	}
	return Fate{Again: r.Deadline.Add(Grace)}
}

func some(units []state.UnitName) string {
	var names []string
	for _, u := range units[:min(len(units), 5)] {
		names = append(names, string(u))
	}
	if len(units) > 5 {
		names = append(names, fmt.Sprintf("%d more", len(units)-5))
	}
	return strings.Join(names, ", ")
}

// ApplicationFate is what becomes of an application that has so many units.
func ApplicationFate(name state.ApplicationName, a state.Application, units int) Fate {
	if a.Life == state.Alive {
		return Fate{}
	}
	others := slices.ContainsFunc(a.Relations, func(r state.Membership) bool { return r.Remote.Application != string(name) })
	if units == 0 && !others {
		return Fate{Bury: true}
	}
	return Fate{End: &a.End}
}

// ModelFate is what becomes of a model with so many things in it.
func ModelFate(m state.Model, things int) Fate {
	switch {
	case m.Life == state.Alive:
		return Fate{}
	case things == 0:
		return Fate{Bury: true}
	}
	return Fate{End: &m.End}
}
