package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/grigri/grigri/state"
)

// kinds is what of a node is watched, or has changed.
type kinds uint8

const (
	data kinds = 1 << iota
	children
)

type watch struct {
	c     *Client
	wants map[string]kinds
	dirty map[string]bool
	c1    chan struct{}
	ended bool
}

// Watch implements state.Store.
func (c *Client) Watch(ctx context.Context) state.Watch {
	w := &watch{c: c, wants: map[string]kinds{}, dirty: map[string]bool{}, c1: make(chan struct{}, 1)}
	c.tree.mu.Lock()
	c.watches[w] = true
	c.tree.mu.Unlock()
	context.AfterFunc(ctx, func() {
		c.tree.mu.Lock()
		defer c.tree.mu.Unlock()
		w.end()
	})
	return w
}

func (w *watch) Data(path string)     { w.add(path, data) }
func (w *watch) Children(path string) { w.add(path, children) }
func (w *watch) C() <-chan struct{}   { return w.c1 }

func (w *watch) add(path string, k kinds) {
	t := w.c.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.ended || w.wants[path]&k != 0 {
		return
	}
	w.wants[path] |= k
	if t.watchers[path] == nil {
		t.watchers[path] = map[*watch]kinds{}
	}
	t.watchers[path][w] = w.wants[path]
	w.mark(path)
}

func (w *watch) Drop(path string) {
	w.c.tree.mu.Lock()
	defer w.c.tree.mu.Unlock()
	w.drop(path)
	w.settle()
}

func (w *watch) Take() []string {
	w.c.tree.mu.Lock()
	defer w.c.tree.mu.Unlock()
	paths := slices.Sorted(maps.Keys(w.dirty))
	clear(w.dirty)
	w.settle()
	return paths
}

// drop forgets path.
func (w *watch) drop(path string) {
	delete(w.wants, path)
	delete(w.dirty, path)
	ws := w.c.tree.watchers[path]
	if delete(ws, w); len(ws) == 0 {
		delete(w.c.tree.watchers, path)
	}
}

// mark makes path dirty.
func (w *watch) mark(path string) {
	w.dirty[path] = true
	select {
	case w.c1 <- struct{}{}:
	default:
	}
}

// settle takes back the value in C when nothing is dirty.
func (w *watch) settle() {
	if len(w.dirty) == 0 {
		select {
		case <-w.c1:
		default:
		}
	}
}

func (w *watch) end() {
	for path := range w.wants {
		w.drop(path)
	}
	w.settle()
	w.ended = true
	delete(w.c.watches, w)
}

// changed marks path in every watch that hears of a change of this kind: of what it may not read a client does
// not hear.
func (t *Tree) changed(path string, k kinds) {
	if len(t.watchers[path]) == 0 {
		return
	}
	readers := state.ACLFor(path).Read
	for w, wants := range t.watchers[path] {
		if wants&k != 0 && w.c.cut == nil && !w.c.expired && w.c.may(readers) {
			w.mark(path)
		}
	}
}

// markAll makes everything that the client watches dirty.
func (c *Client) markAll() {
	for w := range c.watches {
		for path := range w.wants {
			w.mark(path)
		}
	}
}
