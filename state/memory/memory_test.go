package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

var ctx = context.Background()

func commit(t *testing.T, s state.Store, edit func(*state.Txn)) []string {
	t.Helper()
	var txn state.Txn
	edit(&txn)
	created, err := s.Commit(ctx, txn)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func TestExpire(t *testing.T) {
	tree := memory.New()
	c, other := tree.Connect(memory.Controller), tree.Connect(memory.Controller)
	commit(t, c, func(x *state.Txn) { x.Create("/a", 1); x.Ephemeral("/a/e", 2); x.Ephemeral("/a/f", 2) })
	w := other.Watch(ctx)
	w.Data("/a/e")
	w.Children("/a")
	w.Take()
	own := c.Watch(ctx)
	own.Data("/a")
	own.Take()

	before, _ := c.Session(ctx)
	c.Expire()
	select {
	case <-before.Lost:
	default:
		t.Error("Lost is open after the expiry")
	}
	after, _ := c.Session(ctx)
	if after.ID == before.ID {
		t.Error("the session is the same after its expiry")
	}
	select {
	case <-after.Lost:
		t.Error("the new session is lost")
	default:
	}
	if _, err := other.Get(ctx, "/a/e"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("the ephemeral node is still there: %v", err)
	}
	if got := w.Take(); !slices.Equal(got, []string{"/a", "/a/e"}) {
		t.Errorf("another's watch reports %v", got)
	}
	if got := own.Take(); !slices.Equal(got, []string{"/a"}) {
		t.Errorf("its own watch reports %v", got)
	}
}

func TestExpireUnnoticed(t *testing.T) {
	tree := memory.New()
	c := tree.Connect(memory.Controller)
	commit(t, c, func(x *state.Txn) { x.Ephemeral("/e", 2) })
	before, _ := c.Session(ctx)
	c.ExpireUnnoticed()
	select {
	case <-before.Lost:
		t.Fatal("the client knows of it")
	default:
	}
	var x state.Txn
	x.Create("/b", 1)
	if _, err := c.Commit(ctx, x); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("the first commit: %v", err)
	}
	if paths := tree.Paths(); !slices.Equal(paths, []string{"/"}) {
		t.Errorf("the tree has %v", paths)
	}
	<-before.Lost
	if _, err := c.Commit(ctx, x); err != nil {
		t.Errorf("the second commit: %v", err)
	}
}

func TestSuspect(t *testing.T) {
	c := memory.New().Connect(memory.Controller)
	before, _ := c.Session(ctx)
	c.Suspect()
	<-before.Lost
	after, _ := c.Session(ctx)
	if after.ID != before.ID {
		t.Error("the session is another")
	}
	select {
	case <-after.Lost:
		t.Error("it is still lost")
	default:
	}
}

func TestCut(t *testing.T) {
	tree := memory.New()
	c, other := tree.Connect(memory.Controller), tree.Connect(memory.Controller)
	w := c.Watch(ctx)
	w.Data("/a")
	w.Take()
	c.Cut()
	var x state.Txn
	x.Create("/a", 1)
	if _, err := c.Commit(ctx, x); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("commit while cut: %v", err)
	}
	if _, err := c.Get(ctx, "/a"); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("get while cut: %v", err)
	}
	commit(t, other, func(x *state.Txn) { x.Create("/a", 1) })
	if got := w.Take(); got != nil {
		t.Errorf("the watch reports %v while cut", got)
	}
	c.Heal()
	if got := w.Take(); !slices.Equal(got, []string{"/a"}) {
		t.Errorf("the watch reports %v after the cut", got)
	}
}

