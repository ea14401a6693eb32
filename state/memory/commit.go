package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/state"
)

// Commit implements state.Store.
func (c *Client) Commit(ctx context.Context, t state.Txn) ([]string, error) {
	if len(t.Ops) == 0 {
		return nil, nil
	}
	if err := t.Valid(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	if err := c.enter(ctx); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	defer c.tree.mu.Unlock()
	if c.notice() {
		return nil, fmt.Errorf("commit: the session has expired: %w", state.ErrUnknown)
	}
	for i, op := range t.Ops {
		if err := c.canGrant(op); err != nil {
			return nil, t.Failed(i, err)
		}
	}
	b := batch{c: c, tree: c.tree, stamp: c.tree.stamp + 1}
	for i, op := range t.Ops {
		if err := b.apply(op); err != nil {
			b.rollback()
			return nil, c.reply(t.Failed(i, err))
		}
	}
	c.tree.stamp = b.stamp
	for _, e := range b.events {
		c.tree.changed(e.path, e.kinds)
	}
	if err := c.reply(nil); err != nil {
		return nil, err
	}
	return b.created, nil
}

// canGrant refuses a node whose access names someone whose secret the client does not hold. It asks no server.
func (c *Client) canGrant(op state.Op) error {
	if op.Kind != state.OpCreate {
		return nil
	}
	for _, p := range state.ACLFor(op.Path).Principals() {
		if _, _, machine := p.Machine(); !machine && !c.may([]state.Principal{p}) {
			return fmt.Errorf("%s has access to it, and this client does not hold its secret: %w", p, state.ErrDenied)
		}
	}
	return nil
}

// reply is err, unless the reply is lost.
func (c *Client) reply(err error) error {
	if c.mute > 0 {
		c.mute--
		return fmt.Errorf("commit: the reply was lost: %w", state.ErrUnknown)
	}
	return err
}

// A batch is a Txn under way: what it has done is in the tree already, and can be undone.
type batch struct {
	c       *Client
	tree    *Tree
	stamp   state.Stamp
	created []string
	undo    []func()
	events  []event
}

type event struct {
	path  string
	kinds kinds
}

func (b *batch) rollback() {
	for _, u := range slices.Backward(b.undo) {
		u()
	}
}

func (b *batch) apply(op state.Op) error {
	if op.Kind == state.OpCreate {
		return b.create(op)
	}
	n := b.tree.nodes[op.Path]
	switch op.Kind {
	case state.OpCheck:
		return b.match(n, op, func(n *node) []state.Principal { return n.acl.Read })
	case state.OpSet:
		if err := b.match(n, op, func(n *node) []state.Principal { return n.acl.Write }); err != nil {
			return err
		}
		data0, version, stamp := n.Data, n.Version, n.Stamp
		b.undo = append(b.undo, func() { n.Data, n.Version, n.Stamp = data0, version, stamp })
		n.Data, n.Version, n.Stamp = slices.Clone(op.Data), n.Version+1, b.stamp
		b.events = append(b.events, event{op.Path, data})
		return nil
	}
	return b.delete(op, n)
}

// match is the test that a node is there, open to the client if access is not nil, and at the version of op.
func (b *batch) match(n *node, op state.Op, access func(*node) []state.Principal) error {
	switch {
	case n == nil:
		return fmt.Errorf("there is no such node: %w", state.ErrConflict)
	case access != nil && !b.c.may(access(n)):
		return state.ErrDenied
	case op.Version != state.Any && op.Version != n.Version:
		return fmt.Errorf("it is at version %d, not %d: %w", n.Version, op.Version, state.ErrConflict)
	}
	return nil
}

func (b *batch) create(op state.Op) error {
	up := b.tree.nodes[parent(op.Path)]
	switch {
	case up == nil:
		return fmt.Errorf("there is no node above it: %w", state.ErrConflict)
	case !b.c.may(up.acl.Create):
		return state.ErrDenied
	}
	path := op.Path
	if op.Sequence {
		path = fmt.Sprintf("%s%010d", path, up.creates)
	}
	switch {
	case b.tree.nodes[path] != nil:
		return fmt.Errorf("it exists: %w", state.ErrConflict)
	case up.Session != 0:
		return fmt.Errorf("the node above it is ephemeral: %w", state.ErrConflict)
	}
	n := &node{Node: state.Node{Data: slices.Clone(op.Data), Stamp: b.stamp, Created: b.stamp}, acl: state.ACLFor(op.Path)}
	if op.Ephemeral {
		n.Session = b.c.session.ID
	}
	up.creates++
	b.tree.insert(path, n)
	b.undo = append(b.undo, func() { b.tree.remove(path); up.creates-- })
	b.events = append(b.events, event{path, data | children}, event{parent(path), children})
	b.created = append(b.created, path)
	return nil
}

func (b *batch) delete(op state.Op, n *node) error {
	up := b.tree.nodes[parent(op.Path)]
	switch {
	case up == nil:
		return fmt.Errorf("there is no node above it: %w", state.ErrConflict)
	case !b.c.may(up.acl.Delete): // said before whether there is such a node
		return state.ErrDenied
	}
	if err := b.match(n, op, nil); err != nil {
		return err
	}
	if n.Children > 0 {
		return fmt.Errorf("it has %d children: %w", n.Children, state.ErrConflict)
	}
	b.tree.remove(op.Path)
	b.undo = append(b.undo, func() { b.tree.insert(op.Path, n) })
	b.events = append(b.events, event{op.Path, data | children}, event{parent(op.Path), children})
	return nil
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/"
	}
	return path[:i]
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
