package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// What units have beside their relations: storage, which users and hooks ask for, and secrets, which leaders make and the units of
// related applications read; and hooks that ask for the machine to start again.

const store = "data" // that the charm of db declares

func stores() map[string]charm.Storage {
	return map[string]charm.Storage{store: {Type: "filesystem", Max: -1}}
}

// moveStorage is a user who gives a unit of db storage, or takes it.
func (s *Sim) moveStorage(u state.UnitName) {
	ids := s.children(model.StoragesPath())
	by := s.by()
	if len(ids) == 0 || s.chance(2) {
		s.do("add storage to "+string(u), func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.AddStorage(ctx, r, model, by, provider.Storage{}, u, store, state.Directive{})
			return t, err
		})
		return
	}
	id, how := state.StorageOfNode(ids[s.rng.IntN(len(ids))]), s.how()
	how.Force = true
	s.do("remove storage "+string(id), func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.RemoveStorage(ctx, r, model, by, id, how, false)
	})
}

// belongings is what a hook asks for of all that. Talk is how rarely it does.
func (d *doer) belongings(ctx context.Context, r unit.Request, e *hooks.Effects, rels []hooks.Relation, leads bool, run string, talk int) error {
	s := d.s
	if _, has := d.disk.charm.Meta.Storage[store]; has && s.chance(10*talk) {
		have, err := r.Reader.Storage(ctx)
		if err != nil {
			return err
		}
		if len(have.Instances)+have.Asked[store] < 2 {
			e.Storage = map[string]int{store: 1}
		}
	}
	e.Secrets, e.Tracked = map[state.SecretID]state.SecretChange{}, map[state.SecretID]*state.Tracked{}
	if leads && s.chance(2*talk) {
		if err := d.keepSecret(ctx, r, e, rels, run); err != nil {
			return err
		}
	}
	for _, rel := range rels {
		if !s.chance(talk) {
			continue
		}
		if err := d.readSecret(ctx, r, e, rel); err != nil {
			return err
		}
	}
	e.Reboot = s.accident(80)
	return nil
}

// keepSecret makes the application's secret, or a new revision of it, or removes it.
func (d *doer) keepSecret(ctx context.Context, r unit.Request, e *hooks.Effects, rels []hooks.Relation, run string) error {
	s, owner := d.s, state.SecretOwner{Application: d.unit.Application()}
	have, err := r.Reader.Secrets(ctx)
	if err != nil {
		return err
	}
	var own []state.SecretID
	for id, secret := range have {
		if secret.Owner == owner && !secret.Removed {
			own = append(own, id)
		}
	}
	slices.Sort(own)
	value := &state.SealedSecret{Sealed: []byte(run), Checksum: run}
	switch {
	case len(own) == 0:
		id, by := state.SecretID(fmt.Sprintf("%020d", s.ids)), s.by()
		err := state.Edit(ctx, s.users, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			return state.ReserveSecret(ctx, r, model, by, id, owner)
		})
		if err != nil {
			return err
		}
		c := state.SecretChange{New: &owner, Value: value}
		for _, rel := range rels {
			if !rel.Peer {
				c.Grants = append(c.Grants, state.GrantChange{Grant: state.Grant{Application: rel.RemoteApp, Relation: rel.ID}})
			}
			e.Application[rel.ID] = relation.Settings{"run": run, "secret": string(id)}
		}
		e.Secrets[id] = c
		s.count("secrets")
	case s.chance(12):
		e.Secrets[own[0]] = state.SecretChange{Remove: true}
	case s.chance(3):
		expire := s.now.Add(time.Duration(s.rng.IntN(60)) * time.Second)
		e.Secrets[own[0]] = state.SecretChange{Value: value, Expire: &expire}
	default:
		e.Secrets[own[0]] = state.SecretChange{Value: value}
	}
	return nil
}

// readSecret reads the latest revision of what the other side tells of.
func (d *doer) readSecret(ctx context.Context, r unit.Request, e *hooks.Effects, rel hooks.Relation) error {
	s := d.s
	settings, err := r.Reader.ApplicationSettings(ctx, rel.ID, rel.RemoteApp)
	id := state.SecretID(settings["secret"])
	if err != nil || id == "" || rel.Peer {
		return nil // a unit that does not lead may not read its own side's
	}
	secret, err := state.FindSecret(ctx, s.admin, model, id)
	if err != nil || secret.Value.Removed {
		return nil // it has gone meanwhile
	}
	if may, err := state.MayReadSecret(ctx, s.admin, model, secret.Value, d.unit); err != nil || !may {
		return err
	}
	tracked, err := r.Reader.Tracked(ctx)
	if err != nil {
		return err
	}
	t := tracked[id]
	t.Revision = secret.Value.Last
	e.Tracked[id] = &t
	s.count("secrets read")
	return nil
}

