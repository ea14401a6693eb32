package resolve

import (
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// Done returns what the unit has done when op, which Next returned for l and r, has succeeded.
// Commit and When of the ledger are the caller's to set.
func Done(l Local, r Remote, op Op) Local {
	switch op := op.(type) {
	case Unpack:
		l = unpacked(l, r, op)
	case Enter:
		theirs := r.Relations[op.Relation]
		l = with(l, op.Relation, Heard{Heard: state.Heard{
			Endpoint: theirs.Endpoint, Remote: theirs.Remote, Peer: theirs.Role == charm.Peer}})
	case Exit:
		l = without(l, op.Relation)
	case Mount:
		l = mounted(l, r, op.Storage)
	case Unmount:
		l = holding(l, op.Storage, nil)
	case Run:
		l = ran(l, r, op.Hook)
	case Skip:
		if op.Why == Late {
			l.LeftBehind = append(slices.Clone(l.LeftBehind), l.Failed.Name+": "+l.Failed.Exit)
		}
		l = ran(l, r, op.Hook)
	case Leave:
		l.Phase, l.Failed = state.Gone, nil
	}
	return l
}

// unpacked: new files are followed by upgrade-charm and config-changed, which come before all else. So they rescue a unit
// whose hook fails: the failure is forgotten, and the hook is due again after them like any that has never run.
// A forced refresh, and one of a unit that is leaving, changes the files and nothing more.
func unpacked(l Local, r Remote, op Unpack) Local {
	l.Charm, l.CharmRev = op.Charm, op.CharmRev
	rescue := l.Failed != nil
	switch {
	case l.Phase == state.New || l.Phase == state.Unpacked:
		l.Phase = state.Unpacked
	case rescue && r.Life != state.Alive:
	case rescue && r.ForceCharm:
		l.Config = "" // config-changed when its turn comes
	default:
		l.Upgraded = true
	}
	l.Failed, l.Answer = nil, r.Answer.Rev
	return l
}

// ran is l after the hook.
func ran(l Local, r Remote, h hooks.Hook) Local {
	l.Failed, l.Again, l.Answer = nil, nil, r.Answer.Rev
	switch h.Kind {
	case hooks.Install:
		l.Phase = state.Installed
	case hooks.ConfigChanged:
		l.Config, l.Queued = r.Config, ""
		if l.Phase == state.Installed {
			l.Queued = string(hooks.Start)
		}
	case hooks.Start:
		l.Phase, l.Queued, l.Boot = state.Started, "", r.Boot
	case hooks.UpgradeCharm:
		l.Upgraded, l.Queued = false, string(hooks.ConfigChanged)
	case hooks.Stop:
		l.Phase = state.Stopped
	case hooks.Remove:
		l.Phase = state.Removed
	case hooks.LeaderElected:
		if r.Leader { // else the failed hook was skipped because the term has ended
			l.Term, l.LeaderSeen = r.Term, 0
		}
	case hooks.LeaderSettingsChanged:
		l.Term, l.LeaderSeen = "", r.LeaderSettings
	case hooks.StorageAttached, hooks.StorageDetaching:
		l = toldOf(l, r, h)
	case hooks.RelationBroken:
		l = without(l, h.Relation)
	case hooks.RelationCreated, hooks.RelationJoined, hooks.RelationChanged, hooks.RelationDeparted:
		if mine, ok := l.Relations[h.Relation]; ok {
			l = with(l, h.Relation, heard(mine, r.Relations[h.Relation], h))
		}
	}
	return l
}

// heard is mine after the hook of its relation.
func heard(mine Heard, theirs Relation, h hooks.Hook) Heard {
	u := h.RemoteUnit
	mine.Units = maps.Clone(mine.Units)
	if mine.Units == nil {
		mine.Units = map[state.UnitName]state.Stamp{}
	}
	switch {
	case h.Kind == hooks.RelationCreated:
		mine.Created = true
	case h.Kind == hooks.RelationJoined:
		mine.Units[u], mine.Pending = theirs.Members[u], u
	case h.Kind == hooks.RelationDeparted:
		delete(mine.Units, u)
	case u == "":
		mine.Application = theirs.Application
	default:
		mine.Units[u] = theirs.Members[u] // one that has gone departs next
		if mine.Pending == u {
			mine.Pending = ""
		}
	}
	return mine
}

func with(l Local, id state.RelationID, h Heard) Local {
	l.Relations = maps.Clone(l.Relations)
	if l.Relations == nil {
		l.Relations = map[state.RelationID]Heard{}
	}
	l.Relations[id] = h
	return l
}

func without(l Local, id state.RelationID) Local {
	l.Relations = maps.Clone(l.Relations)
	delete(l.Relations, id)
	return l
}

// The most of a hook's output that a Failure keeps.
const (
	maxLines = 20
	maxLine  = 400
)

// Failed returns what the unit has done when the hook, which Next returned for l and r, has failed. Exit says how it
// ended, and output is what it said; the last lines are kept. Answers given before are heeded.
func Failed(l Local, r Remote, h hooks.Hook, now time.Time, exit string, output []string) Local {
	l.Answer = r.Answer.Rev
	return failed(l, h, now, exit, output)
}

// Interrupted returns what the unit has done when its agent finds, at its start, that the hook was running when the
// agent before it ended. After a stop of the agent, which killed the hook, the hook is simply due again. After a
// crash nobody knows how the hook ended: it has failed. Tasks are not for Interrupted: none is run again.
func Interrupted(l Local, h hooks.Hook, killedByStop bool, now time.Time) Local {
	if killedByStop || h.Kind == hooks.Action || h.Kind == hooks.Command {
		return l
	}
	return failed(l, h, now, "the agent ended while the hook was running", nil)
}

func failed(l Local, h hooks.Hook, now time.Time, exit string, output []string) Local {
	n := 1
	if l.Failed != nil {
		n = l.Failed.Attempts + 1
	}
	output = slices.Clone(output[max(0, len(output)-maxLines):])
	for i, line := range output {
		if len(line) > maxLine {
			output[i] = line[:maxLine] + "…"
		}
	}
	l.Again = nil
	l.Failed = &state.Failure{Hook: state.Encode(h), Name: h.Name(), Attempts: n, At: now, Exit: exit, Output: output}
	return l
}
