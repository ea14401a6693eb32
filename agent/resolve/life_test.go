package resolve

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = flag.Set("rapid.checks", "800") // lives; a few seconds
	}
	_ = flag.Set("rapid.nofailfile", "true") // the seed that it prints replays it
	os.Exit(m.Run())
}

// A life is one unit in a world that changes at random, and an observer who watches it.
type life struct {
	*treeLedger
	t        *rapid.T
	r        Remote
	now      time.Time
	charms   map[int][]string // CharmRev -> endpoints
	stores   map[int][]string // CharmRev -> storage
	mounted  map[state.StorageID]bool
	stamp    state.Stamp
	observer *observer
	faults   bool
	broken   string // a hook that always fails; "*" for all
	late     int    // how many were left behind because the deadline had passed
}

var endpoints = []string{"db", "cache", "cluster"}

func newLife(t *rapid.T) *life {
	w := &life{treeLedger: newLedger("web/0"), t: t, now: time.Unix(1e9, 0).UTC(), stamp: 10, observer: newObserver()}
	w.charms, w.stores, w.mounted = map[int][]string{1: endpoints[:2]}, map[int][]string{1: {"data"}}, map[state.StorageID]bool{}
	w.r = Remote{
		Unit: "web/0", Charm: charm.ID{Name: "web", Revision: 1}, CharmRev: 1, Config: "c0", Boot: "b1",
		Term: "n1", LeaderSettings: 1, Relations: map[state.RelationID]Relation{},
		Storage: map[state.StorageID]Storage{},
	}
	return w
}

func (w *life) draw(n int) int { return rapid.IntRange(0, n-1).Draw(w.t, "n") }

func (w *life) chance(n int) bool { return w.draw(n) == 0 }

func (w *life) next() state.Stamp { w.stamp++; return w.stamp }

// change makes one change that a user, the machine, the election or a related unit could make.
func (w *life) change() {
	r := &w.r
	switch w.draw(27) {
	case 18, 19, 20:
		w.changeSecrets()
	case 21, 22, 23, 24:
		w.changeStorage()
	case 25, 26:
		w.changeMachine()
	case 0:
		r.Config = fmt.Sprintf("c%d", w.draw(3))
	case 1:
		w.refresh()
	case 2:
		id := state.RelationID(len(r.Relations))
		if len(r.Relations) < 5 {
			rel := Relation{Endpoint: endpoints[w.draw(2)], Role: charm.Requirer, Remote: "mysql", Members: map[state.UnitName]state.Stamp{}}
			switch w.draw(5) {
			case 0:
				rel.Endpoint, rel.Role, rel.Remote = "cluster", charm.Peer, "web"
			case 1:
				rel.Endpoint, rel.Role, rel.Implicit = "juju-info", charm.Provider, true
			}
			r.Relations[id] = rel
		}
	case 3:
		r.Answer = state.Answer{Rev: r.Answer.Rev + 1, Skip: w.chance(2)}
	case 4:
		w.related(func(id state.RelationID, rel *Relation) { rel.Life = state.Dying })
	case 5:
		w.related(func(id state.RelationID, rel *Relation) {
			if rel.Life == state.Dying { // it goes when all have left, or by force
				rel.Members, rel.Life = nil, "torn"
			}
		})
	case 6:
		r.Leader = !r.Leader
		if r.Leader {
			r.Term = fmt.Sprintf("n%d", w.next())
		}
	case 7:
		r.LeaderSettings = w.next()
	case 8:
		w.startAgain()
	case 9:
		r.Tasks = append(r.Tasks, state.TaskID(w.next()))
	case 10:
		r.NoRetry = !r.NoRetry
	case 11:
		w.related(func(id state.RelationID, rel *Relation) { rel.Application = w.next() })
	case 12:
		r.UpdateStatus = w.now.Add(time.Duration(w.draw(20)) * time.Second)
	default:
		w.related(func(id state.RelationID, rel *Relation) {
			u := rel.Remote.Unit(w.draw(3))
			if rel.Role == charm.Peer {
				u = rel.Remote.Unit(1 + w.draw(3))
			}
			if _, in := rel.Members[u]; in && w.chance(3) {
				delete(rel.Members, u)
			} else if rel.Members != nil {
				rel.Members[u] = w.next()
			}
		})
	}
}

