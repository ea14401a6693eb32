package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
)

// reports is the last report that was made of each model.
type reports struct {
	mu   sync.Mutex
	last map[state.ModelID]*made
}

// A made is a report of a model in one generation. Nobody changes it.
type made struct {
	generation int
	report     status.Report
	revision   func() string
}

// report is what there is to say of the model now. As long as nothing changes it is the same one.
func (s *Server) report(ctx context.Context, m state.ModelID) (*made, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	snapshot, generation, err := s.views.Read(ctx, m)
	if err != nil {
		s.reports.keep(m, nil)
		if errors.Is(err, state.ErrNotFound) {
			err = notFound("model", string(m))
		}
		return nil, err
	}
	if last := s.reports.of(m); last != nil && generation != 0 && last.generation == generation {
		return last, nil
	}
	snapshot.Version = version.Juju
	now := &made{generation: generation, report: status.Build(snapshot, time.Time{})}
	now.revision = sync.OnceValue(func() string { return revisionOf(now.report) })
	s.reports.keep(m, now)
	return now, nil
}

func (r *reports) of(m state.ModelID) *made {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[m]
}

// keep remembers the last report of the model; nil forgets it.
func (r *reports) keep(m state.ModelID, last *made) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case last == nil:
		delete(r.last, m)
	case r.last == nil:
		r.last = map[state.ModelID]*made{m: last}
	default:
		r.last[m] = last
	}
}

// choose is the part of the report that the selectors choose, and its revision.
func (m *made) choose(selectors []string) (status.Report, string) {
	if len(selectors) == 0 {
		return m.report, m.revision()
	}
	report := status.Filter(m.report, selectors)
	return report, revisionOf(report)
}

// revisionOf names what a report says, but for when.
func revisionOf(r status.Report) string {
	data, err := json.Marshal(r.At(time.Time{}))
	if err != nil {
		return ""
	}
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:8])
}