func TestBlock(t *testing.T) {
	c := memory.New().Connect(memory.Controller)
	c.Block()
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := c.Children(short, "/"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call whose context ends: %v", err)
	}
	done := make(chan error)
	go func() {
		_, err := c.Children(ctx, "/")
		done <- err
	}()
	c.Heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLoseReply(t *testing.T) {
	tree := memory.New()
	c := tree.Connect(memory.Controller)
	c.LoseReply()
	var x state.Txn
	x.Create("/a", 1)
	if _, err := c.Commit(ctx, x); !errors.Is(err, state.ErrUnknown) {
		t.Fatalf("commit: %v", err)
	}
	if _, err := c.Commit(ctx, x); !errors.Is(err, state.ErrConflict) {
		t.Errorf("the commit was not made: %v", err)
	}
}

func TestClose(t *testing.T) {
	tree := memory.New()
	c := tree.Connect(memory.Controller)
	commit(t, c, func(x *state.Txn) { x.Ephemeral("/e", nil) })
	c.Close()
	if paths := tree.Paths(); !slices.Equal(paths, []string{"/"}) {
		t.Errorf("the tree has %v", paths)
	}
	if _, err := c.Get(ctx, "/"); err == nil {
		t.Error("a closed client reads")
	}
}

func TestProveAgainstKey(t *testing.T) {
	tree := memory.New()
	tree.Key = state.Key("k")
	m := state.ModelID("m")
	boss := tree.Connect(memory.Controller)
	commit(t, boss, func(x *state.Txn) { x.Create("/models", nil); x.Create(m.Path(), nil); x.Create(m.ConfigPath(), 1) })
	c := tree.Connect()
	wrong := state.Credential{Principal: m.ModelAgents(), Secret: "guess"}
	if err := c.Prove(ctx, wrong); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, m.ConfigPath()); !errors.Is(err, state.ErrDenied) {
		t.Errorf("with a guess: %v", err)
	}
	if err := c.Prove(ctx, tree.Key.Credential(m.ModelAgents())); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, m.ConfigPath()); err != nil {
		t.Error(err)
	}
	if acl, ok := tree.ACL(m.ConfigPath()); !ok || !slices.Equal(acl.Read, []state.Principal{m.ModelAgents()}) {
		t.Errorf("its access is %v", acl)
	}
}

// A failed transaction leaves no trace, not even in the numbers of sequences.
func TestRollback(t *testing.T) {
	tree := memory.New()
	c := tree.Connect(memory.Controller)
	commit(t, c, func(x *state.Txn) { x.Create("/a", 1); x.Create("/a/b", 2) })
	before, _ := c.Get(ctx, "/a")
	w := c.Watch(ctx)
	w.Data("/a")
	w.Children("/a")
	w.Take()
	x := state.Txn{Ops: []state.Op{{Kind: state.OpCreate, Path: "/a/s", Sequence: true}}}
	x.Set("/a", 5, 0)
	x.Delete("/a/b", 0)
	x.Create("/c", 1)
	x.Check("/nowhere", state.Any)
	if _, err := c.Commit(ctx, x); !errors.Is(err, state.ErrConflict) {
		t.Fatal(err)
	}
	if after, _ := c.Get(ctx, "/a"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the node was %v, is %v", before, after)
	}
	if paths := tree.Paths(); !slices.Equal(paths, []string{"/", "/a", "/a/b"}) {
		t.Errorf("the tree has %v", paths)
	}
	if got := w.Take(); got != nil {
		t.Errorf("the watch reports %v", got)
	}
	x.Ops = x.Ops[:len(x.Ops)-1]
	if created, err := c.Commit(ctx, x); err != nil || !slices.Equal(created, []string{"/a/s0000000001", "/c"}) {
		t.Errorf("created %v: %v", created, err)
	}
}

// A thousand agents, each watching its own: a change of one wakes one, and does not look at the others.
func BenchmarkCommit(b *testing.B) {
	tree := memory.New()
	boss := tree.Connect(memory.Controller)
	var x state.Txn
	x.Create("/u", nil)
	for i := range 1000 {
		x.Create(fmt.Sprintf("/u/%d", i), i)
		w := tree.Connect(memory.Controller).Watch(ctx)
		w.Data(fmt.Sprintf("/u/%d", i))
	}
	if _, err := boss.Commit(ctx, x); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		var x state.Txn
		x.Set(fmt.Sprintf("/u/%d", i%1000), i, state.Any)
		if _, err := boss.Commit(ctx, x); err != nil {
			b.Fatal(err)
		}
	}
}
