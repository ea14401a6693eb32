package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/providertest"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

const (
	model = state.ModelID("00000000-0000-4000-8000-000000000001")
	fence = state.ElectionPath + "/leader"
)

var key = state.Key("a key for tests")

// A cloud is a provider without machines: TestCloud holds it to the contract of all.
type cloud struct {
	mu        sync.Mutex
	instances map[provider.InstanceID]tagged
	started   int
	revived   int // starts of instances that had stopped
	listed    int
	startErr  error
	listErr   error
	stopErr   error
	boots     bool                           // instances are pending at first
	hangs     bool                           // starts do not return
	during    func()                         // is called when an instance has been started and nobody has been told yet
	wanted    []string                       // machine, group and turn of each start
	unseen    map[provider.InstanceID]bool   // is not listed
	silent    map[provider.InstanceID]string // is listed as one of which nothing is known, and why

	open    map[provider.InstanceID]string // what may reach them
	portErr error
	asked   int // for ports

	shelf
}

type tagged struct {
	controller string
	provider.Instance
}

func newCloud() *cloud { return &cloud{instances: map[provider.InstanceID]tagged{}} }

func (c *cloud) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	c.mu.Lock()
	hangs, during := c.hangs, c.during
	c.mu.Unlock()
	if during != nil {
		defer during() // when the lock is free again
	}
	if hangs {
		<-ctx.Done()
		return provider.Instance{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = append(c.wanted, fmt.Sprintf("%s: %s %d", req.Machine, req.Group, req.Turn))
	if req.Constraints.Arch != nil && *req.Constraints.Arch == "pdp11" {
		return provider.Instance{}, fmt.Errorf("arch pdp11: %w", provider.ErrRefused)
	}
	if c.startErr != nil {
		return provider.Instance{}, c.startErr
	}
	for id, in := range c.instances {
		if in.controller == req.Controller && in.Model == req.Model && in.Machine == req.Machine {
			if in.State == provider.Stopped {
				c.revived++
				in.State = provider.Running
				c.instances[id] = in
			}
			return in.Instance, nil
		}
	}
	if req.Enrolled {
		return provider.Instance{}, req.Missing()
	}
	c.started++
	in := provider.Instance{ID: provider.InstanceID(fmt.Sprintf("i-%d", c.started)), Model: req.Model, Machine: req.Machine,
		State: provider.Running, Addresses: []string{fmt.Sprintf("127.1.0.%d", c.started)}}
	if c.boots {
		in.State, in.Addresses = provider.Pending, nil
	}
	c.instances[in.ID] = tagged{req.Controller, in}
	return in, nil
}

func (c *cloud) Stop(_ context.Context, ids ...provider.InstanceID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopErr != nil {
		return c.stopErr
	}
	for _, id := range ids {
		delete(c.instances, id)
	}
	return nil
}

func (c *cloud) List(_ context.Context, controller string) ([]provider.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed++
	if c.listErr != nil {
		return nil, c.listErr
	}
	var out []provider.Instance
	for _, in := range c.instances {
		if in.controller == controller && !c.unseen[in.ID] && c.silent[in.ID] == "" {
			out = append(out, in.Instance)
		}
	}
	slices.SortFunc(out, func(a, b provider.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if len(c.silent) > 0 {
		return out, &provider.PartialError{Silent: c.silent}
	}
	return out, nil
}

// SetPorts implements provider.Firewaller.
func (c *cloud) SetPorts(_ context.Context, id provider.InstanceID, want []provider.Rule) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.instances[id]; !there {
		return provider.ErrNotFound
	}
	if c.portErr != nil {
		return c.portErr
	}
	var open []string
	for _, r := range want {
		open = append(open, strings.Join(append([]string{r.String()}, r.Sources...), "<"))
	}
	if c.open == nil {
		c.open = map[provider.InstanceID]string{}
	}
	c.open[id] = strings.Join(open, " ")
	c.asked++
	return nil
}

// only is the provider of every place.
func (c *cloud) only(context.Context, state.Place) (provider.Provider, error) { return c, nil }

// halt has an instance stop by itself.
func (c *cloud) halt(id provider.InstanceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.instances[id]
	in.State = provider.Stopped
	c.instances[id] = in
}

func (c *cloud) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.instances)
}

