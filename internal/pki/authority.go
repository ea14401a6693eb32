// Package pki is the controllers' certificate authority: it makes and checks the certificates by which controllers,
// machines and ZooKeeper know one another.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"
)

// AuthorityLife is how long an authority lives, and the longest that a certificate can.
const AuthorityLife = 10 * 365 * 24 * time.Hour

const (
	leafLife = 365 * 24 * time.Hour
	skew     = time.Hour // a certificate holds this long before it is made, for machines whose clock is behind
)

// An Authority issues certificates. It holds the private key that all trust in an installation comes from.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority that lives for ten years from now. The name is for people to read.
func NewAuthority(name string, now time.Time) (Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, fmt.Errorf("make the key of authority %s: %w", name, err)
	}
	t := template(now, AuthorityLife, x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	})
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return Authority{}, fmt.Errorf("make authority %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	return Authority{cert: cert, key: key}, err
}

// Certificate is the authority's certificate in PEM: what others must know to trust it.
func (a Authority) Certificate() []byte { return encodeCertificate(a.cert.Raw) }

// Encode is the authority in PEM, with its private key.
func (a Authority) Encode() ([]byte, error) {
	key, err := encodeKey(a.key)
	if err != nil {
		return nil, err
	}
	return append(key, a.Certificate()...), nil
}

// ParseAuthority is the reverse of Encode.
func ParseAuthority(data []byte) (Authority, error) {
	key, certs, err := decode(data)
	switch {
	case err != nil:
		return Authority{}, fmt.Errorf("read the certificate authority: %w", err)
	case key == nil || len(certs) != 1:
		return Authority{}, errors.New("read the certificate authority: want one private key and one certificate")
	case !certs[0].IsCA:
		return Authority{}, fmt.Errorf("read the certificate authority: the certificate of %s may not sign others", certs[0].Subject)
	case !key.PublicKey.Equal(certs[0].PublicKey):
		return Authority{}, errors.New("read the certificate authority: the key is not that of the certificate")
	}
	return Authority{cert: certs[0], key: key}, nil
}

// A Use is what a certificate may be used for.
type Use int

// The uses. Most are Client: only a Server needs hosts.
const (
	Client Use = iota
	Server
	Both
)

// A Request says which certificate to issue.
type Request struct {
	Subject pkix.Name     // whom it names: ControllerName, MachineName or ZooKeeperName
	Use     Use           //
	Hosts   []string      // host names and addresses at which a server is reached
	Now     time.Time     // when its life begins
	Life    time.Duration // a year if zero; never longer than the authority's own
}

// Identity makes a private key, and issues its certificate.
func (a Authority) Identity(r Request) (Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("make the key of %s: %w", r.Subject, err)
	}
	text, err := encodeKey(key)
	if err != nil {
		return Identity{}, err
	}
	cert, err := a.issue(r, key.Public())
	return Identity{Key: text, Certificate: cert, Authority: a.Certificate()}, err
}

// Sign issues a certificate for the key that made the signing request csr, in PEM. It heeds nothing else in the
// request: the caller knows whom it talks to, and names it in r.
func (a Authority) Sign(r Request, csr []byte) (certificate []byte, err error) {
	block, _ := pem.Decode(csr)
	if block == nil || block.Type != requestType {
		return nil, fmt.Errorf("issue a certificate for %s: the signing request is not PEM of type %q", r.Subject, requestType)
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = req.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: check the signing request: %w", r.Subject, err)
	}
	key, ok := req.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("issue a certificate for %s: its key is not of ECDSA P-256", r.Subject)
	}
	return a.issue(r, key)
}

func (a Authority) issue(r Request, key crypto.PublicKey) ([]byte, error) {
	if r.Life == 0 {
		r.Life = leafLife
	}
	t := template(r.Now, r.Life, x509.Certificate{Subject: r.Subject, KeyUsage: x509.KeyUsageDigitalSignature})
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	if r.Use != Server {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if r.Use != Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range r.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", r.Subject, err)
	}
	return encodeCertificate(der), nil
}

// template completes t with its life. CreateCertificate adds a random serial number.
func template(now time.Time, life time.Duration, t x509.Certificate) *x509.Certificate {
	t.NotBefore, t.NotAfter = now.Add(-skew), now.Add(life)
	return &t
}
