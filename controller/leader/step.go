package leader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/state"
)

// An item is a thing to look at.
type item struct {
	model state.ModelID
	state.Ticket
}

func (i item) String() string { return strings.TrimSpace(i.Kind + " " + i.Name) }

// A Leader leads step by step: Run is the loop around it, and a simulation can be another. It is for one
// goroutine, but for Do.
type Leader struct {
	Config
	watch state.Watch
	known map[state.ModelID]bool

	queue  map[item]bool      // to look at now
	due    map[item]time.Time // to look at later
	failed map[item]int       // failures in a row to look at it
	ended  map[item]string    // models and applications that have ended all that is theirs, and how

	tickets map[item][]string // nodes that go when the item has been looked at
	have    map[string]bool   // every ticket that is in tickets or spent
	spent   []string          // nodes that can go
	relist  map[state.ModelID]bool
	recheck map[state.ModelID]bool // models whose secrets someone has lost, or an owner of them is gone

	homeless map[state.ModelID]map[state.UnitName]bool
	free     map[state.ModelID]map[state.MachineID]bool // machines that may be free
	hosts    map[state.ModelID]map[state.MachineID]bool // machines that users have added

	addresses map[item][]string // of machines

	attended map[string]item       // machines whose agents' presence is watched, by its path
	absences map[item]plan.Absence // of machines whose agents are away

	jobs    []Job
	working map[item]bool   // machines that a Job is about
	lookers map[item]bool   // machines that wait for a listing
	pending map[item]bool   // machines whose instance does not run yet
	served  map[item]string // machines, with the instance whose storage has been looked at
	places  map[state.ModelID]state.Place
	former  map[state.Place]bool   // of models that are no more: something of theirs may be left
	listing map[state.Place]bool   // that are being listed
	sights  map[state.Place]*sight // a listing of just now

	nextAudit, nextPoll time.Time
	auditing            map[state.Place]bool // those whose next listing is part of an audit
	deposed             bool
}

// New is a leader that knows nothing yet: its first Step looks at everything. Its watch ends with ctx.
func New(ctx context.Context, c Config) (*Leader, error) {
	c, err := c.check()
	if err != nil {
		return nil, err
	}
	l := &Leader{
		Config: c, watch: c.Store.Watch(ctx), known: map[state.ModelID]bool{},
		queue: map[item]bool{}, due: map[item]time.Time{}, failed: map[item]int{}, ended: map[item]string{},
		tickets: map[item][]string{}, have: map[string]bool{}, relist: map[state.ModelID]bool{}, recheck: map[state.ModelID]bool{},
		homeless: map[state.ModelID]map[state.UnitName]bool{}, free: map[state.ModelID]map[state.MachineID]bool{},
		hosts: map[state.ModelID]map[state.MachineID]bool{}, addresses: map[item][]string{},
		attended: map[string]item{}, absences: map[item]plan.Absence{},
		working: map[item]bool{}, lookers: map[item]bool{}, pending: map[item]bool{}, served: map[item]string{},
		places: map[state.ModelID]state.Place{}, former: map[state.Place]bool{}, listing: map[state.Place]bool{}, sights: map[state.Place]*sight{}, auditing: map[state.Place]bool{},
	}
	l.watch.Children(state.ModelsPath)
	return l, nil
}

// stepItems is how many items a Step looks at, so that fresh tickets do not wait for the end of an audit.
const stepItems = 200

