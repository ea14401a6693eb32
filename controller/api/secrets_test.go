package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// Users make, grant and change their secrets; a machine reads for its own units what was granted to them, as long as it is.
func TestSecretsOfUsers(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	one, two := w.machine(w.model, "1", "web/0"), w.machine(w.model, "2", "web/1")
	m := w.admin.Model(string(w.model))
	id, err := m.AddSecret(t.Context(), userapi.AddSecret{Name: "pw", Value: state.SecretContent{"password": []byte("horse")}})
	w.must(err)
	if _, err := m.AddSecret(t.Context(), userapi.AddSecret{Name: "pw", Value: state.SecretContent{"password": []byte("horse")}}); err == nil {
		t.Error("a name was given twice")
	}
	if _, err := m.AddSecret(t.Context(), userapi.AddSecret{Name: "none"}); err == nil {
		t.Error("a secret of nothing was made")
	}
	read := func(who pki.Identity, unit, revision string) (int, string) {
		status, data := w.raw("GET", "/v1/agent/units/"+unit+"/secrets/"+string(id)+"/"+revision, &who, nil, nil)
		var out agentapi.SecretValue
		_ = json.Unmarshal(data, &out)
		return status, string(out.Value["password"])
	}
	want := func(what string, status int, value string) func(int, string) {
		return func(gotStatus int, got string) {
			t.Helper()
			if gotStatus != status || got != value {
				t.Errorf("%s: %d %q, want %d %q", what, gotStatus, got, status, value)
			}
		}
	}
	want("not granted", http.StatusForbidden, "")(read(one, "web-0", "0"))
	w.must(m.GrantSecret(t.Context(), "pw", userapi.GrantSecret{Applications: []state.ApplicationName{"web"}}))
	want("granted", http.StatusOK, "horse")(read(one, "web-0", "0"))
	want("for a unit of another machine", http.StatusForbidden, "")(read(two, "web-0", "0"))
	w.must(m.UpdateSecret(t.Context(), id.URI(), userapi.UpdateSecret{Value: state.SecretContent{"password": []byte("mule")}}))
	want("the first revision", http.StatusOK, "horse")(read(one, "web-0", "1"))
	want("the latest", http.StatusOK, "mule")(read(two, "web-1", "0"))
	want("one that is not there", http.StatusNotFound, "")(read(one, "web-0", "3"))
	if s, err := m.Secret(t.Context(), "pw"); err != nil || s.Value != nil || s.Last != 2 || len(s.Access) != 1 || s.Access[0].Target != "application-web" {
		t.Errorf("it is shown as %+v, %v", s, err)
	}
	if s, err := m.RevealSecret(t.Context(), string(id), 1); err != nil || string(s.Value["password"]) != "horse" {
		t.Errorf("it is revealed as %+v, %v", s, err)
	}
	w.must(m.GrantSecret(t.Context(), "pw", userapi.GrantSecret{Applications: []state.ApplicationName{"web"}, Revoke: true}))
	want("revoked", http.StatusForbidden, "")(read(one, "web-0", "1"))
	w.must(m.RemoveSecret(t.Context(), "pw", 0))
	want("removed", http.StatusNotFound, "")(read(one, "web-0", "0"))
	if _, err := m.Secret(t.Context(), "pw"); err == nil || err.Error() != `secret "pw" not found` {
		t.Errorf("removed: %v", err)
	}
	history, err := m.History(t.Context(), 100)
	w.must(err)
	for _, c := range history {
		if strings.Contains(c.Details, "horse") || strings.Contains(c.Details, "mule") {
			t.Errorf("the history tells it: %+v", c)
		}
	}
}

// A unit has values sealed for secrets of its own and its application's, and no others.
func TestSecretsAreSealedForTheirOwner(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	one, two := w.machine(w.model, "1", "web/0"), w.machine(w.model, "2", "web/1")
	seal := func(who pki.Identity, path string, application bool) (int, agentapi.Sealed, string) {
		body, err := json.Marshal(agentapi.NewSecret{Application: application, Value: state.SecretContent{"password": []byte("horse")}})
		w.must(err)
		status, data := w.raw("POST", "/v1/agent/units/"+path, &who, nil, body)
		var out agentapi.Sealed
		_ = json.Unmarshal(data, &out)
		return status, out, string(data)
	}
	status, own, text := seal(one, "web-0/secrets", false)
	if status != http.StatusOK || own.ID == "" || len(own.Sealed) == 0 || strings.Contains(text, "horse") {
		t.Fatalf("%d %s", status, text)
	}
	_, shared, _ := seal(one, "web-0/secrets", true)
	for _, c := range []struct {
		what string
		who  pki.Identity
		path string
		want int
	}{
		{"its own", one, "web-0/secrets/" + string(own.ID), http.StatusOK},
		{"its application's", two, "web-1/secrets/" + string(shared.ID), http.StatusOK},
		{"another unit's", two, "web-1/secrets/" + string(own.ID), http.StatusNotFound},
		{"as another unit", two, "web-0/secrets/" + string(own.ID), http.StatusForbidden},
		{"none", one, "web-0/secrets/9m4e2mr0ui3e8a215n4g", http.StatusNotFound},
	} {
		if status, _, text := seal(c.who, c.path, false); status != c.want {
			t.Errorf("%s: %d %s, want %d", c.what, status, text, c.want)
		}
	}
}
