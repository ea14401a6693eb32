package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

const model = state.ModelID("4ac2d5a8-0001-4000-8000-000000000001")

func authority(t *testing.T) pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func identity(t *testing.T, a pki.Authority, r pki.Request) pki.Identity {
	t.Helper()
	if r.Now.IsZero() {
		r.Now = time.Now()
	}
	id, err := a.Identity(r)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func leaf(t *testing.T, id pki.Identity) *x509.Certificate {
	t.Helper()
	c, err := id.Leaf()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEncode(t *testing.T) {
	a := authority(t)
	text, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := pki.ParseAuthority(text)
	if err != nil {
		t.Fatal(err)
	}
	id := identity(t, b, pki.Request{Subject: pki.ControllerName()})
	if !bytes.Equal(id.Authority, a.Certificate()) {
		t.Error("an authority that was read issues in another's name")
	}
	again, err := pki.ParseIdentity(id.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Encode(), id.Encode()) {
		t.Error("an identity is not the same when it was read")
	}
}

func TestParseRefuses(t *testing.T) {
	a, b := authority(t), authority(t)
	ida, idb := identity(t, a, pki.Request{Subject: pki.ControllerName()}), identity(t, b, pki.Request{Subject: pki.ControllerName()})
	text, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing":              nil,
		"no PEM":               []byte("hello"),
		"no key":               a.Certificate(),
		"another's key":        append(append([]byte{}, idb.Key...), a.Certificate()...),
		"no authority":         append(append([]byte{}, ida.Key...), ida.Certificate...),
		"two keys":             append(append([]byte{}, text...), text...),
		"a damaged block":      bytes.Replace(text, []byte("MI"), []byte("XX"), 1),
		"a block of something": pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS"}),
	} {
		if _, err := pki.ParseAuthority(data); err == nil {
			t.Errorf("%s was read as an authority", name)
		}
	}
	for name, id := range map[string]pki.Identity{
		"another's key":       {Key: idb.Key, Certificate: ida.Certificate, Authority: ida.Authority},
		"another's authority": {Key: ida.Key, Certificate: ida.Certificate, Authority: idb.Authority},
		"no certificate":      {Key: ida.Key, Authority: ida.Authority},
		"no key":              {Certificate: ida.Certificate, Authority: ida.Authority},
	} {
		if _, err := pki.ParseIdentity(id.Encode()); err == nil {
			t.Errorf("%s was read as an identity", name)
		}
	}
}

func TestLife(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a, err := pki.NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	year := 365 * 24 * time.Hour
	for _, c := range []struct{ from, life, want time.Duration }{
		{0, 0, year},
		{0, time.Hour, time.Hour},
		{9*year + year/2, 0, 10 * year}, // not longer than the authority
	} {
		cert := leaf(t, identity(t, a, pki.Request{Subject: pki.ControllerName(), Now: now.Add(c.from), Life: c.life}))
		if got := cert.NotAfter.Sub(now); got != c.want {
			t.Errorf("from %v for %v: ends after %v, want %v", c.from, c.life, got, c.want)
		}
		if r := pki.RenewAt(cert); !r.After(now.Add(c.from)) && c.life == 0 || !r.Before(cert.NotAfter) {
			t.Errorf("from %v for %v: to be renewed at %v", c.from, c.life, r)
		}
		if !cert.NotBefore.Before(now.Add(c.from)) {
			t.Errorf("a clock that is behind refuses a certificate valid from %v", cert.NotBefore)
		}
	}
}

func TestParseMachine(t *testing.T) {
	a := authority(t)
	for _, c := range []struct {
		name pkix.Name
		want state.MachineID
	}{
		{pki.MachineName(model, "4"), "4"},
		{pki.MachineName(model, "0/lxd/1"), "0/lxd/1"},
		{pki.MachineName(model, ""), ""},
		{pki.MachineName("", "4"), ""},
		{pki.ControllerName(), ""},
		{pki.ZooKeeperName(), ""},
		{pkix.Name{CommonName: "machine-4", OrganizationalUnit: []string{string(model)}}, ""},
		{pkix.Name{CommonName: "machine-4", Organization: []string{"grigri"}, OrganizationalUnit: []string{string(model), "x"}}, ""},
		{pkix.Name{CommonName: "machine-4", Organization: []string{"grigri"}, OrganizationalUnit: []string{string(model)}, Country: []string{"CH"}}, ""},
	} {
		cert := leaf(t, identity(t, a, pki.Request{Subject: c.name}))
		m, id, ok := pki.ParseMachine(cert)
		if ok != (c.want != "") || ok && (id != c.want || m != model) {
			t.Errorf("%s names machine %q of %q, %v; want %q", c.name, id, m, ok, c.want)
		}
		if got := pki.IsController(cert); got != (c.name.CommonName == "controller") {
			t.Errorf("%s is a controller: %v", c.name, got)
		}
	}
	if got := pki.MachineName(model, "4").String(); got != "CN=machine-4,OU="+string(model)+",O=grigri" {
		t.Errorf("ZooKeeper would know machine 4 as %s", got)
	}
}

func TestSign(t *testing.T) {
	a := authority(t)
	key, csr, err := pki.NewRequest()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Sign(pki.Request{Subject: pki.MachineName(model, "4"), Now: time.Now()}, csr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pki.ParseIdentity(pki.Identity{Key: key, Certificate: cert, Authority: a.Certificate()}.Encode()); err != nil {
		t.Errorf("what was signed does not go with its key: %v", err)
	}
}

func TestSignHeedsOnlyTheKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr := signingRequest(t, &x509.CertificateRequest{Subject: pki.ControllerName(), DNSNames: []string{"zookeeper"}}, key)
	cert, err := authority(t).Sign(pki.Request{Subject: pki.MachineName(model, "4"), Now: time.Now()}, csr)
	if err != nil {
		t.Fatal(err)
	}
	c := leaf(t, pki.Identity{Certificate: cert})
	if _, id, ok := pki.ParseMachine(c); !ok || id != "4" || len(c.DNSNames) > 0 || c.IsCA {
		t.Errorf("got a certificate for %s, hosts %v, authority %v", c.Subject, c.DNSNames, c.IsCA)
	}
}

func TestSignRefuses(t *testing.T) {
	_, good, err := pki.NewRequest()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1 // the end of the signature
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, csr := range map[string][]byte{
		"nothing":       nil,
		"no PEM":        []byte("hello"),
		"a certificate": authority(t).Certificate(),
		"forged":        pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: forged}),
		"cut short":     pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes[:40]}),
		"RSA":           signingRequest(t, &x509.CertificateRequest{}, rsaKey),
	} {
		if _, err := authority(t).Sign(pki.Request{Subject: pki.MachineName(model, "4"), Now: time.Now()}, csr); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
}

func signingRequest(t *testing.T, r *x509.CertificateRequest, key any) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	for _, text := range []string{"first, and longer", "second"} {
		if err := pki.WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != text {
			t.Errorf("the file holds %q, %v, want %q", data, err, text)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if err := pki.WriteFile(filepath.Join(dir, "none", "key.pem"), nil); err == nil {
		t.Error("a file was written into a directory that does not exist")
	}
	if err := pki.WriteFile(dir, nil); err == nil {
		t.Error("a file was written in place of a directory")
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("a write that failed left %v behind", left)
	}
}
