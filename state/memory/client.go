package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/grigri/grigri/state"
)

// A Client is one connection to a Tree: a state.Store, and what a test may do to it.
type Client struct {
	tree *Tree // its mu guards all of this

	proved   map[state.Principal]bool
	watches  map[*watch]bool
	session  state.Session
	lost     chan struct{} // session.Lost, to be closed
	isLost   bool
	expired  bool          // the server has ended the session and the client does not know yet
	cut      chan struct{} // not nil while there is no connection; closed by Heal
	blocking bool          // a cut client's calls wait instead of failing
	mute     int           // how many of the next commits lose their reply
	closed   bool
}

var _ state.Store = (*Client)(nil)

// errClosed is what every call of a closed client returns.
var errClosed = errors.New("the client is closed")

// Get implements state.Store.
func (c *Client) Get(ctx context.Context, path string) (state.Node, error) {
	n, err := c.read(ctx, path)
	if err != nil {
		return state.Node{}, fmt.Errorf("get %s: %w", path, err)
	}
	defer c.tree.mu.Unlock()
	out := n.Node
	out.Data = slices.Clone(n.Data)
	return out, nil
}

// Children implements state.Store.
func (c *Client) Children(ctx context.Context, path string) ([]string, error) {
	n, err := c.read(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("children of %s: %w", path, err)
	}
	defer c.tree.mu.Unlock()
	if n.Node.Children > state.MaxChildren {
		return nil, fmt.Errorf("children of %s: %d are more than %d: %w", path, n.Node.Children, state.MaxChildren, state.ErrTooLarge)
	}
	return n.names(), nil
}

// read finds the node at path for reading. The tree is locked when there is no error.
func (c *Client) read(ctx context.Context, path string) (*node, error) {
	if err := state.ValidPath(path); err != nil {
		return nil, err
	}
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	c.notice()
	n := c.tree.nodes[path]
	switch {
	case n == nil:
		c.tree.mu.Unlock()
		return nil, state.ErrNotFound
	case !c.may(n.acl.Read):
		c.tree.mu.Unlock()
		return nil, state.ErrDenied
	}
	return n, nil
}

// Session implements state.Store.
func (c *Client) Session(ctx context.Context) (state.Session, error) {
	if err := c.enter(ctx); err != nil {
		return state.Session{}, fmt.Errorf("session: %w", err)
	}
	defer c.tree.mu.Unlock()
	c.notice()
	if c.isLost { // only suspected: the same session, alive after all
		c.renew(c.session.ID)
	}
	return c.session, nil
}

// Prove implements state.Store. As with ZooKeeper, a wrong secret is no error: it proves nothing.
func (c *Client) Prove(ctx context.Context, cred state.Credential) error {
	if err := c.enter(ctx); err != nil {
		return fmt.Errorf("prove %s: %w", cred.Principal, err)
	}
	defer c.tree.mu.Unlock()
	c.notice()
	if k := c.tree.Key; k != nil && k.Credential(cred.Principal) != cred {
		return nil
	}
	if cred.Principal == Controller || c.proved[cred.Principal] {
		return nil
	}
	c.proved[cred.Principal] = true
	for w := range c.watches {
		for path := range w.wants {
			if slices.Contains(state.ACLFor(path).Read, cred.Principal) {
				w.mark(path)
			}
		}
	}
	return nil
}

// enter locks the tree once there is a connection.
func (c *Client) enter(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.tree.mu.Lock()
		cut, blocking, closed := c.cut, c.blocking, c.closed
		if closed {
			c.tree.mu.Unlock()
			return errClosed
		}
		if cut == nil {
			return nil
		}
		c.tree.mu.Unlock()
		if !blocking {
			return fmt.Errorf("the connection is cut: %w", state.ErrUnknown)
		}
		select {
		case <-cut:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", state.ErrUnknown, ctx.Err())
		}
	}
}

// may says whether the client has proved one of the principals. Controllers may everything.
func (c *Client) may(list []state.Principal) bool {
	if c.proved[Controller] {
		return true
	}
	for _, p := range list {
		if c.proved[p] {
			return true
		}
	}
	return false
}

func (c *Client) newSession() {
	c.tree.sessions++
	c.renew(c.tree.sessions)
}

func (c *Client) renew(id int64) {
	c.lost, c.isLost, c.expired = make(chan struct{}), false, false
	c.session = state.Session{ID: id, Lost: c.lost}
}

// lose tells the client that its session may have expired.
func (c *Client) lose() {
	if !c.isLost {
		c.isLost = true
		close(c.lost)
	}
}

// notice makes an expiry known to the client, and says whether there was one.
func (c *Client) notice() bool {
	if !c.expired {
		return false
	}
	c.lose()
	c.newSession()
	c.markAll()
	return true
}
