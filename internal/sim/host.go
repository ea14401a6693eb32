package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/state"
)

// A host is a machine with the process of its agent, which runs the agents of its units.
type host struct {
	s      *Sim
	id     state.MachineID
	number int
	boots  int
	moves  int                      // how often it has had another address
	disks  map[state.UnitName]*disk // outlive the process
	link   *link                    // nil while the process is down
	lock   *unit.Lock
	units  map[state.UnitName]*lodger
	proved map[state.Principal]bool
	until  time.Time // it is down until then
	heal   time.Time // its connection is cut until then
	busy   bool      // it is in the middle of a step
	hangs  bool      // it never comes up again
}

// A lodger is the agent of a unit.
type lodger struct {
	agent *unit.Agent
	queue *unit.Commands
	calls []*call // that were made to it
	end   context.CancelFunc
	stop  context.CancelFunc // ends the step that it is in
	until time.Time          // it waits until then; zero: for a change
}

func newHost(s *Sim, id state.MachineID, number int) *host {
	return &host{s: s, id: id, number: number, boots: 1, disks: map[state.UnitName]*disk{}}
}

func (s *Sim) allHosts() []*host {
	var out []*host
	for _, id := range slices.Sorted(maps.Keys(s.hosts)) {
		out = append(out, s.hosts[id])
	}
	return out
}

// someHost is a host that is not in the middle of a step.
func (s *Sim) someHost() *host {
	all := slices.DeleteFunc(s.allHosts(), func(h *host) bool { return h.busy })
	if len(all) == 0 {
		return nil
	}
	return all[s.rng.IntN(len(all))]
}

// kill ends the process of the machine's agent, and all its units' agents with it.
func (h *host) kill(why string, until time.Time) {
	h.until = until
	if h.link != nil {
		h.link.die(why)
	}
}

func (h *host) boot() {
	s := h.s
	link := s.connect("machine "+string(h.id), model.MachinePrincipal(h.id), state.Agents, model.ModelAgents())
	h.link, h.lock, h.units, h.proved, h.heal = link, unit.NewLock(s.clock), map[state.UnitName]*lodger{}, map[state.Principal]bool{}, time.Time{}
	link.died = func() {
		for _, l := range h.units {
			l.end()
		}
		h.link, h.units = nil, nil
		if s.faults && h.until.Before(s.now) {
			h.until = s.now.Add(time.Duration(s.rng.IntN(60)) * time.Second)
		}
	}
}

// up says whether the agent's process runs; it starts it when it should.
func (h *host) up() bool {
	if h.link == nil && !h.hangs && !h.s.now.Before(h.until) {
		h.boot()
	}
	return h.link != nil
}

// act lets the machine's agent or one of its units' do something.
func (h *host) act() {
	if h.busy || !h.up() {
		return
	}
	h.busy = true
	defer func() { h.busy = false }()
	h.assign()
	if names := h.names(); len(names) > 0 {
		u := names[h.s.rng.IntN(len(names))]
		h.converse(u)
		h.step(u)
	}
}

// stepAll lets all of them go on until they wait, and says whether any of them did anything.
func (h *host) stepAll() (busy bool) {
	if !h.up() {
		return false
	}
	h.busy = true
	defer func() { h.busy = false }()
	busy = h.assign()
	for _, u := range h.names() {
		for range 300 {
			if !h.step(u) {
				break
			}
			busy = true
		}
	}
	return busy
}

func (h *host) names() []state.UnitName {
	return slices.SortedFunc(maps.Keys(h.units), state.CompareUnits)
}

