// Package serve answers the hook tools of running hooks: what they may ask, what they may change, and in which words.
package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/grigri/grigri/hooks/wire"
	"golang.org/x/sync/errgroup"
)

// A Server answers on one socket, for the hooks of one unit.
type Server struct {
	path     string
	listener *net.UnixListener

	mu       sync.Mutex
	sessions map[string]*Session
}

// Listen makes the socket at path, in the place of one that an earlier process has left. Tools may call from then on;
// they are answered while Run runs.
func Listen(path string) (*Server, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen for hook tools: %w", err)
		}
	}
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen for hook tools on %s: %w", path, err)
	}
	return &Server{path: path, listener: l, sessions: map[string]*Session{}}, nil
}

// Close gives up a server that never runs.
func (s *Server) Close() error { return errors.Join(s.listener.Close(), os.Remove(s.path)) }

// Run answers until ctx ends, and removes the socket. It is called once.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	defer os.Remove(s.path)
	for {
		conn, err := s.listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			return g.Wait()
		case errors.Is(err, net.ErrClosed):
			return errors.Join(g.Wait(), fmt.Errorf("answer hook tools on %s: %w", s.path, err))
		case err != nil: // out of descriptors: those in use will end
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		g.Go(func() error { s.answer(ctx, conn); return nil })
	}
}

// Begin opens a session for a hook that is about to run. Its End must be called.
func (s *Server) Begin(c Config) *Session {
	session := NewSession(c, token(c))
	session.leave = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, session.token)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[session.token] = session
	return session
}

// token names the hook to whoever reads the environment; what follows cannot be guessed.
func token(c Config) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%s-%s-%s", c.Unit, c.Hook.RunName(), hex.EncodeToString(b[:]))
}

// answer serves one call of one tool. It may come in several requests.
func (s *Server) answer(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for {
		req, err := read(conn)
		if err != nil {
			return
		}
		resp := s.Do(ctx, req)
		if _, err := conn.Write(resp.Append(nil)); err != nil || len(resp.Need) == 0 {
			return
		}
	}
}

// Do answers one request of any of the hooks.
func (s *Server) Do(ctx context.Context, req wire.Request) wire.Response {
	s.mu.Lock()
	session := s.sessions[req.Token]
	s.mu.Unlock()
	if session == nil {
		return wrongToken(req.Token)
	}
	return session.Do(ctx, req)
}

func wrongToken(token string) wire.Response {
	return failure(1, fmt.Errorf("bad request: wrong context ID; got %q", token))
}

func read(conn io.Reader) (wire.Request, error) {
	var header [wire.Header]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return wire.Request{}, err
	}
	n, err := wire.Length(header)
	if err != nil {
		return wire.Request{}, err
	}
	// What is said to come is not believed before it has come.
	frame, err := io.ReadAll(io.LimitReader(conn, int64(n)))
	if err != nil {
		return wire.Request{}, err
	}
	return wire.ParseRequest(frame)
}

// maxAddress is the longest path that fits into the address of a unix socket.
const maxAddress = 107

// listen listens at path, however long. A path that does not fit into an address is reached through
// its directory, which the kernel offers under a short name while it is open.
func listen(path string) (*net.UnixListener, error) {
	address := path
	if len(path) > maxAddress {
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		address = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
