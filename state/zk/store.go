package zk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/state"
)

// A Store is a tree on ZooKeeper. It is safe for several goroutines.
type Store struct {
	cfg     Config
	wire    *wire
	hosts   *hosts
	conn    *zk.Conn
	closing chan struct{}  // closed by Close
	stop    func()         // ends the life of the connections
	group   errgroup.Group // everything that runs
	proving chan struct{}  // holds a value while a credential is shown

	mu     sync.Mutex // guards what is below, and is held over nothing that waits
	closed bool
	ring   map[state.Principal]string // the credentials proved
	counts map[string]int             // of children, when they were last read

	events []zk.Event    // from the library, not yet looked at
	wake   chan struct{} // has a value while there are events
	up     chan struct{} // closed while there is a connection with a session
	isUp   bool
	visit  int           // counts connections with a session
	id     int64         // of the session
	lost   chan struct{} // state.Session.Lost
	isLost bool

	spots map[string]*spot // the nodes that are watched
	due   chan struct{}    // has a value while a spot may need its watch
	age   int              // grows with each Commit; see held

	followers map[*follower]bool
	armed     map[string]kinds // the watches of the library that followers have made
	asked     map[string]*asking
}

// The limits of what is sent and received in one piece, in bytes: room for a state.Txn with its access, and for the
// names of state.MaxChildren. The library would take more memory than it needs.
const (
	sendLimit    = 1 << 20
	receiveLimit = 4 << 20
)

// Open connects, and waits for a session. The Store lives until Close, not with ctx.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		cfg:     cfg,
		wire:    newWire(cfg),
		hosts:   &hosts{done: life.Done()},
		closing: make(chan struct{}),
		stop:    stop,
		proving: make(chan struct{}, 1),
		ring:    map[state.Principal]string{},
		counts:  map[string]int{},
		wake:    make(chan struct{}, 1),
		up:      make(chan struct{}),
		lost:    make(chan struct{}),
		spots:   map[string]*spot{},
		due:     make(chan struct{}, 1),

		followers: map[*follower]bool{},
		armed:     map[string]kinds{},
		asked:     map[string]*asking{},
	}
	conn, events, err := zk.Connect(cfg.Servers, cfg.Timeout,
		zk.WithDialer(s.wire.dialer(life)),
		zk.WithHostProvider(s.hosts),
		zk.WithEventCallback(s.event),
		zk.WithMaxConnBufferSize(sendLimit),
		zk.WithMaxBufferSize(receiveLimit),
		zk.WithLogger(logger{cfg.Log}),
		zk.WithLogInfo(false),
	)
	if err != nil {
		stop()
		return nil, fmt.Errorf("open ZooKeeper: %w", err)
	}
	s.conn = conn
	s.group.Go(func() error { s.runSession(); return nil })
	s.group.Go(func() error { s.runWatches(life); return nil })
	s.group.Go(func() error {
		for range events { // the library closes it at its very end
		}
		return nil
	})
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open ZooKeeper at %s: %w", strings.Join(cfg.Servers, ","), err), s.Close())
	}
	return s, nil
}

// Close ends the session, and with it the ephemeral nodes. It returns when nothing runs any more.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	s.lose()
	up := s.isUp
	s.mu.Unlock()
	if !up { // no one to say goodbye to
		s.stop()
		s.wire.hangUp()
	}
	s.conn.Close()
	s.stop()
	s.wire.hangUp()
	return s.group.Wait()
}

// abs is the path in ZooKeeper, rel the path in our tree.
func (s *Store) abs(path string) string {
	if path == "/" {
		return s.cfg.Chroot
	}
	return s.cfg.Chroot + path
}

func (s *Store) rel(path string) string {
	if path == s.cfg.Chroot {
		return "/"
	}
	return strings.TrimPrefix(path, s.cfg.Chroot)
}

// Get implements state.Store. While there is no connection it waits.
func (s *Store) Get(ctx context.Context, path string) (state.Node, error) {
	if err := state.ValidPath(path); err != nil {
		return state.Node{}, fmt.Errorf("get: %w", err)
	}
	if n, ok := s.takeHeld(path); ok && ctx.Err() == nil {
		return n, nil
	}
	n, err := read(ctx, s, func(c *zk.Conn) (state.Node, error) {
		data, stat, err := c.Get(s.abs(path))
		if err != nil {
			return state.Node{}, err
		}
		return nodeOf(data, stat), nil
	})
	if err != nil {
		return state.Node{}, fmt.Errorf("get %s: %w", path, err)
	}
	return n, nil
}

