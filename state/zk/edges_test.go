package zk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

// The library's weak spots, by the numbers of the list that names them, and that they do not show here.

// through opens a rival on the server, and a client through a proxy.
func through(t *testing.T, timeout time.Duration) (rival, c *Store, p *proxy) {
	t.Helper()
	noLeak(t)
	cfg := config()
	rival = open(t, cfg)
	if err := rival.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = newProxy(t, server.Addr)
	cfg.Servers = []string{p.addr}
	cfg.Timeout = timeout
	return rival, open(t, cfg), p
}

func session(t *testing.T, s *Store) state.Session {
	t.Helper()
	session, err := s.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func commit(t *testing.T, s *Store, edit func(*state.Txn)) []string {
	t.Helper()
	var x state.Txn
	edit(&x)
	created, err := s.Commit(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func exists(t *testing.T, s *Store, path string) bool {
	t.Helper()
	_, err := s.Get(t.Context(), path)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// 1: the library never says that a session may be over. We say so before the server lets a rival in.
func TestLossIsDeclaredBeforeTheServersTime(t *testing.T) {
	for name, m := range map[string]mode{"cut": cut, "frozen": frozen} {
		t.Run(name, func(t *testing.T) {
			const timeout = 5 * time.Second
			rival, c, p := through(t, timeout)
			before := session(t, c)
			commit(t, c, func(x *state.Txn) { x.Ephemeral("/e", 1) })
			start := time.Now()
			p.set(m)
			eventually(t, "the loss", func() bool { return isClosed(before.Lost) })
			if took := time.Since(start); took < timeout/4 || took > timeout {
				t.Errorf("declared lost after %s", took)
			}
			if !exists(t, rival, "/e") {
				t.Error("the rival could have taken over before the loss was declared")
			}
			eventually(t, "the server's expiry", func() bool { return !exists(t, rival, "/e") })
			p.set(passing)
			after := session(t, c)
			if after.ID == before.ID {
				t.Error("the session is the same")
			}
			commit(t, c, func(x *state.Txn) { x.Ephemeral("/e", 2) })
		})
	}
}

// A session that was declared lost may be alive after all: it comes back as itself, with another Lost.
func TestBackFromLoss(t *testing.T) {
	rival, c, p := through(t, 4*time.Second)
	before := session(t, c)
	commit(t, c, func(x *state.Txn) { x.Ephemeral("/e", 1) })
	p.set(cut)
	eventually(t, "the loss", func() bool { return isClosed(before.Lost) })
	p.set(passing)
	after := session(t, c)
	if after.ID == before.ID && !exists(t, rival, "/e") || isClosed(after.Lost) || after.Lost == before.Lost {
		t.Errorf("before %v, after %v", before, after)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// 3: the library's channel of events holds six and drops the rest.
func TestNoEventIsDropped(t *testing.T) {
	rival, c, _ := through(t, 10*time.Second)
	const n = 300
	w := c.Watch(t.Context())
	var paths []string
	for i := range n {
		paths = append(paths, fmt.Sprintf("/%03d", i))
		w.Data(paths[i])
	}
	all := func(what string) {
		t.Helper()
		got := map[string]bool{}
		for late := time.After(30 * time.Second); len(got) < n; {
			select {
			case <-w.C():
			case <-late:
				t.Fatalf("%s: only %d reported", what, len(got))
			}
			for _, p := range w.Take() {
				got[p] = true
			}
		}
	}
	all("at first")
	commit(t, rival, func(x *state.Txn) {
		for _, p := range paths {
			x.Create(p, 1)
		}
	})
	all("created")
	expire(t, c)
	all("expired")
}

// 4: a server that accepts and says nothing is waited for much longer than a session lives.
func TestSilentServerIsGivenUp(t *testing.T) {
	noLeak(t)
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	giveUp(t, silent)
}

// 5: a server that sends the length of its answer and then nothing is waited for without end.
func TestHalfAnAnswerIsGivenUp(t *testing.T) {
	noLeak(t)
	id, err := server.Authority.Identity(pki.Request{
		Subject: pki.ZooKeeperName(), Use: pki.Server, Hosts: []string{pki.ZooKeeperHost}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := id.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	half := listen(t, func(c net.Conn) {
		tc := tls.Server(c, conf)
		_, _ = tc.Read(make([]byte, 1000))
		_, _ = tc.Write([]byte{0, 0, 0, 37})
		_, _ = io.Copy(io.Discard, tc)
	})
	giveUp(t, half)
}

// giveUp wants a client that meets the server at bad first to be with a good one within the timeout of its session.
func giveUp(t *testing.T, bad string) {
	t.Helper()
	cfg := config()
	cfg.Timeout = 6 * time.Second
	var d net.Dialer
	met := false
	cfg.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if !met {
			met = true
			return d.DialContext(ctx, network, bad)
		}
		return d.DialContext(ctx, network, server.Addr)
	}
	cfg.Servers = []string{"one:1", "two:1"}
	start := time.Now()
	open(t, cfg)
	if took := time.Since(start); took > cfg.Timeout {
		t.Errorf("it took %s", took)
	}
}

// listen serves each connection until the end of the test.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() { defer wg.Done(); defer c.Close(); serve(c) }()
		}
	}()
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// 4 again: a server that falls silent is left early enough for the session to go on elsewhere.
func TestSessionMovesFromASilentServer(t *testing.T) {
	noLeak(t)
	p := newProxy(t, server.Addr)
	cfg := config()
	cfg.Timeout = 6 * time.Second
	cfg.Servers = []string{p.addr, server.Addr}
	var d net.Dialer
	first := true
	cfg.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if first {
			first = false
			return d.DialContext(ctx, network, p.addr)
		}
		return d.DialContext(ctx, network, server.Addr)
	}
	c := open(t, cfg)
	before := session(t, c)
	p.set(frozen)
	eventually(t, "another connection", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.visit > 1 && c.isUp
	})
	if after := session(t, c); after.ID != before.ID {
		t.Error("the session has not outlived the silence of one server")
	}
}

// 6: the library keeps one more channel for each time that a node is watched.
func TestOneWatchHoweverOftenItIsRead(t *testing.T) {
	rival, c, _ := through(t, 10*time.Second)
	commit(t, rival, func(x *state.Txn) { x.Create("/a", 1) })
	keep := c.Watch(t.Context())
	keep.Data("/a")
	keep.Children("/a")
	keep.Data("/b")
	for i := range 200 {
		w := c.Watch(t.Context())
		w.Data("/a")
		w.Children("/a")
		w.Children("/b")
		w.Data("/c") // which nothing else watches in between
		<-w.C()
		if i%20 == 0 {
			commit(t, rival, func(x *state.Txn) { x.Set("/a", i, state.Any) })
		}
		if i%50 == 0 {
			disconnect(t, c)
		}
		w.Drop("/a")
		w.Drop("/b")
		w.Drop("/c")
	}
	eventually(t, "rest", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, sp := range c.spots {
			if sp.busy || len(sp.owed) > 0 {
				return false
			}
		}
		return len(c.events) == 0
	})
	library := reflect.ValueOf(c.conn).Elem()
	watchers, lock := library.FieldByName("watchers"), (*sync.Mutex)(library.FieldByName("watchersLock").Addr().UnsafePointer())
	lock.Lock()
	defer lock.Unlock()
	channels := 0
	for it := watchers.MapRange(); it.Next(); {
		channels += it.Value().Len()
	}
	if watchers.Len() > 4 || channels > 4 {
		t.Errorf("the library has %d channels for %d watches", channels, watchers.Len())
	}
}

// 9: whether a write was made whose reply was lost is for the caller to find out: it is not repeated.
func TestLostReplyIsUnknown(t *testing.T) {
	rival, c, p := through(t, 10*time.Second)
	commit(t, rival, func(x *state.Txn) { x.Create("/a", 1) })
	p.set(mute)
	done := make(chan error, 1)
	go func() {
		_, err := c.Commit(t.Context(), state.Txn{Ops: []state.Op{{Kind: state.OpCreate, Path: "/a/s-", Sequence: true}}})
		done <- err
	}()
	eventually(t, "the write", func() bool {
		names, err := rival.Children(t.Context(), "/a")
		return err == nil && len(names) > 0
	})
	p.set(cut)
	p.set(passing)
	if err := <-done; !errors.Is(err, state.ErrUnknown) {
		t.Errorf("commit: %v", err)
	}
	names, err := c.Children(t.Context(), "/a")
	if err != nil || !slices.Equal(names, []string{"s-0000000000"}) {
		t.Errorf("there are %v: %v", names, err)
	}
}

// 9 again: what waits for a connection has not been sent, and is not when its context has ended.
func TestWhatWasNotSentIsNotUnknown(t *testing.T) {
	rival, c, p := through(t, 10*time.Second)
	p.set(cut)
	eventually(t, "the break", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.isUp
	})
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var x state.Txn
	x.Create("/a", 1)
	_, err := c.Commit(brief, x)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, state.ErrUnknown) {
		t.Errorf("commit: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		var x state.Txn
		x.Create("/b", 1)
		_, err := c.Commit(t.Context(), x)
		done <- err
	}()
	p.set(passing)
	if err := <-done; err != nil {
		t.Errorf("a commit that waits for the connection: %v", err)
	}
	if exists(t, rival, "/a") {
		t.Error("what was given up was done")
	}
}

// The library's calls know no context.
func TestEveryCallEndsWithItsContext(t *testing.T) {
	_, c, p := through(t, 20*time.Second)
	p.set(frozen)
	var calls sync.WaitGroup
	for name, call := range map[string]func(context.Context) error{
		"get":      func(ctx context.Context) error { _, err := c.Get(ctx, "/"); return err },
		"children": func(ctx context.Context) error { _, err := c.Children(ctx, "/"); return err },
		"prove": func(ctx context.Context) error {
			return c.Prove(ctx, state.Credential{Principal: "p", Secret: "s"})
		},
		"commit": func(ctx context.Context) error {
			_, err := c.Commit(ctx, state.Txn{Ops: []state.Op{{Kind: state.OpCheck, Path: "/"}}})
			if !errors.Is(err, state.ErrUnknown) {
				t.Errorf("a commit that was sent: %v", err)
			}
			return err
		},
	} {
		calls.Go(func() {
			brief, cancel := context.WithTimeout(t.Context(), time.Second) // in which a commit is sent, whatever else the machine has to do
			defer cancel()
			start := time.Now()
			if err := call(brief); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(start); took > 10*time.Second { // the connection is given up later
				t.Errorf("%s took %s", name, took)
			}
		})
	}
	calls.Wait()
}

// 12: the library looks names up once, and tells the Dialer the address alone.
func TestNamesAreLookedUpAgain(t *testing.T) {
	noLeak(t)
	first, second := newProxy(t, server.Addr), newProxy(t, server.Addr)
	cfg := config()
	cfg.TLS.ServerName = ""
	cfg.Servers = []string{pki.ZooKeeperHost + ":2281"} // whose name is in the server's certificate
	var mu sync.Mutex
	at, asked := first.addr, 0
	var d net.Dialer
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if address != cfg.Servers[0] {
			t.Errorf("asked for %s", address)
		}
		return d.DialContext(ctx, network, at)
	}
	c := open(t, cfg)
	before := session(t, c)
	mu.Lock()
	at = second.addr // the name has moved
	mu.Unlock()
	first.set(cut)
	eventually(t, "the server at its new address", func() bool { return second.sent.Load() > 0 })
	if after := session(t, c); after.ID != before.ID {
		t.Error("the session is another")
	}

	cfg.Servers = []string{"impostor:2281"}
	again, cancel := context.WithCancel(t.Context())
	defer cancel()
	tries := 0
	cfg.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if tries++; tries == 2 {
			cancel()
		}
		return d.DialContext(ctx, network, server.Addr)
	}
	_, err := Open(again, cfg)
	if err == nil || !strings.Contains(err.Error(), "impostor") || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server of another name: %v", err)
	}
}

