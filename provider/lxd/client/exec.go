package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

// InstanceExecPost is a command to run in an instance.
type InstanceExecPost struct {
	Command     []string          `json:"command"`
	Environment map[string]string `json:"environment,omitempty"`
	User        uint32            `json:"user"`
	Group       uint32            `json:"group"`
	Cwd         string            `json:"cwd,omitempty"`
	WaitForWS   bool              `json:"wait-for-websocket"`
}

// InstanceExecArgs is where a command writes. It reads nothing.
type InstanceExecArgs struct {
	Stdout io.Writer // both may be the same
	Stderr io.Writer
}

// The names under which LXD has the streams of a command.
var streams = []string{"control", "0", "1", "2"}

// ExecInstance runs a command to its end and returns the status with which it has exited. When ctx ends the command is killed.
func (s *InstanceServer) ExecInstance(ctx context.Context, name string, post InstanceExecPost, args InstanceExecArgs) (int, error) {
	post.WaitForWS = true
	status, err := s.exec(ctx, name, post, args)
	if err != nil {
		return 0, fmt.Errorf("run %s in %s: %w", post.Command[0], name, err)
	}
	return status, nil
}

func (s *InstanceServer) exec(ctx context.Context, name string, post InstanceExecPost, args InstanceExecArgs) (int, error) {
	var info struct {
		Metadata struct {
			FDs map[string]string `json:"fds"`
		} `json:"metadata"`
	}
	a, err := s.query(ctx, http.MethodPost, path("instances", name, "exec"), post, "", &info)
	if err != nil {
		return 0, err
	}
	op, err := s.operation(a.Operation)
	if err != nil {
		return 0, err
	}
	conns := map[string]*websocket.Conn{}
	defer func() { // closed without a word, which for a command that still runs is death
		for _, c := range conns {
			c.CloseNow()
		}
	}()
	for _, fd := range streams {
		c, err := s.websocket(ctx, path("operations", op.id, "websocket"), url.Values{"secret": {info.Metadata.FDs[fd]}})
		if err != nil {
			return 0, err
		}
		c.SetReadLimit(-1)
		conns[fd] = c
	}
	conns["0"].Write(ctx, websocket.MessageText, nil) // the end of what it reads; a command that has ended already does not mind
	var writing sync.Mutex
	g, outputs := errgroup.WithContext(ctx)
	for fd, w := range map[string]io.Writer{"1": args.Stdout, "2": args.Stderr} {
		g.Go(func() error {
			err := receive(outputs, conns[fd], w, &writing)
			if broken := (readError{}); errors.As(err, &broken) && ctx.Err() == nil {
				return &LostError{What: "read what " + post.Command[0] + " writes", Endpoint: s.args.Endpoint, Err: broken.error}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	last, err := op.byAsking(ctx)
	if err != nil {
		return 0, err
	}
	status, ok := last.Metadata["return"].(float64)
	if !ok {
		return 0, fmt.Errorf("LXD does not say how it ended: %w", last.result())
	}
	return int(status), nil
}

// A readError is of a stream, and not of whoever writes what is read there.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// receive writes what a command writes, until it has closed that stream. LXD says so with a message of text.
func receive(ctx context.Context, c *websocket.Conn, w io.Writer, writing *sync.Mutex) error {
	for {
		kind, data, err := c.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure || err == nil && kind == websocket.MessageText {
			return nil
		}
		if err != nil {
			return readError{err}
		}
		writing.Lock()
		_, err = w.Write(data)
		writing.Unlock()
		if err != nil {
			return err
		}
	}
}
