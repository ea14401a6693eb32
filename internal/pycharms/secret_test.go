package pycharms

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
)

// spelt is how the charm tells a password: as it is, no result may have it.
func spelt(password string) string { return strings.Join(strings.Split(password, ""), " ") }

// secrets is two applications of one charm: one keeps a secret, the other reads it; what ops has for either side is used.
func (e *environment) secrets(charm string) {
	e.must("add-model", "secrets")
	e.must("deploy", charm, "keeper")
	e.must("deploy", charm, "reader")
	e.must("integrate", "keeper:keeps", "reader:reads")
	both := all(at("keeper", 1, "active "), at("reader", 1, "active "))
	e.until("both run", both)

	id := fmt.Sprint(e.run("keeper/0", "add", "password=first-horse", "rotate=hourly")["id"])
	secret, err := state.ParseSecret(id)
	if err != nil {
		e.Fatalf("the new secret is %q: %v", id, err)
	}
	e.until("the reader has read", both)
	e.reports("keeper/0", map[string]string{
		"info": `{"revision": 1, "rotation": "SecretRotate.HOURLY", "description": "for those who are related", "rotates": true, "expires": false}`,
		"mine": spelt("first-horse")})
	e.reports("reader/0", map[string]string{"tracked": spelt("first-horse"), "latest": spelt("first-horse"), "heard": "[]", "info": "SecretNotFoundError"})

	e.run("keeper/0", "set", "password=second-horse", "description=changed")
	e.reports("reader/0", map[string]string{"heard": `["secret_changed theirs new"]`, "tracked": spelt("first-horse"), "latest": spelt("second-horse")})
	e.run("reader/0", "refresh")
	e.reports("reader/0", map[string]string{"tracked": spelt("second-horse")})
	e.reports("keeper/0", map[string]string{"heard": `["secret_remove ours 1"]`, "unused": "[1]", "info": `~"description": "changed"`})
	if revisions := e.revisions(secret); revisions != "1 2" {
		e.Errorf("before they are pruned the revisions are %s", revisions)
	}
	e.run("keeper/0", "prune")
	if revisions := e.revisions(secret); revisions != "2" {
		e.Errorf("after they have been pruned the revisions are %s", revisions)
	}

	e.rotateNow("keeper", secret)
	e.reports("keeper/0", map[string]string{"heard": `["secret_remove ours 1", "secret_rotate ours"]`, "mine": spelt("rotated-horse-1"), "info": `~"rotates": true`})
	e.reports("reader/0", map[string]string{"heard": `["secret_changed theirs new", "secret_changed theirs new"]`, "tracked": spelt("second-horse"), "latest": spelt("rotated-horse-1")})

	e.run("keeper/0", "set", "expire=1")
	e.reports("keeper/0", map[string]string{"heard": `~"secret_expired ours 3"`, "mine": spelt("fresh-horse")})

	e.run("keeper/0", "revoke")
	e.reports("reader/0", map[string]string{"tracked": "~Error"})
	e.run("keeper/0", "grant")
	e.reports("reader/0", map[string]string{"latest": spelt("fresh-horse")})

	if all := e.must("secrets", "--format", "json"); !strings.Contains(all, `"owner":"keeper"`) || !strings.Contains(all, `"rotation":"hourly"`) {
		e.Errorf("the client says of them %s", all)
	}
	e.run("keeper/0", "remove-all")
	e.reports("keeper/0", map[string]string{"info": "SecretNotFoundError"})
	e.reports("reader/0", map[string]string{"tracked": "~Error"})
	e.run("keeper/0", "add", "password=fourth-horse", "owner=unit")
	if all := e.must("secrets", "--format", "json"); !strings.Contains(all, `"owner":"keeper/0"`) {
		e.Errorf("the client says of them %s", all)
	}
	e.until("the reader has read that one", both)
	e.reports("reader/0", map[string]string{"tracked": spelt("fourth-horse")})
	e.reports("keeper/0", map[string]string{"mine": spelt("fourth-horse"), "info": `~"rotation": "SecretRotate.NEVER"`})

	users := strings.TrimSpace(e.must("add-secret", "word", "word=abcde"))
	e.must("grant-secret", "word", "keeper")
	e.must("config", "keeper", "word="+users)
	e.until("the keeper has read what users gave it", at("keeper", 1, "active a word of 5 letters"))

	for what, text := range map[string]string{
		"status": e.must("status", "--format", "yaml"), "log": e.must("debug-log", "--replay", "--no-tail", "--level", "TRACE"),
		"data": e.must("show-unit", "keeper/0", "reader/0"), "tasks": e.must("operations", "--format", "json"),
	} {
		if strings.Contains(text, "-horse") && what != "tasks" || strings.Contains(text, "rotated-horse") {
			e.Errorf("a secret is in the %s:\n%s", what, text)
		}
	}
}

// revisions is the numbers of the revisions that are left.
func (e *environment) revisions(id state.SecretID) string {
	e.Helper()
	var all map[string]struct {
		Revisions []struct {
			Revision int `json:"revision"`
		} `json:"revisions"`
	}
	if err := json.Unmarshal([]byte(e.must("show-secret", string(id), "--revisions", "--format", "json")), &all); err != nil {
		e.Fatal(err)
	}
	var out []string
	for _, r := range all[string(id)].Revisions {
		out = append(out, fmt.Sprint(r.Revision))
	}
	return strings.Join(out, " ")
}

// rotateNow turns the time of the secret's next rotation back to a minute ago, where it is kept.
func (e *environment) rotateNow(app state.ApplicationName, id state.SecretID) {
	e.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir := filepath.Join(e.data, "controllers", "py")
	secrets, err := controller.LoadSecrets(dir)
	if err != nil {
		e.Fatal(err)
	}
	port, err := os.ReadFile(filepath.Join(dir, "zookeeper", "port"))
	if err != nil {
		e.Fatal(err)
	}
	own, err := secrets.Identity(time.Now())
	if err != nil {
		e.Fatal(err)
	}
	conf, err := own.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		e.Fatal(err)
	}
	tree, err := zk.Open(ctx, zk.Config{Servers: []string{net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port)))}, TLS: conf,
		Controller: pki.ControllerName(), Machine: pki.MachineName,
		Secret: func(p state.Principal) (string, bool) { return secrets.Key.Credential(p).Secret, true }})
	if err != nil {
		e.Fatal(err)
	}
	defer tree.Close()
	var model struct {
		UUID state.ModelID `json:"model-uuid"`
	}
	var models map[string]json.RawMessage
	if err := json.Unmarshal([]byte(e.must("show-model", "--format", "json")), &models); err != nil {
		e.Fatal(err)
	}
	if err := json.Unmarshal(models["secrets"], &model); err != nil {
		e.Fatal(err)
	}
	err = state.Edit(ctx, tree, func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
		rec, err := state.Read[state.Secret](ctx, r, model.UUID.SecretPath(state.SecretOwner{Application: app}, id))
		rec.Value.NextRotate = time.Now().Add(-time.Minute).UTC()
		t.Set(rec.Path, rec.Value, rec.Version)
		return t, err
	})
	if err != nil {
		e.Fatal(err)
	}
}