// Step does what is to be done now, and returns what is to be asked of providers: the caller has Do do it, in any order
// and at once if it likes, and gives each result to Take. The error is ErrDeposed, or that of ctx.
func (l *Leader) Step(ctx context.Context) ([]Job, error) {
	if l.deposed {
		return nil, ErrDeposed
	}
	if err := l.gather(ctx); err != nil {
		return nil, err
	}
	items := slices.SortedFunc(maps.Keys(l.queue), l.order)
	for _, it := range items[:min(len(items), stepItems)] {
		delete(l.queue, it)
		delete(l.due, it)
		if err := l.settle(ctx, it, l.look(ctx, it)); err != nil {
			return nil, err
		}
	}
	for _, m := range slices.Sorted(maps.Keys(l.homeless)) {
		units := l.homeless[m]
		delete(l.homeless, m)
		if err := l.place(ctx, m, units); err != nil {
			for u := range units {
				if err := l.settle(ctx, item{m, state.Ticket{Kind: state.TicketUnit, Name: string(u)}}, err); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(l.queue) == 0 {
		clear(l.sights)
	}
	if err := l.sweep(ctx); err != nil {
		return nil, err
	}
	jobs := l.jobs
	l.jobs = nil
	return jobs, ctx.Err()
}

// order: what was asked for comes before what is only audited; what begins to end comes from the top down.
func (l *Leader) order(a, b item) int {
	rank := func(it item) int {
		n := slices.Index([]string{state.TicketModel, state.TicketApplication, state.TicketRelation, state.TicketUnit, state.TicketMachine, state.TicketStorage, itemFitting, state.TicketSecret}, it.Kind)
		if len(l.tickets[it]) == 0 {
			n += 10
		}
		return n
	}
	if n := rank(a) - rank(b); n != 0 {
		return n
	}
	if n := strings.Compare(string(a.model), string(b.model)); n != 0 {
		return n
	}
	if n := len(a.Name) - len(b.Name); n != 0 {
		return n
	}
	return strings.Compare(a.Name, b.Name)
}

// Busy says that there is more to do without waiting for anything.
func (l *Leader) Busy() bool { return len(l.queue) > 0 || len(l.relist) > 0 || len(l.recheck) > 0 }

// C gets a value when the tree has changed.
func (l *Leader) C() <-chan struct{} { return l.watch.C() }

// Next is when Step has something to do even if nothing changes.
func (l *Leader) Next() time.Time {
	next := l.nextAudit
	if len(l.pending) > 0 && l.nextPoll.Before(next) {
		next = l.nextPoll
	}
	for _, at := range l.due {
		if at.Before(next) {
			next = at
		}
	}
	return next
}

// gather fills the queue from all that can: tickets, new models, deadlines, the audit.
func (l *Leader) gather(ctx context.Context) error {
	now := l.Now()
	for _, path := range l.watch.Take() {
		if m, ok := modelOfChanges(path); ok {
			l.relist[m] = true
		}
		if it, ok := l.attended[path]; ok {
			l.queue[it] = true
		}
	}
	if err := l.readModels(ctx); err != nil {
		return l.later(ctx, "read the models", err)
	}
	for _, m := range slices.Sorted(maps.Keys(l.relist)) {
		delete(l.relist, m)
		if err := l.readTickets(ctx, m); err != nil {
			l.relist[m] = true
			return l.later(ctx, "read tickets", err)
		}
	}
	if err := l.recheckSecrets(ctx); err != nil {
		return l.later(ctx, "read the secrets", err)
	}
	for it, at := range l.due {
		if !now.Before(at) {
			delete(l.due, it)
			l.queue[it] = true
		}
	}
	if !now.Before(l.nextAudit) {
		for _, m := range slices.Sorted(maps.Keys(l.known)) {
			if err := l.auditModel(ctx, m); err != nil {
				return l.later(ctx, "audit "+string(m), err)
			}
		}
		l.nextAudit = now.Add(l.Audit)
		for _, place := range slices.Concat(slices.Collect(maps.Values(l.places)), slices.Collect(maps.Keys(l.former))) {
			l.auditing[place] = true
		}
		l.list()
	}
	if len(l.pending) > 0 && !now.Before(l.nextPoll) {
		l.nextPoll = now.Add(l.Poll)
		l.list()
	}
	return nil
}

// later is for a tree that cannot be read: the whole of it is looked at again soon.
func (l *Leader) later(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, ErrDeposed) {
		return err
	}
	l.Log.Warn("cannot "+what+", will try again", "err", err)
	clear(l.known)
	clear(l.relist)
	clear(l.queue)
	l.nextAudit = l.Now().Add(time.Second)
	return nil
}

func modelOfChanges(path string) (state.ModelID, bool) {
	rest, ok := strings.CutPrefix(path, state.ModelsPath+"/")
	id, dir, _ := strings.Cut(rest, "/")
	return state.ModelID(id), ok && dir == "changes"
}

// readModels begins to watch models that are new, and forgets those that are no more.
func (l *Leader) readModels(ctx context.Context) error {
	names, err := l.Store.Children(ctx, state.ModelsPath)
	if err != nil {
		return err
	}
	for _, name := range names {
		if m := state.ModelID(name); !l.known[m] {
			l.known[m] = true
			l.watch.Children(m.ChangesPath())
			l.relist[m] = true
			if err := l.auditModel(ctx, m); err != nil {
				return err
			}
		}
	}
	for m := range l.known {
		if !slices.Contains(names, string(m)) {
			l.forget(m)
		}
	}
	return nil
}

func (l *Leader) forget(m state.ModelID) {
	delete(l.known, m)
	delete(l.relist, m)
	delete(l.recheck, m)
	delete(l.homeless, m)
	delete(l.free, m)
	delete(l.hosts, m)
	if place, ok := l.places[m]; ok {
		l.former[place] = true
		delete(l.places, m)
	}
	l.watch.Drop(m.ChangesPath())
	of := func(it item) bool { return it.model == m }
	maps.DeleteFunc(l.queue, func(it item, _ bool) bool { return of(it) })
	maps.DeleteFunc(l.due, func(it item, _ time.Time) bool { return of(it) })
	maps.DeleteFunc(l.failed, func(it item, _ int) bool { return of(it) })
	maps.DeleteFunc(l.ended, func(it item, _ string) bool { return of(it) })
	maps.DeleteFunc(l.served, func(it item, _ string) bool { return of(it) })
	maps.DeleteFunc(l.pending, func(it item, _ bool) bool { return of(it) })
	maps.DeleteFunc(l.lookers, func(it item, _ bool) bool { return of(it) })
	for _, it := range l.attended {
		if of(it) {
			l.unattend(it)
		}
	}
	l.dropTickets(m)
}

// auditModel looks at everything in the model.
func (l *Leader) auditModel(ctx context.Context, m state.ModelID) error {
	rec, err := state.ReadIf[state.Model](ctx, l.Store, m.Path())
	if err != nil {
		return fmt.Errorf("audit model %s: %w", m, err)
	}
	if rec.Exists() {
		l.places[m] = rec.Value.Place()
	}
	l.queue[item{m, state.Ticket{Kind: state.TicketModel}}] = true
	for _, list := range [][2]string{{state.TicketApplication, m.ApplicationsPath()}, {state.TicketUnit, m.UnitsPath()},
		{state.TicketMachine, m.MachinesPath()}, {state.TicketRelation, m.RelationsPath()}, {state.TicketStorage, m.StoragesPath()}} {
		kind, dir := list[0], list[1]
		names, err := state.ChildrenIf(ctx, l.Store, dir)
		if err != nil {
			return fmt.Errorf("audit %s: %w", dir, err)
		}
		for _, name := range names {
			switch kind {
			case state.TicketUnit:
				name = string(state.UnitOfNode(name))
			case state.TicketStorage:
				name = string(state.StorageOfNode(name))
			case state.TicketMachine:
				name = string(state.MachineOfNode(name))
			}
			l.queue[item{m, state.Ticket{Kind: kind, Name: name}}] = true
		}
	}
	l.recheck[m] = true
	return l.trim(ctx, m)
}

// What is kept of a model's past.
const (
	keepChanges = 5000
	keepHistory = 90 * 24 * time.Hour
)

// trim forgets what is too old. What cannot be forgotten now is in nobody's way.
func (l *Leader) trim(ctx context.Context, m state.ModelID) error {
	now := l.Now()
	err := l.steps(ctx, item{model: m}, func() (state.Txn, bool, error) {
		return state.TrimHistory(ctx, l.Store, m, keepChanges, now.Add(-keepHistory))
	})
	if err == nil {
		err = l.trimOperations(ctx, m, now)
	}
	if err != nil && !errors.Is(err, ErrDeposed) && ctx.Err() == nil {
		l.Log.Warn("cannot trim the history, will try again at the next audit", "model", m, "err", err)
		return nil
	}
	return err
}

// trimOperations forgets what came of tasks, as the model's settings say.
func (l *Leader) trimOperations(ctx context.Context, m state.ModelID, now time.Time) error {
	config, err := state.ReadIf[state.ModelConfig](ctx, l.Store, m.ConfigPath())
	if err != nil {
		return fmt.Errorf("read how long results are kept: %w", err)
	}
	age, size := config.Value.KeepResults()
	return l.steps(ctx, item{model: m}, func() (state.Txn, bool, error) {
		return state.TrimOperations(ctx, l.Store, m, now.Add(-age), size)
	})
}
