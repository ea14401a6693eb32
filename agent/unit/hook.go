package unit

import (
	"context"
	"fmt"
	"slices"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
)

// runHook runs the hook and commits what came of it. That the hook runs is noted on disk before, and how it ended before
// the commit, so that a new agent knows.
func (a *Agent) runHook(ctx context.Context, op resolve.Run, r resolve.Remote) error {
	if slices.Contains([]hooks.Kind{hooks.Install, hooks.Stop, hooks.Remove}, op.Hook.Kind) { // status says so, and the hook may ask for it
		if err := a.executing(ctx, op); err != nil {
			return err
		}
	}
	note := Pending{From: a.local.Commit, Hook: op.Hook, Remote: trim(r, op.Hook)}
	if err := a.do.Save(&note); err != nil {
		return err
	}
	res, effects, err := a.do.Run(ctx, a.request(ctx, op.Hook, op))
	if err != nil || res.Outcome == run.Terminated && ctx.Err() != nil {
		if forget := a.do.Save(nil); forget != nil {
			return forget
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("run %s of %s: %w", op, a.Unit, err)
	}
	o := &outcome{op: op, remote: note.Remote, effects: effects}
	switch res.Outcome {
	case run.Rebooting:
		a.Log.Info("hook asks for the machine to start again at once, and runs again then", "hook", op.Hook.Name())
		o.cut, o.effects = true, hooks.Effects{}
	case run.Skipped:
		a.Log.Debug("the charm does not have this hook", "hook", op.Hook.Name())
	case run.Done:
		a.Log.Info("hook ran", "hook", op.Hook.Name(), "by", res.Handler)
	default:
		a.Log.Error("hook failed", "hook", op.Hook.Name(), "by", res.Handler, "err", res.Reason)
		o.failed = &failure{res.Reason, res.Tail}
		o.effects = hooks.Effects{}
	}
	note.Ended, note.Failed, note.Cut, note.Effects = true, o.failed, o.cut, o.effects
	if err := a.do.Save(&note); err != nil {
		return err
	}
	return a.finish(ctx, o)
}

func (a *Agent) request(ctx context.Context, h hooks.Hook, op resolve.Op) Request {
	return Request{
		Model: a.Model, Hook: h, Facts: a.facts(), Charm: a.charm, Lines: a.Lines, Now: a.Now,
		Reader: &reader{a: a, hook: h},
		Writer: &writer{a: a, hook: h, op: op},
		Slow: func() {
			if err := a.executing(ctx, op); err != nil && ctx.Err() == nil {
				a.Log.Warn("status does not show what runs", "err", err)
			}
		},
	}
}

// A Pending is the note of a hook that runs, or has run and is not committed.
type Pending struct {
	From    string         `json:"from"` // the ledger's commit that it runs after: when the ledger has moved on, the note is old
	Hook    hooks.Hook     `json:"hook"`
	Remote  resolve.Remote `json:"remote"`
	Ended   bool           `json:"ended,omitempty"` // the rest is how
	Failed  *failure       `json:"failed,omitempty"`
	Cut     bool           `json:"cut,omitempty"`
	Effects hooks.Effects  `json:"effects"`
	Result  *taskResult    `json:"result,omitempty"`
}

// recover finds what the agent before this one had not committed. A hook that has ended is committed and does not run
// again; of one that was running nobody knows how it ended, and so it has failed.
func (a *Agent) recover() error {
	note, err := a.do.Load()
	if err != nil {
		return fmt.Errorf("find what %s was doing: %w", a.Unit, err)
	}
	if note == nil || note.From != a.local.Commit {
		return nil
	}
	o := &outcome{op: resolve.Run{Hook: note.Hook}, remote: note.Remote, failed: note.Failed, cut: note.Cut, effects: note.Effects, result: note.Result}
	switch {
	case note.Hook.Kind == hooks.Action:
		o.op = resolve.RunTask{Task: note.Hook.Task}
	case note.Hook.Kind == hooks.Command && !note.Ended:
		return nil // whoever has called it knows that it was killed
	case note.Hook.Kind == hooks.Command:
		o.op = resolve.RunCommand{}
	}
	switch {
	case note.Ended:
		a.Log.Info("a hook ended and was not committed; it is now", "hook", resolve.Describe(note.Hook))
	case note.Hook.Kind == hooks.Action:
		o.result = terminated(a.Now())
	default:
		a.Log.Warn("a hook was running when the agent ended", "hook", resolve.Describe(note.Hook))
		o.failed = &failure{Reason: "the agent ended while the hook was running"}
	}
	a.unfinished = o
	return nil
}
