package plan

import (
	"slices"
	"time"

	"github.com/grigri/grigri/provider"
)

// An Absence is what is known of a machine whose agent is not there: it may have stopped. The zero value is no absence.
type Absence struct {
	Since  time.Time // the agent was first seen to be away
	Looked time.Time // when the provider was last asked since
	Missed time.Time // when a listing was the first in a row without the instance
}

// Noted is the absence of the agent, or its presence, as it is at now.
func (a Absence) Noted(present bool, now time.Time) Absence {
	switch {
	case present:
		return Absence{}
	case a.Since.IsZero():
		return Absence{Since: now}
	}
	return a
}

// Seen is the absence after a listing.
func (a Absence) Seen(seen Sight, id provider.InstanceID) Absence {
	if a.Since.IsZero() || !seen.Asked {
		return a
	}
	if seen.At.After(a.Looked) {
		a.Looked = seen.At
	}
	there := slices.ContainsFunc(seen.Instances, func(in provider.Instance) bool { return in.ID == id })
	switch {
	case there:
		a.Missed = time.Time{}
	case a.Missed.IsZero():
		a.Missed = seen.At
	}
	return a
}

// lost says that there is no doubt any more: the instance has been missed by two listings, long after it was started, and its agent is away.
func (a Absence) lost(started time.Time, seen Sight) bool {
	return !a.Missed.IsZero() && !seen.At.Before(a.Missed.Add(lookAgain)) && started.Add(settling).Before(a.Missed)
}

// look says when the provider is to be asked what has become of the instance: after the grace, and then less and less often.
func (a Absence) look(grace time.Duration, seen Sight, now time.Time) Action {
	if a.Since.IsZero() {
		return Nothing{}
	}
	due := a.Since.Add(grace)
	if !a.Looked.Before(due) {
		due = a.Looked.Add(min(max(a.Looked.Sub(a.Since), grace), mostLook))
	}
	if !a.Missed.IsZero() {
		due = a.Looked.Add(lookAgain)
	}
	switch {
	case now.Before(due):
		return Wait{due}
	case seen.Failed:
		return Wait{now.Add(lookAgain)}
	}
	return Look{}
}

// mostLook is how long it takes at most until it is asked again what has become of a machine whose agent stays away.
const mostLook = 10 * time.Minute

// restart is what becomes of an instance that has stopped, as far as we know.
func restart(m Machine, seen Sight, now time.Time) Action {
	there := m.Absence.Since.IsZero()
	try, at := m.Instance.NextRestart()
	switch {
	case there && seen.Failed:
		return Wait{now.Add(lookAgain)}
	case there && !seen.Asked:
		return Look{} // somebody has started it
	case m.Healing.Never:
		return m.Absence.look(m.Healing.After, seen, now) // somebody may
	case now.Before(at):
		return Wait{at}
	}
	return Restart{try}
}
