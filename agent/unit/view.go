package unit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// A view is all of the tree that the unit's decisions depend on, as last read. Only what is dirty is read again.
type view struct {
	unit      state.Record[state.Unit]
	app       state.Record[state.Application]
	leader    state.Stamp // of the leader settings
	tasks     []state.TaskID
	actions   map[state.TaskID]called // what those tasks run
	finished  map[state.TaskID]bool   // tasks that have ended
	relations map[state.RelationID]*related
	secrets   map[state.SecretID]*watchedSecret
	news      state.SecretNews
}

// A called is what a task runs, and beside what.
type called struct {
	action string
	state.Beside
}

// A related is what lies in one relation.
type related struct {
	membership  state.Membership
	principal   state.UnitName // empty for a global relation
	side        string         // the node of the other side's application settings
	dir         string         // the directory of the other side's members
	application state.Stamp
	members     map[state.UnitName]state.Stamp
}

// watchAll begins to watch what every unit watches. It is all dirty.
func (a *Agent) watchAll() {
	m, app := a.Model, a.Unit.Application()
	a.view = view{finished: map[state.TaskID]bool{}, relations: map[state.RelationID]*related{}, secrets: map[state.SecretID]*watchedSecret{}}
	a.heed(m.UnitPath(a.Unit))
	a.heed(m.ApplicationPath(app))
	a.heed(m.LeaderPath(app))
	a.heedChildren(m.TasksPath(state.Receiver(a.Unit)))
	a.watchSecrets()
}

// heed watches the node at path, which is read before anything is decided. A watch reports only once the server
// watches: until then nothing is known of the node, not even that it is missing.
func (a *Agent) heed(path string) {
	a.watch.Data(path)
	a.dirty[path] = true
}

// heedChildren is heed for the names of the children.
func (a *Agent) heedChildren(path string) {
	a.watch.Children(path)
	a.dirty[path] = true
}

// look reads what has changed and returns what is wanted of the unit now.
func (a *Agent) look(ctx context.Context) (resolve.Remote, error) {
	for {
		for _, p := range a.watch.Take() {
			a.dirty[p] = true
		}
		p, ok := a.first()
		if !ok {
			break
		}
		if err := a.read(ctx, p); err != nil {
			return resolve.Remote{}, fmt.Errorf("read what concerns %s: %w", a.Unit, err)
		}
		delete(a.dirty, p)
	}
	if a.view.unit.Exists() {
		if err := a.presence.Step(ctx); err != nil {
			return resolve.Remote{}, err
		}
	}
	if err := a.stand(ctx); err != nil {
		return resolve.Remote{}, err
	}
	return a.remote(a.local), nil
}

// first is the dirty path to read first: on the unit and its application depends what else is to be read.
func (a *Agent) first() (string, bool) {
	for _, p := range []string{a.Model.UnitPath(a.Unit), a.Model.ApplicationPath(a.Unit.Application())} {
		if a.dirty[p] {
			return p, true
		}
	}
	for _, p := range slices.Sorted(maps.Keys(a.dirty)) {
		return p, true
	}
	return "", false
}

func (a *Agent) read(ctx context.Context, p string) (err error) {
	m, app := a.Model, a.Unit.Application()
	switch p {
	case m.UnitPath(a.Unit):
		if a.view.unit, err = state.ReadIf[state.Unit](ctx, a.Store, p); err != nil {
			return err
		}
		return a.track(ctx)
	case m.ApplicationPath(app):
		if a.view.app, err = state.ReadIf[state.Application](ctx, a.Store, p); err != nil {
			return err
		}
		return a.track(ctx)
	case m.LeaderPath(app):
		a.view.leader, _, err = a.stamp(ctx, p)
		return err
	case m.TasksPath(state.Receiver(a.Unit)):
		return a.readTasks(ctx)
	}
	if ours, err := a.readSecret(ctx, p); ours || err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(a.view.relations)) {
		if err := a.readRelated(ctx, a.view.relations[id], p); err != nil {
			return err
		}
	}
	return nil
}

// stamp is the stamp of the node's data, and whether it has ever been written since it was made; zero when there is none.
func (a *Agent) stamp(ctx context.Context, path string) (s state.Stamp, written bool, err error) {
	n, err := a.Store.Get(ctx, path)
	if errors.Is(err, state.ErrNotFound) {
		return 0, false, nil
	}
	return n.Stamp, n.Version > 0, err
}