func (c *cloud) machines() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, in := range c.instances {
		out = append(out, in.Machine)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestCloud(t *testing.T) {
	c := newCloud()
	providertest.Run(t, providertest.Config{
		Open: func(*testing.T) provider.Provider { return c },
		Init: func(string) provider.Init { return provider.Init{} },
		Halt: func(_ *testing.T, id provider.InstanceID) { c.halt(id) },
	})
}

// A world is a controller with one model "shop", its leader, and agents that do what they should without a charm.
type world struct {
	*testing.T
	tree   *memory.Tree
	store  *store
	cloud  *cloud
	now    time.Time
	leader *Leader
	stuck  map[state.UnitName]bool // agents that do not answer
	logs   *strings.Builder
	cancel context.CancelFunc
	tell   Tell
}

// A store can end the leader's life at one of its commits.
type store struct {
	*memory.Client
	commits int
	dieAt   int  // the commit, counted from 1, at which it dies; zero: never
	after   bool // it dies after the commit, not before
	ops     int  // the most in a commit
	loseAt  int  // the commit whose reply is lost
}

var errDied = errors.New("died")

func (s *store) Commit(ctx context.Context, t state.Txn) ([]string, error) {
	s.commits++
	s.ops = max(s.ops, len(t.Ops))
	if s.commits == s.loseAt {
		s.LoseReply()
	}
	if s.dieAt > 0 && s.commits == s.dieAt && !s.after {
		panic(errDied)
	}
	out, err := s.Client.Commit(ctx, t)
	if s.dieAt > 0 && s.commits == s.dieAt {
		panic(errDied)
	}
	return out, err
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, tree: memory.New(), cloud: newCloud(), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		stuck: map[state.UnitName]bool{}, logs: &strings.Builder{}}
	w.store = &store{Client: w.tree.Connect(memory.Controller)}
	found(func(decide func(context.Context, state.Reader) (state.Txn, error)) { edit(w, decide) }, w.by())
	w.elect()
	return w
}

// found makes a controller with the model "shop" and its charms.
func found(do func(func(context.Context, state.Reader) (state.Txn, error)), by state.By) {
	do(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.Bootstrap(ctx, r, by, state.Founding{
			Controller: state.Controller{UUID: "c", Name: "test", Cloud: "cloud", CA: "the CA"}, Admin: state.User{Name: "admin"},
			Model: state.NewModel{UUID: "00000000-0000-4000-8000-000000000000"}})
	})
	do(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.AddModel(ctx, r, by, state.NewModel{UUID: model, Name: "shop", Owner: "admin", Cloud: "cloud",
			Addresses: state.Addresses{API: []string{"127.0.0.1:17070"}, AgentHash: "abc"}})
		return t, err
	})
	web := charm.Meta{Name: "web", Endpoints: endpoints("db", "mysql", charm.Requirer, "site", "http", charm.Provider, "cluster", "web", charm.Peer)}
	db := charm.Meta{Name: "db", Endpoints: endpoints("db", "mysql", charm.Provider)}
	logger := charm.Meta{Name: "logger", Subordinate: true, Endpoints: endpoints("info", "juju-info", charm.Requirer)}
	ep := logger.Endpoints["info"]
	ep.Scope = charm.Container
	logger.Endpoints["info"] = ep
	for _, meta := range []charm.Meta{web, db, logger} {
		do(func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.AddCharm(ctx, r, model, by, charm.Charm{Meta: meta}, "sha", 1)
			return t, err
		})
	}
}

func endpoints(text ...any) map[string]charm.Endpoint {
	out := map[string]charm.Endpoint{}
	for i := 0; i < len(text); i += 3 {
		ep := charm.Endpoint{Name: text[i].(string), Interface: text[i+1].(string), Role: text[i+2].(charm.Role), Scope: charm.Global}
		out[ep.Name] = ep
	}
	return out
}

func (w *world) by() state.By { return state.By{User: "admin", Now: w.now} }

func edit(w *world, decide func(context.Context, state.Reader) (state.Txn, error)) {
	w.Helper()
	if err := state.Edit(context.Background(), w.store.Client, decide); err != nil {
		w.Fatal(err)
	}
}

func (w *world) deploy(name string, n int, to ...string) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.Deploy(ctx, r, model, w.by(), key, state.Deployment{Name: state.ApplicationName(name), Charm: name + "-0", Units: n, Placements: to})
		return t, err
	})
}

