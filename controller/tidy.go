package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/state"
)

// How often it is tidied, and how old answers to requests get.
const (
	tidyEvery  = 10 * time.Minute
	answersOld = time.Hour

	// Archives that nothing refers to are kept this long: a charm that is being uploaded, an agent for machines that are starting.
	charmsOld = time.Hour
	agentsOld = 7 * 24 * time.Hour
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
		now := time.Now()
		err := errors.Join(trimRequests(ctx, d.Store, now.Add(-answersOld)), d.trimLogs(ctx), d.trimStatuses(ctx, now), d.trimArchives(ctx, now), d.trimPlugins(ctx, now))
		if err != nil && ctx.Err() == nil {
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

// trimStatuses forgets the statuses of models that are no more, and old ones of what is no more in its model.
func (d *daemon) trimStatuses(ctx context.Context, now time.Time) error {
	models, err := d.statuses.Models()
	if err != nil {
		return fmt.Errorf("forget statuses: %w", err)
	}
	for _, m := range models {
		if there, err := state.Exists(ctx, d.Store, m.Path()); err != nil {
			return fmt.Errorf("forget statuses: %w", err)
		} else if !there {
			if err := d.statuses.Remove(m); err != nil {
				return fmt.Errorf("forget the statuses of model %s: %w", m, err)
			}
			continue
		}
		there := map[string]bool{state.ModelTag: true}
		for dir, prefix := range map[string]string{m.UnitsPath(): "unit-", m.MachinesPath(): "machine-", m.ApplicationsPath(): "application-"} {
			names, err := state.ChildrenIf(ctx, d.Store, dir)
			if err != nil {
				return fmt.Errorf("forget statuses: %w", err)
			}
			for _, name := range names {
				there[prefix+name] = true
			}
		}
		if err := d.statuses.Tidy(m, now, func(entity string) bool { return there[entity] }); err != nil {
			return err
		}
	}
	return nil
}

// trimArchives removes the archives of charms that no model has, of agents that were replaced, and of resources that no one needs.
func (d *daemon) trimArchives(ctx context.Context, now time.Time) error {
	used, files, agents := map[string]bool{}, map[string]bool{}, map[string]bool{d.Addresses.AgentHash: true}
	models, err := d.Store.Children(ctx, state.ModelsPath)
	if err != nil {
		return fmt.Errorf("remove archives: %w", err)
	}
	for _, id := range models {
		m := state.ModelID(id)
		addresses, err := state.ReadIf[state.Addresses](ctx, d.Store, m.AddressesPath())
		if err != nil {
			return fmt.Errorf("remove archives: %w", err)
		}
		agents[addresses.Value.AgentHash] = true
		if err := d.trimCharms(ctx, m, now.Add(-charmsOld)); err != nil {
			return err
		}
		names, err := state.ChildrenIf(ctx, d.Store, m.CharmsPath())
		if err != nil {
			return fmt.Errorf("remove archives: %w", err)
		}
		for _, name := range names {
			rec, err := state.ReadIf[state.Charm](ctx, d.Store, m.CharmPath(name))
			if err != nil {
				return fmt.Errorf("remove archives: %w", err)
			}
			used[rec.Value.ID.SHA256] = true
		}
		if err := d.trimResources(ctx, m, files); err != nil {
			return err
		}
	}
	return errors.Join(
		d.resources().Trim(now.Add(-charmsOld), func(hash string) bool { return files[hash] }),
		d.charms().Trim(now.Add(-charmsOld), func(hash string) bool { return used[hash] }),
		Agents(d.Dir).Trim(now.Add(-agentsOld), func(hash string) bool { return agents[hash] }))
}

// trimCharms removes revisions of the model's charms from before a time that no one needs.
func (d *daemon) trimCharms(ctx context.Context, m state.ModelID, before time.Time) error {
	t, err := state.TrimCharms(ctx, d.Store, m, before)
	if err == nil {
		_, err = d.Store.Commit(ctx, t)
	}
	if err != nil && !errors.Is(err, state.ErrConflict) { // someone is faster, or has just been given one of them: the next time will tell
		return fmt.Errorf("remove old charms of model %s: %w", m, err)
	}
	return nil
}

// trimResources removes revisions of the model's resources that no one needs, and adds to files what is left.
func (d *daemon) trimResources(ctx context.Context, m state.ModelID, files map[string]bool) error {
	t, left, err := state.TrimResources(ctx, d.Store, m)
	if err != nil {
		return fmt.Errorf("remove old resources of model %s: %w", m, err)
	}
	maps.Copy(files, left)
	// When someone is faster, or has just been given one of them, the next time will tell; until then no file goes.
	if _, err := d.Store.Commit(ctx, t); err != nil {
		return fmt.Errorf("remove old resources of model %s: %w", m, err)
	}
	return nil
}
