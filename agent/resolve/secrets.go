package resolve

import (
	"maps"
	"slices"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// An OwnSecret is a secret that the unit looks after: its own, or its application's while it leads.
type OwnSecret struct {
	state.Secret
	Obsolete []int // revisions that no one uses
}

// An OthersSecret is a secret that the unit reads. Latest is its latest revision, zero when the unit may read it no more.
type OthersSecret struct {
	state.Tracked
	Latest int
}

// nextSecret: what has expired, what is to be rotated, what is new of others, and what no one uses any more. The first three are told
// again until the charm has done something about it: the first two each state.SecretRetry.
func nextSecret(r Remote, now time.Time) Op {
	own := slices.Sorted(maps.Keys(r.Own))
	for _, id := range own {
		for _, rev := range r.Own[id].Revisions {
			if due := rev.ExpiredDue(); !due.IsZero() && !now.Before(due) {
				return secretHook(hooks.SecretExpired, id, r.Own[id].Label, rev.Number)
			}
		}
	}
	for _, id := range own {
		if due := r.Own[id].NextRotate; !due.IsZero() && !now.Before(due) {
			return secretHook(hooks.SecretRotate, id, r.Own[id].Label, r.Own[id].Last)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.Others)) {
		if s := r.Others[id]; s.Revision < s.Latest && s.Heard != s.Latest {
			return secretHook(hooks.SecretChanged, id, s.Label, s.Latest)
		}
	}
	for _, id := range own {
		if unused := r.Own[id].UnusedIn(r.Own[id].Obsolete); len(unused) > 0 {
			return secretHook(hooks.SecretRemove, id, r.Own[id].Label, unused[0])
		}
	}
	return nil
}

func secretHook(k hooks.Kind, id state.SecretID, label string, revision int) Op {
	return Run{hooks.Hook{Kind: k, Secret: id, SecretLabel: label, SecretRevision: revision}}
}

// secretDue is when the next secret expires or is to be rotated; zero for never.
func secretDue(r Remote) time.Time {
	var next time.Time
	for _, s := range r.Own {
		next = sooner(next, s.NextRotate)
		for _, rev := range s.Revisions {
			next = sooner(next, rev.ExpiredDue())
		}
	}
	return next
}

// Tells is the hook of a secret that op has told of when it has succeeded; its Secret is empty if it is of none. What the unit may not
// read has not been told: it is news when the unit may read it again.
func Tells(op Op) hooks.Hook {
	switch op := op.(type) {
	case Run:
		if op.Hook.Secret != "" {
			return op.Hook
		}
	case Skip:
		if op.Hook.Secret != "" && (op.Why != Moot || op.Hook.Kind != hooks.SecretChanged) {
			return op.Hook
		}
	}
	return hooks.Hook{}
}

// Told is the secret after the hook has told its owner of it.
func Told(s state.Secret, h hooks.Hook, now time.Time) state.Secret {
	switch h.Kind {
	case hooks.SecretExpired:
		return s.ToldExpired(h.SecretRevision, now)
	case hooks.SecretRotate:
		return s.Rotated(h.SecretRevision, now)
	case hooks.SecretRemove:
		return s.ToldUnused(h.SecretRevision)
	}
	return s
}

// ToldOf is what the unit has done about a secret of another one after the hook has told of it.
func ToldOf(t state.Tracked, h hooks.Hook) state.Tracked {
	if h.Kind == hooks.SecretChanged {
		t.Heard = h.SecretRevision
	}
	return t
}

// mootSecret says whether a hook of a secret has nothing left to tell.
func mootSecret(h hooks.Hook, r Remote) bool {
	own, mine := r.Own[h.Secret]
	switch h.Kind {
	case hooks.SecretChanged:
		s := r.Others[h.Secret]
		return s.Latest == 0 || s.Revision >= s.Latest
	case hooks.SecretRotate:
		return !mine || own.NextRotate.IsZero() || own.Last > h.SecretRevision
	}
	rev, there := own.Revision(h.SecretRevision)
	return !mine || !there || h.Kind == hooks.SecretExpired && rev.Expire.IsZero()
}
