package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// An Identity is a private key, the certificate that names its owner, and the certificate of the authority that issued it
// and that the owner trusts; each in PEM.
type Identity struct{ Key, Certificate, Authority []byte }

// Encode is the whole identity in PEM.
func (id Identity) Encode() []byte {
	var out []byte
	for _, part := range [][]byte{id.Key, id.Certificate, id.Authority} {
		out = append(out, part...)
	}
	return out
}

// ParseIdentity is the reverse of Encode. It checks that the parts belong together, not that they are still valid.
func ParseIdentity(data []byte) (Identity, error) {
	key, certs, err := decode(data)
	if err != nil {
		return Identity{}, fmt.Errorf("read an identity: %w", err)
	}
	if key == nil || len(certs) != 2 {
		return Identity{}, errors.New("read an identity: want a private key, its certificate and that of the authority")
	}
	text, err := encodeKey(key)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Key: text, Certificate: encodeCertificate(certs[0].Raw), Authority: encodeCertificate(certs[1].Raw)}
	return id, id.check(key, certs)
}

func (id Identity) check(key *ecdsa.PrivateKey, certs []*x509.Certificate) error {
	if !key.PublicKey.Equal(certs[0].PublicKey) {
		return fmt.Errorf("read the identity of %s: the key is not that of the certificate", certs[0].Subject)
	}
	if err := certs[0].CheckSignatureFrom(certs[1]); err != nil {
		return fmt.Errorf("read the identity of %s: not issued by %s: %w", certs[0].Subject, certs[1].Subject, err)
	}
	return nil
}

// Leaf is the certificate that names the owner.
func (id Identity) Leaf() (*x509.Certificate, error) {
	_, certs, err := decode(id.Certificate)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("read a certificate: want one in PEM, not %d", len(certs))
	}
	return certs[0], nil
}

// RenewAt is when to ask for a new certificate: after two thirds of its life.
func RenewAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// ServerTLS is for a server that takes only clients whose certificate the authority issued.
func (id Identity) ServerTLS() (*tls.Config, error) {
	conf, pool, err := id.tls()
	if err != nil {
		return nil, err
	}
	conf.ClientCAs, conf.ClientAuth = pool, tls.RequireAndVerifyClientCert
	return conf, nil
}

// ClientTLS is for a client that shows its certificate, and takes only a server whose certificate the authority issued
// for the host name or address server.
func (id Identity) ClientTLS(server string) (*tls.Config, error) {
	conf, pool, err := id.tls()
	if err != nil {
		return nil, err
	}
	conf.RootCAs, conf.ServerName = pool, server
	return conf, nil
}

func (id Identity) tls() (*tls.Config, *x509.CertPool, error) {
	pair, err := tls.X509KeyPair(id.Certificate, id.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("use an identity: %w", err)
	}
	pool, err := Pool(id.Authority)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, pool, nil
}

// Pool is the authority, given in PEM, as what to trust and nothing besides.
func Pool(authority []byte) (*x509.CertPool, error) {
	_, certs, err := decode(authority)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of the authority: %w", err)
	}
	if len(certs) == 0 {
		return nil, errors.New("read the certificate of the authority: want one in PEM")
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}
