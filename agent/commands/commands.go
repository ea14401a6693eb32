// Package commands is how programs on a machine reach its agents: the socket run.socket that lies in the directory of every unit
// and of the machine, and what is said over it. juju-exec, juju-run and juju_machine_lock are its callers.
package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/socket"
)

// SocketName is the name of the socket, in the directory of a unit or a machine.
const SocketName = "run.socket"

// A Request is what a caller wants: one of its members.
type Request struct {
	Run  *Run   `json:"run,omitempty"`  // of a unit
	Lock string `json:"lock,omitempty"` // of the machine: its lock, in this name, for as long as the caller keeps the connection
	Show bool   `json:"show,omitempty"` // of the machine: who holds its lock, and who waits for it
}

// A Run is shell text to run with the context of a unit's hooks.
type Run struct {
	Text       string `json:"text"`
	Relation   string `json:"relation,omitempty"` // "7" or "db:7"
	RemoteUnit string `json:"remoteUnit,omitempty"`
	RemoteApp  string `json:"remoteApp,omitempty"`
	Force      bool   `json:"force,omitempty"` // the remote unit need not be in the relation
}

// A Response is what came of it. Error is why nothing has run.
type Response struct {
	Error  string `json:"error,omitempty"`
	Code   int    `json:"code"`
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
}

// Fail is the response that nothing has run.
func Fail(why error) Response { return Response{Error: why.Error(), Code: 1} }

// maxRequest is more than any command line has.
const maxRequest = 4 << 20

// A Handler answers one request: it calls reply once, and returns when ctx ends, at which the caller has hung up, or before.
type Handler func(ctx context.Context, r Request, reply func(Response))

// A Server listens on one socket.
type Server struct{ socket *socket.Listener }

// Listen makes the socket in dir, in the place of one that an earlier process has left. Only root and our own user may connect.
func Listen(dir string) (*Server, error) {
	l, err := socket.Listen(filepath.Join(dir, SocketName), "commands")
	if err != nil {
		return nil, err
	}
	return &Server{l}, nil
}

// Run answers until ctx ends, and removes the socket. It is called once.
func (s *Server) Run(ctx context.Context, h Handler) error {
	return s.socket.Run(ctx, func(ctx context.Context, conn *net.UnixConn) { answer(ctx, conn, h) })
}

// answer answers one caller, who says one thing and then hangs up when nothing more is wanted.
func answer(ctx context.Context, conn *net.UnixConn, h Handler) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	reply := func(r Response) { _ = json.NewEncoder(conn).Encode(r) }
	if err := entitled(conn); err != nil {
		reply(Fail(err))
		return
	}
	lines := json.NewDecoder(&limited{conn, maxRequest})
	var r Request
	if err := lines.Decode(&r); err != nil {
		return
	}
	var hangUp errgroup.Group
	hangUp.Go(func() error {
		var nothing any
		_ = lines.Decode(&nothing) // until the caller hangs up, or we do
		cancel()
		return nil
	})
	h(ctx, r, reply)
	conn.Close()
	_ = hangUp.Wait()
}

// limited gives up when too much comes.
type limited struct {
	conn *net.UnixConn
	left int
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("too much was said")
	}
	n, err := l.conn.Read(b)
	l.left -= n
	return n, err
}

// entitled says whether the caller is root or our own user.
func entitled(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var who *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if who.Uid != 0 && int(who.Uid) != os.Geteuid() {
		return fmt.Errorf("permission denied: only root may run commands on the units of a machine, not user %d", who.Uid)
	}
	return nil
}
