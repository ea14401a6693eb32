package api

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// upgradeModel has the model's machines run the agent that this controller has.
func upgradeModel(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.UpgradeModel
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	m := q.model.UUID
	out := userapi.UpgradedModel{To: s.Addresses.AgentHash}
	if want.DryRun {
		rec, err := state.Read[state.Addresses](ctx, s.Store, m.AddressesPath())
		if err != nil {
			return nil, fmt.Errorf("read which agent model %s has: %w", q.model.Name, err)
		}
		out.From = rec.Value.AgentHash
		return out, nil
	}
	var err error
	out.From, err = once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, string, error) {
		return state.SetAgent(ctx, r, m, by, out.To)
	})
	return out, err
}
