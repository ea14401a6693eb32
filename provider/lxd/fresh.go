package lxd

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// What an LXD needs that has just been installed on a machine of ours. Networks are made with the first instance.

// Reach returns nil when LXD answers and trusts us.
func (p *Provider) Reach(ctx context.Context) error {
	if _, err := p.server(ctx); err != nil {
		return fmt.Errorf("reach LXD at %s: %w", p.endpoint(), classify(err))
	}
	return nil
}

// Prepare makes a storage pool where there is none, and sets those keys of LXD's own configuration that are not what config says.
func (p *Provider) Prepare(ctx context.Context, config map[string]string) error {
	fail := func(err error) error { return fmt.Errorf("prepare LXD at %s: %w", p.endpoint(), classify(err)) }
	s, err := p.server(ctx)
	if err != nil {
		return fail(err)
	}
	pools, err := s.GetStoragePools(ctx)
	if err != nil {
		return fail(err)
	}
	if len(pools) == 0 {
		p.Log.Info("a storage pool is made", "pool", "default")
		if err := s.CreateStoragePool(ctx, client.StoragePool{Name: "default", Driver: "dir", Config: map[string]string{}}); err != nil && !exists(err) {
			return fail(err)
		}
	}
	about, _, err := s.GetServer(ctx)
	if err != nil {
		return fail(err)
	}
	change := map[string]any{}
	for key, want := range config {
		if have, _ := about.Config[key].(string); have != want {
			change[key] = want
		}
	}
	if len(change) == 0 {
		return nil
	}
	if err := s.PatchServer(ctx, change); err != nil {
		return fail(err)
	}
	return nil
}

// Ready says what stands in the way of containers: ids, room on disks, a free network. Images are another matter.
func (p *Provider) Ready(ctx context.Context) ([]provider.Problem, error) {
	return p.check(ctx, func(c *checks) []check { return []check{c.ids, c.room, c.network} })
}

// HasImage says what stands in the way of an image of the base: nothing, if LXD has one or can be expected to get it.
func (p *Provider) HasImage(ctx context.Context, base string) ([]provider.Problem, error) {
	return p.check(ctx, func(c *checks) []check { return []check{func(ctx context.Context) error { return c.image(ctx, base) }} })
}