// valued is which secrets a commit is to give a new revision.
func valued(e hooks.Effects) map[state.SecretID]bool {
	out := map[state.SecretID]bool{}
	for id, c := range e.Secrets {
		out[id] = c.Value != nil && !c.Remove
	}
	return out
}

// secretsBefore is how many revisions each secret that the commit writes has had before it.
func (c *checker) secretsBefore(t state.Txn, u state.UnitName) map[string]int {
	out := map[string]int{}
	for _, op := range t.Ops {
		if u != "" && secretNode(op, u) {
			out[op.Path] = read[state.Secret](c.s, op.Path).Value.Last
		}
	}
	return out
}

// secretNode says whether the op writes a secret of the unit's application.
func secretNode(op state.Op, u state.UnitName) bool {
	rest, below := strings.CutPrefix(op.Path, model.OwnedSecretsPath(state.SecretOwner{Application: u.Application()})+"/")
	return below && !strings.Contains(rest, "/") && (op.Kind == state.OpCreate || op.Kind == state.OpSet)
}

// secretsApplied: each secret has one revision more if the hook that has run gave it a value, and otherwise as many as before.
func (c *checker) secretsApplied(u state.UnitName, t state.Txn, e *ending, before map[string]int, failed bool) {
	wrote := map[state.SecretID]bool{}
	for _, op := range t.Ops {
		if !secretNode(op, u) {
			continue
		}
		rec, err := state.Decode[state.Secret](op.Path, state.Node{Data: op.Data})
		c.s.must(err)
		id := state.SecretID(op.Path[strings.LastIndexByte(op.Path, '/')+1:])
		wrote[id] = true
		want := before[op.Path]
		if e != nil && !e.failed && e.values[id] {
			want++
		}
		if rec.Value.Last != want {
			c.s.fail("%s: %s has %d revisions after %s, want %d", u, id.URI(), rec.Value.Last, t.Ops[0].Path, want)
		}
	}
	if e == nil || e.failed || failed {
		return
	}
	for id, valued := range e.values {
		if valued && !wrote[id] {
			c.s.fail("%s: %s succeeded, and the revision of %s that it made is lost", u, e.hook.Name(), id.URI())
		}
	}
}

// belongingsAtRest: the unit has the storage that it is to have, and has been told of it and of the secrets that concern it.
func (s *Sim) belongingsAtRest(u state.UnitName, want state.Unit, l state.Ledger) {
	for _, a := range want.Storage {
		if a.Life != state.Alive {
			s.fail("at rest: %s of %s is still going", a.ID, u)
		} else if h := s.hosts[want.Machine]; !l.Storage[a.ID].Attached || !h.disks[u].placed[a.ID] {
			s.fail("at rest: %s has %+v of %s, and on its machine is %v", u, l.Storage[a.ID], a.ID, h.disks[u].placed)
		}
	}
	for id := range s.hosts[want.Machine].disks[u].placed {
		if _, has := want.Attachment(id); !has {
			s.fail("at rest: %s is in its place on the machine of %s, who does not have it", id, u)
		}
	}
	if len(l.Storage) != len(want.Storage) {
		s.fail("at rest: %s has storage %+v, want %+v", u, l.Storage, want.Storage)
	}
	tracked, news := read[map[state.SecretID]state.Tracked](s, model.TrackedPath(u)).Value, read[state.SecretNews](s, model.SecretNewsPath(u)).Value
	for id, t := range tracked {
		secret, err := state.FindSecret(context.Background(), s.admin, model, id)
		if err != nil || secret.Value.Removed {
			continue
		}
		may, err := state.MayReadSecret(context.Background(), s.admin, model, secret.Value, u)
		s.must(err)
		last := secret.Value.Last
		switch {
		case !may || last == t.Revision:
		case news[id] != last:
			s.fail("at rest: the news of %s for %s is %d, and it is at %d", id.URI(), u, news[id], last)
		case t.Heard != last && !s.check.excused[u]:
			s.fail("at rest: %s has heard %+v of %s, and it is at %d", u, t, id.URI(), last)
		}
	}
}

// reboot is a hook's machine that starts again.
func (h *host) reboot(context.Context, string) error {
	h.s.count("reboots by hooks")
	h.restart("rebooted by a hook", h.s.now.Add(time.Duration(h.s.rng.IntN(30))*time.Second))
	return errDied
}
