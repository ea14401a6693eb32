package sim

import (
	"context"
	"errors"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// errDied is what a process that has died is told by everything: it does not know that it has died, and can do nothing.
var errDied = errors.New("died")

// A link is the connection of one process to the tree. What it does there is checked.
type link struct {
	*memory.Client
	s     *Sim
	who   string
	fence string // of a leader
	dead  bool
	died  func() // what else ends with the process
}

func (s *Sim) connect(who string, principals ...state.Principal) *link {
	return &link{Client: s.tree.Connect(principals...), s: s, who: who}
}

// die ends the process. Its session ends at once; that of a process that only sleeps ends by another accident.
func (l *link) die(why string) {
	if l.dead {
		return
	}
	l.s.log("%s dies %s", l.who, why)
	l.s.count("deaths")
	l.dead = true
	_ = l.Client.Close()
	l.died()
}

func (l *link) alive() error {
	if l.dead {
		return errDied
	}
	return nil
}

// Get implements state.Store.
func (l *link) Get(ctx context.Context, path string) (state.Node, error) {
	if err := l.alive(); err != nil {
		return state.Node{}, err
	}
	return l.Client.Get(ctx, path)
}

// Children implements state.Store.
func (l *link) Children(ctx context.Context, path string) ([]string, error) {
	if err := l.alive(); err != nil {
		return nil, err
	}
	return l.Client.Children(ctx, path)
}

// Commit implements state.Store. Others may act before it, and it may be the last that the process does.
func (l *link) Commit(ctx context.Context, t state.Txn) ([]string, error) {
	if len(t.Ops) == 0 {
		return nil, nil
	}
	l.s.meanwhile()
	if l.s.accident(60) {
		l.die("before a commit")
	}
	if err := l.alive(); err != nil {
		return nil, err
	}
	if l.s.accident(30) {
		l.s.log("%s: the reply to its commit is lost", l.who)
		l.s.count("lost replies")
		l.LoseReply()
	}
	undo := l.s.check.before(l, t)
	out, err := l.Client.Commit(ctx, t)
	undo(err)
	if l.s.accident(60) {
		l.die("after a commit")
		return nil, errDied
	}
	return out, err
}
