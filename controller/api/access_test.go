package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/api"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// path is a path that the route serves.
func path(r api.Route) (method, p string) {
	method, p, _ = strings.Cut(r.Pattern, " ")
	return method, strings.NewReplacer("{model}", "shop", "{unit}", "web-0", "{application}", "web", "{machine}", "0", "{relation}", "0",
		"{hash}", strings.Repeat("0", 64), "{operation}", "1", "{task}", "2", "{cloud}", "local", "{credential}", "work", "{resource}", "data",
		"{secret}", "pw", "{storage}", "data-0", "{pool}", "fast", "{revision}", "1").Replace(p)
}

func basic(user, password string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header
}

func codeOf(t *testing.T, data []byte) userapi.Code {
	t.Helper()
	var f userapi.Failure
	if err := json.Unmarshal(data, &f); err != nil || f.Error == nil {
		return ""
	}
	return f.Error.Code
}

func TestEveryRouteHasItsAccess(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	machine := w.machine(w.model, "7", "web/0")
	w.put(state.UserPath("eve"), w.user("eve", "eve's", false))
	seen := map[string]bool{}
	for _, r := range api.Routes() {
		if r.Access == api.Nobody || r.Handle == nil || seen[r.Pattern] {
			t.Errorf("%s: access %d, or no handler, or twice", r.Pattern, r.Access)
		}
		seen[r.Pattern] = true
		method, p := path(r)
		if strings.Contains(p, "{") {
			t.Fatalf("%s: the test does not know what to put into it", r.Pattern)
		}
		for _, c := range []struct {
			who      string
			identity *pki.Identity
			header   http.Header
			may      bool
		}{
			{"nobody", nil, nil, r.Access == api.Open},
			{"a wrong password", nil, basic("admin", "guess"), r.Access == api.Open},
			{"a user that is a path", nil, basic("../controllers", ""), r.Access == api.Open},
			{"a machine", &machine, nil, r.Access == api.Open || r.Access == api.Machine},
		} {
			status, data := w.raw(method, p, c.identity, c.header, nil)
			if refused := status == http.StatusUnauthorized && codeOf(t, data) == userapi.Unauthorized; refused == c.may && r.Pattern != agentapi.EnrolRoute {
				t.Errorf("%s by %s: %d %s", r.Pattern, c.who, status, data)
			}
		}
		if r.Access == api.Admin {
			if status, data := w.raw(method, p, nil, basic("eve", "eve's"), nil); status != http.StatusForbidden {
				t.Errorf("%s by one who is no superuser: %d %s", r.Pattern, status, data)
			}
		} else if strings.Contains(r.Pattern, "{model}") {
			if status, data := w.raw(method, p, nil, basic("eve", "eve's"), nil); status != http.StatusNotFound {
				t.Errorf("%s by a stranger: %d %s", r.Pattern, status, data)
			}
			own := strings.Replace(p, "/shop", "/"+string(w.model), 1)
			if status, data := w.raw(method, own, nil, basic("eve", "eve's"), nil); status != http.StatusNotFound {
				t.Errorf("%s by a stranger who knows the UUID: %d %s", r.Pattern, status, data)
			}
		}
	}
	if status, _ := w.raw("GET", "/v1/models", nil, basic("nobody", password), nil); status != http.StatusUnauthorized { // slow by design
		t.Errorf("an unknown user: %d", status)
	}
	if status, _ := w.raw("GET", "/v1/nonsense", nil, nil, nil); status != http.StatusNotFound {
		t.Errorf("a route that is not there: %d", status)
	}
}

// Who may use a route is the table's to say, but not at will.
func TestTheTableKeepsItsPromises(t *testing.T) {
	open := []string{userapi.HealthRoute, agentapi.EnrolRoute, agentapi.BinaryRoute}
	for _, r := range api.Routes() {
		method, p, _ := strings.Cut(r.Pattern, " ")
		var want []api.Access
		switch {
		case slices.Contains(open, r.Pattern):
			want = []api.Access{api.Open}
		case strings.HasPrefix(p, "/v1/agent/"):
			want = []api.Access{api.Machine}
		case method == http.MethodGet && !strings.HasSuffix(p, "/shell") && !strings.HasSuffix(p, "/debug") && !strings.HasSuffix(p, "/content"): // a shell changes what it likes, and a secret is one
			want = []api.Access{api.Reader}
		case strings.Contains(p, "/credentials/"): // every user has his own
			want = []api.Access{api.Reader}
		default:
			want = []api.Access{api.Writer, api.Admin}
		}
		if !slices.Contains(want, r.Access) {
			t.Errorf("%s: access %d, want one of %v", r.Pattern, r.Access, want)
		}
		if !strings.Contains(p, "{model}") && r.Access == api.Writer {
			t.Errorf("%s: a writer of which model?", r.Pattern)
		}
	}
}

