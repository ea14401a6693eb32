package api

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func unitDebug(ctx context.Context, s *Server, q *request) (any, error) {
	shell, err := s.unitShell(ctx, q)
	if err != nil {
		return nil, err
	}
	app, err := state.Read[state.Application](ctx, s.Store, q.model.UUID.ApplicationPath(shell.Unit.Application()))
	if err != nil {
		return nil, fmt.Errorf("read the application of unit %s: %w", shell.Unit, err)
	}
	c, err := s.charmOf(ctx, s.Store, q.model.UUID, app.Value.Charm.String())
	return userapi.Debug{Shell: shell, Hooks: charm.HookNames(c.Charm.Meta), Actions: append([]string{}, slices.Sorted(maps.Keys(c.Charm.Actions))...)}, err
}
