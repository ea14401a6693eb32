package controller_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// empty is a provider that has nothing and makes nothing.
type empty struct{}

func (empty) Start(context.Context, provider.StartRequest) (provider.Instance, error) {
	return provider.Instance{}, provider.ErrRefused
}
func (empty) Stop(context.Context, ...provider.InstanceID) error { return nil }
func (empty) List(context.Context, string) ([]provider.Instance, error) {
	return nil, nil
}

func openEmpty(provider.Spec) (provider.Provider, error) { return empty{}, nil }

// A run is a controller that runs.
type run struct {
	address string
	stop    func()
	done    chan error
}

func start(t *testing.T, tree *memory.Tree, dir string, s controller.Secrets, addresses state.Addresses) run {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := run{stop: stop, done: make(chan error, 1)}
	ready := make(chan string, 1)
	store := tree.Connect(memory.Controller)
	go func() {
		err := controller.Run(ctx, controller.Config{Dir: dir, ID: "0", Listen: "127.0.0.1:0", Store: store, Secrets: s, Open: openEmpty,
			Addresses: addresses, Chroot: "/grigri", Ready: func(a string) { ready <- a }})
		r.done <- errors.Join(err, store.Close())
	}()
	t.Cleanup(stop)
	select {
	case r.address = <-ready:
	case err := <-r.done:
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("the controller does not get ready")
	}
	return r
}

func (r run) end(t *testing.T) {
	t.Helper()
	r.stop()
	r.ended(t)
}

func (r run) ended(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the controller does not end")
	}
}

func dial(t *testing.T, b controller.Bootstrapped, address string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Name: b.Name, Addresses: []string{address}, CA: b.CA, User: b.User, Password: b.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func bootstrap(t *testing.T, dir string) (controller.Bootstrapped, controller.Secrets) {
	t.Helper()
	b, s, err := controller.Bootstrap(controller.BootstrapConfig{Dir: dir, Name: "c1", Cloud: "local", Addresses: []string{"127.0.0.1:1"}, Now: time.Now(),
		Config: map[string]string{"development": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

func TestAControllerBeginsEndsAndBeginsAgain(t *testing.T) {
	tree, dir := memory.New(), t.TempDir()
	b, s := bootstrap(t, dir)
	r := start(t, tree, dir, s, state.Addresses{API: []string{"127.0.0.1:1"}, AgentHash: "one"})
	c := dial(t, b, r.address)
	if _, err := c.CreateModel(t.Context(), userapi.CreateModel{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the only controller leads", func() bool {
		info, err := c.Controller(t.Context())
		return err == nil && info.Leader && info.UUID == b.UUID && info.User == "admin"
	})
	r.end(t)

	s, err := controller.LoadSecrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	r = start(t, tree, dir, s, state.Addresses{API: []string{"127.0.0.1:1"}, AgentHash: "two"})
	c = dial(t, b, r.address)
	m, err := c.Model("shop").Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store := tree.Connect(memory.Controller)
	addresses, err := state.Read[state.Addresses](t.Context(), store, m.UUID.AddressesPath())
	if err != nil || addresses.Value.AgentHash != "two" || addresses.Value.Name != "shop" {
		t.Errorf("the model's addresses are %+v, %v", addresses.Value, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "founding.json")); err == nil {
		t.Error("the founding is still there")
	}
	if err := c.StopController(t.Context(), false); !client.IsCode(err, userapi.Conflict) {
		t.Errorf("stopped with a model: %v", err)
	}
	if err := c.StopController(t.Context(), true); err != nil {
		t.Error(err)
	}
	r.ended(t)
}

func TestAnothersTreeIsNotTouched(t *testing.T) {
	tree, dir, other := memory.New(), t.TempDir(), t.TempDir()
	_, s := bootstrap(t, dir)
	start(t, tree, dir, s, state.Addresses{}).end(t)
	_, s2 := bootstrap(t, other)
	before := tree.Paths()
	err := controller.Run(t.Context(), controller.Config{Dir: other, ID: "0", Listen: "127.0.0.1:0", Store: tree.Connect(memory.Controller), Secrets: s2, Open: openEmpty})
	if err == nil || !strings.Contains(err.Error(), "belongs to another controller") {
		t.Fatalf("got %v", err)
	}
	if len(tree.Paths()) != len(before) {
		t.Error("the tree has changed")
	}
	err = controller.Run(t.Context(), controller.Config{Dir: t.TempDir(), ID: "0", Listen: "127.0.0.1:0", Store: memory.New().Connect(memory.Controller), Secrets: s, Open: openEmpty})
	if err == nil || !strings.Contains(err.Error(), "there is no tree in ZooKeeper") {
		t.Fatalf("a tree that is lost: %v", err)
	}
}

func TestErase(t *testing.T) {
	tree, dir := memory.New(), t.TempDir()
	_, s := bootstrap(t, dir)
	start(t, tree, dir, s, state.Addresses{}).end(t)
	if err := controller.Erase(t.Context(), tree.Connect(memory.Controller)); err != nil {
		t.Fatal(err)
	}
	if left := tree.Paths(); len(left) != 1 {
		t.Fatalf("left: %v", left)
	}
}

func TestBadBootstrapLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	_, _, err := controller.Bootstrap(controller.BootstrapConfig{Dir: dir, Name: "c1", Now: time.Now(), Config: map[string]string{"development": "perhaps"}})
	if err == nil || !strings.Contains(err.Error(), "development") {
		t.Fatalf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Fatalf("%s is left", left[0].Name())
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatal("not in 20 s: " + what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
