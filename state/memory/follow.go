package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/grigri/grigri/state"
)

// A follower is a watch that begins with reading and ends with the first report.
type follower struct{ w *watch }

// Follow implements state.Store.
func (c *Client) Follow(ctx context.Context) state.Follower {
	return follower{c.Watch(ctx).(*watch)}
}

// Get implements state.Reader.
func (f follower) Get(ctx context.Context, path string) (state.Node, error) {
	f.follow(path, data)
	n, err := f.w.c.Get(ctx, path)
	f.forget(path, err)
	return n, err
}

// Children implements state.Reader.
func (f follower) Children(ctx context.Context, path string) ([]string, error) {
	f.follow(path, children)
	names, err := f.w.c.Children(ctx, path)
	f.forget(path, err)
	return names, err
}

func (f follower) follow(path string, k kinds) {
	f.w.add(path, k)
	f.w.c.tree.mu.Lock()
	defer f.w.c.tree.mu.Unlock()
	delete(f.w.dirty, path)
}

// forget is for what could not be read.
func (f follower) forget(path string, err error) {
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		f.w.Drop(path)
	}
}

// Changed implements state.Follower.
func (f follower) Changed(ctx context.Context) ([]string, error) {
	c := f.w.c
	if err := c.enter(ctx); err != nil {
		return nil, fmt.Errorf("hear what has changed: %w", err)
	}
	c.notice()
	c.tree.mu.Unlock()
	paths := f.w.Take()
	for _, path := range paths {
		f.w.Drop(path)
	}
	return slices.Clip(paths), nil
}
