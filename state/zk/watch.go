package zk

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/state"
)

// kinds is what of a node is watched.
type kinds uint8

const (
	data kinds = 1 << iota
	children
)

// A spot is a node that is watched. It has at most one watch of the library for its data and one for its children,
// however many watch it here and however often. Once no one does, it stays until those have fired, for the
// library cannot drop them.
type spot struct {
	path    string
	watches map[*watch]kinds
	owed    map[*watch]bool // who is to hear of it once it is watched again
	armed   kinds           // the library's watches that are there
	busy    bool            // they are being made now
	fired   kinds           // meanwhile
	absent  bool            // the children cannot be watched: the data is, for when the node comes
	held    *held           // what was read with the last watch for its data
	denied  kinds           // what the server does not let us watch, until another credential or visit
}

// wants is what has to be armed.
func (sp *spot) wants() kinds {
	var k kinds
	for _, w := range sp.watches {
		k |= w
	}
	if k&children != 0 && sp.absent {
		k = k&^children | data
	}
	return k &^ sp.denied
}

// retry makes all of the spot be watched again, and reported.
func (sp *spot) retry() {
	sp.armed, sp.denied, sp.absent = 0, 0, false
	sp.owe(data | children)
}

// owe notes whom a change of these kinds is to be told.
func (sp *spot) owe(k kinds) {
	for w, wants := range sp.watches {
		if wants&k != 0 {
			sp.owed[w] = true
		}
	}
}

// nudge wakes runWatches. The Store is locked.
func (s *Store) nudge() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// fired takes note of a watch that has fired. The Store is locked.
func (s *Store) fired(e zk.Event) {
	s.followed(e)
	sp := s.spots[s.rel(e.Path)]
	if sp == nil {
		return
	}
	var k kinds
	switch e.Type {
	case zk.EventNodeCreated, zk.EventNodeDataChanged:
		k = data
	case zk.EventNodeChildrenChanged:
		k = children
	default: // deleted, or the library has dropped it
		k = data | children
	}
	sp.armed &^= k
	sp.fired |= k
	if k&data != 0 {
		sp.held = nil
	}
	if e.Type == zk.EventNodeCreated {
		k |= children
	}
	sp.owe(k)
	if k&data != 0 {
		sp.absent, sp.denied = false, 0
	}
	if len(sp.watches) == 0 && sp.armed == 0 && !sp.busy {
		delete(s.spots, sp.path)
		return
	}
	s.nudge()
}

// forgetWatches takes note that the library has none. The Store is locked.
func (s *Store) forgetWatches() {
	clear(s.armed)
	for path, sp := range s.spots {
		sp.armed, sp.fired, sp.held = 0, data|children, nil
		if len(sp.watches) == 0 && !sp.busy {
			delete(s.spots, path)
		}
	}
}

// runWatches opens the gate of each visit and arms what is to be watched, until the end of life.
func (s *Store) runWatches(life context.Context) {
	told := 0 // the last visit after which all were owed a report
	for {
		select {
		case <-s.due:
		case <-life.Done():
			return
		case <-s.closing:
			return
		}
		s.mu.Lock()
		visit := s.visit
		s.mu.Unlock()
		if visit > told {
			if s.greet(s.conn) != nil {
				continue // the next visit will come
			}
			told = visit
			s.mu.Lock()
			for _, sp := range s.spots {
				if sp.denied != 0 {
					sp.retry()
				}
				sp.owe(data | children)
			}
			s.mu.Unlock()
			s.open(visit)
		}
		if !s.armAll() {
			pause(life, again)
			s.mu.Lock()
			if s.isUp {
				s.nudge()
			}
			s.mu.Unlock()
		}
	}
}

// atOnce is how many watches are made at the same time.
const atOnce = 8

// armAll arms what needs it, and reports what is owed. It is false if some could not be armed.
func (s *Store) armAll() bool {
	s.mu.Lock()
	s.followAll()
	if !s.isUp {
		s.mu.Unlock()
		return true // the next visit will try
	}
	var todo []*spot
	for _, sp := range s.spots {
		if len(sp.owed) > 0 || sp.wants()&^sp.armed != 0 {
			sp.busy, sp.fired = true, 0
			todo = append(todo, sp)
		}
	}
	s.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, sp := range todo {
		g.Go(func() error { return s.arm(sp) })
	}
	err := g.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range todo {
		sp.busy = false
		if sp.wants()&^sp.armed == 0 {
			for w := range sp.owed {
				w.mark(sp.path)
			}
			clear(sp.owed)
		} else if err == nil {
			s.nudge() // it fired at once
		}
		if len(sp.watches) == 0 && sp.armed == 0 {
			delete(s.spots, sp.path)
		}
	}
	return err == nil
}