// Clients that have lost a server do not all come to the next at once.
func TestConnectionsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where time is what is waited
		var times []time.Duration
		cfg := Config{Servers: []string{"a:1"}, Timeout: 2 * time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no")
		}}
		dial := newWire(cfg).dialer(t.Context())
		for range 10 {
			start := time.Now()
			_, _ = dial("tcp", "a:1", 0)
			times = append(times, time.Since(start))
		}
		if times[0] > 0 {
			t.Errorf("the first waited %s", times[0])
		}
		if slices.Max(times[1:])-slices.Min(times[1:]) < 10*time.Millisecond {
			t.Errorf("all waited alike: %v", times)
		}
	})
}

func TestClose(t *testing.T) {
	for name, m := range map[string]mode{"passing": passing, "cut": cut, "frozen": frozen} {
		t.Run(name, func(t *testing.T) {
			rival, c, p := through(t, 4*time.Second)
			commit(t, c, func(x *state.Txn) { x.Ephemeral("/e", 1) })
			w := c.Watch(t.Context())
			w.Data("/a")
			before := session(t, c)
			p.set(m)
			waiting := make(chan error, 1)
			go func() {
				var x state.Txn
				x.Create("/a/b/c", 1)
				_, err := c.Commit(t.Context(), x)
				waiting <- err
			}()
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			if err := <-waiting; err == nil {
				t.Error("a commit that waited went well")
			}
			<-before.Lost
			if m == passing && exists(t, rival, "/e") {
				t.Error("its ephemeral node is still there")
			}
			if _, err := c.Get(t.Context(), "/"); !errors.Is(err, errClosed) {
				t.Errorf("get: %v", err)
			}
			if _, err := c.Session(t.Context()); !errors.Is(err, errClosed) {
				t.Errorf("session: %v", err)
			}
			w.Drop("/a")
		})
	}
}

func TestOpenNowhere(t *testing.T) {
	noLeak(t)
	cfg := config()
	cfg.Servers = []string{"127.0.0.1:1"}
	again, cancel := context.WithCancel(t.Context())
	defer cancel()
	tries := 0
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if tries++; tries == 2 {
			cancel()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	if _, err := Open(again, cfg); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}

func TestBadConfig(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no server":       func(c *Config) { c.Servers = nil },
		"no port":         func(c *Config) { c.Servers = []string{"host"} },
		"relative chroot": func(c *Config) { c.Chroot = "grigri" },
		"chroot of all":   func(c *Config) { c.Chroot = "/" },
		"its own nodes":   func(c *Config) { c.Chroot = "/zookeeper/grigri" },
		"short timeout":   func(c *Config) { c.Timeout = time.Millisecond },
		"no names":        func(c *Config) { c.Machine = nil },
	} {
		cfg := config()
		spoil(&cfg)
		if _, err := Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
