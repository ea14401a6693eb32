package zk

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// A wire makes the library's connections, and knows when a server was last heard.
type wire struct {
	cfg     Config
	started time.Time

	contact atomic.Int64 // when a byte last came from a server, in nanoseconds since started
	timeout atomic.Int64 // of the session: as we ask for it, then as the server has it

	mu      sync.Mutex // guards what is below
	again   bool       // there was a connection or a try before
	late    int        // tries since the last session that the servers did not answer in time: they have much to do
	current net.Conn
	err     error // of the last connection or try
}

func newWire(cfg Config) *wire {
	w := &wire{cfg: cfg, started: time.Now()}
	w.timeout.Store(int64(cfg.Timeout))
	return w
}

func (w *wire) touch() { w.contact.Store(int64(time.Since(w.started))) }

// silence is how long no server was heard.
func (w *wire) silence() time.Duration {
	return time.Since(w.started) - time.Duration(w.contact.Load())
}

// sessionTimeout is how long the server keeps a session of which it hears nothing.
func (w *wire) sessionTimeout() time.Duration { return time.Duration(w.timeout.Load()) }

// patience is how long we wait for a server that we have a session with; introduction for one that we have just
// met: less, so that there is time to meet another before the session ends. Once all were late it is longer each time: else the
// servers would do for ever what nobody waits for, when a thousand clients come at once.
func (w *wire) patience() time.Duration     { return w.sessionTimeout() * 2 / 3 }
func (w *wire) introduction() time.Duration { return w.sessionTimeout() / 3 << w.rounds() }

// rounds is how often all servers were late, as far as that matters.
func (w *wire) rounds() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(w.late/len(w.cfg.Servers), 3)
}

// tooLate notes that a server has not answered in time.
func (w *wire) tooLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late++
}

// dialer makes the library's Dialer, which fails once life has ended. The library's time limit of a second is not ours.
// After a lost connection it waits a moment, as long as chance has it, so that not all clients of a server that
// died meet at the next.
func (w *wire) dialer(life context.Context) zk.Dialer {
	return func(_, address string, _ time.Duration) (net.Conn, error) {
		w.mu.Lock()
		again := w.again
		w.again = true
		w.mu.Unlock()
		if again {
			pause(life, rand.N(min(w.sessionTimeout()/10, time.Second)<<w.rounds()))
		}
		ctx, cancel := context.WithTimeout(life, w.introduction())
		defer cancel()
		nc, err := w.connect(ctx, address)
		if err != nil {
			if ctx.Err() != nil {
				w.tooLate()
			}
			err = fmt.Errorf("connect to %s: %w", address, err)
			w.failed(err)
			return nil, err
		}
		w.hangUp() // the library leaves the connection open on which it heard that its session has expired
		w.mu.Lock()
		defer w.mu.Unlock()
		w.current = nc
		return &conn{Conn: nc, wire: w, address: address}, nil
	}
}

func (w *wire) connect(ctx context.Context, address string) (net.Conn, error) {
	nc, err := w.cfg.Dial(ctx, "tcp", address)
	if err != nil || w.cfg.TLS == nil {
		return nc, err
	}
	conf := w.cfg.TLS.Clone()
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(address)
	}
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // perhaps it is closed already
		return nil, err
	}
	return tc, nil
}

func (w *wire) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// trouble is why the last connection or try ended.
func (w *wire) trouble() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// hangUp closes the connection that there is, whoever waits for it.
func (w *wire) hangUp() {
	w.mu.Lock()
	nc := w.current
	w.current = nil
	w.mu.Unlock()
	if nc != nil {
		_ = nc.Close() // which may take a while
	}
}

// expired notes that a server is good, though it gave us no session: the next try may follow at once.
func (w *wire) expired() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.again = false
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A conn never waits for ever: the library sets no deadline, or a far one, where a server may fall silent.
type conn struct {
	net.Conn
	wire    *wire
	address string
	answer  []byte // how the server's answer to our request for a session begins
}

// The answer to a request for a session: length, version, timeout, session, password.
const (
	answerTimeout = 8
	answerSession = 12
	answerHead    = 20
)

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.wire.touch()
		c.learn(p[:n])
	}
	if err != nil {
		if len(c.answer) < answerHead && errors.Is(err, os.ErrDeadlineExceeded) {
			c.wire.tooLate()
		}
		c.wire.failed(fmt.Errorf("read from %s: %w", c.address, err))
	}
	return n, err
}

// Write never fails. The library would answer twice to whoever waits for the answer to what it could not write, and when that is itself,
// showing a credential, it would wait for ever. A connection that cannot be written to is closed instead, and whoever reads it hears that.
func (c *conn) Write(p []byte) (int, error) {
	if _, err := c.Conn.Write(p); err != nil {
		c.wire.failed(fmt.Errorf("write to %s: %w", c.address, err))
		_ = c.Close()
	}
	return len(p), nil
}

// learn reads the server's timeout from its answer: the library does not tell.
func (c *conn) learn(p []byte) {
	if len(c.answer) == answerHead {
		return
	}
	c.answer = append(c.answer, p[:min(len(p), answerHead-len(c.answer))]...)
	if len(c.answer) < answerHead {
		return
	}
	ms, session := binary.BigEndian.Uint32(c.answer[answerTimeout:]), binary.BigEndian.Uint64(c.answer[answerSession:])
	if ms > 0 && session != 0 {
		c.wire.timeout.Store(int64(time.Duration(ms) * time.Millisecond))
		c.wire.mu.Lock()
		c.wire.late = 0
		c.wire.mu.Unlock()
	}
}

// latest is the time at which patience ends.
func (c *conn) latest() time.Time {
	if len(c.answer) < answerHead {
		return time.Now().Add(c.wire.introduction())
	}
	return time.Now().Add(c.wire.patience())
}

func (c *conn) SetReadDeadline(t time.Time) error {
	if latest := c.latest(); t.IsZero() || t.After(latest) {
		t = latest
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	if latest := c.latest(); t.After(latest) {
		t = latest
	}
	return c.Conn.SetWriteDeadline(t)
}

// hosts is the library's HostProvider. It keeps names: the Dialer looks them up.
type hosts struct {
	done    <-chan struct{} // closed with the Store
	servers []string

	mu    sync.Mutex // guards what is below
	next  int
	tried int // since the last that was good
}

// Init implements the library's HostProvider. The library has put the servers in random order.
func (h *hosts) Init(servers []string) error {
	h.servers = servers
	return nil
}

// Len implements the library's HostProvider.
func (h *hosts) Len() int { return len(h.servers) }

// Next implements the library's HostProvider. When all were tried the library rests for a second, and tells whoever
// waits that there is no server.
func (h *hosts) Next() (server string, retryStart bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.servers[h.next]
	h.next = (h.next + 1) % len(h.servers)
	if h.tried == len(h.servers) {
		retryStart, h.tried = true, 0
	}
	h.tried++
	select {
	case <-h.done: // the library asks whether to go on only when it rests
		return server, true
	default:
		return server, retryStart
	}
}

// Connected implements the library's HostProvider.
func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried = 0
}