func (w *life) refresh() {
	w.r.CharmRev++
	w.r.Charm.Revision++
	w.r.ForceCharm = w.chance(4)
	w.charms[w.r.CharmRev] = endpoints[:1+w.draw(3)]
	w.stores[w.r.CharmRev] = [][]string{{"data"}, {"data", "logs"}, {"logs"}}[w.draw(3)]
}

func (w *life) related(f func(state.RelationID, *Relation)) {
	if len(w.r.Relations) == 0 {
		return
	}
	id := state.RelationID(w.draw(len(w.r.Relations)))
	rel := w.r.Relations[id]
	f(id, &rel)
	w.r.Relations[id] = rel
}

// read is what the agent reads. A relation that was torn out is not there.
func (w *life) read() Remote {
	r := w.r
	r.Relations = map[state.RelationID]Relation{}
	for id, rel := range w.r.Relations {
		if rel.Life != "torn" {
			rel.Members = maps.Clone(rel.Members)
			r.Relations[id] = rel
		}
	}
	r.Own, r.Others = maps.Clone(w.r.Own), maps.Clone(w.r.Others)
	r.Tasks, r.Commands = slices.Clone(w.r.Tasks), slices.Clone(w.r.Commands)
	r.Stores, r.Storage = w.stores[w.local.CharmRev], map[state.StorageID]Storage{}
	for id, s := range w.r.Storage {
		s.Mounted = w.mounted[id]
		r.Storage[id] = s
	}
	r.Endpoints = w.charms[w.local.CharmRev]
	if r.UpdateStatus.Before(w.local.When.Add(10 * time.Second)) {
		r.UpdateStatus = time.Time{} // absorbed by a commit
	}
	return r
}

// step runs the agent once. While an op runs the world may change; its hook may fail; the agent may die before the
// commit, and find out or not.
func (w *life) step() Op {
	r := w.read()
	w.observer.now = w.now
	op := Next(w.local, r, w.now)
	if w.faults && w.chance(4) {
		w.change()
	}
	to, failed, reboots := w.local, false, false
	switch op := op.(type) {
	case Wait:
		if op.Reason == "" || !op.Until.IsZero() && !op.Until.After(w.now) {
			w.t.Fatalf("%+v at %v", op, w.now)
		}
		if !op.Until.IsZero() {
			w.now = op.Until
		}
		return op
	case Reboot:
		if !w.faults || w.chance(2) {
			w.startAgain()
		}
		return op
	case Mount, Unmount:
		to, failed = w.place(r, op)
	case Run:
		failed = w.broken == op.Hook.Name() || w.broken == "*"
		if w.faults {
			switch w.draw(12) {
			case 0:
				clear(w.mounted)
				return op // the agent was stopped: nothing is known of the hook
			case 1:
				clear(w.mounted)
				to, failed = Interrupted(w.local, op.Hook, false, w.now), true
			case 2, 3:
				failed = true
			case 4:
				return w.cut(r, op)
			case 5:
				reboots = true
			}
		}
		if failed && to.Failed == w.local.Failed {
			to = Failed(w.local, r, op.Hook, w.now, "exit status 1", nil)
		}
	case Skip:
		if op.Why == Late {
			w.late++
		}
	case RunCommand:
		w.r.Commands = slices.DeleteFunc(w.r.Commands, func(n int) bool { return n == op.Command })
	case RunTask:
		w.r.Tasks = slices.DeleteFunc(w.r.Tasks, func(id state.TaskID) bool { return id == op.Task })
	}
	if !failed {
		to = Done(w.local, r, op)
		w.toldSecrets(op)
	}
	if err := w.observer.see(r, op, failed); err != nil {
		w.t.Fatal(err)
	}
	if reboots && !failed {
		w.observer.asked, to = r.Boot, Rebooting(to, r)
	}
	w.committed(to)
	return op
}

func (w *life) committed(to Local) {
	to.When = w.now
	if err := w.commit(to); err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
}

// settle runs the agent without faults until it has nothing to do.
func (w *life) settle() {
	w.faults = false
	w.r.NoRetry = false
	w.calmSecrets()
	w.calmMachine()
	for range 400 {
		op := w.step()
		if wait, ok := op.(Wait); ok && wait.Until.IsZero() || w.local.Phase == state.Gone {
			return
		}
	}
	w.t.Fatalf("the unit never settles: %v", w.observer.log[max(0, len(w.observer.log)-20):])
}

func (w *life) live() {
	w.faults = true
	for range 10 + w.draw(60) {
		if w.chance(2) {
			w.change()
		}
		w.step()
	}
}