// Children implements state.Store. While there is no connection it waits. A list so long that its reply might not
// get through is not asked for: its length is, unless it was short the last time.
func (s *Store) Children(ctx context.Context, path string) ([]string, error) {
	if err := state.ValidPath(path); err != nil {
		return nil, fmt.Errorf("children: %w", err)
	}
	names, err := read(ctx, s, func(c *zk.Conn) ([]string, error) {
		if err := s.checkCount(c, path); err != nil {
			return nil, err
		}
		names, _, err := c.Children(s.abs(path))
		s.counted(path, len(names), err)
		return names, err
	})
	if err != nil {
		return nil, fmt.Errorf("children of %s: %w", path, err)
	}
	slices.Sort(names)
	return names, nil
}

func (s *Store) checkCount(c *zk.Conn, path string) error {
	s.mu.Lock()
	known, ok := s.counts[path]
	s.mu.Unlock()
	if ok && known <= state.MaxChildren/2 {
		return nil
	}
	exists, stat, err := c.Exists(s.abs(path))
	if err != nil {
		return err
	}
	if exists && stat.NumChildren > state.MaxChildren {
		return fmt.Errorf("%d are more than %d: %w", stat.NumChildren, state.MaxChildren, state.ErrTooLarge)
	}
	return nil
}

// maxCounts is how many lengths of lists are kept.
const maxCounts = 1000

func (s *Store) counted(path string, n int, err error) {
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.counts) >= maxCounts {
		clear(s.counts)
	}
	s.counts[path] = n
}

// Commit implements state.Store. While there is no connection it waits: it sends at most once.
func (s *Store) Commit(ctx context.Context, t state.Txn) ([]string, error) {
	if len(t.Ops) == 0 {
		return nil, nil
	}
	if err := t.Valid(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	ops := make([]any, len(t.Ops))
	for i, op := range t.Ops {
		o, err := s.op(op)
		if err != nil {
			return nil, t.Failed(i, err)
		}
		ops[i] = o
	}
	s.grown()
	results, failed, err := s.send(ctx, ops)
	s.grown()
	switch {
	case failed >= 0:
		return nil, t.Failed(failed, err)
	case err != nil:
		return nil, fmt.Errorf("commit: %w", err)
	}
	var created []string
	for i, op := range t.Ops {
		if op.Kind == state.OpCreate {
			created = append(created, s.rel(results[i].String))
		}
	}
	return created, nil
}

// op is op in the library's words.
func (s *Store) op(op state.Op) (any, error) {
	path := s.abs(op.Path)
	switch op.Kind {
	case state.OpCheck:
		return &zk.CheckVersionRequest{Path: path, Version: int32(op.Version)}, nil
	case state.OpSet:
		return &zk.SetDataRequest{Path: path, Data: op.Data, Version: int32(op.Version)}, nil
	case state.OpDelete:
		return &zk.DeleteRequest{Path: path, Version: int32(op.Version)}, nil
	}
	acl, err := s.acl(op.Path)
	if err != nil {
		return nil, err
	}
	var flags int32
	if op.Ephemeral {
		flags |= zk.FlagEphemeral
	}
	if op.Sequence {
		flags |= zk.FlagSequence
	}
	return &zk.CreateRequest{Path: path, Data: op.Data, Acl: acl, Flags: flags}, nil
}

// Prove implements state.Store. The library shows the credential again on each connection.
func (s *Store) Prove(ctx context.Context, c state.Credential) error {
	select { // one at a time: none is shown twice
	case s.proving <- struct{}{}:
		defer func() { <-s.proving }()
	case <-ctx.Done():
		return fmt.Errorf("prove %s: %w", c.Principal, ctx.Err())
	}
	s.mu.Lock()
	known := s.ring[c.Principal] == c.Secret
	s.mu.Unlock()
	if known {
		return nil
	}
	_, err := read(ctx, s, func(conn *zk.Conn) (struct{}, error) {
		if err := conn.AddAuth(schemeDigest, credential(c.Principal, c.Secret)); err != nil {
			return struct{}{}, err
		}
		s.proved(c)
		return struct{}{}, nil
	})
	if err != nil {
		return fmt.Errorf("prove %s: %w", c.Principal, err)
	}
	return nil
}

// proved notes a credential. What it opens was perhaps watched in vain: the server does not tell of what the client
// may not read, and forgets the watch.
func (s *Store) proved(c state.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring[c.Principal] = c.Secret
	for path, sp := range s.spots {
		if slices.Contains(state.ACLFor(path).Read, c.Principal) {
			sp.retry()
		}
	}
	s.nudge()
}
