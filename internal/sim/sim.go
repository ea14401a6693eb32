// Package sim lives a whole environment in one goroutine: the real leader, the real unit agents and the real edits of
// users, on a tree in memory, with hooks, machines, a cloud and accidents that are played. Everything that could differ
// from one run to the next comes from a seed: a seed that finds a fault finds it again.
package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

const (
	model     = state.ModelID("00000000-0000-4000-8000-000000000001")
	cloudName = "played"
)

var key = state.Key("the key of a simulated controller")

// A Sim is one environment.
type Sim struct {
	rng     *rand.Rand
	now     time.Time
	ids     int
	tree    *memory.Tree
	admin   *memory.Client // sees all, and never fails
	users   *memory.Client
	cloud   *cloud
	control *controller
	deposed []*controller // that may still believe they lead
	hosts   map[state.MachineID]*host
	charms  map[string]charm.Charm // by hash
	faults  bool                   // accidents happen
	depth   int                    // of meanwhile
	check   checker
	trace   []string
	err     error

	// Seen counts what has happened, so that a test can tell whether a simulation is worth anything.
	Seen map[string]int
}

// New is an environment with a controller, a model and charms, in which nothing is deployed.
func New(seed uint64) *Sim {
	s := &Sim{
		rng: rand.New(rand.NewPCG(seed, 17)), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), tree: memory.New(),
		hosts: map[state.MachineID]*host{}, charms: map[string]charm.Charm{}, Seen: map[string]int{},
	}
	s.tree.Key = key
	s.admin, s.users = s.tree.Connect(memory.Controller), s.tree.Connect(memory.Controller)
	s.cloud = &cloud{s: s, failures: map[string]int{}}
	s.check = newChecker(s)
	s.found()
	s.control = &controller{s: s}
	return s
}

// Run lives for so many acts, with accidents; then lets everything settle and looks whether all is as users want it;
// then removes all of it and looks whether anything is left. The error says what is wrong and how it came to it.
func Run(seed uint64, acts int) (*Sim, error) {
	s := New(seed)
	s.faults = true
	for range acts {
		s.act()
		if s.err != nil {
			break
		}
	}
	s.rest("after accidents")
	s.atRest()
	s.end()
	if s.err != nil {
		return s, fmt.Errorf("seed %d: %w\n%s", seed, s.err, strings.Join(s.trace[max(0, len(s.trace)-120):], "\n"))
	}
	return s, nil
}

// Trace is all that has happened, in order.
func (s *Sim) Trace() []string { return s.trace }

func (s *Sim) log(format string, args ...any) {
	s.trace = append(s.trace, s.now.Format("15:04:05.000 ")+strings.Repeat("  ", s.depth)+fmt.Sprintf(format, args...))
}

func (s *Sim) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
		s.log("WRONG: %v", s.err)
	}
}

// must is for what cannot go wrong unless the simulation itself is at fault.
func (s *Sim) must(err error) {
	if err != nil {
		s.fail("the simulation: %w", err)
	}
}

func (s *Sim) count(what string) { s.Seen[what]++ }

// chance is true once in n times.
func (s *Sim) chance(n int) bool { return s.rng.IntN(n) == 0 }

// accident is chance, while there are accidents.
func (s *Sim) accident(n int) bool { return s.faults && s.chance(n) }

func (s *Sim) id(of string) string {
	s.ids++
	return fmt.Sprintf("%s%d", of, s.ids)
}

func (s *Sim) clock() time.Time { return s.now }

// act lets someone do something.
func (s *Sim) act() {
	if s.err != nil {
		return
	}
	switch n := s.rng.IntN(20); {
	case n < 3:
		s.user()
	case n < 7:
		s.control.step()
		for _, old := range s.deposed {
			old.step()
		}
	case n < 16:
		if h := s.someHost(); h != nil {
			h.act()
		}
	case n < 17:
		s.misfortune()
	default:
		if s.depth == 0 {
			s.pass(time.Duration(1+s.rng.IntN(3000)) * time.Millisecond)
		}
	}
}

