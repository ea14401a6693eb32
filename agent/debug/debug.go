// Package debug is how a person runs the hooks of a unit by hand. Whoever debugs has a Session on the unit's machine: a tmux of
// its own, and a socket in the unit's directory. Before each hook the unit's agent calls that socket, with Ask. Where nobody listens the hook runs as
// always; otherwise it is what the session's window makes of it, for as long as both sides hold the connection. So neither keeps a
// record of the other, and both may start again.
package debug

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"time"

	"github.com/grigri/grigri/internal/socket"
)

// A Hook is a hook or an action that is to run.
type Hook struct {
	Name   string   `json:"name"`
	Script string   `json:"script,omitempty"` // the charm's program for it; empty when it has none
	Dir    string   `json:"dir"`              // the charm's
	Env    []string `json:"env"`              // the whole environment
}

// An answer is first whether the session takes the hook, then how that ended.
type answer struct {
	Taken bool   `json:"taken,omitempty"`
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"` // why nobody knows how it ended
}

// prompt is how long a session may take to say whether it takes a hook: one that says nothing has been stopped.
const prompt = 5 * time.Second

// Ask offers the hook to whoever debugs the unit whose directory is dir, and returns its exit status when he is done with it. It
// is not taken when nobody debugs the unit, or not this hook. When ctx ends, its window is closed.
func Ask(ctx context.Context, dir string, h Hook) (code int, taken bool, err error) {
	conn, err := socket.Dial(ctx, socketPath(dir))
	if err != nil {
		return 0, false, nil // the common case
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	said := json.NewDecoder(conn)
	var a answer
	if conn.SetDeadline(time.Now().Add(prompt)) != nil || json.NewEncoder(conn).Encode(h) != nil || said.Decode(&a) != nil || !a.Taken {
		return 0, false, nil
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return 0, true, err
	}
	switch err := said.Decode(&a); {
	case err != nil:
		return 0, true, errors.New("the debug session ended before its window was left")
	case a.Error != "":
		return 0, true, errors.New(a.Error)
	}
	return a.Code, true, nil
}

// answer gives one hook of the agent's a window, if it is wanted.
func (s *session) answer(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	ctx, hungUp := context.WithCancel(ctx)
	defer hungUp()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	said, say := json.NewDecoder(conn), json.NewEncoder(conn)
	var h Hook
	if said.Decode(&h) != nil {
		return
	}
	taken := s.wants(h)
	if say.Encode(answer{Taken: taken}) != nil || !taken {
		return
	}
	s.waits.Go(func() error {
		var nothing any
		_ = said.Decode(&nothing) // until the agent hangs up, or we do
		hungUp()
		return nil
	})
	code, err := s.window(ctx, h)
	a := answer{Code: code}
	if err != nil {
		a.Error = err.Error()
	}
	_ = say.Encode(a)
}

// home is the directory of a unit's session.
func home(dir string) string { return filepath.Join(dir, "debug") }

func socketPath(dir string) string { return filepath.Join(home(dir), "hooks.socket") }
