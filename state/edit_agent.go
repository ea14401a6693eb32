package state

import (
	"context"
	"fmt"
)

// SetAgent says which archive of the agent the model's machines are to run. It returns the one that they had.
func SetAgent(ctx context.Context, r Reader, m ModelID, by By, hash string) (t Txn, had string, err error) {
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return Txn{}, "", err
	}
	rec, err := Read[Addresses](ctx, r, m.AddressesPath())
	if err != nil {
		return Txn{}, "", fmt.Errorf("read which agent model %s has: %w", m, err)
	}
	had = rec.Value.AgentHash
	if had == hash {
		return Txn{}, had, nil
	}
	rec.Value.AgentHash = hash
	t.Set(rec.Path, rec.Value, rec.Version)
	by.record(&t, m, "upgrade-model", fmt.Sprintf("agent %.12s to %.12s", had, hash))
	return t, had, nil
}
