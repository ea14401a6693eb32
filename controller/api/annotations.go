package api

import (
	"context"

	"github.com/grigri/grigri/state"
)

func showAnnotations(ctx context.Context, s *Server, q *request) (any, error) {
	return state.ReadAnnotations(ctx, s.Store, q.model.UUID)
}

func annotate(ctx context.Context, s *Server, q *request) (any, error) {
	var set state.Annotations
	if err := q.decode(&set); err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.Annotate(ctx, r, m, by, set)
	})
}
