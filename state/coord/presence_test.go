package coord_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
	"github.com/grigri/grigri/state/memory"
)

const at = dir + "/agent"

func run(boot string, n int) state.Presence {
	return state.Presence{Boot: boot, Version: "1", Since: began.Add(time.Duration(n) * time.Hour)}
}

func present(t *testing.T, tree *memory.Tree) (boot string, session int64) {
	t.Helper()
	s := tree.Connect(memory.Controller)
	n, err := s.Get(t.Context(), at)
	if errors.Is(err, state.ErrNotFound) {
		return "", 0
	}
	rec, err2 := state.Decode[state.Presence](at, n)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return rec.Value.Boot, n.Session
}

func TestPresence(t *testing.T) {
	tree := newTree(t)
	c := tree.Connect(memory.Controller)
	p := coord.NewPresence(t.Context(), c, at, run("x", 0))
	step := func(what string) {
		t.Helper()
		if err := p.Step(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		session, _ := c.Session(t.Context())
		if boot, s := present(t, tree); boot != "x" || s != session.ID {
			t.Errorf("%s: present is %q of session %d, not x of %d", what, boot, s, session.ID)
		}
	}
	step("at first")
	c.Expire()
	<-p.Lost()
	step("after an expiry")
	c.Suspect()
	step("after a suspicion")
	var x state.Txn
	x.Delete(at, state.Any)
	if _, err := c.Commit(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	<-p.C()
	step("after it was deleted")
	c.Expire()
	c.LoseReply()
	step("with a lost reply")
	if err := p.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if boot, _ := present(t, tree); boot != "" {
		t.Errorf("present is %q after it left", boot)
	}
}

func TestPresenceOfRuns(t *testing.T) {
	tree := newTree(t)
	c1, c2 := tree.Connect(memory.Controller), tree.Connect(memory.Controller)
	p1 := coord.NewPresence(t.Context(), c1, at, run("x", 0))
	p2 := coord.NewPresence(t.Context(), c2, at, run("y", 1))
	if err := p1.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p2.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if boot, _ := present(t, tree); boot != "y" {
		t.Errorf("present is %q: the leftover stays", boot)
	}
	<-p1.C()
	if err := p1.Step(t.Context()); !errors.Is(err, coord.ErrSuperseded) {
		t.Errorf("the earlier run: %v", err)
	}
	if err := p1.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if boot, _ := present(t, tree); boot != "y" {
		t.Errorf("present is %q: the earlier run has removed the later", boot)
	}
}

func TestPresenceWithoutParent(t *testing.T) {
	c := memory.New().Connect(memory.Controller)
	p := coord.NewPresence(t.Context(), c, at, run("x", 0))
	if err := p.Step(t.Context()); !errors.Is(err, state.ErrNotFound) {
		t.Error(err)
	}
}

func TestKeep(t *testing.T) {
	tree := newTree(t)
	c, boss := tree.Connect(memory.Controller), tree.Connect(memory.Controller)
	w := boss.Watch(t.Context())
	w.Data(at)
	awaitPresent := func(want string) {
		t.Helper()
		for {
			select {
			case <-w.C():
				w.Take()
				if boot, _ := present(t, tree); boot == want {
					return
				}
			case <-time.After(time.Minute):
				t.Fatalf("present is never %q", want)
			}
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- coord.NewPresence(ctx, c, at, run("x", 0)).Keep(ctx, slog.New(slog.DiscardHandler))
	}()
	awaitPresent("x")
	var x state.Txn
	x.Delete(at, state.Any)
	if _, err := boss.Commit(ctx, x); err != nil {
		t.Fatal(err)
	}
	awaitPresent("x")
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if boot, _ := present(t, tree); boot != "" {
		t.Errorf("present is %q after it left", boot)
	}
}
