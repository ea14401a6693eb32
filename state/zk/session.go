package zk

import (
	"context"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/state"
)

// Session implements state.Store. A session that was given up locally and is alive after all comes back with the
// same number and another Lost.
func (s *Store) Session(ctx context.Context) (state.Session, error) {
	for {
		if err := s.await(ctx); err != nil {
			return state.Session{}, fmt.Errorf("session: %w", err)
		}
		s.mu.Lock()
		session, isUp, isLost, visit := state.Session{ID: s.id, Lost: s.lost}, s.isUp, s.isLost, s.visit
		s.mu.Unlock()
		if isUp && !isLost {
			return session, nil
		}
		_, err := read(ctx, s, func(c *zk.Conn) (struct{}, error) { return struct{}{}, s.greet(c) })
		if err != nil {
			return state.Session{}, fmt.Errorf("session: %w", err)
		}
		s.mu.Lock()
		if s.isUp && s.visit == visit && s.isLost && !s.closed {
			s.regain()
		}
		s.mu.Unlock()
	}
}

// greet is one word with the server, and its answer.
func (s *Store) greet(c *zk.Conn) error {
	_, err := c.Sync(s.cfg.Chroot)
	return err
}

// event is called by the library, which waits. The events of its channel would be lost.
func (s *Store) event(e zk.Event) {
	if e.State == zk.StateExpired {
		s.hosts.Connected()
		s.wire.expired()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// runSession follows the library's events and the clock, until Close.
func (s *Store) runSession() {
	clock := time.NewTimer(s.wire.patience())
	defer clock.Stop()
	for {
		select {
		case <-s.wake:
			s.mu.Lock()
			s.followAll()
			s.mu.Unlock()
		case <-clock.C:
			left := s.wire.patience() - s.wire.silence()
			if left <= 0 {
				s.mu.Lock()
				s.lose()
				s.mu.Unlock()
				left = s.wire.patience() / 10
			}
			clock.Reset(left)
		case <-s.closing:
			return
		}
	}
}

// followAll takes note of the events that have come. The Store is locked.
func (s *Store) followAll() {
	for _, e := range s.events {
		s.follow(e)
	}
	s.events = nil
}

// follow takes note of an event. The Store is locked.
func (s *Store) follow(e zk.Event) {
	if e.Type != zk.EventSession {
		s.fired(e)
		return
	}
	switch e.State {
	case zk.StateHasSession:
		s.arrive()
	case zk.StateExpired:
		s.lose()
		s.cfg.Log.Warn("the session with ZooKeeper has expired", "err", s.wire.trouble())
	case zk.StateDisconnected:
		if s.isUp {
			s.cfg.Log.Warn("disconnected from ZooKeeper, will try again", "err", s.wire.trouble())
		}
		s.down()
	}
}

// arrive begins a visit: a connection with a session. The gate opens when the server has answered on it once, so
// that the library has told it by then what the old connection had seen: no change is missed in between.
func (s *Store) arrive() {
	s.down()
	s.visit++
	if id := s.conn.SessionID(); id != s.id {
		if s.id != 0 {
			s.lose()
			s.forgetWatches()
		}
		s.id = id
	}
	s.doubt()
	s.nudge()
}

// open opens the gate for a visit.
func (s *Store) open(visit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if visit != s.visit || s.isUp || s.closed {
		return
	}
	if s.isLost {
		s.regain()
	}
	s.isUp = true
	close(s.up)
	s.cfg.Log.Info("connected to ZooKeeper", "server", s.conn.Server(), "session", fmt.Sprintf("%#x", s.id))
}

// down closes the gate.
func (s *Store) down() {
	if s.isUp {
		s.isUp = false
		s.up = make(chan struct{})
	}
}

// lose tells whoever holds the session that it may be over.
func (s *Store) lose() {
	if !s.isLost {
		s.isLost = true
		close(s.lost)
	}
}

// regain makes a session that can be lost again.
func (s *Store) regain() {
	s.isLost = false
	s.lost = make(chan struct{})
}
