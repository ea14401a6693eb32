package unit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// statusFor is the status of a unit that has done l and does next now, when before is what it was. Action is what next runs, if
// that is a task. It is pure.
func statusFor(before *state.UnitStatus, l resolve.Local, next resolve.Op, action string, now time.Time) state.UnitStatus {
	s := state.UnitStatus{Workload: state.StatusInfo{Status: "waiting", Message: "agent initialising", Since: now}}
	if before != nil {
		s = *before
	}
	s.Agent = change(s.Agent, doing(next, action), now)
	s.Charm = l.Charm
	if w, ok := workload(s, l, next); ok {
		s.Workload = change(s.Workload, w, now)
	}
	s.Failure = nil
	if l.Failed != nil {
		f := failureStatus(l)
		if before != nil && before.Failure != nil && before.Failure.Message == f.Message {
			f.Since = before.Failure.Since
		}
		s.Failure = &f
	}
	return s
}

// change keeps the time of a status that stays the same.
func change(was, is state.StatusInfo, now time.Time) state.StatusInfo {
	is.Since = now
	if was.Status == is.Status && was.Message == is.Message && maps.Equal(was.Data, is.Data) {
		is.Since = was.Since
	}
	return is
}

// doing is the agent's part of the status.
func doing(next resolve.Op, action string) state.StatusInfo {
	switch op := next.(type) {
	case resolve.Wait:
		if op.Reason == resolve.Idle {
			return state.StatusInfo{Status: "idle"}
		}
		return state.StatusInfo{Status: "idle", Message: op.Reason}
	case resolve.Run:
		if op.Hook.Kind == hooks.UpdateStatus { // it is not worth telling
			return state.StatusInfo{Status: "idle"}
		}
		text := "running " + op.Hook.Name() + " hook"
		if op.Hook.RemoteUnit != "" {
			text += " for " + string(op.Hook.RemoteUnit)
		}
		if op.Hook.Secret != "" {
			text += " for " + op.Hook.Secret.URI()
		}
		return state.StatusInfo{Status: "executing", Message: text}
	case resolve.RunTask:
		if action == state.ExecAction {
			return state.StatusInfo{Status: "executing", Message: "running commands"}
		}
		return state.StatusInfo{Status: "executing", Message: "running action " + action}
	case resolve.RunCommand:
		return state.StatusInfo{Status: "executing", Message: "running commands"}
	case resolve.Reboot:
		return state.StatusInfo{Status: "rebooting"}
	case resolve.Unpack:
		return state.StatusInfo{Status: "executing", Message: "unpacking charm " + op.Charm.URL()}
	}
	return state.StatusInfo{Status: "executing"}
}

// workload is what the agent says in the charm's place, when it has to.
func workload(s state.UnitStatus, l resolve.Local, next resolve.Op) (state.StatusInfo, bool) {
	if run, ok := next.(resolve.Run); ok {
		switch run.Hook.Kind {
		case hooks.Install:
			return state.StatusInfo{Status: "maintenance", Message: "installing charm software"}, !s.Said
		case hooks.Stop:
			return state.StatusInfo{Status: "maintenance", Message: "stopping charm software"}, true
		case hooks.Remove:
			return state.StatusInfo{Status: "maintenance", Message: "cleaning up prior to charm deletion"}, true
		}
	}
	switch l.Phase {
	case state.Started:
		return state.StatusInfo{Status: "unknown"}, !s.Said
	case state.Stopped:
		return state.StatusInfo{Status: "maintenance"}, s.Workload.Message == "stopping charm software"
	case state.Removed, state.Gone:
		return state.StatusInfo{Status: "terminated"}, true
	}
	return state.StatusInfo{}, false
}

func failureStatus(l resolve.Local) state.StatusInfo {
	var h hooks.Hook
	if err := json.Unmarshal(l.Failed.Hook, &h); err != nil {
		h.Kind = hooks.Kind(l.Failed.Name)
	}
	data := map[string]string{"hook": h.Name()}
	if h.Endpoint != "" {
		data["relation-id"] = h.Relation.String()
		if h.RemoteUnit != "" {
			data["remote-unit"] = string(h.RemoteUnit)
		}
	}
	if h.Secret != "" {
		data["secret-uri"], data["secret-label"] = h.Secret.URI(), h.SecretLabel
		if h.Kind == hooks.SecretExpired || h.Kind == hooks.SecretRemove {
			data["secret-revision"] = strconv.Itoa(h.SecretRevision)
		}
	}
	return state.StatusInfo{Status: "error", Message: fmt.Sprintf("hook failed: %q", l.Failed.Name), Data: data, Since: l.Failed.At}
}

