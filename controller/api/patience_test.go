package api_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/grigri/grigri/controller/api"
	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/controller/logs"
	"github.com/grigri/grigri/controller/statuslog"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// While ZooKeeper does not answer, whoever asks the controller is told so in time, also on the routes that may wait long for other things.
func TestNobodyWaitsForEverForZooKeeper(t *testing.T) {
	authority, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := authority.Identity(pki.Request{Subject: pki.MachineName("m", "0"), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := id.Leaf()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New().Connect(memory.Controller)
		tx, err := state.Bootstrap(t.Context(), store, state.By{User: "admin", Now: time.Now()}, state.Founding{
			Controller: state.Controller{Name: "c1", Cloud: "local"}, Admin: state.User{Name: "admin", Hash: string(hash), Superior: true}, Model: state.NewModel{UUID: "controller-uuid"}})
		if err == nil {
			_, err = store.Commit(t.Context(), tx)
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := api.New(api.Config{Store: store, Key: state.Key("key"), Authority: authority, Charms: archive.Dir(dir), Agents: archive.Dir(dir), Resources: archive.Dir(dir), Plugins: archive.Dir(dir),
			Logs: logs.Open(logs.Config{Dir: dir}), Statuses: statuslog.Open(statuslog.Config{Dir: dir}),
			Providers: func(context.Context, state.Place) (provider.Provider, error) { return sheller{}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.End()
		store.Block()
		wildcard := regexp.MustCompile(`\{[^}]*\}`)
		for _, route := range api.Routes() {
			if route.Access == api.Open {
				continue
			}
			method, path, _ := strings.Cut(wildcard.ReplaceAllString(route.Pattern, "x"), " ")
			r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
			r.SetBasicAuth("admin", password)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
			w, began := httptest.NewRecorder(), time.Now()
			s.ServeHTTP(w, r)
			if took := time.Since(began); w.Code != http.StatusServiceUnavailable || took > time.Minute || !strings.Contains(w.Body.String(), "does ZooKeeper answer?") {
				t.Errorf("%s: %d after %s: %s", route.Pattern, w.Code, took, w.Body)
			}
		}
	})
}
