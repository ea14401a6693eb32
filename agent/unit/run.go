package unit

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/state"
)

// The delays between tries after an error.
const (
	minRetry = 500 * time.Millisecond
	maxRetry = time.Minute
)

// Run runs the unit's agent until the unit is gone, which is no error, or ctx ends. A hook that is running
// then is ended and is due again. Errors are logged, shown in the unit's status and tried again.
func Run(ctx context.Context, c Config, p Paths) error {
	host, err := OpenHost(p)
	if err != nil {
		return err
	}
	calls, err := commands.Listen(p.Agent)
	if err != nil {
		return errors.Join(err, host.Close())
	}
	c.Commands = NewCommands()
	g, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(ctx)
	g.Go(func() error { return host.Serve(serving) })
	g.Go(func() error { return calls.Run(serving, c.Commands.Handle) })
	g.Go(func() error {
		defer stop()
		return Keep(ctx, c, host)
	})
	return g.Wait()
}

// Keep is Run for whoever has a Doer: it makes an agent and drives it, and makes another one when it is of no more use.
func Keep(ctx context.Context, c Config, do Doer) error {
	delay := minRetry
	for {
		a, err := open(ctx, c, do)
		if err == nil {
			err = a.drive(&delay)
			a.stop()
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			return nil
		}
		c.Log.Error("the unit's agent begins anew", "err", err, "delay", delay)
		pause(ctx, nil, delay)
		delay = min(2*delay, maxRetry)
	}
}

// A driven is an agent with what ends its watches.
type driven struct {
	*Agent
	ctx  context.Context
	stop context.CancelFunc
}

func open(ctx context.Context, c Config, do Doer) (driven, error) {
	ctx, stop := context.WithCancel(ctx)
	a, err := New(ctx, c, do)
	if err != nil {
		stop()
	}
	return driven{a, ctx, stop}, err
}

// drive steps until the unit is gone or the agent is of no more use.
func (a driven) drive(delay *time.Duration) error {
	for !a.Gone() {
		op, err := a.Step(a.ctx)
		switch {
		case a.ctx.Err() != nil:
			return a.ctx.Err()
		case errors.Is(err, errFenced):
			return err
		case err != nil:
			a.Log.Warn("a step of the unit's agent is tried again", "err", err, "delay", *delay)
			if err := a.complain(a.ctx, err); err != nil {
				a.Log.Debug("status does not show it", "err", err)
			}
			pause(a.ctx, a.watch.C(), *delay)
			*delay = min(2**delay, maxRetry)
			continue
		}
		*delay = minRetry
		if w, ok := op.(resolve.Wait); ok {
			a.wait(a.ctx, w)
		}
	}
	if err := a.presence.Leave(a.ctx); err != nil {
		a.Log.Debug("the presence of the unit ends with the session", "err", err)
	}
	return nil
}

// wait returns when there may be something to do.
func (a *Agent) wait(ctx context.Context, w resolve.Wait) {
	var due <-chan time.Time
	if !w.Until.IsZero() {
		t := time.NewTimer(time.Until(w.Until))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
	case <-due:
	case <-a.Wake:
	case <-a.Commands.news():
	case <-a.watch.C():
	case <-a.presence.C():
	case <-a.presence.Lost():
	case <-a.candidate.C():
	case <-a.candidate.Lost():
	}
}

// pause waits, not longer than d, for something to change. What cannot be done for long is not tried too often.
func pause(ctx context.Context, change <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-change:
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-time.After(minRetry):
		}
	}
}

// complain shows an error in the unit's status, where that can be written.
func (a *Agent) complain(ctx context.Context, why error) error {
	if errors.Is(why, state.ErrUnknown) || !a.view.unit.Exists() {
		return nil
	}
	now := a.Now()
	return a.setStatus(ctx, func(s state.UnitStatus) state.UnitStatus {
		s.Agent = change(s.Agent, state.StatusInfo{Status: "failed", Message: why.Error()}, now)
		if s.Workload.Status == "" {
			s.Workload = state.StatusInfo{Status: "waiting", Message: "agent initialising", Since: now}
		}
		return s
	})
}
