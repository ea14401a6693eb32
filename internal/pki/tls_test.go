package pki_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/pki"
)

func TestTLS(t *testing.T) {
	a, other := authority(t), authority(t)
	server := pki.Request{Subject: pki.ControllerName(), Use: pki.Both, Hosts: []string{"127.0.0.1", "controller"}}
	machine := pki.Request{Subject: pki.MachineName(model, "4"), Use: pki.Client}
	expired := func(r pki.Request) pki.Request {
		r.Now, r.Life = time.Now().Add(-2*time.Hour), time.Hour
		return r
	}
	good := identity(t, a, server)
	for name, c := range map[string]struct {
		server, client pki.Identity
		host           string
		ok             bool
	}{
		"by address":         {good, identity(t, a, machine), "127.0.0.1", true},
		"by name":            {good, identity(t, a, machine), "controller", true},
		"by another name":    {good, identity(t, a, machine), "elsewhere", false},
		"a stranger":         {good, identity(t, other, machine), "controller", false},
		"a strange server":   {identity(t, other, server), identity(t, a, machine), "controller", false},
		"an old client":      {good, identity(t, a, expired(machine)), "controller", false},
		"an old server":      {identity(t, a, expired(server)), identity(t, a, machine), "controller", false},
		"a client serving":   {identity(t, a, pki.Request{Subject: pki.MachineName(model, "4"), Hosts: []string{"controller"}}), good, "controller", false},
		"a server as client": {good, identity(t, a, pki.Request{Subject: pki.ZooKeeperName(), Use: pki.Server}), "controller", false},
	} {
		serve, err := c.server.ServerTLS()
		if err != nil {
			t.Fatal(err)
		}
		dial, err := c.client.ClientTLS(c.host)
		if err != nil {
			t.Fatal(err)
		}
		if err := handshake(t, serve, dial); (err == nil) != c.ok {
			t.Errorf("%s: taken is not %v: %v", name, c.ok, err)
		}
	}
	dial, err := identity(t, a, machine).ClientTLS("controller")
	if err != nil {
		t.Fatal(err)
	}
	serve, err := good.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	anonymous := dial.Clone()
	anonymous.Certificates = nil
	if err := handshake(t, serve, anonymous); err == nil {
		t.Error("a client without a certificate was taken")
	}
	old := dial.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	if err := handshake(t, serve, old); err == nil {
		t.Error("a client with TLS 1.1 was taken")
	}
}

// handshake is an error when either side refuses the other.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(20 * time.Second)
	var g errgroup.Group
	for _, conn := range []*tls.Conn{tls.Server(a, server), tls.Client(b, client)} {
		if err := conn.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		g.Go(func() error {
			defer conn.NetConn().Close()
			return conn.HandshakeContext(t.Context())
		})
	}
	return g.Wait()
}
