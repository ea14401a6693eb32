package plan

import (
	"reflect"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A Nest is what is known around a container: the machine that it is on, what the agent there has been told of it, and what that says.
type Nest struct {
	Host   *Machine // nil: it is no more
	Told   *state.Container
	Report *state.ContainerReport
}

// The actions of containers alone, beside Nothing, Wait, Lose and Bury.
type (
	// Tell: the host's agent is to be told what the container is to be, or that it is to end.
	Tell struct{ Gone bool }
	// Note: what the host's agent says has become of the container is to be noted.
	Note struct{}
	// Perish: the container ends so, for its host does.
	Perish struct{ End state.End }
)

func (Tell) isAction()   {}
func (Note) isAction()   {}
func (Perish) isAction() {}

// Contain says what must happen so that the container is on its host; or no more, and there is no record of it, when it is to go.
func Contain(m Machine, n Nest, now time.Time) Action {
	if m.Life != state.Alive {
		return uncontain(m, n, now)
	}
	switch {
	case n.Host == nil:
		return Perish{state.End{Life: state.Dying, Deadline: now.Add(state.DefaultDeadline)}}
	case n.Host.Life != state.Alive:
		return Perish{n.Host.End}
	case lost(n) && m.Instance.State != provider.Gone:
		return Lose{}
	case lost(n):
		return Nothing{} // what its units had there is gone: only the user can say what is to become of them
	case n.Report != nil && !noted(m, *n.Report):
		return Note{}
	}
	return Tell{}
}

func uncontain(m Machine, n Nest, now time.Time) Action {
	late := !now.Before(m.Deadline)
	switch {
	case len(m.Units) > 0 && (m.Deadline.IsZero() || late):
		return Nothing{}
	case len(m.Units) > 0:
		return Wait{m.Deadline}
	case m.KeepInstance, late, n.Told == nil, lost(n), endsWithHost(n), n.Report != nil && n.Told.Gone && n.Report.State == provider.Gone:
		return Bury{}
	case !n.Told.Gone:
		return Tell{Gone: true}
	}
	return Wait{m.Deadline}
}

// lost says that the host is no more, and so all that was on it.
func lost(n Nest) bool { return n.Host == nil || n.Host.Instance.State == provider.Gone }

// endsWithHost says that the host's instance is about to end, with all that is on it.
func endsWithHost(n Nest) bool {
	return n.Host.Life != state.Alive && n.Host.Manual == "" && !n.Host.KeepInstance
}

func noted(m Machine, r state.ContainerReport) bool {
	return reflect.DeepEqual(m.Instance, r.Instance) && m.Problem == r.Problem
}