// addStatus tells what the unit does next, if that is news.
func (a *Agent) addStatus(ctx context.Context, d *draft, next resolve.Op) error {
	if err := a.sureStatus(ctx, &d.own); err != nil {
		return err
	}
	now := statusFor(d.own.status, d.local, next, a.action(next), d.local.When)
	if d.own.status != nil && sameStatus(*d.own.status, now) {
		return nil
	}
	write(&d.txn, a.Model.StatusPath(a.Unit), d.own.status != nil, now)
	d.own.status = &now
	return nil
}

func sameStatus(a, b state.UnitStatus) bool {
	return string(state.Encode(a)) == string(state.Encode(b))
}

// settle tells that the unit waits, if that is news. It is a commit of its own, for nothing else has changed.
func (a *Agent) settle(ctx context.Context, w resolve.Wait) error {
	if err := a.sureStatus(ctx, &a.own); err != nil {
		return err
	}
	now := statusFor(a.own.status, a.local, w, "", a.Now())
	if a.own.status != nil && sameStatus(*a.own.status, now) || a.version == resolve.Unborn || !a.view.unit.Exists() {
		a.tellOwn() // what has just ended had nothing to commit
		return nil
	}
	return a.setStatus(ctx, func(state.UnitStatus) state.UnitStatus { return now })
}

// executing tells of a hook that takes its time. Tools of the hook may write at the same time.
func (a *Agent) executing(ctx context.Context, op resolve.Op) error {
	if a.version == resolve.Unborn {
		return nil
	}
	now, action := a.Now(), a.action(op)
	return a.setStatus(ctx, func(s state.UnitStatus) state.UnitStatus { return statusFor(&s, a.local, op, action, now) })
}

// waiting tells of an operation that waits for the machine's lock, and who holds it.
func (a *Agent) waiting(ctx context.Context, op resolve.Op, h Holder) error {
	if a.version == resolve.Unborn {
		return nil
	}
	now := a.Now()
	return a.setStatus(ctx, func(s state.UnitStatus) state.UnitStatus {
		s.Agent = change(s.Agent, state.StatusInfo{Status: "executing", Message: "waiting for the machine's lock, held by " + h.String()}, now)
		return s
	})
}

// setStatus changes the unit's status at once, in a transaction of its own.
func (a *Agent) setStatus(ctx context.Context, edit func(state.UnitStatus) state.UnitStatus) error {
	return a.inTurn(ctx, func() error { return a.editStatus(ctx, edit) })
}

// inTurn calls do while no one else uses what is the agent's own.
func (a *Agent) inTurn(ctx context.Context, do func() error) error {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.turn }()
	return do()
}

func (a *Agent) editStatus(ctx context.Context, edit func(state.UnitStatus) state.UnitStatus) error {
	if err := a.sureStatus(ctx, &a.own); err != nil {
		return err
	}
	var before state.UnitStatus
	if a.own.status != nil {
		before = *a.own.status
	}
	after := edit(before)
	if a.own.status != nil && sameStatus(before, after) {
		return nil
	}
	var t state.Txn
	if a.version != resolve.Unborn {
		t.Check(a.Model.LedgerPath(a.Unit), a.version)
	}
	write(&t, a.Model.StatusPath(a.Unit), a.own.status != nil, after)
	_, err := a.Store.Commit(ctx, t)
	if errors.Is(err, state.ErrUnknown) { // it may have been set: to set it again does no harm, and only this agent does
		_, err = a.Store.Commit(ctx, t)
	}
	if err != nil {
		a.own.unsure = true
		return fmt.Errorf("set the status of %s: %w", a.Unit, err)
	}
	a.own.status = &after
	a.tellChange(before, after)
	return nil
}
