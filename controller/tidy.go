package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grigri/grigri/state"
)

// How often it is tidied, and how old answers to requests get.
const (
	tidyEvery  = 10 * time.Minute
	answersOld = time.Hour
)

// tidy removes what no one needs any more, now and then, until ctx ends.
func (d *daemon) tidy(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := trimRequests(ctx, d.Store, time.Now().Add(-answersOld)); err != nil && ctx.Err() == nil {
			d.Log.Warn("tidy", "err", err)
		}
		if err := d.trimLogs(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("tidy", "err", err)
		}
	}
}

// trimRequests removes the answers to requests from before a time.
func trimRequests(ctx context.Context, s state.Store, before time.Time) error {
	names, err := state.ChildrenIf(ctx, s, state.RequestsPath)
	if err != nil {
		return fmt.Errorf("remove old answers: %w", err)
	}
	for batch := range slices.Chunk(names, 500) {
		var t state.Txn
		for _, name := range batch {
			rec, err := state.ReadIf[struct {
				When time.Time `json:"when"`
			}](ctx, s, state.RequestPath(name))
			if err != nil {
				return fmt.Errorf("remove old answers: %w", err)
			}
			if rec.Exists() && rec.Value.When.Before(before) {
				t.Delete(rec.Path, rec.Version)
			}
		}
		if _, err := s.Commit(ctx, t); err != nil && !errors.Is(err, state.ErrConflict) { // another controller was faster
			return fmt.Errorf("remove old answers: %w", err)
		}
	}
	return nil
}

// trimLogs removes the logs of models that are no more.
func (d *daemon) trimLogs(ctx context.Context) error {
	models, err := d.logs.Models()
	if err != nil {
		return fmt.Errorf("remove logs: %w", err)
	}
	for _, m := range models {
		if _, err := d.Store.Get(ctx, m.Path()); errors.Is(err, state.ErrNotFound) {
			if err := d.logs.Remove(m); err != nil {
				return fmt.Errorf("remove the log of model %s: %w", m, err)
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}
