package zk

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/state"
)

// The schemes that we use: a certificate's subject, or a name with a secret.
const (
	schemeX509   = "x509"
	schemeDigest = "digest"
)

// acl is the access to the node at path in ZooKeeper's words. It wraps state.ErrDenied when it needs a secret that
// the client does not hold.
func (s *Store) acl(path string) ([]zk.ACL, error) {
	out := []zk.ACL{{Perms: zk.PermAll, Scheme: schemeX509, ID: s.cfg.Controller.String()}}
	a := state.ACLFor(path)
	perms := map[state.Principal]int32{}
	for _, grant := range []struct {
		to   []state.Principal
		perm int32
	}{{a.Read, zk.PermRead}, {a.Write, zk.PermWrite}, {a.Create, zk.PermCreate}, {a.Delete, zk.PermDelete}} {
		for _, p := range grant.to {
			perms[p] |= grant.perm
		}
	}
	for _, p := range a.Principals() {
		if m, id, ok := p.Machine(); ok {
			out = append(out, zk.ACL{Perms: perms[p], Scheme: schemeX509, ID: s.cfg.Machine(m, id).String()})
			continue
		}
		secret, ok := s.secret(p)
		if !ok {
			return nil, fmt.Errorf("%s has access to it, and this client does not hold its secret: %w", p, state.ErrDenied)
		}
		out = append(out, zk.ACL{Perms: perms[p], Scheme: schemeDigest, ID: digest(p, secret)})
	}
	return out, nil
}

// digest is the identity of who has proved p with the secret.
func digest(p state.Principal, secret string) string {
	sum := sha1.Sum(credential(p, secret))
	return string(p) + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// credential is what the server is shown as proof.
func credential(p state.Principal, secret string) []byte { return []byte(string(p) + ":" + secret) }

func (s *Store) secret(p state.Principal) (string, bool) {
	if s.cfg.Secret != nil {
		return s.cfg.Secret(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, ok := s.ring[p]
	return secret, ok
}