func (w *world) relate(a, b string) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.Relate(ctx, r, model, w.by(), key, a, b)
		return t, err
	})
}

func (w *world) removeUnit(u string, how state.Ending) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveUnits(ctx, r, model, w.by(), []state.UnitName{state.UnitName(u)}, how)
		return t, err
	})
}

func (w *world) removeApplication(name string, how state.Ending) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveApplication(ctx, r, model, w.by(), state.ApplicationName(name), how)
		return t, err
	})
}

// elect ends the leader that there is and begins another one.
func (w *world) elect() {
	w.Helper()
	if w.cancel != nil {
		w.cancel()
		edit(w, func(context.Context, state.Reader) (state.Txn, error) {
			var t state.Txn
			t.Delete(fence, state.Any)
			return t, nil
		})
	}
	edit(w, func(context.Context, state.Reader) (state.Txn, error) {
		var t state.Txn
		t.Create(fence, nil)
		return t, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.Cleanup(cancel)
	var err error
	w.leader, err = New(ctx, Config{Store: w.store, Fence: fence, Providers: w.cloud.only, Key: key,
		Log: slog.New(slog.NewTextHandler(w.logs, nil)), Now: func() time.Time { return w.now }, Tell: w.tell})
	if err != nil {
		w.Fatal(err)
	}
}

// settle lets the leader and the agents act until there is nothing more to do now. A leader that dies is followed by another.
func (w *world) settle() {
	w.Helper()
	for range 1000 {
		if !w.step() && !w.agents() {
			return
		}
	}
	w.Fatalf("there is always something to do:\n%s", w.logs)
}

func (w *world) step() (more bool) {
	w.Helper()
	defer func() {
		if died := recover(); died != nil {
			if died != errDied {
				panic(died)
			}
			w.store.dieAt = 0
			w.elect()
			more = true
		}
	}()
	before := w.store.commits
	jobs, err := w.leader.Step(context.Background())
	if err != nil {
		w.Fatalf("step: %v\n%s", err, w.logs)
	}
	for _, j := range jobs {
		w.leader.Take(w.leader.Do(context.Background(), j))
	}
	select {
	case <-w.leader.C():
		more = true
	default:
	}
	return more || len(jobs) > 0 || w.leader.Busy() || w.store.commits > before
}

// pass lets time pass, and everyone act when something is due.
func (w *world) pass(d time.Duration) {
	w.Helper()
	end := w.now.Add(d)
	for w.settle(); ; w.settle() {
		next := w.leader.Next()
		if next.After(end) {
			w.now = end
			w.settle()
			return
		}
		if next.After(w.now) {
			w.now = next
		} else {
			w.now = w.now.Add(time.Millisecond)
		}
	}
}

// agents lets each unit on a machine with an instance take one step.
func (w *world) agents() (more bool) {
	ctx := context.Background()
	c := w.store.Client
	ids, _ := state.ChildrenIf(ctx, c, model.MachinesPath())
	for _, id := range ids {
		machine, _ := state.ReadIf[state.Machine](ctx, c, model.MachinePath(state.MachineID(id)))
		instance, _ := state.ReadIf[state.Instance](ctx, c, model.InstancePath(state.MachineID(id)))
		if instance.Value.State != provider.Running {
			continue
		}
		for _, u := range machine.Value.Units {
			if !w.stuck[u] && w.agent(u) {
				more = true
			}
		}
	}
	return more
}

// agent does what a unit's agent would: it enters relations that are alive, leaves those that are not, and goes when it is to.
func (w *world) agent(u state.UnitName) bool {
	ctx := context.Background()
	c := w.store.Client
	unit, _ := state.ReadIf[state.Unit](ctx, c, model.UnitPath(u))
	ledger, _ := state.ReadIf[state.Ledger](ctx, c, model.LedgerPath(u))
	app, _ := state.ReadIf[state.Application](ctx, c, model.ApplicationPath(u.Application()))
	if !unit.Exists() || ledger.Value.Phase == state.Gone || unit.Value.Life == state.Dead {
		return false
	}
	var t state.Txn
	for _, r := range app.Value.Relations {
		p := state.Scoped(r.Scope, u, unit.Value)
		member, _ := state.ReadIf[relation.Settings](ctx, c, model.MemberPath(r.Relation, p, u))
		switch alive := r.Life == state.Alive && unit.Value.Life == state.Alive; {
		case alive && !member.Exists():
			if p != "" {
				for _, dir := range []string{model.RelationPath(r.Relation) + "/" + p.Node(), model.MembersPath(r.Relation, u.Application(), p)} {
					if there, _ := state.Exists(ctx, c, dir); !there {
						t.Create(dir, nil)
					}
				}
				t.Tell(model, state.TicketUnit, string(u))
			}
			t.Create(model.MemberPath(r.Relation, p, u), relation.Settings{"private-address": string(u)})
		case !alive && member.Exists():
			if err := state.Depart(ctx, c, &t, model, r.Relation, p, u); err != nil {
				w.Fatal(err)
			}
			t.Tell(model, state.TicketRelation, r.Relation.String())
		}
	}
	was := string(state.Encode(ledger.Value))
	if ledger.Exists() && unit.Value.Life == state.Alive {
		w.keep(&t, u, unit.Value, &ledger.Value)
	}
	if !ledger.Exists() {
		t.Create(model.LedgerPath(u), state.Ledger{Phase: state.Started})
	} else if string(state.Encode(ledger.Value)) != was {
		t.Set(ledger.Path, ledger.Value, ledger.Version)
	} else if unit.Value.Life != state.Alive && len(unit.Value.Subordinates) == 0 && len(t.Ops) == 0 {
		ledger.Value.Phase = state.Gone
		t.Set(ledger.Path, ledger.Value, ledger.Version)
		t.Tell(model, state.TicketUnit, string(u))
	}
	if len(t.Ops) == 0 {
		return false
	}
	if _, err := c.Commit(ctx, t); err != nil {
		w.Fatalf("agent of %s: %v", u, err)
	}
	return true
}

// show is the model in few words: each unit with its machine, each relation with its members, machines without units.
func (w *world) show() string {
	ctx := context.Background()
	c := w.store.Client
	var out []string
	names, _ := state.ChildrenIf(ctx, c, model.ApplicationsPath())
	for _, name := range names {
		app, _ := state.ReadIf[state.Application](ctx, c, model.ApplicationPath(state.ApplicationName(name)))
		text := name
		if app.Value.Life != state.Alive {
			text += "(" + string(app.Value.Life) + ")"
		}
		units, _ := state.UnitsOf(ctx, c, model, state.ApplicationName(name))
		for _, u := range units {
			unit, _ := state.ReadIf[state.Unit](ctx, c, model.UnitPath(u))
			text += fmt.Sprintf(" %d@%s", u.Number(), unit.Value.Machine)
			if unit.Value.Life != state.Alive {
				text += "(" + string(unit.Value.Life) + ")"
			}
		}
		out = append(out, text)
	}
	ids, _ := state.ChildrenIf(ctx, c, model.RelationsPath())
	for _, id := range ids {
		rec, _ := state.ReadIf[state.Relation](ctx, c, model.RelationPath(state.RelationIDOf("/"+id)))
		members, _, _ := w.leader.members(ctx, model, state.RelationIDOf("/"+id), rec.Value)
		slices.SortFunc(members, state.CompareUnits)
		out = append(out, fmt.Sprintf("%s %s %v", id, relation.Key(rec.Value.Endpoints), members))
	}
	machines, _ := state.ChildrenIf(ctx, c, model.MachinesPath())
	out = append(out, "machines "+strings.Join(machines, " "))
	return strings.Join(out, "; ")
}

func (w *world) want(what string) {
	w.Helper()
	if got := w.show(); got != what {
		w.Errorf("\ngot  %s\nwant %s\n%s", got, what, w.logs)
	}
}

func (w *world) history() string {
	ctx := context.Background()
	names, _ := state.ChildrenIf(ctx, w.store.Client, model.HistoryPath())
	var out []string
	for _, name := range names {
		rec, _ := state.ReadIf[state.Change](ctx, w.store.Client, model.HistoryPath()+"/"+name)
		out = append(out, rec.Value.User+" "+rec.Value.What+" "+rec.Value.Details)
	}
	return strings.Join(out, "\n")
}

// quiet wants no ticket left.
func (w *world) quiet() {
	w.Helper()
	if names, _ := state.ChildrenIf(context.Background(), w.store.Client, model.ChangesPath()); len(names) > 0 {
		w.Errorf("tickets are left: %v", names)
	}
}