// TestAnyLifeIsInOrderAndSettles: whatever happens in whatever order, hooks come in the order that charms rely on, the
// ledger in the tree is what the unit has done, and when the world comes to rest the unit has heard all of it.
func TestAnyLifeIsInOrderAndSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newLife(t)
		w.live()
		w.settle()
		w.atRest()
		if w.chance(3) {
			w.live()
		}
		w.leave()
	})
}

// atRest checks that the unit has heard everything.
func (w *life) atRest() {
	r, l := w.read(), w.local
	bad := func(format string, args ...any) {
		w.t.Fatalf("settled, but "+format+"\n%v", append(args, w.observer.log)...)
	}
	switch {
	case l.Failed != nil || l.Phase != state.Started || l.Queued != "" || l.Upgraded:
		bad("it is %+v", l.Ledger)
	case l.Charm != r.Charm || l.CharmRev != r.CharmRev || l.Config != r.Config || l.Boot != r.Boot:
		bad("it is %+v, want %+v", l.Ledger, r)
	case len(r.Tasks) > 0:
		bad("has tasks")
	case r.Leader && (l.Term != r.Term || w.observer.term != r.Term):
		bad("has not heard that it leads")
	case !r.Leader && l.LeaderSeen != r.LeaderSettings:
		bad("has not heard the leader settings")
	case !w.observer.started:
		bad("start was never run")
	}
	for id, theirs := range r.Relations {
		mine, in := l.Relations[id]
		wanted := theirs.Life == state.Alive && (theirs.Implicit || slices.Contains(r.Endpoints, theirs.Endpoint))
		rel := w.observer.relations[id]
		switch {
		case in != (rel != nil):
			bad("the observer has seen another life")
		case wanted && !in:
			bad("it has not entered relation %d", id)
		case !in:
		case theirs.Life != state.Alive:
			bad("it is still in relation %d", id)
		case theirs.Implicit:
		case !maps.Equal(mine.Units, theirs.Members) || mine.Application != theirs.Application || mine.Pending != "" || !mine.Created:
			bad("it has heard %+v of relation %d, want %+v", mine, id, theirs)
		}
		for u, heard := range rel.heard() {
			if heard != "changed" {
				bad("%s joined relation %d and never changed", u, id)
			}
		}
	}
	if op := nextSecret(r, w.now); op != nil {
		bad("it has not heard of %s", op)
	}
	if err := w.machineAtRest(r); err != nil {
		bad("%v", err)
	}
	for id := range l.Relations {
		if _, there := r.Relations[id]; !there {
			bad("it is still in relation %d, which is no more", id)
		}
	}
}

func (r *told) heard() map[state.UnitName]string {
	if r == nil {
		return nil
	}
	return r.units
}

// leave removes the unit, in one of the ways a unit goes, and checks that it goes: at the latest when the deadline has passed.
func (w *life) leave() {
	deadline := w.now.Add(10 * time.Minute)
	w.r.End = state.End{Life: state.Dying, Deadline: deadline}
	w.broken = []string{"", "", "*", "stop", "remove", "db-relation-departed", "db-relation-broken", "place", "data-storage-detaching"}[w.draw(9)]
	if w.chance(3) {
		w.r.Subordinates = []state.UnitName{"logger/0"}
	}
	if w.chance(8) {
		w.r.Force = true
	}
	if w.chance(2) {
		w.faults = true
		for range w.draw(20) {
			w.change()
			w.step()
		}
	}
	if w.broken == "" && w.chance(2) {
		w.r.Subordinates = nil
	}
	late := deadline
	if w.now.After(late) {
		late = w.now
	}
	w.settle()
	switch {
	case w.local.Phase != state.Gone:
		w.t.Fatalf("a unit that goes has settled on %+v", w.local)
	case w.now.Sub(late) > time.Minute:
		w.t.Fatalf("gone %s after the deadline", w.now.Sub(late))
	case len(w.local.LeftBehind) != w.late:
		w.t.Fatalf("%d hooks were left behind, the record is %q", w.late, w.local.LeftBehind)
	case !w.r.Force && w.observer.installed && len(w.local.Relations) > 0:
		w.t.Fatalf("gone and still in %+v", w.local.Relations)
	case !w.r.Force && w.now.Before(deadline) && len(w.local.Storage) > 0:
		w.t.Fatalf("gone in time and still has %+v", w.local.Storage)
	case !w.r.Force && w.observer.installed && !w.observer.removed:
		w.t.Fatal("gone without remove")
	}
}

