package unit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/vault"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// What the controllers do for secrets, the world does.
func (w *world) NewSecret(_ context.Context, u state.UnitName, application bool, value state.SecretContent) (state.SecretID, state.SealedSecret, error) {
	id := state.SecretID(fmt.Sprintf("%020d", len(w.id())*1000+w.commits))
	owner := state.SecretOwner{Unit: u}
	if application {
		owner = state.SecretOwner{Application: u.Application()}
	}
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.ReserveSecret(ctx, r, model, w.by(), id, owner)
	})
	return id, vault.Of(w.key, model, id).Seal(value), nil
}

func (w *world) SealSecret(_ context.Context, _ state.UnitName, id state.SecretID, value state.SecretContent) (state.SealedSecret, error) {
	return vault.Of(w.key, model, id).Seal(value), nil
}

func (w *world) SecretContent(ctx context.Context, u state.UnitName, id state.SecretID, revision int) (state.SecretContent, int, error) {
	rec, err := state.FindSecret(ctx, w.admin, model, id)
	if err != nil {
		return nil, 0, errors.Join(hooks.ErrNoSecret, err)
	}
	if may, err := state.MayReadSecret(ctx, w.admin, model, rec.Value, u); err != nil || !may {
		return nil, 0, errors.Join(hooks.ErrDenied, err)
	}
	sealed, n, err := state.SecretValue(ctx, w.admin, model, id, rec.Value, revision)
	if err != nil {
		return nil, 0, errors.Join(hooks.ErrNoSecret, err)
	}
	value, err := vault.Of(w.key, model, id).Open(sealed)
	return value, n, err
}

// lead does what the controllers' leader does for secrets.
func (w *world) lead() {
	w.Helper()
	ids, err := w.admin.Children(w.Context(), model.SecretPlacesPath())
	w.must(err)
	for _, id := range ids {
		for done := false; !done; {
			w.edit(func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
				t, done, err = state.SettleSecret(ctx, r, model, w.now(), state.SecretID(id))
				return t, err
			})
		}
	}
}

// secret is the only secret there is.
func (w *world) secret() (state.SecretID, state.Secret) {
	w.Helper()
	all, err := state.ListSecrets(w.Context(), w.admin, model)
	w.must(err)
	if len(all) != 1 {
		w.Fatalf("there are the secrets %+v", all)
	}
	return all[0].ID, all[0].Secret
}

// said is what the unit's hooks have written into the file said since the last call.
func (d *driver) said() string {
	name := filepath.Join(d.paths.Agent, "said")
	data, _ := os.ReadFile(name)
	_ = os.Remove(name)
	return string(data)
}

// inHook has the unit run the script, in its config-changed, and returns which hooks it then ran.
func (d *driver) inHook(script string) []string {
	d.on("config-changed", script)
	put(d.world, model.ApplicationPath(d.name.Application()), func() state.Application {
		app := get[state.Application](d.world, model.ApplicationPath(d.name.Application()))
		app.Trust = !app.Trust
		return app
	}())
	ran := d.settle()
	d.on("config-changed", "")
	return ran
}

// shared is a provider that shares a secret with a consumer, in a relation.
func shared(t *testing.T) (w *world, web, store *driver, id state.SecretID) {
	w = newWorld(t)
	w.deploy("web", webMeta, "", 1)
	w.deploy("store", storeMeta, "", 2)
	w.relate("web", "store")
	web, store = w.start("web/0"), w.start("store/0")
	store.on("install", "true")
	store.on("sql-relation-created", "uri=$(secret-add --label db password=hunter2); secret-grant $uri -r $JUJU_RELATION_ID; relation-set --app uri=$uri; secret-get $uri password >>said")
	web.on("db-relation-changed", "uri=$(relation-get --app uri); [ -z \"$uri\" ] || secret-get $uri password --label mine >said")
	store.settle()
	web.settle()
	store.settle()
	web.settle()
	id, _ = w.secret()
	if got := store.said() + web.said(); got != "hunter2\nhunter2\n" {
		t.Fatalf("provider and consumer read %q", got)
	}
	web.on("db-relation-changed", "")
	w.lead()
	w.same("nothing is new", append(store.settle(), web.settle()...), nil)
	return w, web, store, id
}

