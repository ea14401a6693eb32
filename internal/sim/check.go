package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// A checker holds the environment to what must be so at every moment:
//
//   - removal ends: whatever is going is gone soon after its deadline, whatever has died;
//   - hooks come in order: install, start, then the others; after stop only remove;
//   - what a hook that has succeeded asked for is in the tree once, together with the ledger that says that it ran;
//   - settings that a unit reads never go back, and its related units are those that it has been told of;
//   - who writes for an application or for the model leads at that moment;
//   - each revision of a secret is made once, by the hook that gave it its value;
//   - a task, or a command of somebody on a machine, runs at most once, and ends once, with the result that it had; what it asked for is
//     in the tree before its end is told;
//   - a hook that was cut by a crash is told as failed before anything else runs, and one that was cut by a reboot runs again;
//   - no hook runs while storage that the charm knows is not in its place.
type checker struct {
	s        *Sim
	commits  int                        // that have changed the tree
	ended    map[state.UnitName]*ending // hooks that have ended and are not committed
	seen     map[seen]int               // the last number read in a related unit's settings
	excused  map[state.UnitName]bool    // hooks were skipped: it may have missed something
	hopeless map[state.UnitName]bool    // all its hooks fail
	tasks    map[state.TaskID]*task
	results  map[string]*task             // by the path of their result
	calls    map[string]*call             // by what they run
	runs     map[string]bool              // whose effects are in the tree
	told     map[string]bool              // units, with the revisions of secrets that secret-changed has told them of
	member   map[string]relation.Settings // the units' settings by path
}

type seen struct {
	by       state.UnitName
	relation state.RelationID
	of       state.UnitName
}

// An ending is how a hook has ended.
type ending struct {
	hook   hooks.Hook
	failed bool
	run    string                  // names the run in all that the hook asked for
	values map[state.SecretID]bool // the secrets that it changed: whether it gave them a value
}

// called says whether it is a task or a command, which fail by themselves.
func (e *ending) called() bool { return e.hook.Kind == hooks.Action || e.hook.Kind == hooks.Command }

func newChecker(s *Sim) checker {
	return checker{s: s, ended: map[state.UnitName]*ending{}, seen: map[seen]int{}, excused: map[state.UnitName]bool{},
		hopeless: map[state.UnitName]bool{}, tasks: map[state.TaskID]*task{}, results: map[string]*task{}, calls: map[string]*call{}, runs: map[string]bool{}, told: map[string]bool{}, member: map[string]relation.Settings{}}
}

func (c *checker) excuse(u state.UnitName) { c.excused[u] = true }

// noted is told what a unit's agent notes on its disk: from then on that is what has happened.
func (c *checker) noted(u state.UnitName, p *unit.Pending) {
	if p == nil || !p.Ended {
		return
	}
	if t := c.tasks[p.Hook.Task]; t != nil && p.Hook.Kind == hooks.Action {
		t.noted = true
	}
	e := &ending{hook: p.Hook, failed: p.Failed != nil || p.Cut, values: valued(p.Effects)}
	if run := p.Effects.State["run"]; run != nil {
		e.run = *run
	}
	c.ended[u] = e
}

// phases is in which phases a hook may run.
var phases = map[hooks.Kind][]state.Phase{
	hooks.Install:               {state.Unpacked},
	hooks.Start:                 {state.Installed, state.Started},
	hooks.ConfigChanged:         {state.Installed, state.Started},
	hooks.UpgradeCharm:          {state.Installed, state.Started},
	hooks.UpdateStatus:          {state.Started},
	hooks.Stop:                  {state.Started},
	hooks.Remove:                {state.Installed, state.Stopped},
	hooks.LeaderElected:         {state.Installed, state.Started},
	hooks.LeaderSettingsChanged: {state.Installed, state.Started},
	hooks.RelationCreated:       {state.Installed, state.Started},
	hooks.RelationJoined:        {state.Started},
	hooks.RelationChanged:       {state.Started},
	hooks.RelationDeparted:      {state.Installed, state.Started},
	hooks.RelationBroken:        {state.Installed, state.Started},
	hooks.StorageAttached:       {state.Unpacked, state.Installed, state.Started},
	hooks.StorageDetaching:      {state.Unpacked, state.Installed, state.Started},
	hooks.SecretChanged:         {state.Installed, state.Started},
	hooks.SecretRemove:          {state.Installed, state.Started},
	hooks.SecretRotate:          {state.Installed, state.Started},
	hooks.SecretExpired:         {state.Installed, state.Started},
}

