package state

import "strconv"

// SecretPlacesPath is the directory that says where each secret of the model is; SecretPlacePath is one SecretPlace.
func (m ModelID) SecretPlacesPath() string { return m.Path() + "/secrets" }
func (m ModelID) SecretPlacePath(id SecretID) string {
	return m.SecretPlacesPath() + "/" + string(id)
}

// OwnedSecretsPath is the directory of the secrets of an owner. It may be missing while there are none.
func (m ModelID) OwnedSecretsPath(o SecretOwner) string {
	switch {
	case o.Unit != "":
		return m.UnitPath(o.Unit) + "/secrets"
	case o.Application != "":
		return m.ApplicationPath(o.Application) + "/secrets"
	}
	return m.Path() + "/user-secrets"
}

// SecretPath is where a Secret is.
func (m ModelID) SecretPath(o SecretOwner, id SecretID) string {
	return m.OwnedSecretsPath(o) + "/" + string(id)
}

// SecretValuePath is where the SealedSecret of a revision is.
func (m ModelID) SecretValuePath(o SecretOwner, id SecretID, revision int) string {
	return m.SecretPath(o, id) + "/" + strconv.Itoa(revision)
}

// SecretObsoletePath is where controllers say which revisions no one uses any more: a list of numbers.
func (m ModelID) SecretObsoletePath(o SecretOwner, id SecretID) string {
	return m.SecretPath(o, id) + "/obsolete"
}

// TrackedPath is where a unit keeps what it has Tracked, by secret; SecretNewsPath where it finds the SecretNews.
func (m ModelID) TrackedPath(u UnitName) string    { return m.UnitPath(u) + "/tracked" }
func (m ModelID) SecretNewsPath(u UnitName) string { return m.UnitPath(u) + "/secret-news" }

// secretACL is the access to the secrets of an owner: all but the values, which only controllers can read.
func secretACL(owner []Principal, p []string) ACL {
	switch {
	case len(p) == 0:
		return ACL{Read: owner, Create: owner, Delete: owner}
	case len(p) == 1:
		return ACL{Read: owner, Write: owner, Create: owner, Delete: owner}
	case p[1] == "obsolete":
		return ACL{Read: owner}
	}
	return ACL{}
}