// TestObserver shows the observer lives that must not be, and it must say so of each.
//
// The resolver was also broken by hand, in each of these ways alone, and the tests of this package failed for each. (l): the
// random lives noticed, (s): the scenarios, (o): the others. Whoever adds a rule adds its break.
//
// Order: install although going (s); the chain broken when going (ls); nothing chained (lso); upgrade-charm forgotten when
// going (s); start after a reboot in any phase (lso), its boot not recorded (lso); start after every config-changed (s), or never
// (lso); relations entered and leadership told when going (ls); tasks never when idle (ls), never in error (s); remove never (ls).
// Charms: a refresh before install ignored (s), or followed by upgrade-charm (s); upgrade-charm never due (ls); no config-changed
// after it (ls); no rescue (s); the failure kept over a rescue (ls); upgrade-charm when going (ls); a forced refresh like any (s).
// Relations: peers first (so); departed in any order (l); joined in reverse (s); dying relations entered (ls), unknown endpoints
// entered (ls), created for the implicit side (ls); torn relations not left (ls), peers never left (ls), left early (ls); broken
// without created (ls), for peers (l); changed after joined forgotten (lso); changed missed (ls); departed for ever (ls), the
// application's changed for ever (ls); the wrong unit departing (ls); no remote application (lso).
// Leadership: a new term not told (ls); the leader told of its own settings (lso); leader-elected retried after the term (s),
// its term recorded (o); a deposed leader not told (s); its term kept (s).
// Failures: retries that cannot be turned off (s); no back-off (s); a stop of the agent that counts as failure (s); an old answer
// to a new failure (ls); hooks of torn relations run for ever (s); the deadline ignored by a failed hook (ls), by the wait for
// subordinates (ls); only the last one left behind (l).
// Secrets: rotated before it is due (s); hooks of them when going (ls); changed told again (ls), of what may not be read (ls), a moot one
// counted as told (s); no wake at the next rotation (s).
// Ledger: no fence (o); parents deleted before children (o); relations not written (lso), stamps not written (lso), everything
// written (lso); maps shared between two Locals (ls).
func TestObserver(t *testing.T) {
	db := hooks.Hook{Relation: 1, Endpoint: "db", RemoteApp: "mysql"}
	with := func(k hooks.Kind, u state.UnitName) Op {
		h := db
		h.Kind, h.RemoteUnit = k, u
		if k == hooks.RelationDeparted {
			h.Departing = u
		}
		return Run{h}
	}
	r := Remote{Unit: "web/0", Endpoints: []string{"db"}, Leader: true, Term: "n1",
		Relations: map[state.RelationID]Relation{1: {Endpoint: "db", Remote: "mysql", Members: map[state.UnitName]state.Stamp{"mysql/0": 1, "mysql/1": 1}}}}
	deployed := []Op{Unpack{}, run(hooks.Install), Enter{1, "db"}, with(hooks.RelationCreated, ""), run(hooks.LeaderElected), run(hooks.ConfigChanged), run(hooks.Start)}
	joined := append(slices.Clone(deployed), with(hooks.RelationJoined, "mysql/0"), with(hooks.RelationChanged, "mysql/0"))
	r.Own = map[state.SecretID]OwnSecret{"s1": {Secret: state.Secret{Last: 1, Revisions: []state.SecretRevision{{Number: 1}}}}}
	going := r
	going.Life = state.Dying
	secretGoing := going
	secretGoing.Others = map[state.SecretID]OthersSecret{"s2": {Latest: 2}}
	peers := r
	peers.Relations = map[state.RelationID]Relation{1: {Endpoint: "db", Remote: "mysql", Role: charm.Peer, Members: r.Relations[1].Members}}
	gone := r
	gone.Relations = map[state.RelationID]Relation{1: {Endpoint: "db", Remote: "mysql"}}
	fewer := r
	fewer.Relations = map[state.RelationID]Relation{1: {Endpoint: "db", Remote: "mysql", Members: map[state.UnitName]state.Stamp{"mysql/1": 1}}}
	for _, c := range []struct {
		why  string
		life []Op
		r    Remote // for the last op
		then Op
	}{
		{"config-changed before install", nil, r, run(hooks.ConfigChanged)},
		{"install twice", deployed, r, run(hooks.Install)},
		{"config-changed before created", deployed[:2], r, run(hooks.ConfigChanged)},
		{"config-changed before leader-elected", deployed[:4], r, run(hooks.ConfigChanged)},
		{"start before config-changed", deployed[:5], r, run(hooks.Start)},
		{"a task before start", deployed[:6], r, RunTask{1}},
		{"joined before start", deployed[:5], r, with(hooks.RelationJoined, "mysql/0")},
		{"unpack before start", deployed[:6], r, Unpack{}},
		{"leader-elected twice", deployed, r, run(hooks.LeaderElected)},
		{"leader-settings-changed of the leader", deployed, r, run(hooks.LeaderSettingsChanged)},
		{"entered twice", deployed, r, Enter{1, "db"}},
		{"entered when going", deployed[:2], going, Enter{1, "db"}},
		{"entered without the endpoint", deployed[:2], Remote{Unit: "web/0", Relations: r.Relations}, Enter{1, "db"}},
		{"created twice", deployed, r, with(hooks.RelationCreated, "")},
		{"joined before created", []Op{Unpack{}, run(hooks.Install), Enter{1, "db"}}, r, with(hooks.RelationJoined, "mysql/0")},
		{"changed before joined", deployed, r, with(hooks.RelationChanged, "mysql/0")},
		{"departed before joined", deployed, r, with(hooks.RelationDeparted, "mysql/0")},
		{"joined twice", joined, r, with(hooks.RelationJoined, "mysql/0")},
		{"another joined before changed", joined[:8], r, with(hooks.RelationJoined, "mysql/1")},
		{"joined before departed", joined, fewer, with(hooks.RelationJoined, "mysql/1")},
		{"departed out of order", append(slices.Clone(joined), with(hooks.RelationJoined, "mysql/1"), with(hooks.RelationChanged, "mysql/1")), gone, with(hooks.RelationDeparted, "mysql/1")},
		{"departing another", joined, going, with(hooks.RelationDeparted, "mysql/0")},
		{"broken with a unit left", joined, going, with(hooks.RelationBroken, "")},
		{"left with a unit left", joined, going, Exit{1, "db"}},
		{"left without broken", deployed, r, Exit{1, "db"}},
		{"gone and still there", joined, going, Leave{}},
		{"stop of a unit that lives", joined, r, run(hooks.Stop)},
		{"remove before stop", joined, going, run(hooks.Remove)},
		{"a hook after stop", append(slices.Clone(joined), run(hooks.Stop)), going, with(hooks.RelationDeparted, "mysql/0")},
		{"update-status of a unit that goes", joined, going, run(hooks.UpdateStatus)},
		{"skip of what has not failed", joined, r, Skip{Hook: hooks.Hook{Kind: hooks.Start}}},
		{"a rotation that is not due", joined, r, secretHook(hooks.SecretRotate, "s1", "", 1)},
		{"an expiry that is not due", joined, r, secretHook(hooks.SecretExpired, "s1", "", 1)},
		{"news that is none", joined, r, secretHook(hooks.SecretChanged, "s2", "", 1)},
		{"a revision that is in use", joined, r, secretHook(hooks.SecretRemove, "s1", "", 1)},
		{"a secret when going", joined, secretGoing, secretHook(hooks.SecretChanged, "s2", "", 2)},
		{"a secret within the chain", deployed[:6], r, secretHook(hooks.SecretChanged, "s2", "", 2)},
		{"no config-changed after upgrade-charm", append(slices.Clone(joined), Unpack{}, run(hooks.UpgradeCharm)), r, with(hooks.RelationChanged, "mysql/0")},
		{"broken for peers", append(slices.Clone(joined), with(hooks.RelationDeparted, "mysql/0")), peers, with(hooks.RelationBroken, "")},
	} {
		o := newObserver()
		for i, op := range c.life {
			r := r
			if i >= len(joined) && c.r.Life != state.Alive {
				r = c.r
			}
			if c.r.Relations[1].Role == charm.Peer {
				r = peers
			}
			if err := o.see(r, op, false); err != nil {
				t.Errorf("%s: before it: %v", c.why, err)
			}
		}
		if o.see(c.r, c.then, false) == nil {
			t.Errorf("the observer sees nothing wrong with %s", c.why)
		}
	}
	o := newObserver()
	for _, op := range deployed {
		_ = o.see(r, op, false)
	}
	_ = o.see(r, run(hooks.UpdateStatus), true)
	if o.see(r, with(hooks.RelationJoined, "mysql/0"), false) == nil {
		t.Error("the observer sees nothing wrong with another hook after a failed one")
	}
}
