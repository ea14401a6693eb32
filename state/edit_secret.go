package state

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The secrets of users: controllers write them, as users ask.

// ReserveSecret makes the place of a secret that a unit is about to make, and its owner's directory.
func ReserveSecret(ctx context.Context, r Reader, m ModelID, by By, id SecretID, owner SecretOwner) (Txn, error) {
	var t Txn
	dir := m.OwnedSecretsPath(owner)
	there, err := Exists(ctx, r, dir)
	if err != nil {
		return t, fmt.Errorf("reserve %s: %w", id.URI(), err)
	}
	if !there {
		t.Create(dir, nil)
	}
	t.Create(m.SecretPlacePath(id), SecretPlace{Owner: owner, Created: by.Now})
	return t, nil
}

var secretName = regexp.MustCompile(`^[a-zA-Z0-9]+([-.a-zA-Z0-9]*[a-zA-Z0-9])?$`)

// ValidSecretName says why a secret of users cannot have the name.
func ValidSecretName(name string) error {
	if _, err := ParseSecret(name); err == nil || !secretName.MatchString(name) {
		return invalid("secret name %q not valid: want letters, digits, dashes and dots, and not the form of an id", name)
	}
	return nil
}

// AddSecret makes a secret of users. Its name must be free.
func AddSecret(ctx context.Context, r Reader, m ModelID, by By, id SecretID, c SecretChange) (Txn, SecretID, error) {
	var t Txn
	c.New = &SecretOwner{}
	name := *c.Name
	if err := takeName(ctx, r, &t, m, id, name); err != nil {
		return t, "", err
	}
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return Txn{}, "", err
	}
	t.Create(m.SecretPlacePath(id), SecretPlace{Created: by.Now})
	WriteSecret(&t, m, id, Record[Secret]{}, Secret{}.Apply(c, by.Now), c.Value)
	by.record(&t, m, "add-secret", fmt.Sprintf("%s %s", id.URI(), name))
	return t, id, nil
}

// takeName sees to it that no other secret of users has the name, and that t fails if another one gets one meanwhile.
func takeName(ctx context.Context, r Reader, t *Txn, m ModelID, id SecretID, name string) error {
	dir, err := Read[any](ctx, r, m.OwnedSecretsPath(SecretOwner{}))
	if err != nil {
		return missing(err, "model", string(m))
	}
	other, err := userSecret(ctx, r, m, name)
	var free *NotFoundError
	switch {
	case err == nil && other != id:
		return &ExistsError{Text: fmt.Sprintf("secret with name %q already exists", name)}
	case err != nil && !errors.As(err, &free):
		return err
	}
	t.Set(dir.Path, nil, dir.Version)
	return nil
}

// userSecret is the id of the users' secret of this name.
func userSecret(ctx context.Context, r Reader, m ModelID, name string) (SecretID, error) {
	dir := m.OwnedSecretsPath(SecretOwner{})
	ids, err := ChildrenIf(ctx, r, dir)
	if err != nil {
		return "", fmt.Errorf("find secret %q: %w", name, err)
	}
	for _, id := range ids {
		rec, err := ReadIf[Secret](ctx, r, dir+"/"+id)
		if err != nil {
			return "", fmt.Errorf("find secret %q: %w", name, err)
		}
		if rec.Exists() && rec.Value.Name == name && !rec.Value.Removed {
			return SecretID(id), nil
		}
	}
	return "", &NotFoundError{"secret", name}
}

// SecretNamed is the secret that a user means: by the name of one of users, or by its id.
func SecretNamed(ctx context.Context, r Reader, m ModelID, text string) (SecretID, error) {
	if id, err := ParseSecret(text); err == nil {
		if _, err := FindSecret(ctx, r, m, id); err == nil || strings.HasPrefix(text, "secret:") {
			return id, err
		}
	}
	return userSecret(ctx, r, m, text)
}

// ChangeSecret changes a secret of users, which a user means by text. What is its owner's, users cannot change.
func ChangeSecret(ctx context.Context, r Reader, m ModelID, by By, text, what string, c SecretChange) (Txn, SecretID, error) {
	var t Txn
	id, err := SecretNamed(ctx, r, m, text)
	if err != nil {
		return t, id, err
	}
	rec, err := FindSecret(ctx, r, m, id)
	if err != nil {
		return t, id, err
	}
	if !rec.Value.Owner.Users() {
		return t, id, refused("secret %q is owned by %s: only its charm can change it", id, rec.Value.Owner.Name())
	}
	if c.Name != nil {
		if err := takeName(ctx, r, &t, m, id, *c.Name); err != nil {
			return t, id, err
		}
	}
	for _, n := range c.Revisions {
		if _, ok := rec.Value.Revision(n); !ok {
			return t, id, &NotFoundError{"secret revision", fmt.Sprintf("%s/%d", id, n)}
		}
	}
	for _, g := range c.Grants {
		if err := mayBeGranted(ctx, r, m, rec.Value, g); err != nil {
			return t, id, err
		}
	}
	now := rec.Value.Apply(c, by.Now)
	if string(Encode(now)) == string(Encode(rec.Value)) {
		return Txn{}, id, nil
	}
	WriteSecret(&t, m, id, rec, now, c.Value)
	t.Tell(m, TicketSecret, string(id))
	by.record(&t, m, what, id.URI())
	return t, id, nil
}

func mayBeGranted(ctx context.Context, r Reader, m ModelID, s Secret, g GrantChange) error {
	if g.Revoke && slices.Contains(s.Grants, g.Grant) {
		return nil
	}
	_, err := application(ctx, r, m, g.Application)
	return err
}
