package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/charm/unpack"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
)

// A shop is a model on a real ZooKeeper, in which unit agents run as in a machine's agent: with the real tree, the real
// host and real scripts. It is without controllers: we make their changes.
type shop struct {
	place
	zk      *zooKeeper
	tree    *zk.Store // ours
	model   state.ModelID
	key     state.Key
	archive []byte
	charm   charm.Charm
	sha     string
	opened  []*zk.Store
}

// openShop makes the tree, with the one charm that is in dir.
func openShop(ctx context.Context, p place, dir string) (*shop, error) {
	s := &shop{place: p, model: "5ca1ab1e-0000-4000-8000-000000000001", key: state.Key("the controllers' key")}
	var err error
	if s.zk, err = startZooKeeper(ctx, filepath.Join(p.dir, "zookeeper")); err != nil {
		return nil, err
	}
	if err := s.make(ctx, dir); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *shop) make(ctx context.Context, dir string) error {
	fsys, err := unpack.Dir(dir)
	if err != nil {
		return err
	}
	if s.charm, err = charm.Read(fsys); err != nil {
		return err
	}
	var archive bytes.Buffer
	if s.sha, _, err = charm.Archive(&archive, fsys); err != nil {
		return err
	}
	s.archive = archive.Bytes()
	if s.tree, err = s.connect(ctx); err != nil {
		return err
	}
	if err := s.tree.Init(ctx); err != nil {
		return err
	}
	err = s.edit(ctx, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		return state.Bootstrap(ctx, r, by, state.Founding{
			Controller: state.Controller{UUID: "5ca1ab1e", Name: "bench", Cloud: "local"}, Admin: state.User{Name: "admin"},
			Model: state.NewModel{UUID: "5ca1ab1e-0000-4000-8000-000000000000"}})
	})
	if err != nil {
		return err
	}
	err = s.edit(ctx, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.AddModel(ctx, r, by, state.NewModel{UUID: s.model, Name: "shop", Owner: "admin", Cloud: "local"})
		return t, err
	})
	if err != nil {
		return err
	}
	return s.edit(ctx, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.AddCharm(ctx, r, s.model, by, s.charm, s.sha, int64(len(s.archive)))
		return t, err
	})
}

// close ends everything. It may be called again.
func (s *shop) close() error {
	var errs []error
	for _, c := range s.opened {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, s.zk.stop())...)
}

// connect opens a client with a session of its own, as a machine's agent has one.
func (s *shop) connect(ctx context.Context) (*zk.Store, error) {
	store, err := zk.Open(ctx, zk.Config{Servers: []string{s.zk.addr}, TLS: s.zk.controller, Controller: pki.ControllerName(), Machine: pki.MachineName,
		Secret: func(p state.Principal) (string, bool) { return s.key.Credential(p).Secret, true }})
	if err == nil {
		s.opened = append(s.opened, store)
	}
	return store, err
}

// edit makes a change as a controller does.
func (s *shop) edit(ctx context.Context, decide func(context.Context, state.Reader, state.By) (state.Txn, error)) error {
	return state.Edit(ctx, s.tree, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return decide(ctx, r, state.By{User: "admin", Now: time.Now()})
	})
}

// deploy makes an application with one unit on a machine of its own.
func (s *shop) deploy(ctx context.Context, name state.ApplicationName, config map[string]any) error {
	err := s.edit(ctx, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.Deploy(ctx, r, s.model, by, s.key, state.Deployment{Name: name, Charm: s.charm.Meta.Name + "-0", Config: config, Units: 1})
		return t, err
	})
	if err != nil {
		return err
	}
	return s.edit(ctx, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.AssignNew(ctx, r, s.model, by, s.key, []state.NewHome{{Unit: name.Unit(0)}})
		return t, err
	})
}

// config changes a setting of the application.
func (s *shop) config(ctx context.Context, name state.ApplicationName, key, value string) error {
	return s.edit(ctx, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		return state.SetConfig(ctx, r, s.model, by, name, map[string]any{key: value}, nil)
	})
}

// agent is what the agent of the application's unit needs, and where its things are.
func (s *shop) agent(name state.ApplicationName, store state.Store) (unit.Config, unit.Paths) {
	u := name.Unit(0)
	var mu sync.Mutex
	commits := 0
	id := func() string {
		mu.Lock()
		defer mu.Unlock()
		commits++
		return string(name) + strconv.Itoa(commits)
	}
	world := unit.World{
		Settings: state.ModelConfig{"update-status-hook-interval": "0"},
		Network:  unit.Network{Public: "127.0.0.1", Private: "127.0.0.1", Egress: []string{"127.0.0.1/32"}},
	}
	c := unit.Config{
		Model: s.model, Unit: u, Machine: "0", Store: store, API: archive{shop: s}, Lock: unit.NewLock(time.Now),
		World: func() unit.World { return world }, Now: time.Now, ID: id, Boot: "boot",
		Run: state.Presence{Boot: "bench-" + string(name), Since: time.Now()},
	}
	return c, unit.PathsBelow(s.dir, u, filepath.Join(s.bin, "hooktool"))
}

// archive is the controllers' API as far as our charms ask.
type archive struct {
	unit.API // for what no charm of ours asks
	*shop
}

func (a archive) Charm(_ context.Context, sha string) (io.ReadCloser, error) {
	if sha != a.sha {
		return nil, fmt.Errorf("there is no archive %s", sha)
	}
	return io.NopCloser(bytes.NewReader(a.archive)), nil
}

func (archive) GoalState(context.Context, state.UnitName) (hooks.GoalState, error) {
	return hooks.GoalState{}, errors.ErrUnsupported
}

func (archive) ApplicationStatus(context.Context, state.UnitName) (hooks.ApplicationStatus, error) {
	return hooks.ApplicationStatus{}, errors.ErrUnsupported
}

func (archive) Resource(context.Context, state.UnitName, string) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

func (archive) Credential(context.Context, state.UnitName) (hooks.CloudSpec, error) {
	return hooks.CloudSpec{}, errors.ErrUnsupported
}

// writeCharm writes a charm into dir. Files in hooks are executable.
func writeCharm(dir string, files map[string]string) error {
	for name, text := range files {
		path, mode := filepath.Join(dir, name), os.FileMode(0o644)
		if filepath.Dir(name) == "hooks" {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
	}
	return nil
}