func TestAMachineHasOnlyItsOwn(t *testing.T) {
	w := newWorld(t)
	d := w.deploy("web", 2)
	one, two := w.machine(w.model, "1", "web/0"), w.machine(w.model, "2", "web/1")
	other, err := w.admin.CreateModel(t.Context(), userapi.CreateModel{Name: "other"})
	w.must(err)
	stranger := w.machine(other.UUID, "1", "web/0")
	get := func(id pki.Identity, path string) int {
		status, _ := w.raw("GET", path, &id, nil, nil)
		return status
	}
	goals, archive := "/v1/agent/units/web-0/goal-state", "/v1/agent/charms/"+d.Charm.SHA256
	if got := get(one, goals); got != http.StatusOK {
		t.Errorf("its own unit: %d", got)
	}
	if got := get(two, goals); got != http.StatusForbidden {
		t.Errorf("another machine's unit: %d", got)
	}
	if got := get(two, archive); got != http.StatusOK {
		t.Errorf("a charm of its model: %d", got)
	}
	if got := get(stranger, archive); got != http.StatusNotFound {
		t.Errorf("a charm of another model: %d", got)
	}
	var tx state.Txn
	tx.Delete(w.model.MachinePath("1"), 0)
	w.commit(tx)
	if got := get(one, archive); got != http.StatusUnauthorized {
		t.Errorf("a machine that is no more: %d", got)
	}
	body, _ := json.Marshal(agentapi.LogLine{Time: time.Now(), Entity: "unit-web-0", Level: "INFO", Module: "m", Message: "hello"})
	if status, data := w.raw("POST", "/v1/agent/logs", &two, nil, body); status != http.StatusOK {
		t.Fatalf("logs: %d %s", status, data)
	}
	w.must(w.m.Logs(t.Context(), userapi.LogFilter{}, func(l agentapi.LogLine) error {
		if l.Entity != "machine-2" || l.Message != "unit-web-0: hello" {
			t.Errorf("a line in another's name is kept as %+v", l)
		}
		return nil
	}))
}

func TestATokenIsGoodForOneKey(t *testing.T) {
	w := newWorld(t)
	identity := w.machine(w.model, "3")
	const token = "one-time-secret"
	w.put(w.model.EnrolPath("3"), state.Enrolment{TokenHash: sum(token), Expires: time.Now().Add(time.Hour)})
	enrol := func(token string, csr []byte) (int, agentapi.Enrolled) {
		t.Helper()
		body, _ := json.Marshal(agentapi.Enrol{Model: w.model, Machine: "3", Token: token, Request: csr})
		status, data := w.raw("POST", "/v1/agent/enrol", nil, nil, body)
		var out agentapi.Enrolled
		_ = json.Unmarshal(data, &out)
		return status, out
	}
	key, csr, err := pki.NewRequest()
	w.must(err)
	_, second, err := pki.NewRequest()
	w.must(err)
	if status, _ := enrol("a guess", csr); status != http.StatusUnauthorized {
		t.Fatalf("a wrong token: %d", status)
	}
	var got agentapi.Enrolled
	for range 2 { // the reply may have been lost
		var status int
		if status, got = enrol(token, csr); status != http.StatusOK {
			t.Fatalf("the first key: %d", status)
		}
	}
	if status, _ := enrol(token, second); status != http.StatusUnauthorized {
		t.Fatalf("a second key: %d", status)
	}
	if got.Chroot != "/grigri" || got.Addresses.AgentHash != "abc" || got.Addresses.Name != "shop" {
		t.Errorf("enrolled with %+v", got)
	}
	enrolled := pki.Identity{Key: key, Certificate: []byte(got.Certificate), Authority: w.authority.Certificate()}
	if status, data := w.raw("POST", "/v1/agent/logs", &enrolled, nil, nil); status != http.StatusOK {
		t.Errorf("with the new certificate: %d %s", status, data)
	}
	if status, _ := w.raw("POST", "/v1/agent/logs", &identity, nil, nil); status != http.StatusUnauthorized {
		t.Errorf("a certificate of a key that has not enrolled: %d", status)
	}
	if log := w.log.String(); !strings.Contains(log, "machine enrolled") || strings.Contains(log, token) || strings.Contains(log, password) || strings.Contains(log, sum(token)) {
		t.Errorf("there is a secret in the log:\n%s", log)
	}
	w.put(w.model.EnrolPath("3"), state.Enrolment{TokenHash: sum(token), Expires: time.Now().Add(-time.Second)})
	if status, _ := enrol(token, second); status != http.StatusUnauthorized {
		t.Errorf("a token that is over: %d", status)
	}
}

func TestAPasswordThatWasChangedIsWrongAtOnce(t *testing.T) {
	w := newWorld(t)
	if _, err := w.admin.Controller(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.put(state.UserPath("admin"), w.user("admin", "another", true))
	if status, _ := w.raw("GET", "/v1/controller", nil, basic("admin", password), nil); status != http.StatusUnauthorized {
		t.Fatalf("the old password: %d", status)
	}
	if status, _ := w.raw("GET", "/v1/controller", nil, http.Header{"Authorization": {"Bearer admin:another"}}, nil); status != http.StatusOK {
		t.Fatalf("the new one as a token: %d", status)
	}
}

// The reference names every route with who may use it, and no other.
func TestTheReferenceIsComplete(t *testing.T) {
	data, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[api.Access]string{api.Open: "open", api.Machine: "machine", api.Reader: "reader", api.Writer: "writer", api.Admin: "admin"}
	for _, r := range api.Routes() {
		if row := "| `" + r.Pattern + "` | " + words[r.Access] + " | "; !strings.Contains(string(data), row) {
			t.Errorf("docs/reference/api.md has no row %q", row)
		}
	}
	if n := strings.Count(string(data), "\n| `"); n != len(api.Routes()) {
		t.Errorf("docs/reference/api.md has %d routes, there are %d", n, len(api.Routes()))
	}
}
