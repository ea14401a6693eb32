package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
)

// The edits of clouds and credentials belong to no model: they are recorded in the history of the controllers' own, which is m.

// AddCloud makes a cloud known to the controllers.
func AddCloud(ctx context.Context, r Reader, m ModelID, by By, c provider.Cloud) (Txn, error) {
	var t Txn
	if err := CheckCloud(c); err != nil {
		return t, err
	}
	rec, err := ReadIf[provider.Cloud](ctx, r, CloudPath(c.Name))
	if err != nil {
		return t, fmt.Errorf("add cloud %q: %w", c.Name, err)
	}
	if rec.Exists() {
		return t, &ExistsError{Kind: "cloud", Name: c.Name}
	}
	t.Create(CloudPath(c.Name), c)
	by.record(&t, m, "add-cloud", c.Name)
	return t, nil
}

// UpdateCloud changes what the controllers know of a cloud. Its type stays what it is.
func UpdateCloud(ctx context.Context, r Reader, m ModelID, by By, c provider.Cloud) (Txn, error) {
	var t Txn
	if err := CheckCloud(c); err != nil {
		return t, err
	}
	rec, err := Read[provider.Cloud](ctx, r, CloudPath(c.Name))
	if err != nil {
		return t, missing(err, "cloud", c.Name)
	}
	if rec.Value.Type != c.Type {
		return t, refused("cloud %q is of type %s and cannot become one of type %s", c.Name, rec.Value.Type, c.Type)
	}
	users, err := modelsIn(ctx, r, func(p Place) bool {
		return p.Cloud == c.Name && p.Region != "" && !slices.ContainsFunc(c.Regions, func(r provider.Region) bool { return r.Name == p.Region })
	})
	if err != nil {
		return t, err
	}
	if len(users) > 0 {
		return t, refused("cloud %q cannot lose a region in which there are models: %s", c.Name, strings.Join(users, ", "))
	}
	if string(Encode(rec.Value)) == string(Encode(c)) {
		return t, nil
	}
	t.Set(rec.Path, c, rec.Version)
	by.record(&t, m, "update-cloud", c.Name)
	return t, tellModels(ctx, r, &t, func(p Place) bool { return p.Cloud == c.Name })
}

// RemoveCloud makes the controllers forget a cloud and its credentials. One with models stays.
func RemoveCloud(ctx context.Context, r Reader, m ModelID, by By, name string) (Txn, error) {
	var t Txn
	rec, err := Read[provider.Cloud](ctx, r, CloudPath(name))
	if err != nil {
		return t, missing(err, "cloud", name)
	}
	users, err := modelsIn(ctx, r, func(p Place) bool { return p.Cloud == name })
	if err != nil {
		return t, err
	}
	if len(users) > 0 {
		return t, refused("cloud %q is used by %d model(s): %s", name, len(users), strings.Join(users, ", "))
	}
	names, err := r.Children(ctx, rec.Path)
	if err != nil {
		return t, fmt.Errorf("remove cloud %q: %w", name, err)
	}
	for _, n := range names {
		t.Delete(rec.Path+"/"+n, Any)
	}
	t.Delete(rec.Path, rec.Version)
	by.record(&t, m, "remove-cloud", name)
	return t, nil
}

// PutCredential adds a credential for a cloud, or changes it: models that use it are served with it from then on.
func PutCredential(ctx context.Context, r Reader, m ModelID, by By, key Key, cloud, owner string, c provider.Credential) (Txn, error) {
	var t Txn
	if err := CheckCredential(c); err != nil {
		return t, err
	}
	where, err := Read[provider.Cloud](ctx, r, CloudPath(cloud))
	if err != nil {
		return t, missing(err, "cloud", cloud)
	}
	if a := where.Value.AuthTypes; len(a) > 0 && !slices.Contains(a, c.AuthType) {
		return t, invalid("cloud %q does not take credentials of type %q, but of %s", cloud, c.AuthType, strings.Join(a, ", "))
	}
	name := NewCredentialName(owner, c.Name)
	rec, err := ReadIf[SealedCredential](ctx, r, CredentialPath(cloud, name))
	if err != nil {
		return t, fmt.Errorf("update credential %q: %w", c.Name, err)
	}
	sealed := SealCredential(key, cloud, owner, c, by.Now)
	if rec.Exists() && rec.Value.AuthType == sealed.AuthType && string(rec.Value.Attributes) == string(sealed.Attributes) {
		return t, nil
	}
	Put(&t, CredentialPath(cloud, name), rec, sealed)
	by.record(&t, m, "update-credential", cloud+" "+string(name))
	return t, tellModels(ctx, r, &t, func(p Place) bool { return p.Cloud == cloud && p.Credential == name })
}

