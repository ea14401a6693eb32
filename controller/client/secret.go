package client

import (
	"context"
	"net/url"
	"strconv"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// Secrets is every secret of the model, without values.
func (m Model) Secrets(ctx context.Context) ([]userapi.Secret, error) {
	var out []userapi.Secret
	return out, m.do(ctx, call{route: userapi.SecretsRoute}, &out)
}

// Secret is the secret of this id or name, without its value.
func (m Model) Secret(ctx context.Context, secret string) (userapi.Secret, error) {
	var out userapi.Secret
	return out, m.do(ctx, call{route: userapi.SecretRoute, path: []string{secret}}, &out)
}

// RevealSecret is the secret with the value of a revision; zero is the latest.
func (m Model) RevealSecret(ctx context.Context, secret string, revision int) (userapi.Secret, error) {
	var out userapi.Secret
	return out, m.do(ctx, call{route: userapi.RevealSecretRoute, path: []string{secret}, query: revisionQuery(revision)}, &out)
}

// AddSecret makes a secret of users.
func (m Model) AddSecret(ctx context.Context, s userapi.AddSecret) (state.SecretID, error) {
	var out userapi.AddedSecret
	err := m.do(ctx, call{route: userapi.AddSecretRoute, body: s}, &out)
	return out.ID, err
}

// UpdateSecret changes a secret of users.
func (m Model) UpdateSecret(ctx context.Context, secret string, u userapi.UpdateSecret) error {
	return m.do(ctx, call{route: userapi.UpdateSecretRoute, path: []string{secret}, body: u}, nil)
}

// RemoveSecret removes a secret of users, or, if revision is not zero, only that.
func (m Model) RemoveSecret(ctx context.Context, secret string, revision int) error {
	return m.do(ctx, call{route: userapi.RemoveSecretRoute, path: []string{secret}, query: revisionQuery(revision)}, nil)
}

// GrantSecret lets applications read a secret of users, or no more.
func (m Model) GrantSecret(ctx context.Context, secret string, g userapi.GrantSecret) error {
	return m.do(ctx, call{route: userapi.GrantSecretRoute, path: []string{secret}, body: g}, nil)
}

func revisionQuery(n int) url.Values {
	if n == 0 {
		return nil
	}
	return url.Values{"revision": {strconv.Itoa(n)}}
}
