package state

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// secretPatience is how long a secret may be reserved and not made: no hook takes longer.
const secretPatience = 7 * 24 * time.Hour

// SettleSecret makes what follows from a secret: those who track it and may read it learn of its latest revision, its owner learns which
// revisions no one uses any more, and what has been removed goes. It is a step, taken until it says done.
func SettleSecret(ctx context.Context, r Reader, m ModelID, now time.Time, id SecretID) (Txn, bool, error) {
	t, done, err := settleSecret(ctx, r, m, now, id)
	if err != nil {
		return Txn{}, false, fmt.Errorf("settle %s: %w", id.URI(), err)
	}
	return t, done, nil
}

func settleSecret(ctx context.Context, r Reader, m ModelID, now time.Time, id SecretID) (t Txn, done bool, err error) {
	place, err := ReadIf[SecretPlace](ctx, r, m.SecretPlacePath(id))
	if err != nil || !place.Exists() {
		return t, true, err
	}
	owner := place.Value.Owner
	rec, err := ReadIf[Secret](ctx, r, m.SecretPath(owner, id))
	if err != nil {
		return t, false, err
	}
	if !rec.Exists() {
		gone, err := ownerGone(ctx, r, m, owner)
		if err != nil || !gone && now.Before(place.Value.Created.Add(secretPatience)) {
			return t, true, err
		}
	}
	uses, err := secretUses(ctx, r, m, id, rec.Value)
	if err != nil {
		return t, false, err
	}
	latest, there := rec.Value.Latest()
	told, err := tellSecret(ctx, r, &t, m, id, place, uses, latest.Number)
	switch {
	case err != nil || !told:
		return t, false, err
	case there:
		return t, true, addUnused(ctx, r, &t, m, id, rec, uses)
	}
	if all, err := prune(ctx, r, &t, m.SecretPath(owner, id)); err != nil || !all {
		return t, false, err
	}
	if rec.Exists() {
		t.Delete(rec.Path, rec.Version)
	}
	t.Ops = slices.DeleteFunc(t.Ops, func(op Op) bool { return op.Kind == OpSet && op.Path == place.Path })
	t.Delete(place.Path, place.Version)
	return t, true, nil
}

func ownerGone(ctx context.Context, r Reader, m ModelID, o SecretOwner) (bool, error) {
	path := m.ApplicationPath(o.Application)
	switch {
	case o.Users():
		return true, nil
	case o.Unit != "":
		path = m.UnitPath(o.Unit)
	}
	there, err := Exists(ctx, r, path)
	return !there, err
}

// secretUses is which revision each unit tracks, of those that may read the secret.
func secretUses(ctx context.Context, r Reader, m ModelID, id SecretID, s Secret) (map[UnitName]int, error) {
	uses, seen := map[UnitName]int{}, map[UnitName]bool{s.Owner.Unit: true}
	see := func(u UnitName) error {
		if seen[u] {
			return nil
		}
		seen[u] = true
		rec, err := ReadIf[map[SecretID]Tracked](ctx, r, m.TrackedPath(u))
		if tracked, ok := rec.Value[id]; ok {
			uses[u] = tracked.Revision
		}
		return err
	}
	grants, err := livingGrants(ctx, r, m, s)
	if err != nil {
		return nil, err
	}
	if s.Owner.Application != "" && !s.Removed {
		grants = append(grants, Grant{Application: s.Owner.Application, Relation: NoScope})
	}
	for _, g := range grants {
		units := []UnitName{g.Unit}
		if g.Unit == "" {
			if units, err = UnitsOf(ctx, r, m, g.Application); err != nil {
				return nil, err
			}
		}
		for _, u := range units {
			if err := see(u); err != nil {
				return nil, err
			}
		}
	}
	return uses, nil
}

// tellSecret adds the news of the secret for those who use it, and takes them from those who do no more. Place remembers who has any.
func tellSecret(ctx context.Context, r Reader, t *Txn, m ModelID, id SecretID, place Record[SecretPlace], uses map[UnitName]int, latest int) (done bool, err error) {
	var users []UnitName
	for u := range uses {
		users = append(users, u)
	}
	all := slices.Compact(sortedUnits(append(users, place.Value.Told...)))
	after := all // until all are told
	for _, u := range all {
		if t.full() {
			setTold(t, place, after)
			return false, nil
		}
		if err := tellUnit(ctx, r, t, m, id, u, uses, latest); err != nil {
			return false, err
		}
	}
	setTold(t, place, sortedUnits(users))
	return true, nil
}

func sortedUnits(units []UnitName) []UnitName {
	slices.SortFunc(units, CompareUnits)
	return units
}

func setTold(t *Txn, place Record[SecretPlace], told []UnitName) {
	if slices.Equal(told, place.Value.Told) {
		return
	}
	place.Value.Told = told
	t.Set(place.Path, place.Value, place.Version)
}

func tellUnit(ctx context.Context, r Reader, t *Txn, m ModelID, id SecretID, u UnitName, uses map[UnitName]int, latest int) error {
	if there, err := Exists(ctx, r, m.UnitPath(u)); err != nil || !there {
		return err
	}
	news, err := ReadIf[SecretNews](ctx, r, m.SecretNewsPath(u))
	if err != nil {
		return err
	}
	have := news.Value[id]
	want := 0
	if _, uses := uses[u]; uses {
		want = latest
	}
	if have == want {
		return nil
	}
	if news.Value == nil {
		news.Value = SecretNews{}
	}
	if news.Value[id] = want; want == 0 {
		delete(news.Value, id)
	}
	Put(t, m.SecretNewsPath(u), news, news.Value)
	return nil
}

// addUnused tells the owner which revisions no one uses. Those of users' secrets that are to be pruned go.
func addUnused(ctx context.Context, r Reader, t *Txn, m ModelID, id SecretID, rec Record[Secret], uses map[UnitName]int) error {
	latest, _ := rec.Value.Latest()
	unused := []int{}
	for _, rev := range rec.Value.Revisions {
		used := false
		for _, n := range uses {
			used = used || n == rev.Number
		}
		if !used && rev.Number != latest.Number {
			unused = append(unused, rev.Number)
		}
	}
	if rec.Value.Owner.Users() {
		if rec.Value.AutoPrune && len(unused) > 0 {
			after := rec.Value.Apply(SecretChange{Revisions: unused}, time.Time{})
			WriteSecret(t, m, id, rec, after, nil)
		}
		return nil
	}
	path := m.SecretObsoletePath(rec.Value.Owner, id)
	have, err := ReadIf[[]int](ctx, r, path)
	if err != nil || slices.Equal(have.Value, unused) {
		return err
	}
	Put(t, path, have, unused)
	return nil
}

// UnusedIn is the revisions of the secret that are in the list and that secret-remove has not told of.
func (s Secret) UnusedIn(obsolete []int) []int {
	return slices.DeleteFunc(slices.Clone(obsolete), func(n int) bool {
		rev, there := s.Revision(n)
		return !there || rev.Unused
	})
}
