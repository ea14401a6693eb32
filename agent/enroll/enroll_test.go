package enroll_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

// A controller that enrols: the first key that comes with the token is the only one that may.
type controller struct {
	*httptest.Server
	authority pki.Authority
	key       string
	asked     int
	breakOff  bool // the next answer gets lost
}

func newController(t *testing.T) *controller {
	t.Helper()
	authority, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{authority: authority}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.enrol))
	id, err := authority.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Server, Hosts: []string{"127.0.0.1"}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(id.Certificate, id.Key)
	if err != nil {
		t.Fatal(err)
	}
	c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	c.StartTLS()
	t.Cleanup(c.Close)
	return c
}

func (c *controller) enrol(w http.ResponseWriter, r *http.Request) {
	c.asked++
	var e agentapi.Enrol
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.URL.Path != "/v1/agent/enrol" {
		http.Error(w, "bad request", 400)
		return
	}
	block, _ := pem.Decode(e.Request)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if key := string(csr.RawSubjectPublicKeyInfo); err != nil || e.Token != "t" || c.key != "" && c.key != key {
		w.WriteHeader(401)
		w.Write([]byte(`{"error":{"code":"unauthorized","message":"the token is not valid"}}`))
		return
	}
	c.key = string(csr.RawSubjectPublicKeyInfo)
	cert, err := c.authority.Sign(pki.Request{Subject: pki.MachineName(e.Model, e.Machine), Use: pki.Client, Now: time.Now()}, e.Request)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	if c.breakOff {
		c.breakOff = false
		panic(http.ErrAbortHandler)
	}
	json.NewEncoder(w).Encode(agentapi.Enrolled{Certificate: string(cert), Chroot: "/grigri",
		Addresses: state.Addresses{API: []string{c.Listener.Addr().String()}, ZooKeeper: []string{"127.0.0.1:2181"}}})
}

func (c *controller) token() enroll.Token {
	return enroll.Token{Model: "m", Machine: "4", Token: "t", CA: string(c.authority.Certificate()),
		Addresses: []string{"127.0.0.1:1", c.Listener.Addr().String()}}
}

func TestEnrol(t *testing.T) {
	c, data := newController(t), t.TempDir()
	if _, err := enroll.Load(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	got, err := enroll.Enroll(t.Context(), data, c.token())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := got.Identity().Leaf()
	if err != nil {
		t.Fatal(err)
	}
	if m, id, ok := pki.ParseMachine(leaf); !ok || m != "m" || id != "4" {
		t.Errorf("the certificate names %s", leaf.Subject)
	}
	if loaded, err := enroll.Load(data); err != nil || loaded.Certificate != got.Certificate || loaded.Addresses.ZooKeeper[0] != "127.0.0.1:2181" {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
	fi, err := os.Stat(filepath.Join(data, "agents/machine-4/agent.conf"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("agent.conf: %v, %v", fi, err)
	}
	if _, err := enroll.Enroll(t.Context(), data, c.token()); err != nil || c.asked != 1 {
		t.Errorf("again: %v, the controller was asked %d times", err, c.asked)
	}
	renewed, err := got.Renew(t.Context())
	if err != nil || renewed.Certificate == got.Certificate || renewed.Key != got.Key {
		t.Errorf("renewed: %v", err)
	}
	if at, err := got.RenewAt(); err != nil || at.Before(time.Now()) || at.After(leaf.NotAfter) {
		t.Errorf("renew at %v, %v", at, err)
	}
}

// The controllers have noted the key, and the answer is lost, or the machine dies before it has kept it.
func TestEnrolAgainAfterACrash(t *testing.T) {
	c, data := newController(t), t.TempDir()
	c.breakOff = true
	if _, err := enroll.Enroll(t.Context(), data, c.token()); err == nil || errors.Is(err, enroll.ErrRefused) {
		t.Fatalf("with the answer lost: %v", err)
	}
	if _, err := enroll.Enroll(t.Context(), data, c.token()); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if _, err := enroll.Enroll(t.Context(), other, c.token()); !errors.Is(err, enroll.ErrRefused) || !strings.Contains(err.Error(), "the token is not valid") {
		t.Errorf("another machine with the same token: %v", err)
	}
}

func TestAnotherAuthorityIsNotBelieved(t *testing.T) {
	c, other := newController(t), newController(t)
	token := c.token()
	token.CA = string(other.authority.Certificate())
	if _, err := enroll.Enroll(t.Context(), t.TempDir(), token); err == nil || c.asked != 0 {
		t.Errorf("%v, asked %d times", err, c.asked)
	}
}
