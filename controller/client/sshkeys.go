package client

import (
	"context"

	"github.com/grigri/grigri/internal/userapi"
)

// SSHKeys is the keys that the model's machines let in over ssh.
func (m Model) SSHKeys(ctx context.Context) ([]userapi.SSHKey, error) {
	var out []userapi.SSHKey
	return out, m.do(ctx, call{route: userapi.SSHKeysRoute}, &out)
}

// ChangeSSHKeys adds and removes keys, and returns what could not be done.
func (m Model) ChangeSSHKeys(ctx context.Context, c userapi.ChangeSSHKeys) ([]string, error) {
	var out userapi.Warnings
	err := m.do(ctx, call{route: userapi.ChangeSSHKeysRoute, body: c}, &out)
	return out.Warnings, err
}
