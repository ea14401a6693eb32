package unit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// A watchedSecret is a secret of the unit, or of its application, as last read.
type watchedSecret struct {
	owner    state.SecretOwner
	secret   state.Secret
	obsolete []int
}

// secretOwners is the owners whose secrets the unit watches.
func (a *Agent) secretOwners() []state.SecretOwner {
	return []state.SecretOwner{{Unit: a.Unit}, {Application: a.Unit.Application()}}
}

// watchSecrets begins to watch what concerns the unit's secrets.
func (a *Agent) watchSecrets() {
	for _, o := range a.secretOwners() {
		a.heedChildren(a.Model.OwnedSecretsPath(o))
	}
	a.heed(a.Model.SecretNewsPath(a.Unit))
}

// readSecret reads the node at p again if it is about secrets.
func (a *Agent) readSecret(ctx context.Context, p string) (ours bool, err error) {
	if p == a.Model.SecretNewsPath(a.Unit) {
		rec, err := state.ReadIf[state.SecretNews](ctx, a.Store, p)
		a.view.news = rec.Value
		return true, err
	}
	for _, o := range a.secretOwners() {
		dir := a.Model.OwnedSecretsPath(o)
		if p == dir {
			return true, a.listSecrets(ctx, o, dir)
		}
		rest, below := strings.CutPrefix(p, dir+"/")
		if !below {
			continue
		}
		id, _, _ := strings.Cut(rest, "/")
		s := a.view.secrets[state.SecretID(id)]
		if s == nil {
			return true, nil
		}
		if p == a.Model.SecretObsoletePath(o, state.SecretID(id)) {
			rec, err := state.ReadIf[[]int](ctx, a.Store, p)
			s.obsolete = rec.Value
			return true, err
		}
		rec, err := state.ReadIf[state.Secret](ctx, a.Store, p)
		s.secret = rec.Value
		return true, err
	}
	return false, nil
}

// listSecrets watches the secrets of the owner that are new, and forgets those that are no more.
func (a *Agent) listSecrets(ctx context.Context, o state.SecretOwner, dir string) error {
	names, err := state.ChildrenIf(ctx, a.Store, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		id := state.SecretID(name)
		if a.view.secrets[id] == nil {
			a.view.secrets[id] = &watchedSecret{owner: o}
			a.heed(a.Model.SecretPath(o, id))
			a.heed(a.Model.SecretObsoletePath(o, id))
		}
	}
	for id, s := range a.view.secrets {
		if s.owner != o || slices.Contains(names, string(id)) {
			continue
		}
		for _, p := range []string{a.Model.SecretPath(o, id), a.Model.SecretObsoletePath(o, id)} {
			a.watch.Drop(p)
			delete(a.dirty, p)
		}
		delete(a.view.secrets, id)
	}
	return nil
}

// secretsOf is what the resolver is to know of secrets, when a commit has made them what d says; d may be nil.
func (a *Agent) secretsOf(d *draft) (map[state.SecretID]resolve.OwnSecret, map[state.SecretID]resolve.OthersSecret) {
	mine, others := map[state.SecretID]resolve.OwnSecret{}, map[state.SecretID]resolve.OthersSecret{}
	tracked := a.own.tracked
	if d != nil {
		tracked = d.own.tracked
	}
	for id, s := range a.view.secrets {
		secret := s.secret
		if d != nil && d.secrets[id] != nil {
			secret = *d.secrets[id]
		}
		if !secret.Removed && secret.Last > 0 && (s.owner.Unit != "" || a.lead.leads) {
			mine[id] = resolve.OwnSecret{Secret: secret, Obsolete: s.obsolete}
		}
	}
	for id, t := range tracked {
		if s := a.view.secrets[id]; s != nil && t.Label == "" {
			t.Label = s.secret.Label // a unit that does not lead knows its application's by their own
		}
		if _, own := mine[id]; !own {
			others[id] = resolve.OthersSecret{Tracked: t, Latest: a.view.news[id]}
		}
	}
	return mine, others
}