// begins is told of a hook that begins to run.
func (c *checker) begins(u state.UnitName, r unit.Request) {
	s, h := c.s, r.Hook
	head := read[state.Ledger](s, model.LedgerPath(u))
	switch {
	case c.ended[u] != nil && head.Exists():
		s.fail("%s: %s runs, and %s has ended and is not committed", u, hookName(h), hookName(c.ended[u].hook))
	case h.Kind == hooks.Action:
		c.taskBegins(u, h)
	case h.Kind == hooks.Command:
		c.callBegins(u, h)
	case head.Exists() && !slices.Contains(phases[h.Kind], head.Value.Phase):
		s.fail("%s: %s runs when it is %q", u, h.Name(), head.Value.Phase)
	default:
		c.hookBegins(u, h, head.Value)
	}
}

// hookBegins: nothing has been forgotten, and all is in its place.
func (c *checker) hookBegins(u state.UnitName, h hooks.Hook, l state.Ledger) {
	s := c.s
	if l.Again != nil && string(l.Again.Hook) != string(state.Encode(h)) {
		s.fail("%s: %s runs, and %s was cut and has not run again", u, h.Name(), l.Again.Hook)
	}
	unit := read[state.Unit](s, model.UnitPath(u)).Value
	host := s.hosts[unit.Machine]
	if unit.Life != state.Alive || host == nil || host.disks[u] == nil {
		return
	}
	for _, a := range unit.Storage {
		if a.Life == state.Alive && l.Storage[a.ID].Attached && !host.disks[u].placed[a.ID] {
			s.fail("%s: %s runs, and %s is not in its place", u, h.Name(), a.ID)
		}
	}
}

// reads is told what a hook reads of a relation, by reading it.
func (c *checker) reads(ctx context.Context, u state.UnitName, r unit.Request, rel hooks.Relation) error {
	s := c.s
	members, err := r.Reader.Members(ctx, rel.ID)
	if err != nil {
		return err
	}
	local, _, err := resolve.Load(ctx, s.admin, model, u)
	s.must(err)
	if mine, there := local.Relations[rel.ID]; there && !slices.Equal(members, slices.Sorted(maps.Keys(mine.Units))) {
		s.fail("%s: %s sees %v in relation %d and was told of %v", u, r.Hook.Name(), members, rel.ID, mine.Units)
	}
	asked := members
	if h := r.Hook; h.Relation == rel.ID && h.RemoteUnit != "" && !slices.Contains(members, h.RemoteUnit) {
		asked = append(slices.Clone(members), h.RemoteUnit)
	}
	for _, of := range asked {
		settings, err := r.Reader.Settings(ctx, rel.ID, of)
		if errors.Is(err, hooks.ErrDenied) { // torn out by force
			continue
		}
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(settings["n"])
		at := seen{u, rel.ID, of}
		if n < c.seen[at] {
			s.fail("%s: %s sees %s of relation %d at %d, and has seen it at %d", u, r.Hook.Name(), of, rel.ID, n, c.seen[at])
		}
		c.seen[at] = n
	}
	return nil
}

// before is called before a commit; what it returns, after it.
func (c *checker) before(l *link, t state.Txn) func(error) {
	s := c.s
	var u state.UnitName
	var head state.Op
	for _, op := range t.Ops {
		if rest, ok := strings.CutPrefix(op.Path, model.UnitsPath()+"/"); ok && strings.HasSuffix(rest, "/ledger") && l.fence == "" && op.Kind != state.OpCheck {
			u, head = state.UnitOfNode(strings.TrimSuffix(rest, "/ledger")), op
		}
	}
	var had map[string]int
	var was state.Record[state.Ledger]
	var count state.Record[map[string]string]
	if head.Path != "" {
		had = c.secretsBefore(t, u)
		was, count = read[state.Ledger](s, head.Path), read[map[string]string](s, model.StatePath(u))
	}
	ended := c.endedBefore(t)
	leaders := map[state.ApplicationName]string{}
	for _, name := range applications {
		leaders[name], _ = coord.Leader(context.Background(), s.admin, model.ElectionPath(name))
	}
	fence := s.control.fence
	return func(err error) {
		if err == nil {
			c.commits++
		}
		c.taskEnds(ended)
		if l.fence != "" {
			if err == nil && l.fence != fence {
				s.fail("a leader that has been deposed has written")
			}
			return
		}
		c.led(l, t, err, leaders)
		if head.Path == "" {
			return
		}
		now, gerr := s.admin.Get(context.Background(), head.Path)
		if gerr != nil || !bytes.Equal(now.Data, head.Data) || was.Exists() && now.Version != was.Version+1 {
			if err == nil {
				s.fail("%s: a commit succeeded and its ledger is not in the tree", u)
			}
			return
		}
		if err != nil {
			c.commits++
		}
		ledger, derr := state.Decode[state.Ledger](head.Path, now)
		s.must(derr)
		c.secretsApplied(u, t, c.ended[u], had, ledger.Value.Failed != nil)
		c.applied(u, t, ledger.Value, count.Value)
	}
}

