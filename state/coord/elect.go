package coord

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Elect stands until ctx ends, and runs lead each time it is chosen. The context of lead ends when its holder must
// assume that another is chosen: the session is lost or the node is gone; lead then returns soon, whatever it returns,
// and Elect stands again. When lead returns while it is still chosen, Elect resigns and returns its error.
// It returns the error of ctx when that ends, and an error that another try cannot mend.
func Elect(ctx context.Context, cfg Config, lead func(context.Context, Fence) error) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	c, err := NewCandidate(watching, cfg)
	if err != nil {
		return err
	}
	defer resign(ctx, c)
	for {
		fence, err := stand(ctx, c)
		if err != nil {
			return err
		}
		cfg.log().Info("chosen", "name", cfg.Name, "dir", cfg.Dir, "epoch", fence.Epoch)
		lost, err := run(ctx, c, fence, lead)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !lost {
			return err
		}
		cfg.log().Info("no longer chosen", "name", cfg.Name, "dir", cfg.Dir, "epoch", fence.Epoch)
	}
}

// ErrLost is what Lock returns when the lock was lost before the work under it was done.
var ErrLost = errors.New("lock lost")

// Lock waits in line, not longer than wait, and runs do once when its turn has come. The context of do ends when the
// lock is lost; Lock then returns ErrLost with the error of do. It gives the lock back before it returns.
func Lock(ctx context.Context, cfg Config, wait time.Duration, do func(context.Context, Fence) error) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	c, err := NewCandidate(watching, cfg)
	if err != nil {
		return err
	}
	defer resign(ctx, c)
	waiting, cancel := context.WithTimeout(ctx, wait)
	fence, err := stand(waiting, c)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		holder, _ := Leader(ctx, cfg.Store, cfg.Dir)
		return fmt.Errorf("lock %s: not free within %s, held by %s: %w", cfg.Dir, wait, holder, err)
	}
	if err != nil {
		return err
	}
	lost, err := run(ctx, c, fence, do)
	if lost {
		return fmt.Errorf("lock %s: %w", cfg.Dir, errors.Join(ErrLost, err))
	}
	return err
}

// stand steps until the candidate is chosen.
func stand(ctx context.Context, c *Candidate) (Fence, error) {
	for {
		fence, leads, err := c.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return Fence{}, ctx.Err()
		case err != nil && !passes(err):
			return Fence{}, err
		case err != nil:
			c.cfg.log().Warn("stand for election", "name", c.cfg.Name, "dir", c.cfg.Dir, "err", err)
			pause(ctx, retry)
		case leads:
			return fence, nil
		default:
			select {
			case <-c.C():
			case <-c.Lost():
			case <-ctx.Done():
			}
		}
	}
}

// run runs lead for as long as the candidate is chosen. It says whether lead had to end for that.
func run(ctx context.Context, c *Candidate, fence Fence, lead func(context.Context, Fence) error) (lost bool, err error) {
	leading, end := context.WithCancel(ctx)
	defer end()
	session, over, gone := c.Lost(), make(chan struct{}), make(chan struct{})
	var work, guard errgroup.Group
	work.Go(func() error {
		defer close(over)
		return lead(leading, fence)
	})
	guard.Go(func() error {
		if !holds(leading, c, fence) {
			close(gone)
		}
		return nil
	})
	select {
	case <-over:
	case <-ctx.Done():
	case <-session:
		lost = true
	case <-gone:
		lost = true
	}
	end()
	_ = guard.Wait()
	return lost, work.Wait()
}

// holds looks after the candidate's place until ctx ends, and is false as soon as it has lost it.
func holds(ctx context.Context, c *Candidate, fence Fence) bool {
	for {
		select {
		case <-c.C():
		case <-ctx.Done():
			return true
		}
		for {
			now, leads, err := c.Step(ctx)
			if ctx.Err() != nil {
				return true
			}
			if err == nil && leads && now == fence {
				break
			}
			if err == nil || !passes(err) {
				return false
			}
			c.cfg.log().Warn("look after an election", "name", c.cfg.Name, "dir", c.cfg.Dir, "err", err)
			pause(ctx, retry)
		}
	}
}

// resign leaves the line even though ctx may have ended.
func resign(ctx context.Context, c *Candidate) {
	brief, cancel := afterwards(ctx)
	defer cancel()
	if err := c.Resign(brief); err != nil {
		c.cfg.log().Warn("resign; the place ends with the session", "name", c.cfg.Name, "dir", c.cfg.Dir, "err", err)
	}
}
