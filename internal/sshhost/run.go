package sshhost

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/provider"
)

// What runs on the host. Neither has a single quote in it. Each begins by reading the line "begin", so that
// a password that sudo has not asked for is not taken for anything else.
var (
	//go:embed run.sh
	runner string
	//go:embed put.sh
	putter string
)

// end is the last line of a script that has come whole.
const end = "\n#end of script"

// Run implements provider.Host. A script whose context ends, or whose connection breaks, is ended with all that it has started
// in its own process group. The script is in no list of processes.
func (h *Host) Run(ctx context.Context, script string, out io.Writer) error {
	script += end
	return h.root(ctx, runner, out, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d\n%s", len(script), script)
		return err
	}, false)
}

// Put implements provider.Host. The host adds up what has come before the file gets its name.
func (h *Host) Put(ctx context.Context, name string, mode uint32, r io.Reader) error {
	if !path.IsAbs(name) || strings.ContainsAny(name, "\n\x00") {
		return fmt.Errorf("write %q on %s: it is no absolute path", name, h.Target)
	}
	var said strings.Builder
	err := h.root(ctx, putter, &said, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s\n%o\n", name, mode&0o7777); err != nil {
			return err
		}
		sum := sha256.New()
		if _, err := io.Copy(io.MultiWriter(w, sum), r); err != nil {
			return err
		}
		_, err := io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
		return err
	}, true)
	if err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			err = fmt.Errorf("%s: %w", text, err)
		}
		return fmt.Errorf("write %s on %s: %w", name, h.Target, err)
	}
	return nil
}

// root runs our own text as root. Feed writes what it reads; eof says that it reads to the end.
func (h *Host) root(ctx context.Context, text string, out io.Writer, feed func(io.Writer) error, eof bool) error {
	return h.exec(ctx, h.sudo.command()+"sh -c '"+text+"'", out, func(w io.Writer) error {
		if _, err := io.WriteString(w, h.sudo.first()+"begin\n"); err != nil {
			return err
		}
		return feed(w)
	}, eof)
}

// exec runs a command of the login shell.
func (h *Host) exec(ctx context.Context, command string, out io.Writer, feed func(io.Writer) error, eof bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	session, err := h.client.NewSession()
	if err != nil {
		return h.notBegun(err)
	}
	defer session.Close()
	both := &oneAtATime{w: out}
	session.Stdout, session.Stderr = both, both
	stdin, err := session.StdinPipe()
	if err != nil {
		return err
	}
	if err := session.Start(command); err != nil {
		return h.notBegun(err)
	}
	defer context.AfterFunc(ctx, func() { session.Close() })()
	var silent atomic.Bool
	var g errgroup.Group
	alive, done := context.WithCancel(ctx)
	g.Go(func() error { h.keepAlive(alive, &silent); return nil })
	var fed error
	g.Go(func() error {
		fed = feed(stdin)
		if fed != nil || eof {
			stdin.Close()
		}
		return nil
	})
	err = session.Wait()
	done()
	session.Close()
	_ = g.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case silent.Load():
		return errSilent
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		if exit.Signal() != "" {
			return fmt.Errorf("ended by signal %s", exit.Signal())
		}
		if fed != nil && !errors.Is(fed, io.EOF) { // the host has noticed what we have not sent
			return fed
		}
		return &provider.ExitError{Status: exit.ExitStatus()}
	}
	if err != nil {
		return fmt.Errorf("the connection is broken: %w", err)
	}
	return fed
}

// notBegun says of a command that was not begun whether the host refuses it or has gone: the library's errors do not tell.
func (h *Host) notBegun(err error) error {
	var silent atomic.Bool
	switch {
	case h.alive(&silent):
		return fmt.Errorf("the host starts no command: %w", err)
	case silent.Load():
		return errSilent
	}
	return fmt.Errorf("the connection is broken: %w", err)
}

// oneAtATime lets stdout and stderr, which come at once, write to one writer.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w == nil {
		return len(p), nil
	}
	return o.w.Write(p)
}
