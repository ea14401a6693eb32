package lxd_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd"
	"github.com/grigri/grigri/provider/plugin/plugintest"
	"github.com/grigri/grigri/provider/providertest"
)

var server lxdtest.Shared

// The tests are their own plugin.
func TestMain(m *testing.M) {
	plugintest.Main(func(s provider.Spec) (provider.Provider, error) { return lxd.Open(lxd.Config{Spec: s}) })
	os.Exit(server.Main(m))
}

const (
	patience   = 4 * time.Minute
	controller = "c0000000-0000-4000-8000-0000000000c1"
	model      = "d0000000-0000-4000-8000-0000000000d1"
)

// spec is the test's LXD on its socket, with machines of the tiny image.
func spec(s *lxdtest.Server) provider.Spec {
	return provider.Spec{
		Cloud: provider.Cloud{Name: "test", Type: "lxd", Endpoint: s.Socket, Config: map[string]string{
			"project": s.Project, "pool": lxdtest.Pool, "image": s.Tiny, "image-server": ""}},
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

// start starts a machine of the test's own, and waits until it has an address.
func start(t *testing.T, p *lxd.Provider, req provider.StartRequest) provider.Instance {
	t.Helper()
	req.Controller, req.Model = controller, model
	in, err := p.Start(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background(), in.ID); err != nil {
			t.Error(err)
		}
	})
	var found provider.Instance
	await(t, "an address", func() bool {
		all, err := p.List(t.Context(), controller)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			if i.ID == in.ID {
				found = i
			}
		}
		return found.State == provider.Running && len(found.Addresses) > 0
	})
	return found
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func request(machine, script string) provider.StartRequest {
	return provider.StartRequest{Machine: machine, Init: provider.Init{Script: []byte("#!/bin/sh\n" + script)}}
}

// config is what LXD has written down of an instance.
func config(t *testing.T, s *lxdtest.Server, in provider.Instance) (out struct {
	Config   map[string]string
	Devices  map[string]map[string]string
	Profiles []string
}) {
	t.Helper()
	text := s.LXC(t, "query", "/1.0/instances/"+string(in.ID)+"?project="+s.Project)
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestContract(t *testing.T) {
	s := server.Server(t)
	providertest.Run(t, providertest.Config{
		Open: func(t *testing.T) provider.Provider { return open(t, spec(s)) },
		Init: func(string) provider.Init {
			return provider.Init{Script: []byte("#!/bin/sh\necho booted >/root/booted\n")}
		},
		Patience: patience,
		Parallel: true,
		Halt:     func(t *testing.T, id provider.InstanceID) { s.LXC(t, "stop", "--force", string(id)) },
	})
}
