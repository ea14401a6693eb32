// Package leader does what only one controller may do: it takes tickets, reads what they name, lets plan decide, asks
// providers, and commits. Everything it does is decided from the tree alone, so that whoever leads next goes on.
package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// ErrDeposed means that the election node is gone: another controller leads, or will.
var ErrDeposed = errors.New("no longer the leader")

// Config is what a leader needs.
type Config struct {
	Store     state.Store
	Fence     string    // the node of this controller's election: every transaction checks that it is there
	Providers Providers // of the places that models name
	Key       state.Key
	Log       *slog.Logger
	Now       func() time.Time
	// Script makes the first-boot script of a machine. Everything else of the request is filled in. Nil: no script.
	Script func(provider.StartRequest) ([]byte, error)
	// Tell keeps what the statuses of machines have been, and may be called from several goroutines. Nil: nobody does.
	Tell Tell

	Audit    time.Duration // how often everything is looked at without a ticket; zero: 10 minutes
	Poll     time.Duration // how often instances that do not run yet are looked at; zero: 5 s
	Parallel int           // calls of one place's provider at once, but for its listings; zero: 8
}

// Providers is the provider of a place as the tree describes it now. It may be called from several goroutines.
type Providers func(ctx context.Context, p state.Place) (provider.Provider, error)

func (c Config) check() (Config, error) {
	switch {
	case c.Store == nil:
		return c, errors.New("leader: no Store")
	case c.Providers == nil:
		return c, errors.New("leader: no Providers")
	case c.Fence == "":
		return c, errors.New("leader: no Fence")
	case len(c.Key) == 0:
		return c, errors.New("leader: no Key")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Tell == nil {
		c.Tell = func(state.ModelID, string, state.StatusRecord) {}
	}
	if c.Audit == 0 {
		c.Audit = 10 * time.Minute
	}
	if c.Poll == 0 {
		c.Poll = 5 * time.Second
	}
	if c.Parallel == 0 {
		c.Parallel = 8
	}
	return c, nil
}

// Run leads until ctx ends, which is no error, or until the fence falls, which is ErrDeposed. Nothing runs on after it.
func Run(ctx context.Context, c Config) error {
	ctx, cancel := context.WithCancel(ctx)
	l, err := New(ctx, c)
	if err != nil {
		cancel()
		return err
	}
	results := make(chan Result)
	slots := map[state.Place]chan struct{}{} // one cloud that does not answer is no other's concern
	running := 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			<-results
		}
	}()
	for {
		jobs, err := l.Step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lead: %w", err)
		}
		for _, job := range jobs {
			running++
			free := slots[job.Place]
			if free == nil {
				free = make(chan struct{}, l.Parallel)
				slots[job.Place] = free
			}
			go func() {
				list := job.Kind == JobList // of which there is one at a time, and by which all else is judged
				if !list {
					free <- struct{}{}
				}
				r := l.Do(ctx, job)
				if !list {
					<-free
				}
				results <- r
			}()
		}
		wait := l.Next().Sub(l.Now())
		if l.Busy() {
			wait = 0
		}
		timer := time.NewTimer(max(0, wait))
		select {
		case <-ctx.Done():
		case <-l.C():
		case <-timer.C:
		case r := <-results:
			running--
			l.Take(r)
		}
		timer.Stop()
	}
}
