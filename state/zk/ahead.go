package zk

import (
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/state"
)

// Watching a node again and reading it is one request to the server, and whoever is told that a node has changed reads it
// next. So what was read is held for that one Get, which then need not ask: the reaction to a change is a round trip shorter.
// What is held is what the server would have said when the watch began; if it has changed since, the watch has fired, and
// whoever read the old will be told. Only a client's own writes it must see without being told: a Commit makes all
// that is held worthless, when it begins and when it ends.

// A held is a node that was read ahead.
type held struct {
	node state.Node
	age  int       // Store.age when the reading began
	when time.Time // it began
}

// heldFor is how long a node is held. Whoever was told reads at once; who comes later gets what is there then.
const heldFor = time.Second

// grown makes all that is held worthless.
func (s *Store) grown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age++
}

// takeHeld is what is held of the node, for one reading.
func (s *Store) takeHeld(path string) (state.Node, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.spots[path]
	if sp == nil || sp.held == nil {
		return state.Node{}, false
	}
	h := *sp.held
	sp.held = nil
	return h.node, h.age == s.age && sp.armed&data != 0 && s.isUp && time.Since(h.when) < heldFor
}

// armReading watches the data and reads it. It is false if there is nothing that the client may read; that can only be watched.
func (s *Store) armReading(sp *spot) (bool, error) {
	s.mu.Lock()
	begun := held{age: s.age, when: time.Now()}
	s.mu.Unlock()
	value, stat, _, err := s.conn.GetW(s.abs(sp.path))
	if errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNoAuth) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sp.arm(data)
	begun.node = nodeOf(value, stat)
	sp.held = &begun
	if sp.denied == 0 {
		sp.absent = false // if it was, it has just come
	}
	return true, nil
}

func nodeOf(value []byte, stat *zk.Stat) state.Node {
	return state.Node{
		Data:     value,
		Version:  state.Version(stat.Version),
		Stamp:    state.Stamp(stat.Mzxid),
		Created:  state.Stamp(stat.Czxid),
		Session:  stat.EphemeralOwner,
		Children: int(stat.NumChildren),
	}
}
