package unit

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// A Lock is the lock of a machine, under which hooks run: one at a time, whichever unit's. The actions of an execution
// group have a lock of their own.
type Lock struct {
	now func() time.Time

	mu     sync.Mutex
	groups map[string]*groupLock // by group, which is empty for hooks
}

type groupLock struct {
	held    chan struct{} // holds a value while the lock is held
	holder  Holder
	waiting []Holder
}

// A Holder is who holds a lock, or waits for it, and since when. The zero value is nobody.
type Holder struct {
	Who   string
	Since time.Time
}

// String is the holder as it is shown: "web/0: config-changed since 12:00:05 UTC".
func (h Holder) String() string { return h.Who + " since " + h.Since.UTC().Format("15:04:05 UTC") }

// NewLock makes a lock that no one holds.
func NewLock(now func() time.Time) *Lock { return &Lock{now: now, groups: map[string]*groupLock{}} }

// Acquire takes the lock in the name of who, and says whether it had to wait.
func (l *Lock) Acquire(ctx context.Context, who string) (release func(), waited bool, err error) {
	return l.AcquireGroup(ctx, "", who, func(Holder) {})
}

// A wait for a lock is told when it takes this long, and from then on now and then: another may hold the lock by then.
const (
	tellAfter = 200 * time.Millisecond
	tellAgain = 5 * time.Second
)

// AcquireGroup takes the lock of an execution group. While it waits for long it calls waits with who holds the lock.
func (l *Lock) AcquireGroup(ctx context.Context, group, who string, waits func(Holder)) (release func(), waited bool, err error) {
	g := l.group(group)
	select {
	case g.held <- struct{}{}:
	default:
		waited = true
		if err := l.wait(ctx, g, Holder{who, l.now()}, waits); err != nil {
			return nil, true, err
		}
	}
	l.edit(func() { g.holder = Holder{who, l.now()} })
	return func() {
		l.edit(func() { g.holder = Holder{} })
		<-g.held
	}, waited, nil
}

func (l *Lock) wait(ctx context.Context, g *groupLock, self Holder, waits func(Holder)) error {
	l.edit(func() { g.waiting = append(g.waiting, self) })
	defer l.edit(func() {
		i := slices.Index(g.waiting, self)
		g.waiting = slices.Delete(g.waiting, i, i+1)
	})
	tell := time.NewTimer(tellAfter)
	defer tell.Stop()
	for {
		select {
		case g.held <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tell.C:
		}
		var held Holder
		l.edit(func() { held = g.holder })
		if held.Who != "" {
			waits(held)
		}
		tell.Reset(tellAgain)
	}
}

func (l *Lock) group(name string) *groupLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[name] == nil {
		l.groups[name] = &groupLock{held: make(chan struct{}, 1)}
	}
	return l.groups[name]
}

func (l *Lock) edit(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// Holder is who holds the lock of hooks and since when; empty when no one does.
func (l *Lock) Holder() (who string, since time.Time) {
	h, _ := l.Queue("")
	return h.Who, h.Since
}

// Groups is "", for hooks, and the groups that have ever had a lock, sorted.
func (l *Lock) Groups() []string {
	l.group("")
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.groups))
}

// Queue is who holds the lock of a group, and who waits for it.
func (l *Lock) Queue(group string) (holder Holder, waiting []Holder) {
	g := l.group(group)
	l.mu.Lock()
	defer l.mu.Unlock()
	return g.holder, slices.Clone(g.waiting)
}
