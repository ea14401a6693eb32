package sim

import (
	"context"
	"errors"
	"time"

	"github.com/grigri/grigri/controller/leader"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// A controller is the process that leads, and the next one after its death.
type controller struct {
	s      *Sim
	leader *leader.Leader // nil while none leads
	link   *link
	fence  string
	jobs   []leader.Job
	until  time.Time // it is down until then
	busy   bool      // it is in the middle of a step
}

func (c *controller) stop(until time.Time) {
	c.until = until
	if c.link != nil {
		c.link.die("where it stands")
	}
}

// depose elects another leader while this one goes on, not knowing, perhaps in the middle of a step.
func (s *Sim) depose() {
	old := s.control
	if old.leader == nil {
		return
	}
	s.log("%s is deposed and goes on", old.fence)
	s.count("deposed leaders")
	s.deposed = append(s.deposed, old)
	s.control = &controller{s: s, fence: old.fence}
	s.control.step()
}

// elect begins another term, with a fence of its own.
func (c *controller) elect() {
	s := c.s
	var t state.Txn
	if c.fence != "" {
		t.Delete(c.fence, state.Any)
	}
	c.fence = state.ElectionPath + "/" + s.id("c")
	t.Create(c.fence, nil)
	if _, err := s.admin.Commit(context.Background(), t); err != nil {
		s.must(err)
		return
	}
	s.log("%s is elected", c.fence)
	link := s.connect("the leader", memory.Controller)
	link.fence = c.fence
	ctx, cancel := context.WithCancel(context.Background())
	link.died = func() {
		cancel()
		c.leader, c.link, c.jobs = nil, nil, nil
		if s.faults {
			c.until = s.now.Add(time.Duration(s.rng.IntN(10)) * time.Second)
		}
	}
	l, err := leader.New(ctx, leader.Config{Store: link, Fence: c.fence, Providers: s.cloud.only, Key: key, Now: s.clock})
	if err != nil {
		s.must(err)
		return
	}
	c.leader, c.link = l, link
}

// step does one thing that a leader does, and says whether there was anything to do.
func (c *controller) step() bool {
	s := c.s
	if c.busy || c.leader == nil && (c != s.control || s.now.Before(c.until)) {
		return false
	}
	c.busy = true
	defer func() { c.busy = false }()
	if c.leader == nil {
		c.elect()
		return true
	}
	l := c.leader
	if len(c.jobs) > 0 && !s.accident(3) { // a provider takes its time
		i := s.rng.IntN(len(c.jobs))
		job := c.jobs[i]
		c.jobs = append(c.jobs[:i:i], c.jobs[i+1:]...)
		s.log("the leader has a provider %s", job.Kind)
		if r := l.Do(context.Background(), job); c.leader == l {
			l.Take(r)
		}
		return true
	}
	jobs, err := l.Step(context.Background())
	if c.leader != l {
		return true // it died in there
	}
	if err != nil && !errors.Is(err, leader.ErrDeposed) {
		s.fail("the leader's step: %w", err)
	} else if err != nil {
		c.stop(s.now)
	}
	c.jobs = append(c.jobs, jobs...)
	select {
	case <-l.C():
		return true
	default:
		return len(jobs) > 0 || l.Busy()
	}
}

// finish steps until there is nothing more to do now, and says whether there was anything.
func (c *controller) finish() (busy bool) {
	for c.s.err == nil && (c.step() || len(c.jobs) > 0) {
		busy = true
	}
	return busy
}

func (c *controller) due() []time.Time {
	if c.leader == nil {
		return []time.Time{c.until}
	}
	return []time.Time{c.leader.Next()}
}
