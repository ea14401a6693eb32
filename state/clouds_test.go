package state_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

func TestSeal(t *testing.T) {
	key, text := state.Key("a key"), []byte("a secret text")
	sealed := key.Seal("here", text)
	if bytes.Contains(sealed, text[:4]) || !bytes.Equal(sealed, key.Seal("here", text)) {
		t.Fatalf("sealed: %q", sealed)
	}
	if got, err := key.Open("here", sealed); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("opened: %q, %v", got, err)
	}
	broken := bytes.Clone(sealed)
	broken[len(broken)-1] ^= 1
	for name, try := range map[string]func() ([]byte, error){
		"for another purpose": func() ([]byte, error) { return key.Open("there", sealed) },
		"with another key":    func() ([]byte, error) { return state.Key("another").Open("here", sealed) },
		"broken":              func() ([]byte, error) { return key.Open("here", broken) },
		"short":               func() ([]byte, error) { return key.Open("here", sealed[:5]) },
	} {
		if got, err := try(); err == nil {
			t.Errorf("%s it opens: %q", name, got)
		}
	}
}

// The clouds' edits, one after the other on one tree.
func TestCloudsAndCredentials(t *testing.T) {
	ctx, store, key := t.Context(), memory.New().Connect(memory.Controller), state.Key("key")
	by := state.By{User: "admin", Now: time.Unix(1e9, 0).UTC()}
	own := state.ModelID("own")
	do := func(want string, decide func() (state.Txn, error)) state.Txn {
		t.Helper()
		tx, err := decide()
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %q", err, want)
			}
			return tx
		}
		if err == nil {
			_, err = store.Commit(ctx, tx)
		}
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	do("", func() (state.Txn, error) {
		return state.Bootstrap(ctx, store, by, state.Founding{Controller: state.Controller{Name: "c", Cloud: "local"}, Admin: state.User{Name: "admin"}, Model: state.NewModel{UUID: own}})
	})
	moon := provider.Cloud{Name: "moon", Type: "ec2", AuthTypes: []string{"access-key"}, Regions: []provider.Region{{Name: "near"}, {Name: "far"}}}
	secret := provider.Credential{Name: "work", AuthType: "access-key", Attributes: map[string]string{"secret-key": "hush"}}
	add := func(c provider.Cloud) func() (state.Txn, error) {
		return func() (state.Txn, error) { return state.AddCloud(ctx, store, own, by, c) }
	}
	put := func(c provider.Credential) func() (state.Txn, error) {
		return func() (state.Txn, error) { return state.PutCredential(ctx, store, own, by, key, "moon", "admin", c) }
	}
	model := func(id, cloud, region string, c state.CredentialName) func() (state.Txn, error) {
		return func() (state.Txn, error) {
			tx, _, err := state.AddModel(ctx, store, by, state.NewModel{UUID: state.ModelID(id), Name: id, Owner: "admin", Cloud: cloud, Region: region, Credential: c})
			return tx, err
		}
	}
	do(`"a/b" is not a valid name`, add(provider.Cloud{Name: "a/b", Type: "ec2"}))
	do("no type", add(provider.Cloud{Name: "a"}))
	do("there twice", add(provider.Cloud{Name: "a", Type: "ec2", Regions: []provider.Region{{Name: "r"}, {Name: "r"}}}))
	do("", add(moon))
	do("already exists", add(moon))
	do("needs a credential", model("m", "moon", "near", ""))
	do("does not take credentials of type", put(provider.Credential{Name: "x", AuthType: "userpass"}))
	do("", put(secret))
	if tx := do("", put(secret)); len(tx.Ops) != 0 {
		t.Errorf("the same credential again: %d ops", len(tx.Ops))
	}
	node, err := store.Get(ctx, state.CredentialPath("moon", "admin/work"))
	if err != nil || bytes.Contains(node.Data, []byte("hush")) {
		t.Fatalf("in the tree: %s, %v", node.Data, err)
	}
	sealed, err := state.Read[state.SealedCredential](ctx, store, state.CredentialPath("moon", "admin/work"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := sealed.Value.Open(key, "moon"); err != nil || c.Attributes["secret-key"] != "hush" {
		t.Fatalf("opened: %+v, %v", c, err)
	}
	if _, err := sealed.Value.Open(key, "sun"); err == nil {
		t.Fatal("it opens for another cloud")
	}
	do(`no region "back"`, model("m", "moon", "back", "admin/work"))
	do(`credential "admin/play" not found`, model("m", "moon", "near", "admin/play"))
	do(`cloud "sun" not found`, model("m", "sun", "", ""))
	do("", model("m", "moon", "near", "admin/work"))
	do("", model("plain", "local", "", ""))
	remove := func(c state.CredentialName, force bool) func() (state.Txn, error) {
		return func() (state.Txn, error) { return state.RemoveCredential(ctx, store, own, by, "moon", c, force) }
	}
	removeCloud := func() (state.Txn, error) { return state.RemoveCloud(ctx, store, own, by, "moon") }
	do("is used by 1 model(s): admin/m", removeCloud)
	do("is used by 1 model(s): admin/m", remove("admin/work", false))
	use := func(c state.CredentialName) func() (state.Txn, error) {
		return func() (state.Txn, error) { return state.SetModelCredential(ctx, store, "m", by, c) }
	}
	do("not found", use("admin/play"))
	secret.Name = "play"
	do("", put(secret))
	do("", use("admin/play"))
	do("", remove("admin/work", false))
	do("not found", remove("admin/work", false))
	do("", remove("admin/play", true))
	do("", put(secret))
	update := func(c provider.Cloud) func() (state.Txn, error) {
		return func() (state.Txn, error) { return state.UpdateCloud(ctx, store, own, by, c) }
	}
	other := moon
	other.Type = "lxd"
	do("cannot become", update(other))
	other = moon
	other.Regions = moon.Regions[1:]
	do("cannot lose a region", update(other))
	other.Regions, other.Endpoint = moon.Regions, "https://moon"
	if tx := do("", update(other)); !tells(tx, "m") || tells(tx, "plain") {
		t.Errorf("who hears of a change: %+v", tx.Ops)
	}
	do("", func() (state.Txn, error) {
		var tx state.Txn
		rec, err := state.Read[state.Model](ctx, store, state.ModelID("m").Path())
		rec.Value.Cloud = "local"
		tx.Set(rec.Path, rec.Value, rec.Version)
		return tx, err
	})
	do("", removeCloud)
	do("not found", removeCloud)
	if left, err := store.Children(context.Background(), state.CloudsPath); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// tells says whether the transaction leaves a ticket in the model.
func tells(tx state.Txn, m state.ModelID) bool {
	for _, op := range tx.Ops {
		if strings.HasPrefix(op.Path, m.ChangesPath()+"/") {
			return true
		}
	}
	return false
}
