package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// providers has a provider open for each place that was asked for, as the tree described it the last time.
type providers struct {
	store state.Store
	key   state.Key
	open  func(provider.Spec) (provider.Provider, error)
	log   *slog.Logger

	mu     sync.Mutex
	opened map[state.Place]opened
}

// An opened is a provider and what it was opened with.
type opened struct {
	provider provider.Provider
	spec     string
}

// of returns the provider of the place. It reads the tree each time: a cloud or a credential that has changed is another provider, and
// the one before is closed. Whoever is using it then may fail, and tries again.
func (p *providers) of(ctx context.Context, place state.Place) (provider.Provider, error) {
	spec, err := state.ReadSpec(ctx, p.store, p.key, place)
	if err != nil {
		return nil, err
	}
	encoded := string(state.Encode(spec))
	p.mu.Lock()
	defer p.mu.Unlock()
	have, ok := p.opened[place]
	if ok && have.spec == encoded {
		return have.provider, nil
	}
	fresh, err := p.open(spec)
	if err != nil {
		return nil, fmt.Errorf("open the provider of %s: %w", place, err)
	}
	if p.opened == nil {
		p.opened = map[state.Place]opened{}
	}
	p.opened[place] = opened{fresh, encoded}
	if ok {
		p.log.Info("the description of a cloud or of a credential has changed", "cloud", place.String())
		p.close(have)
	}
	return fresh, nil
}

// closeAll closes what is open.
func (p *providers) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.opened {
		p.close(o)
	}
	p.opened = nil
}

func (p *providers) close(o opened) {
	if c, ok := o.provider.(io.Closer); ok {
		if err := c.Close(); err != nil {
			p.log.Warn("close a provider", "err", err)
		}
	}
}

// ensureRoots makes what this version keeps in the tree and the version that made the tree did not.
func ensureRoots(ctx context.Context, s state.Store, c state.Controller) error {
	want := map[string]any{state.CloudPath(c.Cloud): provider.Cloud{Name: c.Cloud, Type: c.Cloud}}
	clouds, err := state.Exists(ctx, s, state.CloudsPath)
	if err != nil {
		return fmt.Errorf("complete the tree: %w", err)
	}
	paths := state.Roots()
	if !clouds {
		paths = append(paths, state.CloudPath(c.Cloud))
	}
	for _, path := range paths {
		there, err := state.Exists(ctx, s, path)
		if err != nil {
			return fmt.Errorf("complete the tree: %w", err)
		}
		if there {
			continue
		}
		var t state.Txn
		t.Create(path, want[path])
		if _, err := s.Commit(ctx, t); err != nil && !errors.Is(err, state.ErrConflict) && !errors.Is(err, state.ErrUnknown) {
			return fmt.Errorf("complete the tree: make %s: %w", path, err)
		}
	}
	return nil
}
