package statuslog

import (
	"slices"
	"time"

	"github.com/grigri/grigri/state"
)

// Machines is the machines whose agents have told the entries, by their tags, each once.
func Machines(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		if e.By != "" && !slices.Contains(out, e.By) {
			out = append(out, e.By)
		}
	}
	return out
}

// UnitStory is what is kept of a unit, with when its agent was lost and came back: that is known of its machines. Own is in the order in
// which it was told.
func UnitStory(own []Entry, machines map[string][]Entry) []Entry {
	out := slices.Clone(own)
	for i := 0; i < len(own); {
		by, from := own[i].By, own[i].Since
		var until time.Time // the unit was there no more
		for ; i < len(own) && (own[i].By == by || own[i].By == ""); i++ {
			if e := own[i]; e.Type == state.StatusOfWorkload && e.Status == "terminated" {
				until = e.Since
			} else if !until.IsZero() && e.By != "" {
				break // another unit of the same name
			}
		}
		if i < len(own) && until.IsZero() {
			until = own[i].Since
		}
		out = append(out, absences(own, machines[by], from, until)...)
	}
	InOrder(out)
	return out
}

// absences is when the agent of a unit was lost with its machine's, after from and before until, and came back.
func absences(own, machine []Entry, from, until time.Time) []Entry {
	var out []Entry
	lost := false
	for _, e := range machine {
		if e.Type != state.StatusOfMachine || !e.Since.After(from) || !until.IsZero() && !e.Since.Before(until) {
			continue
		}
		switch {
		case e.Status == state.AgentDown:
			e.Type, e.Status, e.Message, e.Data = state.StatusOfAgent, state.AgentLost, state.AgentSilent, nil
			out, lost = append(out, e), true
		case lost:
			lost = false
			if back, ok := before(own, e.Since); ok {
				back.Since = e.Since
				out = append(out, back)
			}
		}
	}
	return out
}

// before is what the unit's agent was at a time.
func before(own []Entry, at time.Time) (out Entry, ok bool) {
	for _, e := range own {
		if e.Type == state.StatusOfAgent && !e.Since.After(at) && (!ok || !e.Since.Before(out.Since)) {
			out, ok = e, true
		}
	}
	return out, ok
}

// InOrder orders entries by time. What is of the same time stays as it is.
func InOrder(entries []Entry) {
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Since.Compare(b.Since) })
}

// Of is the entries of these types, each but those that repeat the one of its type before.
func Of(entries []Entry, types ...state.StatusType) []Entry {
	last := map[state.StatusType]Entry{}
	var out []Entry
	for _, e := range entries {
		before, one := last[e.Type]
		if last[e.Type] = e; slices.Contains(types, e.Type) && !(one && before.Same(e.StatusInfo)) {
			out = append(out, e)
		}
	}
	return out
}
