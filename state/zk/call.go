package zk

import (
	"context"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/state"
)

// again is how long to wait before a read is repeated.
const again = 20 * time.Millisecond

// read asks the server, on one connection after another until it answers or ctx ends.
func read[T any](ctx context.Context, s *Store, ask func(*zk.Conn) (T, error)) (T, error) {
	for {
		v, _, err := call(ctx, s, ask)
		if err == nil || answered(err) || ctx.Err() != nil || s.isClosed() {
			return v, readError(err)
		}
		pause(ctx, again)
	}
}

// write asks the server once. If the answer does not come, the outcome is unknown. What the library has not sent
// is not asked yet.
func write[T any](ctx context.Context, s *Store, ask func(*zk.Conn) (T, error)) (T, error) {
	for {
		v, sent, err := call(ctx, s, ask)
		switch {
		case err == nil || !sent:
			return v, err
		case ctx.Err() == nil && unsent(err) && !s.isClosed():
			continue
		}
		return v, writeError(err)
	}
}

// call makes one call of the library once there is a connection, and returns when it does or when ctx ends. It
// is sent when the library was called. The call that is left behind ends with the connection.
func call[T any](ctx context.Context, s *Store, ask func(*zk.Conn) (T, error)) (v T, sent bool, err error) {
	if err := s.await(ctx); err != nil {
		return v, false, err
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	if !s.spawn(func() {
		v, err := ask(s.conn)
		done <- result{v, err}
	}) {
		return v, false, errClosed
	}
	select {
	case r := <-done:
		return r.v, true, r.err
	case <-ctx.Done():
		return v, true, ctx.Err()
	}
}

// await waits for a connection with a session.
func (s *Store) await(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		up, closed := s.up, s.closed
		s.mu.Unlock()
		if closed {
			return errClosed
		}
		select {
		case <-up:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("wait for ZooKeeper: %w%s", ctx.Err(), because(s.wire.trouble()))
		case <-s.closing:
		}
	}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// spawn runs f until Close at the latest. It is false when the Store is closed.
func (s *Store) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.group.Go(func() error { f(); return nil })
	return true
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// commit sends the ops of a transaction. The first that failed, if the server says which, is at index failed.
func (s *Store) send(ctx context.Context, ops []any) (results []zk.MultiResponse, failed int, err error) {
	results, err = write(ctx, s, func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(ops...) })
	if err == nil {
		return results, -1, nil
	}
	for i, r := range results {
		if r.Error != nil {
			return results, i, err
		}
	}
	return results, -1, err
}

var _ state.Store = (*Store)(nil)