// RemoveCredential removes a credential. One that models use stays, unless it is forced: then their machines cannot be changed
// any more until they get another one.
func RemoveCredential(ctx context.Context, r Reader, m ModelID, by By, cloud string, name CredentialName, force bool) (Txn, error) {
	var t Txn
	rec, err := Read[SealedCredential](ctx, r, CredentialPath(cloud, name))
	if err != nil {
		return t, missing(err, "credential", string(name))
	}
	users, err := modelsIn(ctx, r, func(p Place) bool { return p.Cloud == cloud && p.Credential == name })
	if err != nil {
		return t, err
	}
	if len(users) > 0 && !force {
		return t, refused("credential %q is used by %d model(s): %s: give them another one with set-credential, or use --force", name, len(users), strings.Join(users, ", "))
	}
	t.Delete(rec.Path, rec.Version)
	by.record(&t, m, "remove-credential", cloud+" "+string(name))
	return t, nil
}

// SetModelCredential changes as whom the machines of the model are asked for.
func SetModelCredential(ctx context.Context, r Reader, m ModelID, by By, name CredentialName) (Txn, error) {
	var t Txn
	rec, err := Read[Model](ctx, r, m.Path())
	if err != nil {
		return t, missing(err, "model", string(m))
	}
	if rec.Value.Credential == name {
		return t, nil
	}
	credential, err := Read[SealedCredential](ctx, r, CredentialPath(rec.Value.Cloud, name))
	if err != nil {
		return t, missing(err, "credential", string(name))
	}
	t.Check(credential.Path, credential.Version)
	rec.Value.Credential = name
	t.Set(rec.Path, rec.Value, rec.Version)
	by.record(&t, m, "set-credential", string(name))
	t.Tell(m, TicketModel, "")
	return t, nil
}

// CheckPlace makes t hold only while the cloud and the credential of the place are there, and says what is wrong with it.
func CheckPlace(ctx context.Context, r Reader, t *Txn, p Place) error {
	if !cloudName.MatchString(p.Cloud) {
		return &NotFoundError{"cloud", p.Cloud}
	}
	cloud, err := Read[provider.Cloud](ctx, r, CloudPath(p.Cloud))
	if err != nil {
		return missing(err, "cloud", p.Cloud)
	}
	if _, err := RegionOf(cloud.Value, p.Region); err != nil {
		return err
	}
	t.Check(cloud.Path, Any)
	if p.Credential != "" {
		path := CredentialPath(p.Cloud, p.Credential)
		if _, err := Read[SealedCredential](ctx, r, path); err != nil {
			return missing(err, "credential", string(p.Credential))
		}
		t.Check(path, Any)
	} else if a := cloud.Value.AuthTypes; len(a) > 0 && !slices.Contains(a, provider.AuthEmpty) {
		return refused("cloud %q needs a credential: add one with add-credential", p.Cloud)
	}
	return nil
}

// placed calls f with every model whose place is so.
func placed(ctx context.Context, r Reader, so func(Place) bool, f func(Model)) error {
	ids, err := r.Children(ctx, ModelsPath)
	if err != nil {
		return fmt.Errorf("list models: %w", err)
	}
	for _, id := range ids {
		rec, err := ReadIf[Model](ctx, r, ModelID(id).Path())
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("list models: %w", err)
		}
		if rec.Exists() && rec.Value.UUID != "" && so(rec.Value.Place()) {
			f(rec.Value)
		}
	}
	return nil
}

func modelsIn(ctx context.Context, r Reader, so func(Place) bool) (names []string, err error) {
	err = placed(ctx, r, so, func(m Model) { names = append(names, m.Owner+"/"+m.Name) })
	slices.Sort(names)
	return names, err
}

// tellModels leaves a ticket in each model whose place is so: what could not be done may be possible now.
func tellModels(ctx context.Context, r Reader, t *Txn, so func(Place) bool) error {
	return placed(ctx, r, so, func(m Model) { t.Tell(m.UUID, TicketModel, "") })
}
