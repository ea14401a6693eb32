package api_test

import (
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func TestClouds(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.put(state.UserPath("eve"), w.user("eve", "eve's", false))
	eve := w.login("eve", "eve's")
	fails := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	moon := provider.Cloud{Name: "moon", Type: "ec2", AuthTypes: []string{"access-key"}, Regions: []provider.Region{{Name: "near"}, {Name: "far"}}}
	w.must(w.admin.AddCloud(ctx, moon))
	fails(w.admin.AddCloud(ctx, moon), "already exists")
	fails(eve.AddCloud(ctx, provider.Cloud{Name: "x", Type: "ec2"}), "superuser")
	fails(w.admin.RemoveCloud(ctx, "local"), "where the controller is")
	clouds, err := eve.Clouds(ctx)
	if err != nil || len(clouds) != 2 || clouds[1].Regions[1].Name != "far" {
		t.Fatalf("clouds: %+v, %v", clouds, err)
	}
	_, err = w.admin.CreateModel(ctx, userapi.CreateModel{Name: "m", Cloud: "moon"})
	fails(err, "could not reach this controller")

	w.server.Addresses.API = []string{"10.1.2.3:17070"}
	_, err = w.admin.CreateModel(ctx, userapi.CreateModel{Name: "m", Cloud: "moon"})
	fails(err, "needs a credential")
	c := provider.Credential{Name: "work", AuthType: "access-key", Attributes: map[string]string{"access-key": "a", "secret-key": "hush-hush"}}
	w.must(w.admin.PutCredential(ctx, "moon", c))
	fails(w.admin.PutCredential(ctx, "sun", c), `cloud "sun" not found`)
	if got, err := w.admin.Credentials(ctx, "", "", false); err != nil || len(got) != 1 || got[0].Name != "work" || got[0].Attributes != nil {
		t.Fatalf("without secrets: %+v, %v", got, err)
	}
	if got, err := w.admin.Credentials(ctx, "moon", "work", true); err != nil || len(got) != 1 || got[0].Attributes["secret-key"] != "hush-hush" {
		t.Fatalf("with secrets: %+v, %v", got, err)
	}
	if got, err := eve.Credentials(ctx, "", "", true); err != nil || len(got) != 0 {
		t.Fatalf("another's: %+v, %v", got, err)
	}
	fails(eve.RemoveCredential(ctx, "moon", "admin/work", true), "not found")
	m, err := w.admin.CreateModel(ctx, userapi.CreateModel{Name: "m", Cloud: "moon", Region: "far"})
	if err != nil || m.Region != "far" || m.Credential != "admin/work" || m.CloudType != "ec2" {
		t.Fatalf("the model: %+v, %v", m, err)
	}
	_, err = w.admin.CreateModel(ctx, userapi.CreateModel{Name: "n", Cloud: "moon", Region: "dark"})
	fails(err, `no region "dark"`)
	c.Name = "play"
	w.must(w.admin.PutCredential(ctx, "moon", c))
	_, err = w.admin.CreateModel(ctx, userapi.CreateModel{Name: "n", Cloud: "moon"})
	fails(err, "more than one credential")
	fails(w.admin.RemoveCredential(ctx, "moon", "work", false), "is used by 1 model(s): admin/m")
	w.must(w.admin.Model("m").SetCredential(ctx, "play"))
	fails(w.admin.Model("m").SetCredential(ctx, "rest"), "not found")
	w.must(w.admin.RemoveCredential(ctx, "moon", "work", false))
	fails(w.admin.RemoveCloud(ctx, "moon"), "is used by 1 model(s): admin/m")
	if got, err := w.admin.Credentials(ctx, "moon", "", false); err != nil || len(got) != 1 || len(got[0].Models) != 1 {
		t.Fatalf("who uses it: %+v, %v", got, err)
	}
	moon.Endpoint = "https://moon"
	w.must(w.admin.UpdateCloud(ctx, moon))
	if got, err := w.admin.Cloud(ctx, "moon"); err != nil || got.Endpoint != "https://moon" {
		t.Fatalf("the cloud: %+v, %v", got, err)
	}
	_, err = w.admin.Cloud(ctx, "mo/on")
	fails(err, "not found")
	if said := w.log.String(); strings.Contains(said, "hush-hush") {
		t.Errorf("the log has the secret:\n%s", said)
	}
}
