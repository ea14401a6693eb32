package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/state"
)

// Init makes the root of our tree, and closes to the world what ZooKeeper leaves open of its own. It is for
// controllers, before they first use the tree, and may be repeated.
func (s *Store) Init(ctx context.Context) error {
	acl := []zk.ACL{{Perms: zk.PermAll, Scheme: schemeX509, ID: s.cfg.Controller.String()}}
	for _, p := range []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"} {
		_, err := read(ctx, s, func(c *zk.Conn) (*zk.Stat, error) { return c.SetACL(p, acl, -1) })
		if err != nil {
			return fmt.Errorf("close %s to the world: %w", p, err)
		}
	}
	var missing []string
	for p := s.cfg.Chroot; p != "/"; p = path.Dir(p) {
		missing = append(missing, p)
	}
	for _, p := range slices.Backward(missing) {
		_, err := read(ctx, s, func(c *zk.Conn) (string, error) { return c.Create(p, nil, 0, acl) })
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return fmt.Errorf("make %s: %w", p, err)
		}
	}
	return nil
}

// World is the path of every node of the server, ours or not, that is open to more than the parties of an x509
// or digest identity, with those it is open to. There should be none. It is for controllers, and asks a lot.
func (s *Store) World(ctx context.Context) (map[string][]string, error) {
	open := map[string][]string{}
	for level := []string{"/"}; len(level) > 0; {
		var mu sync.Mutex // guards next and open
		var next []string
		var g errgroup.Group
		g.SetLimit(atOnce)
		for _, at := range level {
			g.Go(func() error {
				to, below, err := s.world(ctx, at)
				mu.Lock()
				defer mu.Unlock()
				next = append(next, below...)
				if len(to) > 0 {
					open[at] = to
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		level = next
	}
	return open, nil
}

// world is to whom one node is open, and what lies below it.
func (s *Store) world(ctx context.Context, at string) (to, below []string, err error) {
	acl, err := read(ctx, s, func(c *zk.Conn) ([]zk.ACL, error) {
		acl, _, err := c.GetACL(at)
		return acl, err
	})
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil, nil // it has gone meanwhile
	}
	if err != nil {
		return nil, nil, fmt.Errorf("access to %s: %w", at, err)
	}
	if len(acl) == 0 {
		to = append(to, "everyone")
	}
	for _, a := range acl {
		if a.Scheme != schemeX509 && a.Scheme != schemeDigest {
			to = append(to, a.Scheme+":"+a.ID)
		}
	}
	names, err := read(ctx, s, func(c *zk.Conn) ([]string, error) {
		names, _, err := c.Children(at)
		return names, err
	})
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return nil, nil, fmt.Errorf("children of %s: %w", at, err)
	}
	for _, n := range names {
		below = append(below, path.Join(at, n))
	}
	return to, below, nil
}