// arm makes the watches of the library that the spot lacks.
func (s *Store) arm(sp *spot) error {
	for {
		s.mu.Lock()
		missing := sp.wants() &^ sp.armed
		s.mu.Unlock()
		switch {
		case missing&children != 0:
			if err := s.armChildren(sp); err != nil {
				return err
			}
		case missing&data != 0:
			if err := s.armData(sp); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// armData watches the data, whether or not there is a node. ZooKeeper tells whoever asks whether there is one, but
// of one that we may not read it never tells that the watch has fired; see proved.
func (s *Store) armData(sp *spot) error {
	if done, err := s.armReading(sp); done || err != nil && !answered(err) {
		return err
	}
	exists, _, _, err := s.conn.ExistsW(s.abs(sp.path))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && answered(err):
		sp.denied |= data
		return nil
	case err != nil:
		return err
	}
	sp.arm(data)
	if exists && sp.denied == 0 {
		sp.absent = false // if it was, it has just come
	}
	return nil
}

// armChildren watches the children, or finds that it cannot.
func (s *Store) armChildren(sp *spot) error {
	err := s.checkCount(s.conn, sp.path)
	if err == nil {
		var names []string
		names, _, _, err = s.conn.ChildrenW(s.abs(sp.path))
		s.counted(sp.path, len(names), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		sp.arm(children)
	case errors.Is(err, zk.ErrNoNode):
		sp.absent = true
	case answered(err): // it may not be read, or is too long
		sp.absent = true
		sp.denied |= children
	default:
		return err
	}
	return nil
}

// arm notes a watch of the library, unless it has fired already.
func (sp *spot) arm(k kinds) {
	sp.armed |= k &^ sp.fired
	sp.fired &^= k
}

type watch struct {
	s     *Store // its mu guards the rest
	dirty map[string]bool
	c     chan struct{}
	ended bool
}

// Watch implements state.Store.
func (s *Store) Watch(ctx context.Context) state.Watch {
	w := &watch{s: s, dirty: map[string]bool{}, c: make(chan struct{}, 1)}
	context.AfterFunc(ctx, w.end)
	return w
}

func (w *watch) Data(path string)     { w.add(path, data) }
func (w *watch) Children(path string) { w.add(path, children) }
func (w *watch) C() <-chan struct{}   { return w.c }

func (w *watch) add(path string, k kinds) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	sp := w.s.spots[path]
	if w.ended || sp != nil && sp.watches[w]&k != 0 {
		return
	}
	if sp == nil {
		sp = &spot{path: path, watches: map[*watch]kinds{}, owed: map[*watch]bool{}}
		w.s.spots[path] = sp
	}
	sp.watches[w] |= k
	sp.owed[w] = true
	w.s.nudge()
}

func (w *watch) Drop(path string) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if sp := w.s.spots[path]; sp != nil {
		w.drop(sp)
	}
	w.settle()
}

func (w *watch) drop(sp *spot) {
	delete(sp.watches, w)
	delete(sp.owed, w)
	delete(w.dirty, sp.path)
	if len(sp.watches) == 0 && sp.armed == 0 && !sp.busy {
		delete(w.s.spots, sp.path)
	}
}

func (w *watch) Take() []string {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	paths := slices.Sorted(maps.Keys(w.dirty))
	clear(w.dirty)
	w.settle()
	return paths
}

func (w *watch) mark(path string) {
	w.dirty[path] = true
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// settle takes back the value in C when nothing is dirty.
func (w *watch) settle() {
	if len(w.dirty) == 0 {
		select {
		case <-w.c:
		default:
		}
	}
}

func (w *watch) end() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.ended = true
	for _, sp := range w.s.spots {
		if _, ok := sp.watches[w]; ok {
			w.drop(sp)
		}
	}
	w.settle()
}
