package lxd_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd"
	"github.com/grigri/grigri/provider/providertest"
)

var server lxdtest.Shared

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

const patience = 2 * time.Minute

// spec is the test's LXD on its socket.
func spec(s *lxdtest.Server) provider.Spec {
	return provider.Spec{
		Cloud: provider.Cloud{Name: "test", Type: "lxd", Endpoint: s.Socket, Config: map[string]string{
			"project": s.Project, "pool": lxdtest.Pool, "image": s.Image, "image-server": ""}},
		Credential: provider.Credential{AuthType: provider.AuthEmpty},
	}
}

func open(t *testing.T, spec provider.Spec) *lxd.Provider {
	t.Helper()
	p, err := lxd.Open(lxd.Config{Spec: spec, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestContract(t *testing.T) {
	s := server.Server(t)
	providertest.Run(t, providertest.Config{
		Open: func(t *testing.T) provider.Provider { return open(t, spec(s)) },
		Init: func(string) provider.Init {
			return provider.Init{Script: []byte("#!/bin/sh\necho booted >/root/booted\n")}
		},
		Patience: patience,
	})
}
