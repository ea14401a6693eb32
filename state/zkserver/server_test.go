package zkserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state/zkserver"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

var server *zktest.Server

func TestMain(m *testing.M) {
	if os.Getenv(parentVar) != "" {
		os.Exit(parent())
	}
	os.Exit(zktest.Main(m, &server))
}

func TestIdentities(t *testing.T) {
	controller := connect(t, server.Addr, server.Controller())
	name := pki.MachineName("4ac2d5a8-0001-4000-8000-000000000001", "4")
	acl := []zk.ACL{{Perms: zk.PermRead, Scheme: "x509", ID: name.String()}}
	if _, err := controller.Create("/identities", []byte("mine"), 0, acl); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := controller.Delete("/identities", -1); err != nil {
			t.Error(err)
		}
	}()
	machine := connect(t, server.Addr, server.Client(t, name))
	if data, _, err := machine.Get("/identities"); err != nil || string(data) != "mine" {
		t.Errorf("the machine reads %q, %v", data, err)
	}
	if _, err := machine.Set("/identities", nil, -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("the machine may write what it may only read: %v", err)
	}
	other := connect(t, server.Addr, server.Client(t, pki.MachineName("4ac2d5a8-0001-4000-8000-000000000001", "5")))
	if _, _, err := other.Get("/identities"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("another machine may read: %v", err)
	}
	if _, err := controller.Set("/identities", []byte("yours"), -1); err != nil {
		t.Errorf("the controller may not write a node with an ACL that does not name it: %v", err)
	}
}

func TestRefusesPlainTCP(t *testing.T) {
	conn, err := net.Dial("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte(strings.Repeat("srvr", 16))); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(answer), "Zookeeper") {
		t.Errorf("a client without TLS got %q, %v", answer, err)
	}
}

func TestRefusesStrangers(t *testing.T) {
	stranger, err := pki.NewAuthority("stranger", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := stranger.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Client, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	expired, err := server.Authority.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Client, Now: time.Now().Add(-2 * time.Hour), Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var tries sync.WaitGroup
	defer tries.Wait()
	for name, identity := range map[string]pki.Identity{
		"none":             {},
		"another issuer's": id,
		"expired":          expired,
	} {
		conf := server.Controller()
		conf.Certificates = nil
		if identity.Key != nil {
			pair, err := tls.X509KeyPair(identity.Certificate, identity.Key)
			if err != nil {
				t.Fatal(err)
			}
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conf := conf.Clone()
			conf.MinVersion, conf.MaxVersion = version, version
			tries.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				if err := zkserver.Ready(ctx, server.Addr, conf); err == nil {
					t.Errorf("certificate %s: served with %s", name, tls.VersionName(version))
				} else if !strings.Contains(err.Error(), "remote error: tls") {
					t.Errorf("certificate %s, %s: not refused with an alert: %v", name, tls.VersionName(version), err)
				}
			})
		}
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conf := server.Controller()
		conf.MinVersion, conf.MaxVersion = version, version
		patience := 500 * time.Millisecond
		if want {
			patience = time.Minute
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := zkserver.Ready(ctx, server.Addr, conf); (err == nil) != want {
			t.Errorf("%s: served is not %v: %v", tls.VersionName(version), want, err)
		}
		cancel()
	}
}

func TestReadyKnowsTheServer(t *testing.T) {
	other, err := pki.NewAuthority("other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	conf := server.Controller()
	if conf.RootCAs, err = pki.Pool(other.Certificate()); err != nil {
		t.Fatal(err)
	}
	var wrong *tls.CertificateVerificationError
	if err := zkserver.Ready(t.Context(), server.Addr, conf); !errors.As(err, &wrong) {
		t.Errorf("a server of another authority was taken: %v", err)
	}
}

func TestKilled(t *testing.T) {
	s := zktest.Start(t)
	conn := connect(t, s.Addr, s.Controller())
	if _, err := conn.Create("/kept", []byte("data"), 0, zk.AuthACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	before := s.PID()
	s.Kill(t)
	eventually(t, func() error {
		data, _, err := conn.Get("/kept")
		if err == nil && string(data) != "data" {
			t.Errorf("after the kill the node holds %q", data)
		}
		return err
	})
	if s.PID() == before {
		t.Errorf("process %d was not killed", before)
	}
}
