// Package memory is a tree in memory: a model of ZooKeeper for tests and simulation, held to the same
// contract by storetest. It starts no goroutine, asks no clock and no randomness: the same calls in the same
// order give the same tree, stamps and sessions included. A Tree and its Clients are safe for several goroutines.
package memory

import (
	"maps"
	"slices"
	"sync"

	"github.com/grigri/grigri/state"
)

// Controller, given to Connect, makes a client that may do everything, as a controller's certificate does.
const Controller state.Principal = "controller"

// A Tree is what the servers hold.
type Tree struct {
	// Key, if it is set before the first Prove, is what credentials are held against. Without it every one is believed.
	Key state.Key

	mu       sync.Mutex // guards what is below, and everything in the clients and watches of the tree
	nodes    map[string]*node
	stamp    state.Stamp
	sessions int64
	watchers map[string]map[*watch]kinds
}

type node struct {
	state.Node
	acl      state.ACL
	creates  int // of children, ever: the next number of a sequence
	children map[string]bool
	sorted   []string // the names of the children, or nil when they have changed
}

// New returns a tree that has only its root, which is open to controllers alone.
func New() *Tree {
	return &Tree{nodes: map[string]*node{"/": {}}, watchers: map[string]map[*watch]kinds{}}
}

// Connect opens a client with a session of its own. It has already proved the principals.
func (t *Tree) Connect(principals ...state.Principal) *Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &Client{tree: t, proved: map[state.Principal]bool{}, watches: map[*watch]bool{}}
	for _, p := range principals {
		c.proved[p] = true
	}
	c.newSession()
	return c
}

// Paths returns the path of every node, sorted.
func (t *Tree) Paths() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.nodes))
}

// ACL returns the access to the node at path.
func (t *Tree) ACL(path string) (state.ACL, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[path]
	if n == nil {
		return state.ACL{}, false
	}
	return n.acl, true
}

// endSession removes the ephemeral nodes of a session, all in one change.
func (t *Tree) endSession(id int64) {
	var paths []string
	for path, n := range t.nodes {
		if n.Session == id && id != 0 {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return
	}
	t.stamp++
	for _, path := range paths {
		t.remove(path)
		t.changed(path, data|children)
		t.changed(parent(path), children)
	}
}

func (t *Tree) insert(path string, n *node) {
	t.nodes[path] = n
	up := t.nodes[parent(path)]
	if up.children == nil {
		up.children = map[string]bool{}
	}
	up.children[base(path)] = true
	up.sorted = nil
	up.Children++
}

func (t *Tree) remove(path string) {
	delete(t.nodes, path)
	up := t.nodes[parent(path)]
	delete(up.children, base(path))
	up.sorted = nil
	up.Children--
}

func (n *node) names() []string {
	if n.sorted == nil {
		n.sorted = slices.Sorted(maps.Keys(n.children))
	}
	return slices.Clone(n.sorted)
}
