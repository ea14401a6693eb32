package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"github.com/grigri/grigri/internal/socket"
)

// patience is how long a caller waits for an agent that does not listen yet: it may just be starting.
const patience = 15 * time.Second

// A Call is a request that an agent has answered. What the agent keeps for the caller, such as a lock, ends with Close.
type Call struct {
	Response
	conn net.Conn
}

// Close hangs up.
func (c *Call) Close() error { return c.conn.Close() }

// Do asks the agent whose directory is dir, and waits for its answer as long as it takes. Once an agent has taken the request it is not made again: it may have been carried out.
func Do(ctx context.Context, dir string, r Request) (*Call, error) {
	conn, err := dial(ctx, filepath.Join(dir, SocketName))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c := &Call{conn: conn}
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return nil, errors.Join(fmt.Errorf("ask the agent: %w", err), conn.Close())
	}
	err = json.NewDecoder(conn).Decode(&c.Response)
	switch {
	case ctx.Err() != nil:
		return nil, errors.Join(context.Cause(ctx), conn.Close())
	case errors.Is(err, io.EOF):
		err = errors.New("the agent has ended before it was done: what ran was killed, and is not run again")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the agent's answer: %w", err), conn.Close())
	}
	return c, nil
}

// dial connects to the socket. While its directory is there and nobody listens, an agent may be starting.
func dial(ctx context.Context, path string) (net.Conn, error) {
	for giveUp := time.Now().Add(patience); ; {
		conn, err := socket.Dial(ctx, path)
		if err == nil {
			return conn, nil
		}
		starting := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("permission denied: only root may do this (%w)", err)
		}
		if !starting || time.Now().After(giveUp) {
			return nil, fmt.Errorf("no agent listens on %s: is grigri-agent running? (%w)", path, err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
