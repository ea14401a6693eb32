package state

import (
	"cmp"
	"slices"
	"time"
)

// A SecretChange is all that a hook, or a user, has asked for about one secret. What is nil stays. It holds no value in clear.
type SecretChange struct {
	New         *SecretOwner  `json:"new,omitempty"` // the secret is made, and this is its owner
	Name        *string       `json:"name,omitempty"`
	Label       *string       `json:"label,omitempty"`
	Description *string       `json:"description,omitempty"`
	Rotate      *Rotate       `json:"rotate,omitempty"`
	Expire      *time.Time    `json:"expire,omitempty"` // of the latest revision
	AutoPrune   *bool         `json:"autoPrune,omitempty"`
	Value       *SealedSecret `json:"value,omitempty"`
	Grants      []GrantChange `json:"grants,omitempty"` // in the order they were asked for
	Remove      bool          `json:"remove,omitempty"`
	Revisions   []int         `json:"revisions,omitempty"` // that are removed
}

// A GrantChange lets someone read a secret, or no more.
type GrantChange struct {
	Grant
	Revoke bool `json:"revoke,omitempty"`
}

// Apply is the secret after the change. A value that is what the latest revision holds makes no new one.
func (s Secret) Apply(c SecretChange, now time.Time) Secret {
	s.Revisions, s.Grants = slices.Clone(s.Revisions), slices.Clone(s.Grants)
	if c.New != nil {
		s = Secret{Owner: *c.New, Created: now, Updated: now}
	}
	override(&s.Name, c.Name)
	override(&s.Label, c.Label)
	override(&s.Description, c.Description)
	override(&s.AutoPrune, c.AutoPrune)
	if c.Rotate != nil && *c.Rotate != s.Rotate {
		if s.Rotate = *c.Rotate; s.Rotate == "never" {
			s.Rotate = ""
		}
		s.NextRotate = s.Rotate.Next(now)
	}
	if latest, ok := s.Latest(); c.Value != nil && (!ok || latest.Checksum != c.Value.Checksum) {
		s.Last++
		s.Revisions = append(s.Revisions, SecretRevision{Number: s.Last, Checksum: c.Value.Checksum, Created: now})
		s.Updated = now
	}
	if n := len(s.Revisions); c.Expire != nil && n > 0 && !c.Expire.Equal(s.Revisions[n-1].Expire) {
		s.Revisions[n-1].Expire, s.Revisions[n-1].Expired = *c.Expire, time.Time{}
	}
	for _, g := range c.Grants {
		s.Grants = slices.DeleteFunc(s.Grants, func(have Grant) bool { return have == g.Grant || g.Revoke && g.ends(have) })
		if !g.Revoke {
			s.Grants = append(s.Grants, g.Grant)
		}
	}
	slices.SortFunc(s.Grants, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Application, b.Application), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Relation, b.Relation))
	})
	s.Revisions = slices.DeleteFunc(s.Revisions, func(r SecretRevision) bool { return slices.Contains(c.Revisions, r.Number) })
	if c.Remove || len(s.Revisions) == 0 {
		s.Revisions, s.Grants, s.Removed, s.NextRotate = nil, nil, true, time.Time{}
	}
	return s
}

// ends says whether the revocation g ends the grant too: what is revoked of an application is revoked of its units.
func (g GrantChange) ends(have Grant) bool {
	scope := g.Relation == NoScope || g.Relation == have.Relation
	switch {
	case !scope:
		return false
	case g.Unit == "" && g.Application == "":
		return true
	case g.Unit != "":
		return have.Unit == g.Unit
	}
	return have.Application == g.Application || have.Unit != "" && have.Unit.Application() == g.Application
}

func override[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// SecretRetry is how soon secret-rotate and secret-expired come again when their hook has not done what they ask for.
const SecretRetry = 5 * time.Minute

// Rotated is the secret after a secret-rotate that was decided when seen was the latest revision.
func (s Secret) Rotated(seen int, now time.Time) Secret {
	if s.NextRotate.IsZero() {
		return s
	}
	s.NextRotate = now.Add(SecretRetry)
	if s.Last > seen {
		s.NextRotate = s.Rotate.Next(now)
	}
	return s
}

// ToldExpired is the secret after a secret-expired of its revision n.
func (s Secret) ToldExpired(n int, now time.Time) Secret {
	return s.revised(n, func(r *SecretRevision) { r.Expired = now })
}

// ToldUnused is the secret after a secret-remove of its revision n.
func (s Secret) ToldUnused(n int) Secret {
	return s.revised(n, func(r *SecretRevision) { r.Unused = true })
}

func (s Secret) revised(n int, edit func(*SecretRevision)) Secret {
	s.Revisions = slices.Clone(s.Revisions)
	for i := range s.Revisions {
		if s.Revisions[i].Number == n {
			edit(&s.Revisions[i])
		}
	}
	return s
}

// ExpiredDue is when secret-expired is due for the revision; zero for never.
func (r SecretRevision) ExpiredDue() time.Time {
	if r.Expire.IsZero() || r.Expired.IsZero() {
		return r.Expire
	}
	return r.Expired.Add(SecretRetry)
}