// addSecrets adds what the hook has asked for about secrets, and, after a hook of a secret, that it has been told.
func (a *Agent) addSecrets(ctx context.Context, d *draft, o *outcome) error {
	told := resolve.Tells(o.op)
	ids := slices.Collect(maps.Keys(o.effects.Secrets))
	if told.Secret != "" {
		ids = append(ids, told.Secret)
	}
	slices.Sort(ids)
	fenced := false
	for _, id := range slices.Compact(ids) {
		c, asked := o.effects.Secrets[id]
		owner, known := a.ownerOf(id, c)
		if !known && asked {
			return refuse("secret %q not found", id)
		}
		if !known || c.New != nil && c.Remove {
			continue
		}
		rec, err := state.ReadIf[state.Secret](ctx, a.Store, a.Model.SecretPath(owner, id))
		if err != nil {
			return err
		}
		if c.New == nil && (!rec.Exists() || rec.Value.Removed) {
			if asked && !c.Remove {
				return refuse("secret %q not found", id)
			}
			continue
		}
		now := rec.Value.Apply(c, a.Now())
		if told.Secret == id {
			now = resolve.Told(now, told, a.Now())
		}
		if string(state.Encode(now)) == string(state.Encode(rec.Value)) {
			continue
		}
		now.Grants = slices.DeleteFunc(now.Grants, func(g state.Grant) bool { return g.Relation != state.NoScope && a.view.relations[g.Relation] == nil })
		if err := fits(now, "secret %s", id); err != nil {
			return err
		}
		if owner.Application != "" && !fenced {
			if err := a.checkLead(ctx); err != nil && asked {
				return refuse("secret %q: %v", id, err)
			} else if err != nil {
				continue // whoever leads now is told again
			}
			a.lead.fence.Check(&d.txn)
			fenced = true
		}
		state.WriteSecret(&d.txn, a.Model, id, rec, now, c.Value)
		if asked && c.New == nil {
			d.txn.Tell(a.Model, state.TicketSecret, string(id))
		}
		d.secrets[id] = &now
	}
	return a.addTracked(d, o.effects.Tracked, told)
}

// ownerOf is whose the secret is, if it is the unit's or its application's.
func (a *Agent) ownerOf(id state.SecretID, c state.SecretChange) (state.SecretOwner, bool) {
	if c.New != nil {
		return *c.New, true
	}
	if s := a.view.secrets[id]; s != nil {
		return s.owner, true
	}
	return state.SecretOwner{}, false
}

// addTracked adds what the unit has read of others' secrets, and what it has been told of them. The leader hears of it where others
// may be concerned.
func (a *Agent) addTracked(d *draft, delta map[state.SecretID]*state.Tracked, told hooks.Hook) error {
	now := maps.Clone(d.own.tracked)
	if now == nil {
		now = map[state.SecretID]state.Tracked{}
	}
	for id, t := range delta {
		if t == nil {
			delete(now, id)
		} else {
			now[id] = *t
		}
	}
	if t, ok := now[told.Secret]; ok {
		now[told.Secret] = resolve.ToldOf(t, told)
	}
	if maps.Equal(now, d.own.tracked) {
		return nil
	}
	if err := fits(now, "what %s has read of secrets", a.Unit); err != nil {
		return err
	}
	write(&d.txn, a.Model.TrackedPath(a.Unit), d.own.tracked != nil, now)
	for _, id := range slices.Sorted(maps.Keys(delta)) {
		if now[id].Revision != d.own.tracked[id].Revision {
			d.txn.Tell(a.Model, state.TicketSecret, string(id))
		}
	}
	d.own.tracked = now
	return nil
}

// changedSecrets has the secrets that a commit has changed read again before anything is decided.
func (a *Agent) changedSecrets(ids map[state.SecretID]*state.Secret) {
	for id, s := range ids {
		a.dirty[a.Model.OwnedSecretsPath(s.Owner)] = true
		if a.view.secrets[id] != nil {
			a.dirty[a.Model.SecretPath(s.Owner, id)] = true
		}
	}
}

// doubtSecrets has all secrets read again: a commit whose reply was lost may have changed them.
func (a *Agent) doubtSecrets() {
	for _, o := range a.secretOwners() {
		a.dirty[a.Model.OwnedSecretsPath(o)] = true
	}
	for id, s := range a.view.secrets {
		a.dirty[a.Model.SecretPath(s.owner, id)] = true
	}
}

func (r *reader) Secrets(context.Context) (map[state.SecretID]state.Secret, error) {
	out := map[state.SecretID]state.Secret{}
	for id, s := range r.a.view.secrets {
		if !s.secret.Removed && s.secret.Last > 0 {
			out[id] = s.secret
		}
	}
	return out, nil
}

func (r *reader) Tracked(context.Context) (map[state.SecretID]state.Tracked, error) {
	return maps.Clone(r.a.own.tracked), nil
}

func (r *reader) SecretContent(ctx context.Context, id state.SecretID, revision int) (state.SecretContent, int, error) {
	value, n, err := r.a.API.SecretContent(ctx, r.a.Unit, id, revision)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", id.URI(), err)
	}
	return value, n, nil
}

func (w *writer) NewSecret(ctx context.Context, application bool, value state.SecretContent) (state.SecretID, state.SealedSecret, error) {
	return w.a.API.NewSecret(ctx, w.a.Unit, application, value)
}

func (w *writer) SealSecret(ctx context.Context, id state.SecretID, value state.SecretContent) (state.SealedSecret, error) {
	return w.a.API.SealSecret(ctx, w.a.Unit, id, value)
}
