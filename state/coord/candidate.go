package coord

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/grigri/grigri/state"
)

// A Candidate stands in one election. It is for one goroutine, and starts none: its owner calls Step at first, and
// again whenever C has a value or Lost is closed.
type Candidate struct {
	cfg     Config
	name    string // as it is in the tree
	watch   state.Watch
	watched map[string]bool
	session state.Session
	settled bool // nothing has changed since the last Step, unless watch or session say so
	leads   bool
	fence   Fence
}

// NewCandidate makes a candidate that has not stepped yet. What it watches ends with ctx.
func NewCandidate(ctx context.Context, cfg Config) (*Candidate, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Candidate{
		cfg:     cfg,
		name:    strings.ReplaceAll(cfg.Name, "/", "-"),
		watch:   cfg.Store.Watch(ctx),
		watched: map[string]bool{},
	}, nil
}

// C gets a value when there may be news.
func (c *Candidate) C() <-chan struct{} { return c.watch.C() }

// Lost is closed when the candidate must assume that another is chosen: the session of the last Step may be over.
func (c *Candidate) Lost() <-chan struct{} { return c.session.Lost }

// Step sees to it that the candidate is in line, and says whether it is chosen. Without news it asks nothing of the
// tree. After an error it is not chosen as far as it knows, and the next Step finds out. A step whose outcome is
// unknown leaves nothing behind: the candidate finds its own node again by its boot id.
func (c *Candidate) Step(ctx context.Context) (Fence, bool, error) {
	news := len(c.watch.Take()) > 0
	if c.settled && !news && !closed(c.session.Lost) {
		return c.fence, c.leads, nil
	}
	c.settled, c.leads, c.fence = false, false, Fence{}
	session, err := c.cfg.Store.Session(ctx)
	if err != nil {
		return Fence{}, false, c.wrap(err)
	}
	c.session = session
	for {
		done, err := c.step(ctx)
		if err != nil {
			return Fence{}, false, c.wrap(err)
		}
		if done {
			c.settled = true
			return c.fence, c.leads, nil
		}
	}
}

func (c *Candidate) wrap(err error) error {
	return fmt.Errorf("stand as %s in %s: %w", c.cfg.Name, c.cfg.Dir, err)
}

// step makes at most one change. It is done when none is needed.
func (c *Candidate) step(ctx context.Context) (done bool, err error) {
	nodes, err := c.cfg.Store.Children(ctx, c.cfg.Dir)
	if err != nil {
		return false, err
	}
	line := queue(nodes)
	own := -1
	for i, p := range line {
		if p.name != c.name {
			continue
		}
		stays := p.boot == c.cfg.Run.Boot && own < 0
		gone, err := c.clear(ctx, p, stays, own < 0)
		if gone || err != nil {
			return false, err
		}
		if stays {
			own = i
		}
	}
	if own < 0 {
		return false, c.enter(ctx)
	}
	path := c.path(line[own])
	n, err := c.cfg.Store.Get(ctx, path)
	if errors.Is(err, state.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if own > 0 {
		c.follow(path, c.path(line[own-1]))
		return true, nil
	}
	c.follow(path)
	rec, err := state.Decode[standing](path, n)
	if err != nil {
		return false, err
	}
	c.leads, c.fence = true, Fence{Path: path, Version: n.Version, Epoch: rec.Value.epoch(n)}
	return true, nil
}

// A standing is the data of a candidate's node. Place is the epoch of a place that was kept: its node is younger.
type standing struct {
	state.Presence
	Place state.Stamp `json:"place,omitempty"`
}

func (s standing) epoch(n state.Node) state.Stamp {
	if s.Place != 0 {
		return s.Place
	}
	return n.Created
}

// clear removes the node at p if it is a leftover of our own: of another session, of a run that began before this, or
// a second one of this run. It says whether the line has changed. A candidate that keeps its place takes over the first one that it
// finds: nobody has been chosen meanwhile who was not before.
func (c *Candidate) clear(ctx context.Context, p place, stays, first bool) (gone bool, err error) {
	n, err := c.cfg.Store.Get(ctx, c.path(p))
	if errors.Is(err, state.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	rec, err := state.Decode[standing](c.path(p), n)
	if err != nil {
		return false, err
	}
	ours := p.boot == c.cfg.Run.Boot
	switch {
	case stays && n.Session == c.session.ID:
		return false, nil
	case !ours && !rec.Value.Since.Before(c.cfg.Run.Since):
		return false, nil
	}
	var t state.Txn
	t.Delete(rec.Path, rec.Version)
	if c.cfg.Keep && first {
		path := fmt.Sprintf("%s/%s=%s:%010d", c.cfg.Dir, c.name, c.cfg.Run.Boot, p.number)
		t.Ephemeral(path, standing{c.cfg.Run, rec.Value.epoch(n)})
	}
	_, err = c.cfg.Store.Commit(ctx, t)
	return true, readBack(err)
}

// enter puts the candidate at the end of the line.
func (c *Candidate) enter(ctx context.Context) error {
	var t state.Txn
	t.Ephemeral(c.cfg.Dir+"/"+c.name+"="+c.cfg.Run.Boot+":", c.cfg.Run)
	t.Ops[0].Sequence = true
	_, err := c.cfg.Store.Commit(ctx, t)
	if errors.Is(err, state.ErrConflict) {
		return fmt.Errorf("there is no such directory: %w", state.ErrNotFound)
	}
	return readBack(err)
}

// readBack is the error of a commit that is followed by another look at the tree, which tells more.
func readBack(err error) error {
	if errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrUnknown) {
		return nil
	}
	return err
}

func (c *Candidate) path(p place) string { return c.cfg.Dir + "/" + p.node }

// follow watches these nodes and no others.
func (c *Candidate) follow(paths ...string) {
	now := map[string]bool{}
	for _, p := range paths {
		now[p] = true
		if !c.watched[p] {
			c.watch.Data(p)
		}
	}
	for p := range c.watched {
		if !now[p] {
			c.watch.Drop(p)
		}
	}
	c.watched = now
}

// Resign leaves the line. The candidate may step again, and is then at its end.
func (c *Candidate) Resign(ctx context.Context) error {
	c.settled, c.leads, c.fence = false, false, Fence{}
	c.follow()
	for {
		nodes, err := state.ChildrenIf(ctx, c.cfg.Store, c.cfg.Dir)
		if err != nil {
			return fmt.Errorf("leave %s: %w", c.cfg.Dir, err)
		}
		var t state.Txn
		for _, p := range queue(nodes) {
			if p.name == c.name && p.boot == c.cfg.Run.Boot {
				t.Delete(c.path(p), state.Any) // our own: no one else writes it
			}
		}
		if len(t.Ops) == 0 {
			return nil
		}
		if _, err := c.cfg.Store.Commit(ctx, t); readBack(err) != nil {
			return fmt.Errorf("leave %s: %w", c.cfg.Dir, err)
		}
	}
}