func TestSecretIsShared(t *testing.T) {
	w, web, store, id := shared(t)

	// A new revision: told once, read when it is asked for.
	web.on("secret-changed", `echo "$JUJU_SECRET_ID $JUJU_SECRET_LABEL ${JUJU_SECRET_REVISION-none}" >>said; secret-get --label mine password >>said; secret-get --label mine --peek password >>said`)
	w.same("the owner", store.inHook("secret-set "+id.URI()+" password=two; secret-set "+id.URI()+" password=three"), []string{"config-changed"})
	if _, s := w.secret(); s.Last != 2 {
		t.Errorf("two sets of one hook made %d revisions", s.Last)
	}
	w.lead()
	w.same("the consumer", web.settle(), []string{"secret-changed"})
	if got, want := web.said(), id.URI()+" mine none\nhunter2\nthree\n"; got != want {
		t.Errorf("it saw %q, want %q", got, want)
	}
	w.lead()
	w.same("told once", append(store.settle(), web.settle()...), nil)
	web.boot()
	w.same("told once, also after a restart", web.settle(), nil)

	// Refreshed: the old revision is no one's any more, and its owner is told once.
	store.on("secret-remove", `echo "$JUJU_SECRET_ID $JUJU_SECRET_LABEL $JUJU_SECRET_REVISION" >>said`)
	w.same("refresh", web.inHook("secret-get --label mine --refresh >>said"), []string{"config-changed"})
	w.lead()
	w.same("the old one", store.settle(), []string{"secret-remove"})
	if got, want := web.said()+store.said(), "password: three\n"+id.URI()+" db 1\n"; got != want {
		t.Errorf("refreshed: %q, want %q", got, want)
	}
	store.boot()
	w.same("told once", store.settle(), nil)
	store.inHook("secret-remove " + id.URI() + " --revision 1")
	if _, s := w.secret(); len(s.Revisions) != 1 || s.Revisions[0].Number != 2 {
		t.Errorf("left are %+v", s.Revisions)
	}
	if there, err := state.Exists(w.Context(), w.admin, model.SecretValuePath(state.SecretOwner{Application: "store"}, id, 1)); err != nil || there {
		t.Error("the value that was removed is there", err)
	}

	// The same value is no news.
	store.inHook("secret-set " + id.URI() + " password=three")
	w.lead()
	w.same("the same value", append(store.settle(), web.settle()...), nil)

	// A failed hook has asked for nothing.
	store.inHook("secret-set " + id.URI() + " password=four; secret-add other=x >>said; exit 1")
	if _, s := w.secret(); s.Last != 2 {
		t.Error("a failed hook made a revision")
	}
	store.on("config-changed", "")
	w.pass(time.Minute)
	store.settle()

	// Revoked: what was readable no longer is, and nothing of it is news.
	store.inHook("secret-revoke " + id.URI() + " --app web; secret-set " + id.URI() + " password=five")
	w.lead()
	w.same("revoked", web.settle(), nil)
	web.inHook("secret-get --label mine >>said 2>&1 || true; secret-get --label mine --peek >>said 2>&1 || true")
	if got, want := web.said(), "ERROR permission denied\nERROR permission denied\n"; got != want {
		t.Errorf("revoked: %q", got)
	}

	// Granted again: the consumer goes on where it was, and hears of what it has missed. Its revision is kept for it.
	store.on("config-changed", "")
	rel := get[state.Application](w, model.ApplicationPath("web")).Relations[1].Relation
	store.inHook(fmt.Sprintf("secret-grant %s -r %d", id, rel))
	w.lead()
	w.same("granted again", web.settle(), []string{"secret-changed"})

	// Removed: no hook says so.
	store.inHook("secret-remove " + id.URI())
	w.lead()
	w.same("removed", append(web.settle(), store.settle()...), nil)
	web.said()
	web.inHook("secret-get --label mine >>said 2>&1 || true")
	if got, want := web.said(), fmt.Sprintf("ERROR secret %q not found\n", id); got != want {
		t.Errorf("removed: %q, want %q", got, want)
	}
	for _, path := range []string{model.SecretPlacePath(id), model.SecretPath(state.SecretOwner{Application: "store"}, id)} {
		if there, err := state.Exists(w.Context(), w.admin, path); err != nil || there {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// A grant lives as long as its relation: hooks of the relation's end can still read, and nothing after it can.
func TestGrantEndsWithTheRelation(t *testing.T) {
	w, web, store, id := shared(t)
	web.on("db-relation-broken", "secret-get "+id.URI()+" password >>said")
	w.unrelate("web", "store")
	web.settle()
	store.settle()
	if got := web.said(); got != "hunter2\n" {
		t.Errorf("broken read %q", got)
	}
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveRelationTree(ctx, r, model, w.by(), relationOf(w, id), "")
		return t, err
	})
	web.inHook("secret-get " + id.URI() + " >>said 2>&1 || true")
	if got := web.said(); got != "ERROR permission denied\n" {
		t.Errorf("after it: %q", got)
	}
	store.inHook("secret-info-get " + id.URI() + " --format json >>said; secret-set " + id.URI() + " password=new")
	if got := store.said(); strings.Contains(got, "access") {
		t.Errorf("the grant is still shown: %s", got)
	}
	if rec, err := state.FindSecret(w.Context(), w.admin, model, id); err != nil || len(rec.Value.Grants) > 0 {
		t.Errorf("the grant is kept: %+v %v", rec.Value.Grants, err)
	}
}

func relationOf(w *world, id state.SecretID) state.RelationID {
	rec, err := state.FindSecret(w.Context(), w.admin, model, id)
	w.must(err)
	return rec.Value.Grants[0].Relation
}

// Rotation and expiry come when they are due, once, to who leads; again every five minutes until the charm has done something.
func TestRotationAndExpiry(t *testing.T) {
	w, _, store, id := shared(t)
	note := `echo "$JUJU_HOOK_NAME $JUJU_SECRET_LABEL ${JUJU_SECRET_REVISION-none}" >>said`
	for _, h := range []string{"secret-rotate", "secret-expired"} {
		store.on(h, note)
	}
	store.inHook("secret-set " + id.URI() + " --rotate daily --expire 30h")
	w.same("not yet", store.settle(), nil)
	w.pass(24 * time.Hour)
	w.same("due", store.settle(), []string{"secret-rotate"})
	w.same("once", store.settle(), nil)
	store.boot()
	w.same("once, also after a restart", store.settle(), nil)
	second := w.start("store/1")
	second.settle()
	w.pass(state.SecretRetry)
	w.same("one that does not lead", second.settle(), nil)
	store.on("secret-rotate", note+"; secret-set $JUJU_SECRET_ID password=rotated; exit 1")
	store.settle()
	if f := store.status().Failure; f == nil || f.Data["secret-uri"] != id.URI() || f.Data["secret-label"] != "db" {
		t.Errorf("a rotation that failed: %+v", f)
	}
	store.on("secret-rotate", note+"; secret-set $JUJU_SECRET_ID password=rotated")
	w.pass(time.Minute)
	w.same("it runs again", store.settle(), []string{"secret-rotate"})
	if _, s := w.secret(); s.Last != 2 || s.NextRotate.Sub(w.now()) < 23*time.Hour {
		t.Errorf("rotated: %+v", s)
	}
	w.same("rotated", store.settle(), nil)
	store.said()
	w.pass(7 * time.Hour)
	w.same("expired", store.settle(), []string{"secret-expired"})
	if got := store.said(); got != "secret-expired db 1\n" {
		t.Errorf("expired said %q", got)
	}
	w.same("once", store.settle(), nil)
	store.on("secret-expired", note+"; secret-remove $JUJU_SECRET_ID --revision $JUJU_SECRET_REVISION")
	w.pass(state.SecretRetry)
	w.same("told again", store.settle(), []string{"secret-expired"})
	w.pass(time.Hour)
	w.same("removed", store.settle(), nil)

	// A rotation that fails is moot when the charm has set a new value in another way.
	store.on("secret-rotate", "exit 1")
	w.pass(24 * time.Hour)
	store.settle()
	if store.status().Failure == nil {
		t.Fatal("it has not failed")
	}
	rec, err := state.FindSecret(w.Context(), w.admin, model, id)
	w.must(err)
	now := rec.Value
	now.NextRotate = time.Time{}
	put(w, rec.Path, now)
	store.settle()
	if f := store.status().Failure; f != nil {
		t.Errorf("a rotation that is not wanted any more keeps failing: %+v", f)
	}
}

// What the tree and the notes on disk hold of a value is sealed.
func TestSecretsAreSealed(t *testing.T) {
	w, web, store, _ := shared(t)
	store.inHook("secret-add --owner unit --file - <<END\npassword: hunter2\nEND\nset -x\nsecret-set $(secret-ids | head -n 1) password=squirrel\nsecret-get --label db\njuju-log the password is $(secret-get --label db password)\nfalse")
	if f := store.status().Failure; f == nil {
		t.Fatal("the hook that shows it all has not failed")
	}
	var walk func(string)
	nodes, masked := 0, 0
	walk = func(path string) {
		n, err := w.admin.Get(w.Context(), path)
		w.must(err)
		nodes++
		for _, form := range []string{"hunter2", "aHVudGVyM", "squirrel"} {
			if bytes.Contains(n.Data, []byte(form)) {
				t.Errorf("%s holds it: %s", path, n.Data)
			}
		}
		names, err := w.admin.Children(w.Context(), path)
		w.must(err)
		for _, name := range names {
			walk(strings.TrimSuffix(path, "/") + "/" + name)
		}
	}
	walk("/")
	for _, d := range []*driver{web, store} {
		notes, err := os.ReadFile(filepath.Join(d.paths.Agent, "state", "pending"))
		w.must(err)
		if len(notes) == 0 || bytes.Contains(notes, []byte("hunter2")) || bytes.Contains(notes, []byte("aHVudGVyM")) {
			t.Errorf("the notes of %s: %d bytes", d.name, len(notes))
		}
	}
	for _, l := range append(store.lines, web.lines...) {
		if strings.Contains(l.Message, "hunter2") || strings.Contains(l.Message, "squirrel") {
			t.Errorf("the log says %q", l.Message)
		}
		masked += strings.Count(l.Message, "*****")
	}
	if masked < 5 {
		t.Errorf("only %d values were masked in the log", masked)
	}
	t.Logf("%d nodes", nodes)
}
