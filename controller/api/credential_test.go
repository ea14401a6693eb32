package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func TestOnlyTrustedApplicationsLearnTheCredential(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	machine, other := w.machine(w.model, "1", "web/0"), w.machine(w.model, "2")
	c := provider.Credential{Name: "work", AuthType: "access-key", Attributes: map[string]string{"secret-key": "a-great-secret"}}
	w.put(state.CloudPath("aws"), provider.Cloud{Name: "aws", Type: "ec2", Endpoint: "https://ec2.example.com", Regions: []provider.Region{{Name: "eu"}}})
	w.put(state.CredentialPath("aws", "admin/work"), state.SealCredential(w.key, "aws", "admin", c, time.Now()))
	model, err := state.Read[state.Model](t.Context(), w.store, w.model.Path())
	w.must(err)
	model.Value.Cloud, model.Value.Region, model.Value.Credential = "aws", "eu", "admin/work"
	w.put(w.model.Path(), model.Value)

	const path = "/v1/agent/units/web-0/credential"
	if status, data := w.raw("GET", path, &machine, nil, nil); status != http.StatusForbidden || strings.Contains(string(data), "secret") {
		t.Fatalf("without trust: %d %s", status, data)
	}
	w.must(w.m.Trust(t.Context(), "web", true))
	if status, _ := w.raw("GET", path, &other, nil, nil); status != http.StatusForbidden {
		t.Errorf("another machine: %d", status)
	}
	status, data := w.raw("GET", path, &machine, nil, nil)
	var got hooks.CloudSpec
	if err := json.Unmarshal(data, &got); err != nil || status != http.StatusOK || got.Type != "ec2" || got.Region != "eu" ||
		got.Endpoint != "https://ec2.example.com" || got.AuthType != "access-key" || got.Attributes["secret-key"] != "a-great-secret" || got.ControllerCloud {
		t.Errorf("with trust: %d %s %v", status, data, err)
	}
	if strings.Contains(w.log.String(), "a-great-secret") {
		t.Error("the secret is in the log")
	}
}
