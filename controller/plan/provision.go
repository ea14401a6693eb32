package plan

import (
	"slices"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// An Action is what a machine needs next. The set is closed: Nothing, Wait, Look, Start, Restart,
// Adopt, Lose, Stop, Release, Bury, Refit, Tell, Note and Perish.
type Action interface{ isAction() }

// The actions.
type (
	// Nothing is to be done until something changes.
	Nothing struct{}
	// Wait: nothing is to be done before Until.
	Wait struct{ Until time.Time }
	// Look: the provider must be asked which instances there are.
	Look struct{}
	// Start: the provider is to start an instance, or to return the one it has started.
	Start struct{}
	// Restart: the instance has stopped, and the provider is to start it again, the Try-th time in a row.
	Restart struct{ Try int }
	// Adopt: Instance is what the machine has now.
	Adopt struct{ Instance provider.Instance }
	// Lose: the instance is no more.
	Lose struct{}
	// Stop: the instances are to end, and then the machine to be buried. When they will not end and Late is set,
	// the machine is buried all the same.
	Stop struct {
		Instances []provider.InstanceID
		Late      bool
	}
	// Release: the agent is to be told to leave its host, which is no provider's.
	Release struct{}
	// Bury: the machine is to be removed from the tree.
	Bury struct{}
	// Refit: the instance's open ports and profiles are to become exactly these.
	Refit struct {
		Rules    []provider.Rule
		Profiles map[string]provider.Profile
	}
)

func (Nothing) isAction() {}
func (Wait) isAction()    {}
func (Look) isAction()    {}
func (Start) isAction()   {}
func (Restart) isAction() {}
func (Adopt) isAction()   {}
func (Lose) isAction()    {}
func (Stop) isAction()    {}
func (Release) isAction() {}
func (Bury) isAction()    {}
func (Refit) isAction()   {}

// A Sight is what a provider has said of one machine: nothing while it has not been Asked, or it Failed to say;
// otherwise all its instances.
type Sight struct {
	Asked, Failed bool
	At            time.Time // when it was asked
	Instances     []provider.Instance
}

// Provision says what must happen so that the machine has one instance; or none and no record, when it is to go.
// To whom an instance belongs is what its tags say.
func Provision(m Machine, seen Sight, now time.Time) Action {
	if m.Life != state.Alive {
		return deprovision(m, seen, now)
	}
	if m.Manual != "" {
		return Nothing{} // it is there because its user said so
	}
	i := slices.IndexFunc(seen.Instances, func(in provider.Instance) bool { return in.ID == m.Instance.ID })
	if i < 0 && len(seen.Instances) > 0 && (m.Instance.ID == "" || m.Instance.State == provider.Gone) {
		i = 0
	}
	known := m.Instance.ID != "" && (m.Instance.State != provider.Gone || m.Enrolled)
	news := seen.Asked && (!known || m.Instance.Since.Before(seen.At)) // otherwise what we know is younger
	switch {
	case news && i >= 0 && !sameInstance(m.Instance.Instance, seen.Instances[i]):
		return Adopt{seen.Instances[i]}
	case known && m.Instance.State == provider.Gone:
		return Nothing{} // what its units had there is gone: only the user can say what is to become of them
	case known && news && i < 0 && m.Absence.lost(m.Instance.Since, seen):
		return Lose{}
	case known && m.Instance.State == provider.Stopped:
		return restart(m, seen, now)
	case known:
		return m.Absence.look(m.Healing.After, seen, now)
	case now.Before(m.Instance.Retry):
		return Wait{m.Instance.Retry}
	}
	return Start{}
}

func sameInstance(a, b provider.Instance) bool {
	return a.ID == b.ID && a.State == b.State && a.Message == b.Message && slices.Equal(a.Addresses, b.Addresses) && a.Hardware == b.Hardware
}

func deprovision(m Machine, seen Sight, now time.Time) Action {
	if len(m.Units)+len(m.Containers) > 0 {
		if m.Deadline.IsZero() || !now.Before(m.Deadline) {
			return Nothing{}
		}
		return Wait{m.Deadline}
	}
	if m.Stays() {
		return release(m, now)
	}
	var ids []provider.InstanceID
	if m.Instance.ID != "" && m.Instance.State != provider.Gone {
		ids = append(ids, m.Instance.ID)
	}
	for _, in := range seen.Instances {
		if in.State != provider.Gone && !slices.Contains(ids, in.ID) {
			ids = append(ids, in.ID)
		}
	}
	switch {
	case len(ids) == 0 && !seen.Asked && m.Instance.State != provider.Gone && !(seen.Failed && !now.Before(m.Deadline)):
		if seen.Failed {
			return Wait{now.Add(lookAgain)}
		}
		return Look{} // one may have been started by a leader that ended before it could say so
	case len(ids) == 0:
		return Bury{}
	case now.Before(m.Instance.Retry) && now.Before(m.Deadline):
		return Wait{m.Instance.Retry}
	}
	return Stop{ids, !now.Before(m.Deadline)}
}

// release is the end of a machine whose host goes on without us: its agent leaves, or does not answer.
func release(m Machine, now time.Time) Action {
	switch {
	case m.Left, !m.Enrolled, !now.Before(m.Deadline), m.Manual == "" && m.Instance.State == provider.Gone:
		return Bury{}
	case m.Life == state.Dead:
		return Wait{m.Deadline}
	}
	return Release{}
}

// settling is how long a provider may take until it lists what it has started.
const settling = time.Minute

// lookAgain is how long after a failed listing the provider is asked again.
const lookAgain = 10 * time.Second

// Orphans is the instances that belong to no machine: those that were started for a model or machine that is not there. Machines
// is every machine of every model, read completely after the instances were listed; a read that found no
// model at all proves nothing. An instance whose tags do not say what it was started for is not ours to judge.
func Orphans(instances []provider.Instance, machines map[state.ModelID]map[state.MachineID]bool) []provider.Instance {
	if len(machines) == 0 {
		return nil
	}
	var out []provider.Instance
	for _, in := range instances {
		if in.Model == "" || in.Machine == "" || in.State == provider.Gone {
			continue
		}
		if !machines[state.ModelID(in.Model)][state.MachineID(in.Machine)] {
			out = append(out, in)
		}
	}
	return out
}

// Backoff is how long to wait after the nth failure in a row: first, doubling, at most most.
func Backoff(n int, first, most time.Duration) time.Duration {
	return min(first<<max(0, min(n-1, 16)), most)
}
