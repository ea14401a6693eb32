package api

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// sshKeys is the keys that the model's machines let in.
func sshKeys(ctx context.Context, s *Server, q *request) (any, error) {
	rec, err := state.ReadIf[state.ModelConfig](ctx, s.Store, q.model.UUID.ConfigPath())
	if err != nil {
		return nil, fmt.Errorf("read the keys of model %s: %w", q.model.Name, err)
	}
	out := []userapi.SSHKey{}
	for _, k := range state.SSHKeys(rec.Value) {
		out = append(out, userapi.SSHKey{Key: k.String(), Fingerprint: k.Fingerprint(), Comment: k.Comment})
	}
	return out, nil
}

func changeSSHKeys(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.ChangeSSHKeys
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	m := q.model.UUID
	problems, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, []string, error) {
		return state.ChangeSSHKeys(ctx, r, m, by, want.Add, want.Remove)
	})
	return userapi.Warnings{Warnings: problems}, err
}