func (a *Agent) readTasks(ctx context.Context) error {
	names, err := state.ChildrenIf(ctx, a.Store, a.Model.TasksPath(state.Receiver(a.Unit)))
	if err != nil {
		return err
	}
	finished, actions := map[state.TaskID]bool{}, map[state.TaskID]called{}
	a.view.tasks = nil
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		id := state.TaskID(n)
		if !a.view.finished[id] {
			rec, err := state.ReadIf[state.TaskResult](ctx, a.Store, a.Model.TaskResultPath(state.Receiver(a.Unit), id))
			if err != nil {
				return err
			}
			if rec.Value.Completed.IsZero() {
				task, err := state.ReadIf[state.Task](ctx, a.Store, a.Model.TaskPath(state.Receiver(a.Unit), id))
				if err != nil {
					return err
				}
				actions[id] = called{task.Value.Action, task.Value.Beside}
				a.view.tasks = append(a.view.tasks, id)
				continue
			}
		}
		finished[id] = true
	}
	a.view.finished, a.view.actions = finished, actions
	slices.Sort(a.view.tasks)
	return nil
}

// track watches the relations that concern the unit, and no others.
func (a *Agent) track(ctx context.Context) error {
	wanted := map[state.RelationID]bool{}
	for _, m := range a.view.app.Value.Relations {
		if !a.concerns(m) {
			continue
		}
		wanted[m.Relation] = true
		if have := a.view.relations[m.Relation]; have != nil {
			have.membership = m
			continue
		}
		c := state.Credential{Principal: a.Model.RelationPrincipal(m.Relation), Secret: m.Secret}
		if err := a.Store.Prove(ctx, c); err != nil {
			return fmt.Errorf("prove to be in relation %d: %w", m.Relation, err)
		}
		remote := state.ApplicationName(m.Remote.Application)
		rel := &related{membership: m, principal: a.principal(m), members: map[state.UnitName]state.Stamp{}}
		rel.side = a.Model.SidePath(m.Relation, remote)
		rel.dir = a.Model.MembersPath(m.Relation, remote, rel.principal)
		a.view.relations[m.Relation] = rel
		a.heed(rel.side)
		a.heedChildren(rel.dir)
	}
	for id, rel := range a.view.relations {
		if wanted[id] {
			continue
		}
		for _, p := range rel.paths() {
			a.watch.Drop(p)
			delete(a.dirty, p)
		}
		delete(a.view.relations, id)
	}
	return nil
}

// concerns says whether the unit takes part in a relation of its application: not a subordinate of another principal.
func (a *Agent) concerns(m state.Membership) bool {
	if !a.view.unit.Exists() {
		return false
	}
	principal := a.view.unit.Value.Principal
	return m.Scope != charm.Container || m.Role == charm.Peer || principal == "" || principal.Application() == state.ApplicationName(m.Remote.Application)
}

// principal is the unit whose directory the members of the relation are in; empty in a global relation.
func (a *Agent) principal(m state.Membership) state.UnitName {
	switch {
	case m.Scope != charm.Container || m.Role == charm.Peer:
		return ""
	case a.view.unit.Value.Principal != "":
		return a.view.unit.Value.Principal
	}
	return a.Unit
}

func (rel *related) paths() []string {
	out := []string{rel.side, rel.dir}
	for _, u := range slices.Sorted(maps.Keys(rel.members)) {
		out = append(out, rel.dir+"/"+u.Node())
	}
	return out
}

// readRelated reads the node at p again if it is of the relation.
func (a *Agent) readRelated(ctx context.Context, rel *related, p string) error {
	if p == rel.side {
		stamp, written, err := a.stamp(ctx, p)
		if err != nil {
			return err
		}
		if rel.application = stamp; !written {
			rel.application = 0
		}
	}
	if p == rel.dir {
		return a.readMembers(ctx, rel)
	}
	for u := range rel.members {
		if p == rel.dir+"/"+u.Node() {
			return a.readMember(ctx, rel, u)
		}
	}
	return nil
}

func (a *Agent) readMembers(ctx context.Context, rel *related) error {
	names, err := state.ChildrenIf(ctx, a.Store, rel.dir)
	if err != nil {
		return err
	}
	now := map[state.UnitName]bool{}
	for _, name := range names {
		u := state.UnitOfNode(name)
		if name == state.GoneName || u == a.Unit {
			continue
		}
		now[u] = true
		if _, known := rel.members[u]; known {
			continue
		}
		a.heed(rel.dir + "/" + name)
		rel.members[u] = 0 // dirty, and so read before anything is decided
	}
	for u := range rel.members {
		if !now[u] {
			a.forget(rel, u)
		}
	}
	return nil
}

func (a *Agent) readMember(ctx context.Context, rel *related, u state.UnitName) error {
	stamp, _, err := a.stamp(ctx, rel.dir+"/"+u.Node())
	if err != nil {
		return err
	}
	if stamp == 0 {
		a.forget(rel, u)
	} else {
		rel.members[u] = stamp
	}
	return nil
}

func (a *Agent) forget(rel *related, u state.UnitName) {
	delete(rel.members, u)
	a.watch.Drop(rel.dir + "/" + u.Node())
	delete(a.dirty, rel.dir+"/"+u.Node())
}
