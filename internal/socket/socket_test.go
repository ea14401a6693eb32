package socket_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/socket"
)

// A caller is answered at a short path and at one that fits into no address, and Run waits for the answers that are being given.
func TestDial(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "s")
		if _, err := socket.Dial(t.Context(), path); err == nil {
			t.Error("a call is taken where nobody listens")
		}
		l, err := socket.Listen(path, "a test")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running errgroup.Group
		running.Go(func() error {
			return l.Run(ctx, func(ctx context.Context, conn *net.UnixConn) {
				defer conn.Close()
				if _, err := io.WriteString(conn, "hello"); err != nil {
					t.Error(err)
				}
				<-ctx.Done()
				if _, err := io.WriteString(conn, ", goodbye"); err != nil {
					t.Error(err)
				}
			})
		})
		conn, err := socket.Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		stop()
		if rest, err := io.ReadAll(conn); string(rest) != ", goodbye" || err != nil {
			t.Errorf("the rest of the answer is %q, %v", rest, err)
		}
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	}
}
