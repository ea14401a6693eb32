package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// FindSecret reads a secret wherever it is. One that is being removed is not found.
func FindSecret(ctx context.Context, r Reader, m ModelID, id SecretID) (Record[Secret], error) {
	var none Record[Secret]
	place, err := Read[SecretPlace](ctx, r, m.SecretPlacePath(id))
	if err != nil {
		return none, missing(err, "secret", string(id))
	}
	rec, err := Read[Secret](ctx, r, m.SecretPath(place.Value.Owner, id))
	if err != nil {
		return none, missing(err, "secret", string(id))
	}
	if rec.Value.Removed {
		return none, &NotFoundError{"secret", string(id)}
	}
	return rec, nil
}

// MayReadSecret says whether the unit may read the secret now: it is its own or its application's, or granted to either while the
// relation lives.
func MayReadSecret(ctx context.Context, r Reader, m ModelID, s Secret, u UnitName) (bool, error) {
	if s.Owner.Unit == u || s.Owner.Application == u.Application() {
		return true, nil
	}
	for _, g := range s.Grants {
		if !g.Covers(u) {
			continue
		}
		if lives, err := grantLives(ctx, r, m, g); err != nil || lives {
			return lives, err
		}
	}
	return false, nil
}

func grantLives(ctx context.Context, r Reader, m ModelID, g Grant) (bool, error) {
	if g.Relation == NoScope {
		return true, nil
	}
	return Exists(ctx, r, m.RelationPath(g.Relation))
}

// SecretValue reads the sealed value of a revision; zero is the latest.
func SecretValue(ctx context.Context, r Reader, m ModelID, id SecretID, s Secret, revision int) (SealedSecret, int, error) {
	if revision == 0 {
		latest, _ := s.Latest()
		revision = latest.Number
	}
	if _, ok := s.Revision(revision); !ok {
		return SealedSecret{}, 0, &NotFoundError{"secret revision", fmt.Sprintf("%s/%d", id, revision)}
	}
	rec, err := Read[SealedSecret](ctx, r, m.SecretValuePath(s.Owner, id, revision))
	return rec.Value, revision, missing(err, "secret revision", fmt.Sprintf("%s/%d", id, revision))
}

// WriteSecret adds to t that the secret, which was rec, is now s; value is that of its new revision, if it has one. The values of
// revisions that have gone go too.
func WriteSecret(t *Txn, m ModelID, id SecretID, rec Record[Secret], s Secret, value *SealedSecret) {
	Put(t, m.SecretPath(s.Owner, id), rec, s)
	if value != nil && s.Last > rec.Value.Last {
		if _, ok := s.Revision(s.Last); ok {
			t.Create(m.SecretValuePath(s.Owner, id, s.Last), SealedSecret{Sealed: value.Sealed})
		}
	}
	for _, old := range rec.Value.Revisions {
		if _, still := s.Revision(old.Number); !still {
			t.Delete(m.SecretValuePath(s.Owner, id, old.Number), Any)
		}
	}
}

// A SecretView is a secret with its id.
type SecretView struct {
	ID SecretID
	Secret
}

// ListSecrets is every secret of the model, in the order of their ids.
func ListSecrets(ctx context.Context, r Reader, m ModelID) ([]SecretView, error) {
	names, err := ChildrenIf(ctx, r, m.SecretPlacesPath())
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	var out []SecretView
	for _, name := range names {
		v, err := ViewSecret(ctx, r, m, SecretID(name))
		var gone *NotFoundError
		if errors.As(err, &gone) {
			continue // reserved, and not made yet; or just removed
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// ViewSecret is the secret without the grants whose relation is no more.
func ViewSecret(ctx context.Context, r Reader, m ModelID, id SecretID) (SecretView, error) {
	rec, err := FindSecret(ctx, r, m, id)
	if err != nil {
		return SecretView{}, err
	}
	v := SecretView{id, rec.Value}
	v.Grants, err = livingGrants(ctx, r, m, rec.Value)
	return v, err
}

func livingGrants(ctx context.Context, r Reader, m ModelID, s Secret) ([]Grant, error) {
	var out []Grant
	for _, g := range s.Grants {
		lives, err := grantLives(ctx, r, m, g)
		if err != nil {
			return nil, err
		}
		if lives {
			out = append(out, g)
		}
	}
	return slices.Clip(out), nil
}