// led: who writes the application's settings leads.
func (c *checker) led(l *link, t state.Txn, err error, leaders map[state.ApplicationName]string) {
	for _, op := range t.Ops {
		for _, name := range applications {
			side := strings.HasPrefix(op.Path, model.RelationsPath()+"/") && strings.HasSuffix(op.Path, "/"+string(name)) && op.Kind == state.OpSet
			if err != nil || !side && op.Path != model.LeaderPath(name) && op.Path != model.ApplicationStatusPath(name) {
				continue
			}
			u := state.UnitOfNode(leaders[name])
			if h := c.s.hosts[read[state.Unit](c.s, model.UnitPath(u)).Value.Machine]; h == nil || h.link != l {
				c.s.fail("%s writes %s, and the leader is %q", l.who, op.Path, leaders[name])
			}
		}
	}
}

// applied is told of a commit that moved the unit's ledger.
func (c *checker) applied(u state.UnitName, t state.Txn, ledger state.Ledger, count map[string]string) {
	s, e := c.s, c.ended[u]
	delete(c.ended, u)
	if e != nil && !e.failed && ledger.Failed == nil && e.hook.Kind == hooks.SecretChanged {
		if what := fmt.Sprint(u, e.hook.Secret, e.hook.SecretRevision); c.told[what] {
			s.fail("%s is told twice of revision %d of %s", u, e.hook.SecretRevision, e.hook.Secret.URI())
		} else {
			c.told[what] = true
		}
	}
	var run string
	for _, op := range t.Ops {
		if op.Path == model.StatePath(u) {
			rec, err := state.Decode[map[string]string](op.Path, state.Node{Data: op.Data})
			s.must(err)
			run = rec.Value["run"]
			if rec.Value["n"] != next(count["n"]) {
				s.fail("%s: %s hooks have counted, and now it is %s", u, count["n"], rec.Value["n"])
			}
		}
	}
	c.runs[run] = true
	switch {
	case e == nil && run != "":
		s.fail("%s: what %s asked for is committed without it", u, run)
	case e == nil:
	case e.failed && (ledger.Failed == nil && ledger.Again == nil || run != ""):
		s.fail("%s: %s failed, and the ledger does not say so", u, e.hook.Name())
	case !e.failed && run != e.run && (ledger.Failed == nil || e.called()):
		s.fail("%s: %s succeeded, and what it asked for is lost", u, hookName(e.hook))
	}
	for _, op := range t.Ops {
		if !strings.HasPrefix(op.Path, model.RelationsPath()+"/") || !strings.HasSuffix(op.Path, "/"+u.Node()) || op.Kind != state.OpSet || strings.Contains(op.Path, state.GoneName) {
			continue
		}
		rec, err := state.Decode[relation.Settings](op.Path, state.Node{Data: op.Data})
		s.must(err)
		was := c.member[op.Path]
		c.member[op.Path] = rec.Value
		if rec.Value["n"] != was["n"] && (rec.Value["n"] != next(was["n"]) || rec.Value["run"] != run) {
			s.fail("%s: its settings were %v and become %v, by %s", u, was, rec.Value, run)
		}
	}
}

// grace is how long after its deadline a thing may take to be gone: the planner's, and a minute.
const grace = 2 * time.Minute

// ends holds everything that is going to its deadline.
func (c *checker) ends() {
	s := c.s
	late := func(what string, end state.End) {
		if end.Life != state.Alive && !end.Deadline.IsZero() && s.now.After(end.Deadline.Add(grace)) {
			s.fail("%s should have gone at %s", what, end.Deadline.Format(time.TimeOnly))
		}
	}
	for _, u := range s.allUnits() {
		late("unit "+string(u), read[state.Unit](s, model.UnitPath(u)).Value.End)
	}
	for _, name := range applications {
		late("application "+string(name), read[state.Application](s, model.ApplicationPath(name)).Value.End)
	}
	for _, id := range s.children(model.RelationsPath()) {
		late("relation "+id, read[state.Relation](s, model.RelationsPath()+"/"+id).Value.End)
	}
	for _, id := range s.children(model.MachinesPath()) {
		late("machine "+id, read[state.Machine](s, model.MachinesPath()+"/"+id).Value.End)
	}
}
