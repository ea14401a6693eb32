// Package manual is the provider of clouds in which there is nothing to be had: their machines are hosts that users add themselves, over ssh.
package manual

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/provider"
)

// A Provider is a provider.Provider that makes no machines.
type Provider struct{}

// Start implements provider.Provider.
func (Provider) Start(_ context.Context, req provider.StartRequest) (provider.Instance, error) {
	return provider.Instance{}, fmt.Errorf("start machine %s: a manual cloud makes no machines: add a host that you have with \"add-machine ssh:user@host\", and put units there with --to: %w", req.Machine, provider.ErrRefused)
}

// Stop implements provider.Provider. What users have added is theirs: its agent leaves by itself when its machine is removed.
func (Provider) Stop(context.Context, ...provider.InstanceID) error { return nil }

// List implements provider.Provider. The tree knows what users have added; nothing else is anybody's.
func (Provider) List(context.Context, string) ([]provider.Instance, error) { return nil, nil }
