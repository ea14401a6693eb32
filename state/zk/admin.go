package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/go-zookeeper/zk"

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
	for todo := []string{"/"}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		acl, err := read(ctx, s, func(c *zk.Conn) ([]zk.ACL, error) {
			acl, _, err := c.GetACL(at)
			return acl, err
		})
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("access to %s: %w", at, err)
		}
		if len(acl) == 0 {
			open[at] = []string{"everyone"}
		}
		for _, a := range acl {
			if a.Scheme != schemeX509 && a.Scheme != schemeDigest {
				open[at] = append(open[at], a.Scheme+":"+a.ID)
			}
		}
		names, err := read(ctx, s, func(c *zk.Conn) ([]string, error) {
			names, _, err := c.Children(at)
			return names, err
		})
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return nil, fmt.Errorf("children of %s: %w", at, err)
		}
		for _, n := range names {
			todo = append(todo, path.Join(at, n))
		}
	}
	return open, nil
}
