// Package socket listens and calls on unix sockets that lie at paths of any length, and are for root and their own user alone.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Listener is a socket that is listened on. Errors name what it is for and its path.
type Listener struct {
	path, purpose string
	listener      *net.UnixListener
}

// Listen makes the socket at path, in the place of one that an earlier process has left. Whoever may connect waits from then
// on; he is answered while Run runs. The purpose is for errors: "hook tools".
func Listen(path, purpose string) (*Listener, error) {
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", purpose, path, err)
	}
	return &Listener{path, purpose, l}, nil
}

func listen(path string) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	name, done, err := address(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // of a long path it would be another file
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close gives up a Listener that never runs.
func (l *Listener) Close() error { return errors.Join(l.listener.Close(), os.Remove(l.path)) }

// Run lets answer answer each caller, several at once, until ctx ends. Then it waits for them and removes the socket. Answer closes
// the connection. Run is called once.
func (l *Listener) Run(ctx context.Context, answer func(context.Context, *net.UnixConn)) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { l.listener.Close() })
	defer stop()
	defer os.Remove(l.path)
	for {
		conn, err := l.listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			return g.Wait()
		case errors.Is(err, net.ErrClosed):
			return errors.Join(g.Wait(), fmt.Errorf("answer %s on %s: %w", l.purpose, l.path, err))
		case err != nil: // out of descriptors: those in use will end
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		g.Go(func() error { answer(ctx, conn); return nil })
	}
}

// Dial calls the socket at path.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	name, done, err := address(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", name)
}

// maxAddress is the longest path that fits into the address of a unix socket.
const maxAddress = 107

// address is a name of path that fits into an address. One that is too long is reached through its directory, which the kernel
// offers under a short name until done is called.
func address(path string) (name string, done func(), err error) {
	if len(path) <= maxAddress {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}
