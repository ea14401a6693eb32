package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// look is how often one who waits looks again.
const look = 500 * time.Millisecond

// maxWait is how long one request may wait.
const maxWait = time.Minute

// showStatus is the status, at once or when it is no longer what the caller has seen.
func showStatus(ctx context.Context, s *Server, q *request) (any, error) {
	wait, err := q.duration("wait")
	if err != nil {
		return nil, err
	}
	after, selectors := q.URL.Query().Get("after"), q.URL.Query()["select"]
	deadline := time.Now().Add(min(wait, maxWait))
	var seen *made
	var report status.Report
	var revision string
	for {
		now, err := s.report(ctx, q.model.UUID)
		if err != nil {
			return nil, err
		}
		if now != seen {
			seen = now
			report, revision = now.choose(selectors)
		}
		if revision != after || !time.Now().Before(deadline) || !s.pause(ctx, look) {
			q.writer.Header().Set(userapi.RevisionHeader, revision)
			return report.At(s.Now()), nil
		}
	}
}

// pause waits, and is false when there is no use in going on.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.ending.Done():
	}
	return false
}

func showHistory(ctx context.Context, s *Server, q *request) (any, error) {
	limit, err := q.number("limit")
	if err != nil {
		return nil, err
	}
	names, err := state.ChildrenIf(ctx, s.Store, q.model.UUID.HistoryPath())
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	slices.Sort(names)
	if limit > 0 && len(names) > limit {
		names = names[len(names)-limit:]
	}
	out := make([]state.Change, 0, len(names))
	for _, name := range names {
		rec, err := state.ReadIf[state.Change](ctx, s.Store, q.model.UUID.HistoryPath()+"/"+name)
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		if rec.Exists() {
			out = append(out, rec.Value)
		}
	}
	return out, nil
}

func showModelConfig(ctx context.Context, s *Server, q *request) (any, error) {
	rec, err := state.ReadIf[state.ModelConfig](ctx, s.Store, q.model.UUID.ConfigPath())
	if err != nil {
		return nil, fmt.Errorf("read the settings of model %s: %w", q.model.Name, err)
	}
	from, err := state.ReadIf[state.Inherited](ctx, s.Store, q.model.UUID.InheritedPath())
	if err != nil {
		return nil, fmt.Errorf("read where the settings of model %s come from: %w", q.model.Name, err)
	}
	return modelSettings(q.model, rec.Value, from.Value, version.Juju), nil
}

func setModelConfig(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.Settings
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	config, warnings, err := checkModelConfig(want.Set)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	_, err = once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.ModelConfig, error) {
		return state.SetModelConfig(ctx, r, m, by, config, want.Reset)
	})
	return userapi.Warnings{Warnings: warnings}, err
}

func showModelConstraints(ctx context.Context, s *Server, q *request) (any, error) {
	rec, err := state.ReadIf[provider.Constraints](ctx, s.Store, q.model.UUID.ConstraintsPath())
	return rec.Value, err
}

func setModelConstraints(ctx context.Context, s *Server, q *request) (any, error) {
	var want provider.Constraints
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if err := s.mayContain(ctx, q.model, want); err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.SetModelConstraints(ctx, r, m, by, want)
	})
}
