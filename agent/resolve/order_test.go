package resolve

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// An observer watches a unit's life from outside and knows what must never happen. It keeps its own record of what the unit has
// been told, so that it does not believe the ledger. TestObserver shows that it sees what it should.
type observer struct {
	log       []string // for the report
	now       time.Time
	installed bool
	started   bool
	stopped   bool
	removed   bool
	last      hooks.Kind // the hook that succeeded last, or was skipped
	failed    string     // the failed hook, described
	swapped   bool       // the charm's files are new since the failure
	term      string     // that leader-elected has run in
	relations map[state.RelationID]*told
	over      map[state.RelationID]bool // left for ever
	onMachine
}

// told is what the unit has been told of one relation.
type told struct {
	peer, created bool
	pending       state.UnitName
	units         map[state.UnitName]string // joined, changed
}

func newObserver() *observer {
	return &observer{relations: map[state.RelationID]*told{}, over: map[state.RelationID]bool{}, onMachine: newOnMachine()}
}

// see is told of each op that was done for r; failed says that its hook failed. It returns what is wrong.
func (o *observer) see(r Remote, op Op, failed bool) error {
	word := op.String()
	if failed {
		word += " FAILS"
	}
	o.log = append(o.log, word)
	err := o.machine(r, op, failed)
	switch op := op.(type) {
	case Unpack:
		o.swapped = true
		if o.failed == "" && (o.chained() || r.Life != state.Alive) {
			err = fmt.Errorf("unpack: not now")
		}
		o.failed = ""
	case Enter:
		_, in := o.relations[op.Relation]
		switch theirs := r.Relations[op.Relation]; {
		case in || o.over[op.Relation]:
			err = fmt.Errorf("entered twice")
		case theirs.Life != state.Alive || r.Life != state.Alive:
			err = fmt.Errorf("entered what is going")
		case !theirs.Implicit && !slices.Contains(r.Endpoints, op.Endpoint):
			err = fmt.Errorf("entered by an endpoint that the charm does not have")
		default:
			o.relations[op.Relation] = &told{peer: theirs.Role == charm.Peer, units: map[state.UnitName]string{}}
		}
	case Exit:
		rel := o.relations[op.Relation]
		switch {
		case rel == nil:
			err = fmt.Errorf("left a relation it was not in")
		case len(rel.units) > 0:
			err = fmt.Errorf("left a relation before all had departed")
		case rel.created && !rel.peer:
			err = fmt.Errorf("left a relation without broken")
		case rel.peer && rel.created && r.Life != state.Alive && !o.removed:
			err = fmt.Errorf("left its peers before the end")
		}
		delete(o.relations, op.Relation)
		o.over[op.Relation] = true
	case Run:
		if err == nil {
			err = o.hook(r, op.Hook, failed)
		}
	case Skip:
		if d := Describe(op.Hook); o.failed != d && o.again != d {
			err = fmt.Errorf("skipped what has not failed")
		}
		o.apply(r, op.Hook)
	case RunTask:
		if o.failed == "" && o.chained() {
			err = fmt.Errorf("a task within a chain")
		}
	case Leave:
		for id := range o.relations {
			if o.installed && !r.Force && r.Life != state.Dead {
				err = fmt.Errorf("gone and still in relation %d", id)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, strings.Join(o.log, "\n"))
	}
	return nil
}

// chained says whether a hook must come before all else.
func (o *observer) chained() bool {
	return o.last == hooks.UpgradeCharm || o.last == hooks.ConfigChanged && !o.started
}

// hook is told of a hook that has run.
func (o *observer) hook(r Remote, h hooks.Hook, failed bool) error {
	if err := o.allowed(r, h); err != nil {
		return err
	}
	if failed {
		o.failed, o.swapped, o.again = Describe(h), false, ""
		return nil
	}
	o.apply(r, h)
	return nil
}

func (o *observer) allowed(r Remote, h hooks.Hook) error {
	dying := r.Life != state.Alive
	switch {
	case o.failed != "" && o.failed != Describe(h):
		return fmt.Errorf("another hook while %s has failed", o.failed)
	case !o.installed && h.Kind != hooks.Install && h.Storage == "":
		return fmt.Errorf("a hook before install")
	case o.removed:
		return fmt.Errorf("a hook after remove")
	case o.stopped && h.Kind != hooks.Remove:
		return fmt.Errorf("a hook after stop")
	case o.failed != "":
		if others := r.Others[h.Secret]; h.Kind == hooks.SecretChanged && others.Latest <= others.Revision {
			return fmt.Errorf("nothing is new any more")
		}
		return o.inRelation(r, h) // the right to run it was checked when it ran first
	}
	if err := o.bootHook(r, h); err != nil || o.again != "" {
		return err
	}
	switch {
	case o.last == hooks.UpgradeCharm && !o.swapped && h.Kind != hooks.ConfigChanged:
		return fmt.Errorf("no config-changed after upgrade-charm")
	case o.last == hooks.ConfigChanged && !o.started && !o.swapped && h.Kind != hooks.Start:
		return fmt.Errorf("no start after the first config-changed")
	}
	switch h.Kind {
	case hooks.Install:
		if o.installed {
			return fmt.Errorf("install twice")
		}
		return o.allStored(r, h)
	case hooks.Start:
		if !o.started && o.last != hooks.ConfigChanged {
			return fmt.Errorf("start does not follow config-changed")
		}
	case hooks.ConfigChanged:
		if !o.started && o.last != hooks.UpgradeCharm {
			return o.prepared(r)
		}
	case hooks.Stop:
		if !dying || !o.started {
			return fmt.Errorf("stop of a unit that is not going or has not started")
		}
		return o.allStored(r, h)
	case hooks.Remove:
		if !dying || o.started && !o.stopped {
			return fmt.Errorf("remove before stop")
		}
		return o.allStored(r, h)
	case hooks.StorageAttached, hooks.StorageDetaching:
		return o.storage(r, h)
	case hooks.UpdateStatus:
		if dying || !o.started {
			return fmt.Errorf("update-status of a unit that is not in its prime")
		}
	case hooks.SecretChanged, hooks.SecretRotate, hooks.SecretExpired, hooks.SecretRemove:
		return o.secret(r, h)
	case hooks.LeaderElected:
		if dying || !r.Leader || o.term == r.Term {
			return fmt.Errorf("leader-elected for no reason")
		}
	case hooks.LeaderSettingsChanged:
		if dying || r.Leader {
			return fmt.Errorf("leader-settings-changed for no reason")
		}
	}
	return o.inRelation(r, h)
}

// prepared: before the first config-changed a charm has heard of its relations and of who leads.
func (o *observer) prepared(r Remote) error {
	for id, theirs := range r.Relations {
		if theirs.Life == state.Alive && r.Life == state.Alive && !theirs.Implicit && slices.Contains(r.Endpoints, theirs.Endpoint) {
			if rel := o.relations[id]; rel == nil || !rel.created {
				return fmt.Errorf("config-changed before relation-created of %d", id)
			}
		}
	}
	if r.Leader && r.Life == state.Alive && o.term != r.Term {
		return fmt.Errorf("config-changed before leader-elected")
	}
	return nil
}

// inRelation holds a relation's hook to the order within the relation.
func (o *observer) inRelation(r Remote, h hooks.Hook) error {
	if h.Endpoint == "" {
		return nil
	}
	rel, theirs := o.relations[h.Relation], r.Relations[h.Relation]
	u := h.RemoteUnit
	dying := r.Life != state.Alive
	switch {
	case rel == nil:
		return fmt.Errorf("a hook of a relation that the unit is not in")
	case theirs.Implicit:
		return fmt.Errorf("a hook of the implicit side")
	case h.RemoteApp == "":
		return fmt.Errorf("no remote application")
	case (h.Departing != "") != (h.Kind == hooks.RelationDeparted):
		return fmt.Errorf("departing %q", h.Departing)
	case rel.created == (h.Kind == hooks.RelationCreated):
		return fmt.Errorf("created is not first, or twice")
	case rel.pending != "" && (h.Kind != hooks.RelationChanged || u != rel.pending):
		return fmt.Errorf("no changed after joined")
	case h.Kind != hooks.RelationCreated && !o.started:
		if h.Kind == hooks.RelationJoined || h.Kind == hooks.RelationChanged {
			return fmt.Errorf("before start")
		}
	}
	switch h.Kind {
	case hooks.RelationJoined:
		if rel.units[u] != "" || dying && o.failed == "" {
			return fmt.Errorf("joined twice or too late")
		}
	case hooks.RelationChanged:
		if u != "" && rel.units[u] == "" {
			return fmt.Errorf("changed before joined")
		}
	case hooks.RelationDeparted:
		if rel.units[u] == "" {
			return fmt.Errorf("departed before joined")
		}
		for known := range rel.units {
			if _, still := theirs.Members[known]; known < u && !still && o.failed == "" {
				return fmt.Errorf("%s departed before %s", u, known)
			}
		}
		if o.failed == "" && (h.Departing == r.Unit) != (dying || r.Application != state.Alive) {
			return fmt.Errorf("departing %s", h.Departing)
		}
	case hooks.RelationBroken:
		if rel.peer || len(rel.units) > 0 {
			return fmt.Errorf("broken for peers or with units left")
		}
	}
	if h.Kind == hooks.RelationJoined || h.Kind == hooks.RelationChanged && u != rel.pending {
		for known := range rel.units {
			if _, still := theirs.Members[known]; !still && o.failed == "" {
				return fmt.Errorf("%s has gone and has not departed", known)
			}
		}
	}
	return nil
}

// apply is the hook done, or skipped.
func (o *observer) apply(r Remote, h hooks.Hook) {
	o.failed, o.last, o.swapped = "", h.Kind, false
	o.applyMachine(r, h)
	switch h.Kind {
	case hooks.Install:
		o.installed = true
	case hooks.Start:
		o.started = true
	case hooks.Stop:
		o.stopped = true
	case hooks.Remove:
		o.removed = true
	case hooks.LeaderElected:
		if r.Leader {
			o.term = r.Term
		}
	case hooks.LeaderSettingsChanged:
		o.term = ""
	}
	rel := o.relations[h.Relation]
	if h.Endpoint == "" || rel == nil {
		return
	}
	switch h.Kind {
	case hooks.RelationCreated:
		rel.created = true
	case hooks.RelationJoined:
		rel.units[h.RemoteUnit], rel.pending = "joined", h.RemoteUnit
	case hooks.RelationChanged:
		if h.RemoteUnit != "" {
			rel.units[h.RemoteUnit], rel.pending = "changed", ""
		}
	case hooks.RelationDeparted:
		delete(rel.units, h.RemoteUnit)
	case hooks.RelationBroken:
		delete(o.relations, h.Relation)
		o.over[h.Relation] = true
	}
}

// secret holds the hook of a secret to what there is to tell. When it has failed, whether it was right was checked when it ran first.
func (o *observer) secret(r Remote, h hooks.Hook) error {
	own, mine := r.Own[h.Secret]
	rev, there := own.Revision(h.SecretRevision)
	others := r.Others[h.Secret]
	switch {
	case r.Life != state.Alive:
		return fmt.Errorf("a secret's hook of a unit that is going")
	case h.Kind == hooks.SecretChanged:
		if others.Latest <= others.Revision || others.Heard == others.Latest || h.SecretRevision != others.Latest {
			return fmt.Errorf("nothing has changed: %+v", others)
		}
	case !mine || h.Kind != hooks.SecretRotate && !there:
		return fmt.Errorf("a secret, or a revision, that the unit does not look after")
	case h.Kind == hooks.SecretRotate && !o.due(own.NextRotate), h.Kind == hooks.SecretExpired && !o.due(rev.ExpiredDue()):
		return fmt.Errorf("not due")
	case h.Kind == hooks.SecretRemove && (rev.Unused || !slices.Contains(own.Obsolete, h.SecretRevision)):
		return fmt.Errorf("revision %d is used, or has been told", h.SecretRevision)
	}
	for id, own := range r.Own { // what has expired comes first, then what is to be rotated
		for _, rev := range own.Revisions {
			if o.due(rev.ExpiredDue()) && h.Kind != hooks.SecretExpired {
				return fmt.Errorf("%s before revision %d of %s was told to have expired", h.Kind, rev.Number, id)
			}
		}
		if o.due(own.NextRotate) && h.Kind != hooks.SecretExpired && h.Kind != hooks.SecretRotate {
			return fmt.Errorf("%s before %s was rotated", h.Kind, id)
		}
	}
	return nil
}

func (o *observer) due(t time.Time) bool { return !t.IsZero() && !o.now.Before(t) }
