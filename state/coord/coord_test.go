package coord_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
	"github.com/grigri/grigri/state/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "/election"

var began = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func newTree(t *testing.T) *memory.Tree {
	t.Helper()
	tree := memory.New()
	var x state.Txn
	x.Create(dir, nil)
	if _, err := tree.Connect(memory.Controller).Commit(context.Background(), x); err != nil {
		t.Fatal(err)
	}
	return tree
}

func config(c state.Store, name, boot string, run int) coord.Config {
	return coord.Config{Store: c, Dir: dir, Name: name,
		Run: state.Presence{Boot: boot, Since: began.Add(time.Duration(run) * time.Hour)}}
}

type member struct {
	*memory.Client
	*coord.Candidate
}

func stand(t *testing.T, tree *memory.Tree, name, boot string, run int) member {
	t.Helper()
	client := tree.Connect(memory.Controller)
	c, err := coord.NewCandidate(t.Context(), config(client, name, boot, run))
	if err != nil {
		t.Fatal(err)
	}
	return member{client, c}
}

// step steps until the candidate is at rest.
func (m member) step(t *testing.T) (coord.Fence, bool) {
	t.Helper()
	for {
		f, leads, err := m.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-m.C():
		default:
			return f, leads
		}
	}
}

func write(s state.Store, f coord.Fence) error {
	var x state.Txn
	f.Check(&x)
	x.Set(dir, "hello", state.Any)
	_, err := s.Commit(context.Background(), x)
	return err
}

func line(t *testing.T, tree *memory.Tree) []string {
	t.Helper()
	names, err := tree.Connect(memory.Controller).Children(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestOneLeads(t *testing.T) {
	tree := newTree(t)
	a, b := stand(t, tree, "web/0", "x", 0), stand(t, tree, "web/1", "y", 0)
	fa, ok := a.step(t)
	if !ok {
		t.Fatal("the first is not chosen")
	}
	if _, ok := b.step(t); ok {
		t.Fatal("the second is chosen too")
	}
	if name, err := coord.Leader(t.Context(), a, dir); name != "web-0" || err != nil {
		t.Errorf("the leader is %q: %v", name, err)
	}
	if err := write(a, fa); err != nil {
		t.Errorf("the leader writes: %v", err)
	}
	if err := write(b, coord.Fence{}); err == nil {
		t.Error("the zero fence opens")
	}
	if err := a.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-b.C()
	fb, ok := b.step(t)
	if !ok {
		t.Fatal("the second is not chosen after the first has resigned")
	}
	if fb.Epoch <= fa.Epoch {
		t.Errorf("epoch %d follows %d", fb.Epoch, fa.Epoch)
	}
	if err := write(a, fa); !errors.Is(err, state.ErrConflict) {
		t.Errorf("one that has resigned writes: %v", err)
	}
	if _, ok := a.step(t); ok {
		t.Error("one that has resigned is chosen at once")
	}
}

// A leader that sleeps through the end of its session must not write.
func TestStaleLeader(t *testing.T) {
	tree := newTree(t)
	a, b := stand(t, tree, "web/0", "x", 0), stand(t, tree, "web/1", "y", 0)
	fa, _ := a.step(t)
	b.step(t)
	a.ExpireUnnoticed()
	<-b.C()
	if _, ok := b.step(t); !ok {
		t.Fatal("the second is not chosen")
	}
	if f, ok, _ := a.Step(t.Context()); !ok || f != fa {
		t.Fatal("the first knows already: this test is of one that does not")
	}
	if err := write(a, fa); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("the first write: %v", err)
	}
	if err := write(a, fa); !errors.Is(err, state.ErrConflict) {
		t.Errorf("the second write: %v", err)
	}
	if _, ok := a.step(t); ok {
		t.Error("it is still chosen")
	}
	if got := line(t, tree); len(got) != 2 {
		t.Errorf("in line: %v", got)
	}
}

func TestLostReplyLeavesNoOrphan(t *testing.T) {
	tree := newTree(t)
	a := stand(t, tree, "web/0", "x", 0)
	a.LoseReply()
	if _, ok := a.step(t); !ok {
		t.Error("not chosen")
	}
	if got := line(t, tree); len(got) != 1 {
		t.Errorf("in line: %v", got)
	}
}

// A crashed run's node would stand in the way until its session ends.
func TestEarlierRunMakesWay(t *testing.T) {
	tree := newTree(t)
	old := stand(t, tree, "web/0", "x", 0)
	old.step(t)
	now := stand(t, tree, "web/0", "y", 1)
	if _, ok := now.step(t); !ok {
		t.Error("the new run waits for the old one")
	}
	if _, ok := old.step(t); ok {
		t.Error("the old run took over from the new one")
	}
	if _, ok := now.step(t); !ok {
		t.Error("the new run has lost to the old one")
	}
}

func TestOwnEarlierSession(t *testing.T) {
	tree := newTree(t)
	// A node of this very run, made in a session that is not over on the server.
	ghost := tree.Connect(memory.Controller)
	g, err := coord.NewCandidate(t.Context(), config(ghost, "web/0", "x", 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := stand(t, tree, "web/0", "x", 0)
	f, ok := a.step(t)
	if !ok {
		t.Fatal("not chosen")
	}
	if got := line(t, tree); len(got) != 1 || !strings.HasSuffix(f.Path, got[0]) {
		t.Errorf("in line: %v; the fence is %v", got, f)
	}
}

// Each watches only the one before it, and itself: no herd.
func TestOnlyTheNextWakes(t *testing.T) {
	tree := newTree(t)
	var all []member
	for i := range 20 {
		m := stand(t, tree, fmt.Sprintf("web/%d", i), fmt.Sprint("boot", i), 0)
		m.step(t)
		all = append(all, m)
	}
	all[0].Close()
	woken := 0
	for _, m := range all[1:] {
		select {
		case <-m.C():
			woken++
		default:
		}
	}
	if woken != 1 {
		t.Errorf("%d woke", woken)
	}
	if _, ok := all[1].step(t); !ok {
		t.Error("the next is not chosen")
	}
	all[5].Close() // in the middle of the line
	if _, ok := all[6].step(t); ok {
		t.Error("one in the middle of the line is chosen")
	}
	for _, m := range all[1:5] {
		m.Close()
	}
	if _, ok := all[6].step(t); !ok {
		t.Error("the line is broken where one left it")
	}
}

// With nothing new, a step asks nothing of the tree.
func TestRestIsFree(t *testing.T) {
	tree := newTree(t)
	a := stand(t, tree, "web/0", "x", 0)
	a.step(t)
	a.Cut()
	if _, ok, err := a.Step(t.Context()); !ok || err != nil {
		t.Errorf("chosen %v: %v", ok, err)
	}
	a.Suspect()
	if _, ok, err := a.Step(t.Context()); ok || err == nil {
		t.Errorf("with the session in doubt: chosen %v: %v", ok, err)
	}
	a.Heal()
	if _, ok := a.step(t); !ok {
		t.Error("it was its place still")
	}
}

func TestBadConfig(t *testing.T) {
	c := memory.New().Connect(memory.Controller)
	for _, cfg := range []coord.Config{
		{}, {Store: c}, config(c, "a=b", "x", 0), config(c, "a", "", 0), config(c, "a", "x:y", 0),
	} {
		if _, err := coord.NewCandidate(t.Context(), cfg); err == nil {
			t.Errorf("accepted %q %q", cfg.Name, cfg.Run.Boot)
		}
	}
	cand, err := coord.NewCandidate(t.Context(), config(c, "a", "x", 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := cand.Step(t.Context()); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("without a directory: %v", err)
	}
}
