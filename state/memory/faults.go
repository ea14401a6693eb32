package memory

// What a test may do to a client.

// Expire ends the client's session on the server, and the client knows: its ephemeral nodes go, Lost closes,
// everything it watches is dirty, and it goes on with a new session.
func (c *Client) Expire() {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	c.tree.endSession(c.session.ID)
	c.expired = true
	if c.cut != nil {
		c.lose() // by its own clock; the new session comes with the connection
		return
	}
	c.notice()
}

// ExpireUnnoticed ends the session on the server as if the client slept: it learns of it with its next call. If that
// is a Commit, its outcome is unknown, and nothing was done.
func (c *Client) ExpireUnnoticed() {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	c.expired = true // first: its watches stay silent
	c.tree.endSession(c.session.ID)
}

// Suspect closes Lost, as the client's own clock does after too long a silence, though the session lives on.
func (c *Client) Suspect() {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	c.lose()
}

// Cut breaks the connection: until Heal every call fails at once with state.ErrUnknown and does nothing, and no
// watch reports. The session lives on.
func (c *Client) Cut() { c.setCut(false) }

// Block is Cut, but calls wait until Heal or the end of their context.
func (c *Client) Block() { c.setCut(true) }

func (c *Client) setCut(blocking bool) {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	c.blocking = blocking
	if c.cut == nil {
		c.cut = make(chan struct{})
	}
}

// Heal ends a Cut or Block. Everything that is watched is dirty.
func (c *Client) Heal() {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	if c.cut == nil {
		return
	}
	close(c.cut)
	c.cut = nil
	if !c.notice() {
		c.markAll()
	}
}

// LoseReply makes the next Commit that reaches the tree return state.ErrUnknown, whatever it does there.
func (c *Client) LoseReply() {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	c.mute++
}

// Close ends the session: its ephemeral nodes go at once. Every later call fails.
func (c *Client) Close() error {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.tree.endSession(c.session.ID)
	c.lose()
	for w := range c.watches {
		w.end()
	}
	if c.cut != nil {
		close(c.cut)
		c.cut = nil
	}
	return nil
}
