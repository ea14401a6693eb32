package zk

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// The recipes are tested on the model; here is that they hold on the real thing.
func TestElection(t *testing.T) {
	noLeak(t)
	cfg := config()
	a, b := open(t, cfg), open(t, cfg)
	if err := a.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, a, func(x *state.Txn) { x.Create("/election", nil) })
	type term struct {
		fence coord.Fence
		ended chan struct{}
	}
	ctx, stop := context.WithCancel(t.Context())
	elect := func(s *Store, name string) (<-chan term, <-chan error) {
		terms, done := make(chan term), make(chan error, 1)
		go func() {
			done <- coord.Elect(ctx, coord.Config{Store: s, Dir: "/election", Name: name, Run: state.Presence{Boot: name}},
				func(ctx context.Context, f coord.Fence) error {
					ended := make(chan struct{})
					select {
					case terms <- term{f, ended}:
					case <-ctx.Done():
					}
					<-ctx.Done()
					close(ended)
					return nil
				})
		}()
		return terms, done
	}
	write := func(s *Store, f coord.Fence) error {
		var x state.Txn
		f.Check(&x)
		x.Set("/election", 1, state.Any)
		_, err := s.Commit(t.Context(), x)
		return err
	}
	termsA, doneA := elect(a, "a")
	first := <-termsA
	termsB, doneB := elect(b, "b")
	eventually(t, "b to stand", func() bool {
		names, err := a.Children(t.Context(), "/election")
		return err == nil && len(names) == 2
	})
	if err := write(a, first.fence); err != nil {
		t.Error(err)
	}
	disconnect(t, a)
	if err := write(a, first.fence); err != nil {
		t.Errorf("after a blip: %v", err)
	}
	expire(t, a)
	<-first.ended
	second := <-termsB
	if second.fence.Epoch <= first.fence.Epoch {
		t.Errorf("epoch %d follows %d", second.fence.Epoch, first.fence.Epoch)
	}
	if err := write(a, first.fence); !errors.Is(err, state.ErrConflict) {
		t.Errorf("the first leader writes: %v", err)
	}
	if err := write(b, second.fence); err != nil {
		t.Error(err)
	}
	stop()
	<-second.ended
	<-doneA
	<-doneB
	if names, err := a.Children(t.Context(), "/election"); err != nil || len(names) > 0 {
		t.Errorf("left in line: %v: %v", names, err)
	}
}

func TestPresence(t *testing.T) {
	noLeak(t)
	cfg := config()
	a, b := open(t, cfg), open(t, cfg)
	if err := a.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	keep := func(s *Store, boot string, since time.Time) (context.CancelFunc, <-chan error) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			p := coord.NewPresence(ctx, s, "/agent", state.Presence{Boot: boot, Since: since})
			done <- p.Keep(ctx, slog.New(slog.DiscardHandler))
		}()
		return stop, done
	}
	present := func(want string, s *Store) {
		t.Helper()
		eventually(t, want+" to be present", func() bool {
			rec, err := state.ReadIf[state.Presence](t.Context(), b, "/agent")
			if err != nil || rec.Value.Boot != want {
				return false
			}
			n, err := b.Get(t.Context(), "/agent")
			return err == nil && n.Session == session(t, s).ID
		})
	}
	_, done1 := keep(a, "one", time.Unix(1, 0))
	present("one", a)
	expire(t, a)
	present("one", a)
	stop, done2 := keep(b, "two", time.Unix(2, 0)) // the same agent, started again
	present("two", b)
	if err := <-done1; !errors.Is(err, coord.ErrSuperseded) {
		t.Errorf("the earlier run: %v", err)
	}
	stop()
	<-done2
	if exists(t, a, "/agent") {
		t.Error("it is still present")
	}
}
