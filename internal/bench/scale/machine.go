package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
	"github.com/grigri/grigri/state/zk"
)

// A machine plays one machine: it has one session, as the machine it is, which its units share. It does what agent/machine does in the
// tree, and nothing on its host.
type machine struct {
	*host
	id    state.MachineID
	store *zk.Store
	lock  *unit.Lock

	mu       sync.Mutex
	settings state.ModelConfig
	units    map[state.UnitName]*played
}

// address is one of the machine's own.
func address(id string) string {
	n, _ := strconv.Atoi(id)
	return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
}

// run is the machine's life.
func (m *machine) run(ctx context.Context) error {
	id, err := m.secrets.Authority.Identity(pki.Request{Subject: pki.MachineName(m.site.Model, m.id), Use: pki.Client, Now: time.Now()})
	if err != nil {
		return err
	}
	conf, err := id.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		return err
	}
	m.store, err = zk.Open(ctx, zk.Config{Servers: []string{m.site.ZooKeeper}, TLS: conf, Controller: pki.ControllerName(), Machine: pki.MachineName,
		Dial: m.dial, Log: slog.New(m.counts)})
	if err != nil {
		return err
	}
	defer m.store.Close()
	m.lock = unit.NewLock(time.Now)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.follow(ctx, g) })
	return g.Wait()
}

// dial counts the bytes of the machine's connections.
func (m *machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{c, m.counts}, nil
}

type countedConn struct {
	net.Conn
	counts *counts
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.counts.in.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.counts.out.Add(int64(n))
	return n, err
}

// follow watches what a machine's agent watches, and starts the agents of its units.
func (m *machine) follow(ctx context.Context, g *errgroup.Group) error {
	model := m.site.Model
	w := m.store.Watch(ctx)
	for _, p := range []string{model.MachinePath(m.id), model.SecretsPath(m.id)} {
		w.Data(p)
	}
	var presence *coord.Presence
	proved := state.MachineSecrets{}
	for {
		w.Take()
		rec, err := state.ReadIf[state.Machine](ctx, m.store, model.MachinePath(m.id))
		if err != nil || !rec.Exists() {
			return err
		}
		secrets, err := state.ReadIf[state.MachineSecrets](ctx, m.store, model.SecretsPath(m.id))
		if err != nil {
			return err
		}
		for p, secret := range secrets.Value {
			if proved[p] == secret {
				continue
			}
			if err := m.store.Prove(ctx, state.Credential{Principal: p, Secret: secret}); err != nil {
				return err
			}
			proved[p] = secret
		}
		if presence == nil {
			if err := m.report(ctx); err != nil {
				return err
			}
			for _, p := range []string{model.ConfigPath(), model.AddressesPath(), model.InstancePath(m.id)} {
				w.Data(p)
			}
			w.Children(model.TasksPath(state.Receiver(m.id)))
			presence = coord.NewPresence(ctx, m.store, model.MachineAgentPath(m.id), state.Presence{Boot: "boot-" + string(m.id), Since: m.begun})
		}
		if err := m.settle(ctx); err != nil {
			return err
		}
		if err := presence.Step(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("presence", "machine", m.id, "err", err)
		}
		for _, u := range rec.Value.Units {
			m.play(ctx, g, u)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.C():
		case <-presence.C():
		case <-presence.Lost():
		}
	}
}

// report says once what the machine is like.
func (m *machine) report(ctx context.Context) error {
	path := m.site.Model.MachineReportPath(m.id)
	return state.Edit(ctx, m.store, func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
		rec, err := state.ReadIf[state.MachineReport](ctx, r, path)
		if err == nil && !rec.Exists() {
			t.Create(path, state.MachineReport{Hostname: "machine-" + string(m.id), Addresses: []string{address(string(m.id))},
				Base: charm.Base{Name: "debian", Channel: "12"}, Version: "0", Started: m.begun})
		}
		return t, err
	})
}

// settle takes over the model's settings, and wakes the units if they have changed.
func (m *machine) settle(ctx context.Context) error {
	rec, err := state.ReadIf[state.ModelConfig](ctx, m.store, m.site.Model.ConfigPath())
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if string(state.Encode(rec.Value)) == string(state.Encode(m.settings)) {
		return nil
	}
	m.settings = rec.Value
	for _, u := range m.units {
		select {
		case u.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

func (m *machine) world() unit.World {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := address(string(m.id))
	return unit.World{Settings: m.settings, Addresses: state.Addresses{API: []string{m.site.API}, Name: modelName},
		Network: unit.Network{Public: a, Private: a, Egress: []string{a + "/32"}}}
}

// play starts the agent of the unit, unless that has been started.
func (m *machine) play(ctx context.Context, g *errgroup.Group, name state.UnitName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.units[name] != nil {
		return
	}
	u := &played{host: m.host, wake: make(chan struct{}, 1)}
	m.units[name] = u
	m.counts.add(name, u)
	var commits atomic.Int64
	g.Go(func() error {
		err := unit.Keep(ctx, unit.Config{
			Model: m.site.Model, Unit: name, Machine: m.id, Store: m.store, Lock: m.lock, Wake: u.wake, Now: time.Now, Boot: "boot",
			World: func() unit.World { u.steps.Add(1); return m.world() },
			Run:   state.Presence{Boot: "boot-" + name.Node(), Since: m.begun},
			ID:    func() string { return fmt.Sprint(name.Node(), "-", commits.Add(1)) },
			Log:   slog.New(m.counts),
		}, u)
		if errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}
