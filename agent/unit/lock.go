package unit

import (
	"context"
	"sync"
	"time"
)

// A Lock is the lock of a machine, under which hooks run: one at a time, whichever unit's. The actions of an execution
// group have a lock of their own.
type Lock struct {
	now func() time.Time

	mu     sync.Mutex
	held   map[string]chan struct{} // by group, which is empty for hooks: holds a value while that lock is held
	holder string
	since  time.Time
}

// NewLock makes a lock that no one holds.
func NewLock(now func() time.Time) *Lock { return &Lock{now: now, held: map[string]chan struct{}{}} }

// Acquire takes the lock in the name of who, and says whether it had to wait.
func (l *Lock) Acquire(ctx context.Context, who string) (release func(), waited bool, err error) {
	return l.AcquireGroup(ctx, "", who)
}

// AcquireGroup takes the lock of an execution group.
func (l *Lock) AcquireGroup(ctx context.Context, group, who string) (release func(), waited bool, err error) {
	held := l.of(group)
	select {
	case held <- struct{}{}:
	default:
		waited = true
		select {
		case held <- struct{}{}:
		case <-ctx.Done():
			return nil, true, ctx.Err()
		}
	}
	l.set(group, who, l.now())
	return func() {
		l.set(group, "", time.Time{})
		<-held
	}, waited, nil
}

func (l *Lock) of(group string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[group] == nil {
		l.held[group] = make(chan struct{}, 1)
	}
	return l.held[group]
}

func (l *Lock) set(group, who string, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if group == "" {
		l.holder, l.since = who, since
	}
}

// Holder is who holds the lock of hooks and since when; empty when no one does.
func (l *Lock) Holder() (who string, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder, l.since
}
