package unit

import (
	"context"
	"errors"
	"fmt"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// An outcome is an operation that has been done and what came of it: all that its commit says. It is data, so that it
// can wait for a connection, and for a new agent.
type outcome struct {
	op      resolve.Op
	remote  resolve.Remote // as it was when op was decided
	failed  *failure       // of a hook
	effects hooks.Effects
	result  *taskResult
	cut     bool       // the hook was killed because it asked for a reboot at once
	call    *answering // of a command
	commit  string     // the last commit tried, whose reply may have been lost
}

// A failure is how a hook failed.
type failure struct {
	Reason string   `json:"reason"`
	Tail   []string `json:"tail,omitempty"`
}

// ran says whether o is of something that must not be done again.
func (o *outcome) ran() bool {
	switch o.op.(type) {
	case resolve.Run, resolve.RunTask, resolve.RunCommand:
		return true
	}
	return false
}

// heeds says whether a hook of this kind is done with o, and will not run again for what it was due for.
func (o *outcome) heeds(kind hooks.Kind) bool {
	switch op := o.op.(type) {
	case resolve.Run:
		return op.Hook.Kind == kind && o.failed == nil && !o.cut
	case resolve.Skip:
		return op.Hook.Kind == kind
	}
	return false
}

// after is what the unit has done once o is committed.
func (o *outcome) after(l resolve.Local, a *Agent) resolve.Local {
	h, hook := o.op.(resolve.Run)
	switch {
	case hook && o.cut:
		return resolve.Cut(l, o.remote, h.Hook)
	case hook && o.failed != nil:
		return resolve.Failed(l, o.remote, h.Hook, a.Now(), o.failed.Reason, o.failed.Tail)
	}
	if o.failed != nil {
		return resolve.Misplaced(l, o.remote, o.op, a.Now(), o.failed.Reason)
	}
	l = resolve.Done(l, o.remote, o.op)
	if o.effects.Reboot {
		l = resolve.Rebooting(l, o.remote)
	}
	return l
}

// maxTries is how often a commit is made again because the tree has changed under it. What changes it is rare.
const maxTries = 5

// finish commits o. When it cannot, o is kept and the next Step tries again: a hook does not run again for that.
// What has changed meanwhile is read before: the commit says idle only of a unit that has nothing more to do.
func (a *Agent) finish(ctx context.Context, o *outcome) error {
	a.unfinished = o
	if _, err := a.Store.Session(ctx); err != nil {
		return fmt.Errorf("commit %s of %s: %w", o.op, a.Unit, err)
	}
	if _, err := a.look(ctx); err != nil {
		return fmt.Errorf("commit %s of %s: %w", o.op, a.Unit, err)
	}
	for range maxTries {
		if done, err := a.known(ctx, o); done || err != nil {
			return err
		}
		d, err := a.draft(ctx, o)
		if errors.Is(err, errEffects) {
			a.fail(o, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("commit %s of %s: %w", o.op, a.Unit, err)
		}
		o.commit = d.local.Commit
		_, err = a.Store.Commit(ctx, d.txn)
		switch {
		case err == nil:
			a.adopt(o, d)
			return nil
		case errors.Is(err, state.ErrTooLarge):
			a.fail(o, fmt.Errorf("what it asked for is too large for one transaction: %w", err))
		case errors.Is(err, state.ErrConflict):
			if a.own, err = a.readOwn(ctx); err != nil {
				return err
			}
		default:
			return fmt.Errorf("commit %s of %s: %w", o.op, a.Unit, err)
		}
	}
	return fmt.Errorf("commit %s of %s: the tree has changed under %d tries", o.op, a.Unit, maxTries)
}

// known looks for the last commit that was tried: it may be in the tree, and so may one of another agent.
func (a *Agent) known(ctx context.Context, o *outcome) (done bool, err error) {
	if o.commit == "" {
		return false, nil
	}
	head, err := state.ReadIf[state.Ledger](ctx, a.Store, a.Model.LedgerPath(a.Unit))
	switch {
	case err != nil:
		return false, fmt.Errorf("read back the commit of %s of %s: %w", o.op, a.Unit, err)
	case head.Exists() && head.Value.Commit == o.commit:
		if a.local, a.version, err = resolve.Load(ctx, a.Store, a.Model, a.Unit); err != nil {
			return false, err
		}
		if a.own, err = a.readOwn(ctx); err != nil {
			return false, err
		}
		a.doubtSecrets()
		a.tellOwn()
		a.settled(o)
		return true, nil
	case !head.Exists() && a.version != resolve.Unborn:
		unit, err := state.ReadIf[state.Unit](ctx, a.Store, a.Model.UnitPath(a.Unit))
		if err == nil && !unit.Exists() { // there is nothing left to commit to
			a.unfinished, a.gone = nil, true
			return true, nil
		}
		return false, err
	case head.Exists() && head.Version != a.version:
		return false, fmt.Errorf("commit %s of %s: %w", o.op, a.Unit, errFenced)
	}
	return false, nil
}

// fail turns what has succeeded into a failure: its effects cannot be had.
func (a *Agent) fail(o *outcome, why error) {
	o.effects = hooks.Effects{Action: o.effects.Action}
	if o.result != nil {
		o.result.refuse(why)
		return
	}
	if _, command := o.op.(resolve.RunCommand); command {
		if o.call != nil {
			o.call.refuse(why)
		}
		return
	}
	o.failed = &failure{Reason: why.Error()}
	a.Log.Error("hook failed", "hook", o.op.String(), "err", why)
}

// adopt makes what has been committed what is.
func (a *Agent) adopt(o *outcome, d draft) {
	a.local, a.own = d.local, d.own
	a.changedSecrets(d.secrets)
	a.version++
	a.tellOwn()
	a.settled(o)
}

func (a *Agent) settled(o *outcome) {
	a.unfinished = nil
	if o.call != nil {
		o.call.send()
	}
	if t, ok := o.op.(resolve.RunTask); ok {
		a.taskDone(t.Task)
	}
	if a.local.Phase == state.Gone {
		a.gone = true
	}
}

// A draft is one try of a commit: the transaction, and what is when it has been made.
type draft struct {
	txn   state.Txn
	local resolve.Local
	own   own

	secrets map[state.SecretID]*state.Secret // that it changes
}

// draft makes the transaction of o: the ledger, which fences it, what the hook asked for, and the unit's status.
func (a *Agent) draft(ctx context.Context, o *outcome) (draft, error) {
	d := draft{local: o.after(a.local, a), own: a.own.clone(), secrets: map[state.SecretID]*state.Secret{}}
	d.local.Commit, d.local.When = a.ID(), a.Now()
	if o.failed == nil {
		d.local.StorageAsked = asked(d.local.StorageAsked, o.effects.Storage)
	}
	d.txn = resolve.Commit(a.Model, a.Unit, a.local, d.local, a.version)
	if o.failed == nil {
		if err := a.addEffects(ctx, &d, o.effects); err != nil {
			return d, err
		}
		if err := a.addSecrets(ctx, &d, o); err != nil {
			return d, err
		}
	}
	if err := a.addScope(ctx, &d, o); err != nil {
		return d, err
	}
	if t, ok := o.op.(resolve.RunTask); ok {
		if err := a.addResult(ctx, &d, t.Task, o.result); err != nil {
			return d, err
		}
	}
	a.addAddress(&d, o)
	a.tellStorage(&d, o)
	if _, leaves := o.op.(resolve.Leave); leaves {
		d.txn.Tell(a.Model, state.TicketUnit, string(a.Unit))
	}
	return d, a.addStatus(ctx, &d, a.next(&d, o))
}

// next is what comes after o, as far as can be known: status shows it.
func (a *Agent) next(d *draft, o *outcome) resolve.Op {
	r := a.remote(d.local)
	r.Own, r.Others = a.secretsOf(d)
	if t, ok := o.op.(resolve.RunTask); ok && len(r.Tasks) > 0 && r.Tasks[0] == t.Task {
		r.Tasks = r.Tasks[1:]
	}
	return resolve.Next(d.local, r, a.Now())
}
