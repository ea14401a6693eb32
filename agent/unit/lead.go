package unit

import (
	"context"
	"strconv"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// A lead is the unit's part in the election of its application's leader.
type lead struct {
	leads    bool
	fence    coord.Fence
	lost     <-chan struct{} // closed when the lead may be over
	term     string
	followed bool // another unit has led since our last term
	resigned bool
}

// follower is the term of a candidate that does not lead.
const follower = "follower"

// stand sees to it that the unit is in line, and stays out of it once it is going.
func (a *Agent) stand(ctx context.Context) error {
	if !a.view.unit.Exists() || !a.view.app.Exists() || a.view.unit.Value.Life != state.Alive {
		a.lead.leads, a.lead.term = false, ""
		if a.lead.resigned || !a.view.app.Exists() {
			return nil
		}
		if err := a.candidate.Resign(ctx); err != nil {
			return err
		}
		a.lead.resigned = true
		return nil
	}
	before := a.lead
	fence, leads, err := a.candidate.Step(ctx)
	if err != nil {
		a.lead.leads = false
		return err
	}
	a.lead = lead{leads: leads, fence: fence, lost: a.candidate.Lost(), followed: before.followed}
	switch {
	case !leads:
		a.lead.term, a.lead.followed = follower, true
	case before.fence == fence && before.term != "" && before.term != follower:
		a.lead.term = before.term
	default:
		return a.newTerm(ctx)
	}
	return nil
}

// newTerm names a lead that has begun. A unit that led, lost its session and finds no one else in line leads on: an agent
// that is started again is not elected again.
func (a *Agent) newTerm(ctx context.Context) error {
	a.lead.term = strconv.FormatInt(int64(a.lead.fence.Epoch), 10)
	if a.local.Term == "" || a.lead.followed {
		a.lead.followed = false
		return nil
	}
	line, err := a.Store.Children(ctx, a.Model.ElectionPath(a.Unit.Application()))
	if err != nil {
		a.lead.term = ""
		return err
	}
	if len(line) == 1 {
		a.lead.term = a.local.Term
	}
	return nil
}

// holds says whether the unit leads and the lead cannot be over yet.
func (l lead) holds() bool {
	if !l.leads {
		return false
	}
	select {
	case <-l.lost:
		return false
	default:
		return true
	}
}
