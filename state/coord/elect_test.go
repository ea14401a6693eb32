package coord_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
	"github.com/grigri/grigri/state/memory"
)

// elected runs Elect, and tells of each term: its fence, and the end of its context.
type elected struct {
	terms chan coord.Fence
	ended chan struct{}
	done  chan error
	stop  context.CancelFunc
}

func elect(t *testing.T, cfg coord.Config) elected {
	ctx, stop := context.WithCancel(t.Context())
	e := elected{make(chan coord.Fence), make(chan struct{}), make(chan error, 1), stop}
	go func() {
		e.done <- coord.Elect(ctx, cfg, func(ctx context.Context, f coord.Fence) error {
			e.terms <- f
			<-ctx.Done()
			e.ended <- struct{}{}
			return ctx.Err()
		})
	}()
	return e
}

// await waits until n are in line.
func await(t *testing.T, tree *memory.Tree, n int) {
	t.Helper()
	w := tree.Connect(memory.Controller).Watch(t.Context())
	w.Children(dir)
	for {
		select {
		case <-w.C():
			if w.Take(); len(line(t, tree)) == n {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("in line: %v", line(t, tree))
		}
	}
}

func TestElect(t *testing.T) {
	tree := newTree(t)
	ca, cb := tree.Connect(memory.Controller), tree.Connect(memory.Controller)
	a := elect(t, config(ca, "a", "x", 0))
	fa := <-a.terms
	b := elect(t, config(cb, "b", "y", 0))
	await(t, tree, 2)

	ca.Expire()
	<-a.ended
	fb := <-b.terms
	if fb.Epoch <= fa.Epoch {
		t.Errorf("epoch %d follows %d", fb.Epoch, fa.Epoch)
	}

	await(t, tree, 2)

	// The node is taken away from under the leader, its session lives.
	var x state.Txn
	x.Delete(fb.Path, state.Any)
	if _, err := ca.Commit(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	<-b.ended
	fa2 := <-a.terms
	if fa2.Epoch <= fb.Epoch {
		t.Errorf("epoch %d follows %d", fa2.Epoch, fb.Epoch)
	}

	await(t, tree, 2)

	// A blip without a loss: the leader goes on.
	ca.Cut()
	ca.Heal()
	if err := write(ca, fa2); err != nil {
		t.Error(err)
	}

	// Suspicion ends the term though the place is kept; the next term is of the same place.
	ca.Suspect()
	<-a.ended
	if again := <-a.terms; again != fa2 {
		t.Errorf("the place was %v, is %v", fa2, again)
	}

	a.stop()
	<-a.ended
	if err := <-a.done; !errors.Is(err, context.Canceled) {
		t.Errorf("Elect: %v", err)
	}
	<-b.terms // at once: a has resigned
	b.stop()
	<-b.ended
	<-b.done
	if got := line(t, tree); len(got) != 0 {
		t.Errorf("in line at the end: %v", got)
	}
}

func TestElectReturnsWhatLeadReturns(t *testing.T) {
	tree := newTree(t)
	c := tree.Connect(memory.Controller)
	enough := errors.New("enough")
	err := coord.Elect(t.Context(), config(c, "a", "x", 0), func(context.Context, coord.Fence) error { return enough })
	if !errors.Is(err, enough) {
		t.Error(err)
	}
	if got := line(t, tree); len(got) != 0 {
		t.Errorf("in line at the end: %v", got)
	}
}

func TestLock(t *testing.T) {
	tree := newTree(t)
	a, b := tree.Connect(memory.Controller), tree.Connect(memory.Controller)
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- coord.Lock(t.Context(), config(a, "a", "x", 0), time.Minute, func(context.Context, coord.Fence) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	never := func(context.Context, coord.Fence) error { t.Error("two hold the lock"); return nil }
	if err := coord.Lock(t.Context(), config(b, "b", "y", 0), 10*time.Millisecond, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with the lock held: %v", err)
	}
	if got := line(t, tree); len(got) != 1 {
		t.Errorf("one that has given up is in line: %v", got)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	err := coord.Lock(t.Context(), config(b, "b", "y", 0), time.Minute, func(ctx context.Context, f coord.Fence) error {
		b.Expire()
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, coord.ErrLost) {
		t.Errorf("with the session lost: %v", err)
	}
	// One that has lost it takes it again with its new session: nothing of the old one is in its way.
	again := false
	err = coord.Lock(t.Context(), config(b, "b", "y", 0), time.Minute, func(context.Context, coord.Fence) error { again = true; return nil })
	if err != nil || !again {
		t.Errorf("once more after the loss: %v", err)
	}
	if got := line(t, tree); len(got) != 0 {
		t.Errorf("in line at the end: %v", got)
	}
}

// Whatever happens to whom: never do two fences open, never does an epoch fall, and at last one is chosen.
func TestElectionProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		tree := memory.New()
		boss := tree.Connect(memory.Controller)
		var x state.Txn
		x.Create(dir, nil)
		if _, err := boss.Commit(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 4).Draw(r, "candidates")
		keep := rapid.Bool().Draw(r, "keep")
		runs := 0
		clients, stands := make([]*memory.Client, n), make([]*coord.Candidate, n)
		for i := range n {
			clients[i] = tree.Connect(memory.Controller)
			name := string(rune('a' + i))
			cfg := config(clients[i], name, name, 0)
			cfg.Keep = keep
			stands[i], _ = coord.NewCandidate(t.Context(), cfg)
		}
		restart := func(i int) { // killed, and started again while its session lives
			runs++
			clients[i] = tree.Connect(memory.Controller)
			name := string(rune('a' + i))
			cfg := config(clients[i], name, fmt.Sprint(name, runs), runs)
			cfg.Keep = keep
			stands[i], _ = coord.NewCandidate(t.Context(), cfg)
		}
		fences := make([]coord.Fence, n)
		var epoch state.Stamp
		for range rapid.IntRange(0, 60).Draw(r, "events") {
			i := rapid.IntRange(0, n-1).Draw(r, "who")
			switch rapid.IntRange(0, 9).Draw(r, "what") {
			case 0:
				clients[i].Expire()
			case 1:
				clients[i].ExpireUnnoticed()
			case 2:
				clients[i].Cut()
			case 3:
				clients[i].Heal()
			case 4:
				clients[i].LoseReply()
			case 5:
				clients[i].Suspect()
			case 6:
				restart(i)
			case 7:
				_ = stands[i].Resign(t.Context())
			default:
				if f, leads, err := stands[i].Step(t.Context()); err == nil && leads {
					fences[i] = f
				}
			}
			open := 0
			for _, f := range fences {
				if f != (coord.Fence{}) && write(boss, f) == nil {
					open++
					if f.Epoch < epoch {
						r.Fatalf("epoch %d after %d", f.Epoch, epoch)
					}
					epoch = f.Epoch
				}
			}
			if open > 1 {
				r.Fatalf("%d fences open: %v", open, fences)
			}
		}
		for _, c := range clients {
			c.Heal()
			_, _ = c.Get(t.Context(), dir) // whoever slept wakes up
		}
		for range 4 { // replies that are still to be lost, and their consequences
			for _, s := range stands {
				for range 10 {
					_, _, _ = s.Step(t.Context())
				}
			}
		}
		leads := 0
		for _, s := range stands {
			f, ok, err := s.Step(t.Context())
			if err != nil {
				r.Fatal(err)
			}
			if ok {
				leads++
				if err := write(boss, f); err != nil {
					r.Fatalf("the one chosen at last cannot write: %v", err)
				}
			}
		}
		if names, _ := boss.Children(t.Context(), dir); leads != 1 || len(names) != n {
			r.Fatalf("%d lead at last, of %v", leads, names)
		}
	})
}

// One that keeps its place and is started again in time leads on: the same epoch, a fence of its own, and no one else's turn.
func TestAPlaceIsKept(t *testing.T) {
	tree := newTree(t)
	stand := func(client *memory.Client, name, boot string, run int) *coord.Candidate {
		cfg := config(client, name, boot, run)
		cfg.Keep = true
		c, err := coord.NewCandidate(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	step := func(c *coord.Candidate, leads bool) coord.Fence {
		t.Helper()
		f, ok, err := c.Step(t.Context())
		if err != nil || ok != leads {
			t.Fatalf("it leads: %t, %v", ok, err)
		}
		return f
	}
	first := tree.Connect(memory.Controller)
	before := step(stand(first, "a", "a1", 0), true)
	second := stand(tree.Connect(memory.Controller), "b", "b1", 0)
	step(second, false)
	again := stand(tree.Connect(memory.Controller), "a", "a2", 1)
	after := step(again, true)
	if after.Epoch != before.Epoch || after.Path == before.Path {
		t.Errorf("the place was %+v, is %+v", before, after)
	}
	if err := write(first, before); err == nil {
		t.Error("the run that is over can still write")
	}
	step(second, false)
	if again2 := step(stand(tree.Connect(memory.Controller), "a", "a3", 2), true); again2.Epoch != before.Epoch {
		t.Errorf("after another start the epoch is %d, was %d", again2.Epoch, before.Epoch)
	}
	step(second, false)
	// In the midst of the line too, and whoever follows hears of the end.
	third := stand(tree.Connect(memory.Controller), "b", "b2", 1)
	step(third, false)
	var x state.Txn
	x.Delete(dir+"/"+line(t, tree)[0], state.Any)
	if _, err := first.Commit(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if f := step(third, true); f.Epoch <= before.Epoch {
		t.Errorf("epoch %d follows %d", f.Epoch, before.Epoch)
	}
}
