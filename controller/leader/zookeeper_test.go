package leader

import (
	"context"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

// TestManyUnitsOnZooKeeper: what the edits and the leader commit is never more than a real server takes.
func TestManyUnitsOnZooKeeper(t *testing.T) {
	server := zktest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s, err := zk.Open(ctx, zk.Config{
		Servers: []string{server.Addr}, TLS: server.Controller(), Chroot: "/grigri", Controller: pki.ControllerName(), Machine: pki.MachineName,
		Secret: func(p state.Principal) (string, bool) { return key.Credential(p).Secret, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Init(ctx); err != nil {
		t.Fatal(err)
	}
	by := state.By{User: "admin", Now: time.Now()}
	do := func(decide func(context.Context, state.Reader) (state.Txn, error)) {
		t.Helper()
		if err := state.Edit(ctx, s, decide); err != nil {
			t.Fatal(err)
		}
	}
	found(do, by)
	do(func(context.Context, state.Reader) (t state.Txn, err error) {
		t.Create(fence, nil)
		return t, nil
	})
	deploy := func(name string, n int) {
		do(func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.Deploy(ctx, r, model, by, key, state.Deployment{Name: state.ApplicationName(name), Charm: name + "-0", Units: n})
			return t, err
		})
	}
	remove := func(name state.ApplicationName) {
		do(func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.RemoveApplication(ctx, r, model, by, name, state.Ending{Force: true})
			return t, err
		})
	}
	deploy("web", state.UnitsPerEdit)
	remove("web")
	deploy("db", state.UnitsPerEdit+20)

	cloud := newCloud()
	leading, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(leading, Config{Store: s, Fence: fence, Providers: cloud.only, Key: key})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	there := func(name state.ApplicationName) bool {
		there, err := state.Exists(ctx, s, model.ApplicationPath(name))
		return err != nil || there
	}
	until(t, ctx, "every unit to have an instance", func() bool { return cloud.count() == state.UnitsPerEdit+20 && !there("web") })
	remove("db")
	until(t, ctx, "nothing to be left", func() bool { return cloud.count() == 0 && !there("db") })
}

func until(t *testing.T, ctx context.Context, what string, cond func() bool) {
	t.Helper()
	for tick := time.NewTicker(50 * time.Millisecond); !cond(); {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}
