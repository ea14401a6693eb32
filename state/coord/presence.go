package coord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"

	"github.com/grigri/grigri/state"
)

// ErrSuperseded is what a Presence returns while a run of the same party that began later is there.
var ErrSuperseded = errors.New("a later run is present")

// A Presence keeps an ephemeral node in the tree that says that this run of an agent is alive. It is for one
// goroutine, and starts none: its owner calls Step at first, and again whenever C has a value or Lost is closed.
type Presence struct {
	store   state.Store
	path    string
	run     state.Presence
	watch   state.Watch
	session state.Session
	settled bool
}

// NewPresence makes a presence at a path whose parent exists, that has not stepped yet. Boot is unlike that of any other
// run, and Since is when the run began. What it watches ends with ctx.
func NewPresence(ctx context.Context, store state.Store, at string, run state.Presence) *Presence {
	p := &Presence{store: store, path: at, run: run, watch: store.Watch(ctx)}
	p.watch.Data(at)
	return p
}

// C gets a value when there may be something to do.
func (p *Presence) C() <-chan struct{} { return p.watch.C() }

// Lost is closed when the node may be gone with its session.
func (p *Presence) Lost() <-chan struct{} { return p.session.Lost }

// Step sees to it that the node is there. The leftover of an earlier run or session is replaced at once, not when its
// session ends. Where a later run is present, Step returns ErrSuperseded and leaves it alone. Without news it asks
// nothing of the tree; after an error the next Step tries again.
func (p *Presence) Step(ctx context.Context) error {
	news := len(p.watch.Take()) > 0
	if p.settled && !news && !closed(p.session.Lost) {
		return nil
	}
	p.settled = false
	for !p.settled {
		if err := p.step(ctx); err != nil {
			return fmt.Errorf("be present at %s: %w", p.path, err)
		}
	}
	return nil
}

// step makes at most one change.
func (p *Presence) step(ctx context.Context) error {
	session, err := p.store.Session(ctx)
	if err != nil {
		return err
	}
	p.session = session
	var t state.Txn
	n, err := p.store.Get(ctx, p.path)
	switch {
	case errors.Is(err, state.ErrNotFound):
	case err != nil:
		return err
	default:
		other, err := state.Decode[state.Presence](p.path, n)
		if err != nil {
			return err
		}
		switch {
		case other.Value.Boot == p.run.Boot && n.Session == session.ID:
			p.settled = true
			return nil
		case other.Value.Boot != p.run.Boot && other.Value.Since.After(p.run.Since):
			return fmt.Errorf("run %s of %s: %w", other.Value.Boot, other.Value.Since, ErrSuperseded)
		}
		t.Delete(p.path, n.Version)
	}
	t.Ephemeral(p.path, p.run)
	_, err = p.store.Commit(ctx, t)
	if len(t.Ops) == 1 && errors.Is(err, state.ErrConflict) {
		return p.orphaned(ctx, err)
	}
	return readBack(err)
}

// orphaned tells a node that came in between from one that can have no parent.
func (p *Presence) orphaned(ctx context.Context, err error) error {
	if _, up := p.store.Get(ctx, path.Dir(p.path)); errors.Is(up, state.ErrNotFound) {
		return fmt.Errorf("there is no node above it: %w: %w", state.ErrNotFound, err)
	}
	return nil
}

// Leave removes the node, if it is of this run.
func (p *Presence) Leave(ctx context.Context) error {
	p.settled = false
	for {
		rec, err := state.ReadIf[state.Presence](ctx, p.store, p.path)
		if err != nil {
			return fmt.Errorf("leave %s: %w", p.path, err)
		}
		if !rec.Exists() || rec.Value.Boot != p.run.Boot {
			return nil
		}
		var t state.Txn
		t.Delete(p.path, rec.Version)
		if _, err := p.store.Commit(ctx, t); readBack(err) != nil {
			return fmt.Errorf("leave %s: %w", p.path, err)
		}
	}
}

// Keep steps until ctx ends, and then leaves. It returns the error of ctx, or one that another try cannot mend:
// a later run is one, and so is a parent that is gone.
func (p *Presence) Keep(ctx context.Context, log *slog.Logger) error {
	defer p.leave(ctx, log)
	for {
		err := p.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrSuperseded) || err != nil && !passes(err):
			return err
		case err != nil:
			log.Warn("be present", "path", p.path, "err", err)
			pause(ctx, retry)
			continue
		}
		select {
		case <-p.C():
		case <-p.Lost():
		case <-ctx.Done():
		}
	}
}

// leave leaves even though ctx may have ended.
func (p *Presence) leave(ctx context.Context, log *slog.Logger) {
	brief, cancel := afterwards(ctx)
	defer cancel()
	if err := p.Leave(brief); err != nil {
		log.Warn("leave; the presence ends with the session", "path", p.path, "err", err)
	}
}
