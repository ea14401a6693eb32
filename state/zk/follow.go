package zk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/state"
)

// A follower reads with watches of the library, which it does not make again until it reads again. The Store knows which there
// are, for the library cannot drop them and would keep each as often as it was made.
type follower struct {
	s       *Store           // its mu guards the rest
	read    map[string]kinds // and followed
	changed map[string]bool  // no longer followed
}

// Follow implements state.Store.
func (s *Store) Follow(ctx context.Context) state.Follower {
	f := &follower{s: s, read: map[string]kinds{}, changed: map[string]bool{}}
	s.mu.Lock()
	s.followers[f] = true
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.followers, f)
	})
	return f
}

// Get implements state.Reader.
func (f *follower) Get(ctx context.Context, path string) (state.Node, error) {
	if err := state.ValidPath(path); err != nil {
		return state.Node{}, fmt.Errorf("get: %w", err)
	}
	f.follow(path, data)
	n, err := read(ctx, f.s, func(c *zk.Conn) (n state.Node, err error) {
		err = f.s.heed(c, path, data, func(watch bool) error {
			ask := c.Get
			if watch {
				ask = func(path string) ([]byte, *zk.Stat, error) {
					value, stat, _, err := c.GetW(path)
					return value, stat, err
				}
			}
			value, stat, err := ask(f.s.abs(path))
			if err == nil {
				n = nodeOf(value, stat)
			}
			return err
		})
		return n, err
	})
	if err != nil {
		return state.Node{}, fmt.Errorf("get %s: %w", path, err)
	}
	return n, nil
}

// Children implements state.Reader.
func (f *follower) Children(ctx context.Context, path string) ([]string, error) {
	if err := state.ValidPath(path); err != nil {
		return nil, fmt.Errorf("children: %w", err)
	}
	f.follow(path, children)
	names, err := read(ctx, f.s, func(c *zk.Conn) (names []string, err error) {
		if err := f.s.checkCount(c, path); err != nil {
			return nil, err
		}
		err = f.s.heed(c, path, children, func(watch bool) (err error) {
			if watch {
				names, _, _, err = c.ChildrenW(f.s.abs(path))
			} else {
				names, _, err = c.Children(f.s.abs(path))
			}
			return err
		})
		f.s.counted(path, len(names), err)
		return names, err
	})
	if err != nil {
		return nil, fmt.Errorf("children of %s: %w", path, err)
	}
	slices.Sort(names)
	return names, nil
}

// follow notes that the path is read: whatever is heard of it from now on may be news.
func (f *follower) follow(path string, k kinds) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	delete(f.changed, path)
	f.read[path] |= k
}

// heed asks with a watch of the library, unless there is one. Where there is no node it is the coming of one that is watched.
func (s *Store) heed(c *zk.Conn, path string, k kinds, ask func(watch bool) error) error {
	for {
		err := s.watching(path, k, ask)
		if !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		exists := false
		asked := s.watching(path, data, func(watch bool) (err error) {
			if watch {
				exists, _, _, err = c.ExistsW(s.abs(path))
			}
			return err
		})
		if asked != nil || !exists {
			return errors.Join(asked, err)
		}
	}
}

// An asking is a node that is being read. Whether the watch that this makes is still there when the answer has come is only
// known if nothing was heard of the node meanwhile.
type asking struct {
	readers, events int
}

// watching asks, with a watch unless there is one, and notes that there is.
func (s *Store) watching(path string, k kinds, ask func(watch bool) error) error {
	s.mu.Lock()
	a := s.asked[path]
	if a == nil {
		a = &asking{}
		s.asked[path] = a
	}
	a.readers++
	events, visit, watch := a.events, s.visit, s.armed[path]&k == 0
	s.mu.Unlock()
	err := ask(watch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && watch && events == a.events && visit == s.visit {
		s.armed[path] |= k
	}
	if a.readers--; a.readers == 0 {
		delete(s.asked, path)
	}
	return err
}

// Changed implements state.Follower. When the server has answered, the library has told of all that had changed until then.
func (f *follower) Changed(ctx context.Context) ([]string, error) {
	_, err := read(ctx, f.s, func(c *zk.Conn) (struct{}, error) { return struct{}{}, f.s.greet(c) })
	if err != nil {
		return nil, fmt.Errorf("hear what has changed: %w", err)
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.followAll()
	paths := slices.Sorted(maps.Keys(f.changed))
	clear(f.changed)
	return paths, nil
}

// followed tells the followers of a watch that has fired. The Store is locked.
func (s *Store) followed(e zk.Event) {
	path := s.rel(e.Path)
	var k kinds
	switch e.Type {
	case zk.EventNodeDataChanged:
		k = data
	case zk.EventNodeChildrenChanged:
		k = children
	default: // it has come or gone
		k = data | children
	}
	if a := s.asked[path]; a != nil {
		a.events++
	}
	if s.armed[path] &^= k; s.armed[path] == 0 {
		delete(s.armed, path)
	}
	for f := range s.followers {
		if f.read[path]&k != 0 {
			f.suspect(path)
		}
	}
}

// suspect notes that what was read at path may be another.
func (f *follower) suspect(path string) {
	delete(f.read, path)
	f.changed[path] = true
}

// doubt lets followers look at everything again: a connection was lost. The Store is locked.
func (s *Store) doubt() {
	for f := range s.followers {
		for path := range f.read {
			f.suspect(path)
		}
	}
}
