package state

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A SecretID names a secret for ever: 20 letters and digits. Users and charms see it as secret:<id>.
type SecretID string

// URI is the secret as users and charms name it.
func (s SecretID) URI() string { return "secret:" + string(s) }

// ParseSecret reads a secret's name: the bare id, secret:<id>, or secret://<model>/<id>.
func ParseSecret(text string) (SecretID, error) {
	id, uri := strings.CutPrefix(text, "secret:")
	if rest, ok := strings.CutPrefix(id, "//"); ok && uri {
		id = rest[strings.LastIndexByte(rest, '/')+1:]
	}
	if len(id) != 20 || strings.Trim(id, "0123456789abcdefghijklmnopqrstuv") != "" {
		return "", invalid("secret URI %q not valid", text)
	}
	return SecretID(id), nil
}

// A SecretOwner is whose a secret is: an application's, a unit's, or, when both are empty, the model's: its users'.
type SecretOwner struct {
	Application ApplicationName `json:"application,omitempty"`
	Unit        UnitName        `json:"unit,omitempty"`
}

// Users says whether users keep the secret, not charms.
func (o SecretOwner) Users() bool { return o == SecretOwner{} }

// Name is the owner as users read it.
func (o SecretOwner) Name() string {
	switch {
	case o.Unit != "":
		return string(o.Unit)
	case o.Application != "":
		return string(o.Application)
	}
	return "<model>"
}

// Of is the application that the owner is or is of; empty for users.
func (o SecretOwner) Of() ApplicationName {
	if o.Unit != "" {
		return o.Unit.Application()
	}
	return o.Application
}

// A Secret is all that is known of a secret but its values. Its owner writes it, an application's leader for the application; controllers
// write those of users, and remove what has ended.
type Secret struct {
	Owner       SecretOwner      `json:"owner"`
	Name        string           `json:"name,omitempty"`  // that users gave theirs
	Label       string           `json:"label,omitempty"` // that the owner gave it
	Description string           `json:"description,omitempty"`
	Rotate      Rotate           `json:"rotate,omitempty"`
	NextRotate  time.Time        `json:"nextRotate,omitzero"`
	Last        int              `json:"last"`                // the number of the newest revision ever made
	Revisions   []SecretRevision `json:"revisions,omitempty"` // those that are left, in order
	Grants      []Grant          `json:"grants,omitempty"`    // sorted
	AutoPrune   bool             `json:"autoPrune,omitempty"` // controllers remove the revisions that no one uses
	Removed     bool             `json:"removed,omitempty"`   // no value is left, and controllers are about to remove the rest
	Created     time.Time        `json:"created"`
	Updated     time.Time        `json:"updated"`
}

// A SecretRevision is one of a secret's values, without it.
type SecretRevision struct {
	Number   int       `json:"number"`
	Checksum string    `json:"checksum"` // keyed: it tells only whoever has the key which values are the same
	Created  time.Time `json:"created"`
	Expire   time.Time `json:"expire,omitzero"`
	Expired  time.Time `json:"expired,omitzero"` // when secret-expired has told of it last
	Unused   bool      `json:"unused,omitempty"` // secret-remove has told that no one uses it
}

// A Grant lets the units of an application, or one unit, read a secret: while the relation lives, unless that is NoScope.
type Grant struct {
	Application ApplicationName `json:"application,omitempty"`
	Unit        UnitName        `json:"unit,omitempty"` // then Application is empty
	Relation    RelationID      `json:"relation"`
}

// NoScope is the Relation of a grant that no relation ends: users grant so.
const NoScope RelationID = -1

// Target is to whom: "application-web", "unit-web-0".
func (g Grant) Target() string {
	if g.Unit != "" {
		return g.Unit.Tag()
	}
	return "application-" + string(g.Application)
}

// Covers says whether the grant lets the unit read.
func (g Grant) Covers(u UnitName) bool { return g.Unit == u || g.Application == u.Application() }

// A SealedSecret is a value, sealed with the controllers' key, as it lies in the tree.
type SealedSecret struct {
	Sealed   []byte `json:"sealed"`
	Checksum string `json:"checksum,omitempty"` // of the value; it is kept in the revision
}

// SecretContent is a value in clear. It is in no log, no node and no file.
type SecretContent map[string][]byte

// A Tracked is what a unit has done about a secret of another one that it has read.
type Tracked struct {
	Revision int    `json:"revision"`        // that it reads
	Heard    int    `json:"heard,omitempty"` // the latest that secret-changed has told of
	Label    string `json:"label,omitempty"` // that it gave the secret
}

// SecretNews is the latest revision of each secret that a unit tracks and may read. Controllers write it.
type SecretNews map[SecretID]int

// A SecretPlace says where a secret is: whose it is. It is there before the secret, and goes after it.
type SecretPlace struct {
	Owner   SecretOwner `json:"owner"`
	Created time.Time   `json:"created"`
	Told    []UnitName  `json:"told,omitempty"` // the units that have SecretNews of it
}

// A Rotate is how often a secret's owner is asked for a new value.
type Rotate string

// Rotations is every Rotate, from never to the rarest.
func Rotations() []Rotate {
	return []Rotate{"never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"}
}

// ParseRotate checks the name of a rotation.
func ParseRotate(text string) (Rotate, error) {
	if r := Rotate(text); slices.Contains(Rotations(), r) {
		return r, nil
	}
	return "", fmt.Errorf("rotate policy %q not valid", text)
}

// Next is when a rotation is due that begins at t; zero for never.
func (r Rotate) Next(t time.Time) time.Time {
	switch r {
	case "hourly":
		return t.Add(time.Hour)
	case "daily":
		return t.AddDate(0, 0, 1)
	case "weekly":
		return t.AddDate(0, 0, 7)
	case "monthly":
		return t.AddDate(0, 1, 0)
	case "quarterly":
		return t.AddDate(0, 3, 0)
	case "yearly":
		return t.AddDate(1, 0, 0)
	}
	return time.Time{}
}

// Latest is the newest revision that is left; ok is false when there is none.
func (s Secret) Latest() (r SecretRevision, ok bool) {
	if len(s.Revisions) == 0 {
		return r, false
	}
	return s.Revisions[len(s.Revisions)-1], true
}

// Revision is the revision with this number.
func (s Secret) Revision(n int) (SecretRevision, bool) {
	for _, r := range s.Revisions {
		if r.Number == n {
			return r, true
		}
	}
	return SecretRevision{}, false
}
