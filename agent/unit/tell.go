package unit

import (
	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
)

// tellOwn tells of the unit's statuses as they are in the tree.
func (a *Agent) tellOwn() {
	if s := a.own.status; s != nil {
		a.tell(state.StatusOfAgent, s.AgentStatus())
		a.tell(state.StatusOfWorkload, s.Workload)
	}
}

// tellChange tells of what has changed in the unit's status: the rest may be covered by what the tree does not hear of.
func (a *Agent) tellChange(before, after state.UnitStatus) {
	if was, is := before.AgentStatus(), after.AgentStatus(); !was.Same(is) {
		a.tell(state.StatusOfAgent, is)
	}
	if !before.Workload.Same(after.Workload) {
		a.tell(state.StatusOfWorkload, after.Workload)
	}
}

// tellDoing tells what begins: the tree hears only of what takes its time.
func (a *Agent) tellDoing(op resolve.Op) {
	if now := doing(op, a.action(op)); now.Message != "" {
		now.Since = a.Now()
		a.tell(state.StatusOfAgent, now)
	}
}

// tell tells of a status unless that is no news. Each is later than the one of its type before: a unit that is idle again is so from now on,
// although the tree says since when it has been, but for a hook.
func (a *Agent) tell(of state.StatusType, s state.StatusInfo) {
	last, known := a.told[of]
	if a.Statuses == nil || known && last.Same(s) || s.Same(state.StatusInfo{Status: "executing"}) { // what has no name is over in a moment
		return
	}
	t := agentapi.Status{Entity: a.Unit.Tag(), StatusRecord: state.StatusRecord{StatusInfo: s, Type: of}}
	if !known {
		t.Again = a.Now()
	} else if !s.Since.After(last.Since) {
		t.Since = a.Now()
	}
	a.told[of] = t.StatusInfo
	a.Statuses(t)
}
