package wiretest

import (
	"bytes"
	"net"
	"slices"
)

// CutStreams ends the connections on which websockets of the kind are, or with "" all. It returns how many these were.
func (w *Wire) CutStreams(kind string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.streams = slices.DeleteFunc(w.streams, func(c *conn) bool {
		cut := kind == "" || c.kind == kind
		if cut {
			c.Close()
			n++
		}
		return cut
	})
	return n
}

// Deafen has websockets of the kind pass nothing on to the client, if they are opened between now and Mend.
func (w *Wire) Deafen(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = kind
}

// A listener's connections notice when they become websockets.
type listener struct {
	net.Listener
	w *Wire
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &conn{Conn: c, w: l.w}, err
}

// What is in a conn belongs to whoever answers on it.
type conn struct {
	net.Conn
	w      *Wire
	kind   string // of the request that asked for a websocket
	stream bool   // it is one
	deaf   bool
}

func (c *conn) Write(p []byte) (int, error) {
	if c.deaf {
		return len(p), nil
	}
	if !c.stream && bytes.HasPrefix(p, []byte("HTTP/1.1 101 ")) {
		c.stream = true
		c.w.mu.Lock()
		c.w.streams = append(c.w.streams, c)
		c.deaf = c.w.deaf != "" && c.w.deaf == c.kind
		c.w.mu.Unlock()
	}
	return c.Conn.Write(p)
}
