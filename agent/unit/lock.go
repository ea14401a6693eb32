package unit

import (
	"context"
	"sync"
	"time"
)

// A Lock is the lock of a machine, under which hooks run: one at a time, whichever unit's.
type Lock struct {
	now  func() time.Time
	held chan struct{} // holds a value while the lock is held

	mu     sync.Mutex
	holder string
	since  time.Time
}

// NewLock makes a lock that no one holds.
func NewLock(now func() time.Time) *Lock { return &Lock{now: now, held: make(chan struct{}, 1)} }

// Acquire takes the lock in the name of who, and says whether it had to wait.
func (l *Lock) Acquire(ctx context.Context, who string) (release func(), waited bool, err error) {
	select {
	case l.held <- struct{}{}:
	default:
		waited = true
		select {
		case l.held <- struct{}{}:
		case <-ctx.Done():
			return nil, true, ctx.Err()
		}
	}
	l.set(who, l.now())
	return func() {
		l.set("", time.Time{})
		<-l.held
	}, waited, nil
}

func (l *Lock) set(who string, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder, l.since = who, since
}

// Holder is who holds the lock and since when; empty when no one does.
func (l *Lock) Holder() (who string, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder, l.since
}