// meanwhile lets others act between two steps of one.
func (s *Sim) meanwhile() {
	if s.depth >= 2 || !s.accident(4) {
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	for range 1 + s.rng.IntN(3) {
		s.act()
	}
}

// misfortune is what happens to processes, machines and connections.
func (s *Sim) misfortune() {
	if s.chance(6) {
		if s.chance(2) {
			s.depose()
		} else {
			s.control.stop(s.now.Add(time.Duration(s.rng.IntN(10)) * time.Second))
		}
		return
	}
	h := s.someHost()
	if h == nil || h.link == nil {
		return
	}
	switch s.rng.IntN(7) {
	case 0:
		h.kill("killed", s.now.Add(time.Duration(s.rng.IntN(90))*time.Second))
	case 1:
		h.restart("rebooted", s.now.Add(time.Duration(s.rng.IntN(60))*time.Second))
	case 2:
		s.log("machine %s: session expires", h.id)
		h.link.Expire()
	case 3:
		s.log("machine %s: session expires unnoticed", h.id)
		h.link.ExpireUnnoticed()
	case 4:
		h.link.Suspect()
	case 6:
		h.moves++
		s.log("machine %s: its address is %s", h.id, h.network().Private)
		s.count("other addresses")
	case 5:
		s.log("machine %s: connection cut", h.id)
		h.link.Cut()
		h.heal = s.now.Add(time.Duration(s.rng.IntN(15)) * time.Second)
	}
	s.count("misfortunes")
}

// pass lets time pass.
func (s *Sim) pass(d time.Duration) {
	s.now = s.now.Add(d)
	for _, h := range s.allHosts() {
		if h.link != nil && !h.heal.IsZero() && !s.now.Before(h.heal) {
			h.link.Heal()
			h.heal = time.Time{}
		}
	}
	s.check.ends()
}

// quiet lets everyone act until no one has anything to do now.
func (s *Sim) quiet() {
	for range 100 {
		before := s.check.commits
		busy := s.control.finish()
		for _, h := range s.allHosts() {
			busy = h.stepAll() || busy
		}
		if s.err != nil || !busy && before == s.check.commits {
			return
		}
	}
	s.fail("there is always something to do")
}

// until lets everyone act for so long.
func (s *Sim) until(end time.Time) {
	for s.err == nil {
		s.quiet()
		next := end
		for _, t := range s.due() {
			if t.Before(next) {
				next = t
			}
		}
		if !s.now.Before(end) {
			return
		}
		s.pass(max(time.Millisecond, next.Sub(s.now)))
	}
}

// due is when something is to be done that nothing else will bring about.
func (s *Sim) due() []time.Time {
	out := s.control.due()
	for _, h := range s.allHosts() {
		out = append(out, h.due()...)
	}
	return out
}

// rest ends all accidents and gives everyone the 30 s in which an environment that is left alone must come to rest. Hooks
// that have failed, so that they would run again later, are run again now.
func (s *Sim) rest(why string) {
	if s.err != nil {
		return
	}
	s.log("== rest %s", why)
	s.faults = false
	s.control.until = s.now
	for _, old := range s.deposed {
		old.stop(s.now)
	}
	for _, h := range s.allHosts() {
		h.until = s.now
		if h.link != nil {
			h.link.Heal()
		}
	}
	s.quiet()
	s.resolveAll()
	s.until(s.now.Add(30 * time.Second))
}

// read reads a node that may not be there, in the checks of the simulation.
func read[T any](s *Sim, path string) state.Record[T] {
	rec, err := state.ReadIf[T](context.Background(), s.admin, path)
	s.must(err)
	return rec
}

func (s *Sim) children(path string) []string {
	names, err := state.ChildrenIf(context.Background(), s.admin, path)
	s.must(err)
	return names
}
