package zk

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grigri/grigri/state"
)

// breaking is a connection that cannot be written to from a certain write on.
type breaking struct {
	net.Conn
	left *atomic.Int64
}

func (b breaking) Write(p []byte) (int, error) {
	if b.left.Add(-1) == 0 {
		return 0, errors.New("broken")
	}
	return b.Conn.Write(p)
}

// The library waits for ever when it cannot write while it shows the credentials again: no next connection is ever made.
func TestAConnectionThatBreaksWhileItBegins(t *testing.T) {
	var left atomic.Int64
	noLeak(t)
	cfg := config()
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return breaking{c, &left}, err
	}
	s := open(t, cfg)
	if err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []state.Principal{state.Agents, state.ModelID("m").ModelAgents()} {
		if err := s.Prove(t.Context(), key.Credential(p)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range int64(4) { // after the two of the handshake: the session, the credentials, a request
		s.mu.Lock()
		visit := s.visit
		s.mu.Unlock()
		left.Store(n + 3)
		s.wire.hangUp()
		eventually(t, "the next connection", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.visit > visit
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if _, err := s.Get(ctx, "/"); err != nil {
			t.Fatalf("after a connection whose write %d fails: %v", n+3, err)
		}
		cancel()
	}
}

// Who is not answered in time by any server comes more seldom and waits longer: many who come at once would else be served in vain.
func TestServersThatAreLateGetTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Servers, cfg.Timeout = []string{"a:1", "b:1"}, 9*time.Second
		var waits []time.Duration
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			start := time.Now()
			<-ctx.Done()
			waits = append(waits, time.Since(start))
			return nil, ctx.Err()
		}
		w := newWire(cfg)
		dial := w.dialer(t.Context())
		for range 12 {
			_, _ = dial("tcp", "a:1", 0)
		}
		var want []time.Duration
		for _, d := range []time.Duration{3, 3, 6, 6, 12, 12, 24, 24, 24, 24, 24, 24} {
			want = append(want, d*time.Second)
		}
		if !slices.Equal(waits, want) {
			t.Errorf("it waits %v", waits)
		}
		answer := make([]byte, answerHead) // of a server that gives a session
		answer[answerTimeout+3], answer[answerSession+7] = 100, 1
		(&conn{wire: w}).learn(answer)
		if w.rounds() != 0 {
			t.Error("a session is no end of it")
		}

		cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		w = newWire(cfg)
		dial = w.dialer(t.Context())
		for range 12 {
			_, _ = dial("tcp", "a:1", 0)
		}
		if w.rounds() != 0 {
			t.Error("servers that refuse at once are not late")
		}
	})
}
