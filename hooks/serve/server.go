// Package serve answers the hook tools of running hooks: what they may ask, what they may change, and in which words.
package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/grigri/grigri/hooks/wire"
	"github.com/grigri/grigri/internal/socket"
)

// A Server answers on one socket, for the hooks of one unit.
type Server struct {
	socket *socket.Listener

	mu       sync.Mutex
	sessions map[string]*Session
}

// Listen makes the socket at path, in the place of one that an earlier process has left. Tools may call from then on;
// they are answered while Run runs.
func Listen(path string) (*Server, error) {
	l, err := socket.Listen(path, "hook tools")
	if err != nil {
		return nil, err
	}
	return &Server{socket: l, sessions: map[string]*Session{}}, nil
}

// Close gives up a server that never runs.
func (s *Server) Close() error { return s.socket.Close() }

// Run answers until ctx ends, and removes the socket. It is called once.
func (s *Server) Run(ctx context.Context) error { return s.socket.Run(ctx, s.answer) }

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
