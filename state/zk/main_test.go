package zk

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/storetest"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

var (
	server *zktest.Server
	key    = state.Key("key")
	trees  atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(zktest.Main(m, &server)) }

// config is for a controller, with a chroot that is its own.
func config() Config {
	return Config{
		Servers:    []string{server.Addr},
		TLS:        server.Controller(),
		Timeout:    20 * time.Second, // whatever else the machine has to do
		Chroot:     fmt.Sprintf("/test/%d", trees.Add(1)),
		Controller: pki.ControllerName(),
		Machine:    pki.MachineName,
		Secret:     func(p state.Principal) (string, bool) { return key.Credential(p).Secret, true },
	}
}

// open opens a client until the end of the test, and checks that it leaves nothing running.
func open(tb testing.TB, cfg Config) *Store {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Open(ctx, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// noLeak fails the test if anything runs at its end that did not run before.
func noLeak(tb testing.TB) {
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() { goleak.VerifyNone(tb, before) })
}

// harness is a tree on the real server.
func harness(tb testing.TB) storetest.Harness {
	noLeak(tb)
	cfg := config()
	if err := open(tb, cfg).Init(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return storetest.Harness{
		Key:        key,
		Controller: func(tb testing.TB) state.Store { return open(tb, cfg) },
		Machine: func(tb testing.TB, m state.ModelID, id state.MachineID) state.Store {
			agent := cfg
			agent.TLS = server.Client(tb, pki.MachineName(m, id))
			agent.Secret = nil
			return open(tb, agent)
		},
		Disconnect: func(tb testing.TB, s state.Store) { disconnect(tb, s.(*Store)) },
		Expire:     func(tb testing.TB, s state.Store) { expire(tb, s.(*Store)) },
	}
}

// disconnect breaks the connection, and waits for the next.
func disconnect(tb testing.TB, s *Store) {
	tb.Helper()
	s.mu.Lock()
	visit := s.visit
	s.mu.Unlock()
	s.wire.hangUp()
	eventually(tb, "the next connection", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.visit > visit && s.isUp
	})
}

// expire ends the client's session, and waits for the next.
func expire(tb testing.TB, s *Store) {
	tb.Helper()
	s.mu.Lock()
	id := s.id
	password := slices.Clone(reflect.ValueOf(s.conn).Elem().FieldByName("passwd").Bytes())
	s.mu.Unlock()
	eventually(tb, "the server to close the session", func() bool { return closeSession(id, password) == nil })
	eventually(tb, "the next session", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.id != id && s.isUp
	})
}

// closeSession closes a session from another connection, with what the server does when it expires.
func closeSession(id int64, password []byte) error {
	nc, err := tls.Dial("tcp", server.Addr, server.Controller())
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	p := make([]byte, 4+8) // protocol, last change seen
	p = binary.BigEndian.AppendUint32(p, 5000)
	p = binary.BigEndian.AppendUint64(p, uint64(id))
	p = binary.BigEndian.AppendUint32(p, uint32(len(password)))
	answer, err := exchange(nc, append(p, password...))
	if err != nil {
		return err
	}
	if got := int64(binary.BigEndian.Uint64(answer[8:])); got != id {
		return nil // it is closed already
	}
	var op int32 = -11
	_, err = exchange(nc, binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1}, uint32(op)))
	return err
}

// exchange sends one packet and receives one.
func exchange(nc net.Conn, p []byte) ([]byte, error) {
	if _, err := nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...)); err != nil {
		return nil, err
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(nc, head); err != nil {
		return nil, err
	}
	p = make([]byte, binary.BigEndian.Uint32(head))
	_, err := io.ReadFull(nc, p)
	return p, err
}

// eventually waits for a condition.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for late := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}