// assign starts the agents of the units that the machine has, and ends those of units that it has no more.
func (h *host) assign() (changed bool) {
	s, ctx, link := h.s, context.Background(), h.link
	machine, err := state.ReadIf[state.Machine](ctx, link, model.MachinePath(h.id))
	if err != nil {
		return false // the connection is cut
	}
	secrets, err := state.ReadIf[state.MachineSecrets](ctx, link, model.SecretsPath(h.id))
	if err != nil {
		return false
	}
	for _, p := range slices.Sorted(maps.Keys(secrets.Value)) {
		if !h.proved[p] && link.Prove(ctx, state.Credential{Principal: p, Secret: secrets.Value[p]}) == nil {
			h.proved[p] = true
		}
	}
	for _, u := range machine.Value.Units {
		if h.units[u] == nil && h.link == link {
			changed = h.start(u) || changed
		}
	}
	for _, u := range h.names() {
		if l := h.units[u]; !slices.Contains(machine.Value.Units, u) && l != nil {
			s.log("%s is no more on machine %s", u, h.id)
			l.end()
			delete(h.units, u)
			delete(h.disks, u)
			changed = true
		}
	}
	return changed
}

// start begins the agent of the unit.
func (h *host) start(u state.UnitName) bool {
	s, link := h.s, h.link
	d := h.disks[u]
	if d == nil {
		d = &disk{}
		h.disks[u] = d
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := state.Presence{Boot: s.id("run"), Since: s.now.Add(time.Duration(s.ids))} // no two runs begin at the same moment
	queue := unit.NewCommands()
	a, err := unit.New(ctx, unit.Config{
		Model: model, Unit: u, Machine: h.id, Store: link, Lock: h.lock, Commands: queue,
		World: func() unit.World { return unit.World{Network: h.network(), Addresses: state.Addresses{Name: "shop"}} },
		Run:   run, Boot: fmt.Sprintf("boot-%s-%d", h.id, h.boots), Reboot: h.reboot,
		Now: s.clock, ID: func() string { return s.id("commit") },
	}, &doer{s: s, h: h, link: link, disk: d, unit: u})
	if err != nil {
		cancel()
		if link.alive() == nil {
			s.log("%s cannot start: %v", u, err)
		}
		return false
	}
	s.log("%s starts on machine %s", u, h.id)
	h.units[u] = &lodger{agent: a, queue: queue, end: cancel}
	return true
}

// network is how the machine is reached now.
func (h *host) network() unit.Network {
	private := fmt.Sprintf("10.0.%d.%d", h.moves, h.number)
	return unit.Network{Public: fmt.Sprintf("198.51.100.%d", h.number), Private: private, Egress: []string{private + "/32"}}
}

// restart is the machine that starts again: nothing is in its place.
func (h *host) restart(why string, until time.Time) {
	h.kill(why, until)
	h.boots++
	for _, d := range h.disks {
		d.placed = nil
	}
}

// step steps a unit's agent once, and says whether it did anything.
func (h *host) step(u state.UnitName) bool {
	l := h.units[u]
	if l == nil || l.agent.Gone() {
		return false
	}
	s := h.s
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.stop = cancel
	op, err := l.agent.Step(ctx)
	if h.link == nil || h.units[u] != l {
		return false // it died in there
	}
	s.check.answers(l)
	if ctx.Err() != nil { // it was stopped, and starts again
		l.end()
		delete(h.units, u)
		return true
	}
	if err != nil {
		s.log("%s: %v", u, err)
		s.count("errors of agents")
		return !s.faults && s.chance(2) // it tries again; in the end it must do it
	}
	if w, waits := op.(resolve.Wait); waits {
		l.until = w.Until
		return false
	}
	l.until = time.Time{}
	s.log("%s: %s", u, op)
	return true
}

func (h *host) due() []time.Time {
	if h.hangs {
		return nil
	}
	if h.link == nil {
		return []time.Time{h.until}
	}
	var out []time.Time
	if !h.heal.IsZero() {
		out = append(out, h.heal)
	}
	for _, u := range h.names() {
		if l := h.units[u]; !l.until.IsZero() && !l.agent.Gone() {
			out = append(out, l.until)
		}
	}
	return out
}
