package ec2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// A memo keeps answers for a while. Those who ask for the same at once share one request.
type memo[K comparable, V any] struct {
	mu     sync.Mutex
	known  map[K]answer[V]
	flight singleflight.Group
}

type answer[V any] struct {
	value V
	until time.Time
}

// shared is how long a request that several wait for may take: it does not end with the first of them.
const shared = 2 * time.Minute

func (m *memo[K, V]) get(ctx context.Context, key K, life time.Duration, fetch func(context.Context) (V, error)) (V, error) {
	m.mu.Lock()
	a, ok := m.known[key]
	m.mu.Unlock()
	if ok && time.Now().Before(a.until) {
		return a.value, nil
	}
	done := m.flight.DoChan(fmt.Sprintf("%#v", key), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shared)
		defer cancel()
		v, err := fetch(ctx)
		if err == nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.known == nil {
				m.known = map[K]answer[V]{}
			}
			m.known[key] = answer[V]{v, time.Now().Add(life)}
		}
		return v, err
	})
	var zero V
	select {
	case <-ctx.Done():
		return zero, ctx.Err()
	case r := <-done:
		if r.Err != nil {
			return zero, r.Err
		}
		return r.Val.(V), nil
	}
}

func (m *memo[K, V]) forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, key)
}

// A batcher asks for many things at once where each caller asks for one. The first caller waits for the others and asks for all.
type batcher[K comparable, V any] struct {
	window time.Duration
	most   int
	fetch  func(context.Context, []K) (map[K]V, error)

	mu   sync.Mutex
	next *batch[K, V]
}

type batch[K comparable, V any] struct {
	keys  map[K]bool
	full  chan struct{}
	done  chan struct{}
	found map[K]V
	err   error
}

// do returns what there is for the key, and whether there is something.
func (b *batcher[K, V]) do(ctx context.Context, key K) (V, bool, error) {
	for {
		b.mu.Lock()
		mine, first := b.next, false
		if mine == nil {
			mine, first = &batch[K, V]{keys: map[K]bool{}, full: make(chan struct{}), done: make(chan struct{})}, true
			b.next = mine
		}
		mine.keys[key] = true
		if len(mine.keys) >= b.most {
			b.next = nil
			close(mine.full)
		}
		b.mu.Unlock()
		if first {
			b.lead(ctx, mine)
		}
		var zero V
		select {
		case <-ctx.Done():
			return zero, false, ctx.Err()
		case <-mine.done:
		}
		if !first && errors.Is(mine.err, context.Canceled) && ctx.Err() == nil {
			continue // the one who asked for us has given up
		}
		v, ok := mine.found[key]
		return v, ok, mine.err
	}
}

func (b *batcher[K, V]) lead(ctx context.Context, mine *batch[K, V]) {
	defer close(mine.done)
	timer := time.NewTimer(b.window)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-mine.full:
	case <-ctx.Done():
	}
	b.mu.Lock()
	if b.next == mine {
		b.next = nil
	}
	b.mu.Unlock()
	var keys []K
	for k := range mine.keys {
		keys = append(keys, k)
	}
	if mine.err = ctx.Err(); mine.err == nil {
		mine.found, mine.err = b.fetch(ctx, keys)
	}
}

// wait calls check until it says that it is done, slower and slower, and no longer than patience. It says whether it is done.
func (p *Provider) wait(ctx context.Context, patience time.Duration, check func() (bool, error)) (bool, error) {
	end := time.Now().Add(patience)
	for pause := p.Poll; ; pause = min(pause*3/2, 10*time.Second) {
		if done, err := check(); done || err != nil || time.Now().After(end) {
			return done, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(min(pause, time.Until(end)+time.Millisecond)):
		}
	}
}
