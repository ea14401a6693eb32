// Package machine is the machine's agent: it proves who its units are, runs an agent for each, tells how the machine is,
// and sends what they say to the controllers.
package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/internal/programs"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// Config is what Run needs.
type Config struct {
	Conf     enroll.Conf
	DataDir  string
	HookTool string       // the program that hook tools are links to
	Programs programs.Dir // the agent's own, of which the model may want others
	Store    state.Store  // the machine's own session
	Address  string       // of a machine that has one address of its own; empty: as its interfaces say
	Bin      string       // where the machine's programs are found by all; empty: nowhere, the machine is not ours
	Boot     string       // the machine's boot id
	Run      state.Presence
	Logs     *Logs
	Now      func() time.Time
	ID       func() string

	// Reboot starts the machine again, and returns when that cannot be. Nil: Run ends with ErrReboot when a hook wants it.
	Reboot func(context.Context) error
}

// ErrRenewed says that the machine has a new certificate: a new run of the agent uses it.
var ErrRenewed = errors.New("the certificate has been renewed: begin again with it")

// Run runs the machine until it is removed, which is no error, or ctx ends. The agents of its units have ended when it returns.
func Run(ctx context.Context, c Config) error {
	conn, err := c.Conf.Connect()
	if err != nil {
		return fmt.Errorf("run machine %s: %w", c.Conf.Machine, err)
	}
	defer conn.Close()
	m := &machine{Config: c, model: c.Conf.Model, id: c.Conf.Machine, log: c.Logs.Logger(c.Conf.Machine.Tag(), "grigri.machine"),
		lock: unit.NewLock(c.Now), proved: state.MachineSecrets{}, hosted: map[state.UnitName]*hosted{}}
	m.world.set(func(w *unit.World) { w.Addresses, w.Network = c.Conf.Addresses, network(c.Address, nil) })
	m.api = controllers{conn, func() []string { return m.world.get().Addresses.API }}

	if err := m.publish(); err != nil {
		return fmt.Errorf("run machine %s: %w", c.Conf.Machine, err)
	}
	m.statuses = openOutbox(filepath.Join(enroll.Dir(c.DataDir, c.Conf.Machine), outboxFile), m.log)
	defer m.statuses.close()
	calls, err := commands.Listen(enroll.Dir(c.DataDir, c.Conf.Machine))
	if err != nil {
		return fmt.Errorf("run machine %s: %w", c.Conf.Machine, err)
	}
	ctx, m.end = context.WithCancelCause(ctx)
	defer m.end(nil)
	g, ctx := errgroup.WithContext(ctx)
	m.group = g
	g.Go(func() error { return calls.Run(ctx, m.handle) })
	m.changed = make(chan struct{}, 1)
	m.fetched = make(chan error, 1)
	g.Go(func() error { return c.Logs.ship(ctx, m.api.send) })
	g.Go(func() error { return m.statuses.ship(ctx, m.api.sendStatuses) })
	if c.Address == "" {
		look := m.watcher()
		g.Go(func() error { return followNetwork(ctx, m.log, look) })
	}
	g.Go(func() error {
		err := m.follow(ctx)
		if err == nil {
			m.log.Info("the machine has been removed")
			err = errRemoved
		}
		return err
	})
	err = g.Wait()
	switch {
	case errors.Is(context.Cause(ctx), ErrReboot):
		return ErrReboot
	case errors.Is(err, errRemoved):
		return m.unpublish()
	}
	return err
}

// errRemoved ends everything when the machine is no more.
var errRemoved = errors.New("the machine has been removed")

// A machine is one Run.
type machine struct {
	Config
	model    state.ModelID
	id       state.MachineID
	log      *slog.Logger
	lock     *unit.Lock
	api      controllers
	world    shared
	statuses *outbox
	changed  chan struct{} // gets a value when the network may have changed
	group    *errgroup.Group

	end context.CancelCauseFunc

	tasks  map[state.TaskID]bool // seen, and begun if they were to be
	proved state.MachineSecrets
	hosted map[state.UnitName]*hosted
	report state.MachineReport // as it was last told
	manual bool                // the host is no provider's
	login  string              // who logs in over ssh

	welcomed *string // the model's keys that are let in, as last set; nil: by an earlier run of the agent, if at all
	rules    *rules  // of the host's firewall, as last set; nil: by an earlier run of the agent, if at all
	left     bool    // all of ours is off the host

	nesting bool // its containers are looked after

	settled  bool       // this run has come up
	fetching string     // the agent that is being fetched, or was
	fetched  chan error // gets a value when it is there, or cannot be had
	retry    <-chan time.Time
}

// follow watches what concerns the machine and does what is wanted, until the machine is gone.
func (m *machine) follow(ctx context.Context) error {
	w := m.Store.Watch(ctx)
	mine := []string{m.model.MachinePath(m.id), m.model.SecretsPath(m.id)}
	for _, p := range mine {
		w.Data(p)
	}
	var presence *coord.Presence
	others := false // can be read with what is in secrets only
	delay := minRetry
	at, err := m.Conf.RenewAt()
	if err != nil {
		return err
	}
	renewal := time.NewTimer(at.Sub(m.Now()))
	defer renewal.Stop()
	again := time.NewTimer(maxRetry)
	again.Stop() // until something has failed
	for {
		w.Take()
		gone, err := m.step(ctx)
		if err == nil && gone {
			if err = m.leave(ctx); err == nil {
				return nil
			}
		}
		if err == nil && !others {
			w.Data(m.model.ConfigPath())
			w.Data(m.model.AddressesPath())
			w.Data(m.model.InstancePath(m.id))
			w.Children(m.model.TasksPath(m.receiver()))
			if m.manual {
				w.Data(m.model.RulesPath(m.id))
			}
			presence = coord.NewPresence(ctx, m.Store, m.model.MachineAgentPath(m.id), m.Run)
			others = true
			continue
		}
		if err == nil {
			err = presence.Step(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			m.log.Warn("the machine's agent tries again", "err", err, "delay", delay)
			sleep(ctx, delay)
			delay = min(2*delay, maxRetry)
			continue
		}
		delay = minRetry
		if err := m.replace(ctx); err != nil {
			return err
		}
		kept, err := m.filter(ctx)
		switch {
		case err != nil: // units go on without it
			m.log.Error("the host's firewall is not as it should be", "err", err)
			again.Reset(maxRetry)
		case kept:
			again.Reset(lookAtRules)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-m.fetched:
			if err := m.putInPlace(ctx, err); err != nil {
				return err
			}
		case <-m.retry:
			m.fetching = ""
		case <-w.C():
		case <-presence.C():
		case <-presence.Lost():
		case <-m.changed:
		case <-again.C:
		case <-renewal.C:
			again, err := m.renew(ctx)
			if err != nil {
				return err
			}
			renewal.Reset(again)
		}
	}
}

// The delays between tries after an error.
const (
	minRetry = 200 * time.Millisecond
	maxRetry = 30 * time.Second

	lookAtRules = 10 * time.Second
)

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step does what is wanted of the machine now. It is gone when its node is no more.
func (m *machine) step(ctx context.Context) (gone bool, err error) {
	rec, err := state.ReadIf[state.Machine](ctx, m.Store, m.model.MachinePath(m.id))
	if err != nil {
		return false, fmt.Errorf("read machine %s: %w", m.id, err)
	}
	m.login = loginOf(rec.Value.Manual)
	if !rec.Exists() || rec.Value.Life == state.Dead {
		return true, nil
	}
	m.manual = rec.Value.Manual != ""
	if err := m.prove(ctx); err != nil {
		return false, err
	}
	if err := m.look(ctx); err != nil {
		return false, err
	}
	if err := m.tell(ctx, rec.Value); err != nil {
		return false, err
	}
	if err := m.host(ctx, rec.Value.Units); err != nil {
		return false, err
	}
	if err := m.contain(ctx, rec.Value.Containers); err != nil {
		return false, err
	}
	return false, m.runTasks(ctx)
}

// prove shows the tree who the machine's units are.
func (m *machine) prove(ctx context.Context) error {
	secrets, err := state.ReadIf[state.MachineSecrets](ctx, m.Store, m.model.SecretsPath(m.id))
	if err != nil {
		return fmt.Errorf("read the credentials of machine %s: %w", m.id, err)
	}
	for p, secret := range secrets.Value {
		if m.proved[p] == secret {
			continue
		}
		if err := m.Store.Prove(ctx, state.Credential{Principal: p, Secret: secret}); err != nil {
			return fmt.Errorf("prove to be %s: %w", p, err)
		}
		m.proved[p] = secret
	}
	return nil
}

// look reads what the units want to know, and wakes them when it has changed.
func (m *machine) look(ctx context.Context) error {
	settings, err := state.ReadIf[state.ModelConfig](ctx, m.Store, m.model.ConfigPath())
	if err != nil {
		return fmt.Errorf("read the model's settings: %w", err)
	}
	m.welcome(ctx, m.login, state.SSHKeys(settings.Value))
	addresses, err := state.ReadIf[state.Addresses](ctx, m.Store, m.model.AddressesPath())
	if err != nil {
		return fmt.Errorf("read the controllers' addresses: %w", err)
	}
	if a := addresses.Value; len(a.API) > 0 && !sameJSON(a, m.Conf.Addresses) {
		m.Conf.Addresses = a
		if err := m.Conf.Save(m.DataDir); err != nil { // for the next start
			return err
		}
	}
	instance, err := state.ReadIf[state.Instance](ctx, m.Store, m.model.InstancePath(m.id))
	if err != nil {
		return fmt.Errorf("read what the provider says of machine %s: %w", m.id, err)
	}
	told, err := state.ReadIf[state.MachineReport](ctx, m.Store, m.model.MachineReportPath(m.id))
	if err != nil {
		return fmt.Errorf("read the report of machine %s: %w", m.id, err)
	}
	changed := m.world.set(func(w *unit.World) {
		w.Zone = instance.Value.Hardware.Zone
		w.Settings, w.Addresses = settings.Value, m.Conf.Addresses
		if n := network(m.Address, m.Conf.Addresses.ZooKeeper); n.Private != "" || w.Network.Private == "" {
			w.Network = n // a machine between two addresses has the one that it had
		}
		if m.Address == "" {
			w.Network.Public = public(w.Network.Private, state.MachineAddresses(instance.Value, describe(w.Network).After(told.Value)))
		}
		w.Network.Egress = egress(settings.Value, w.Network)
	})
	if changed {
		for _, h := range m.hosted {
			signal(h.wake)
		}
	}
	return nil
}

// tell reports how the machine is, when that is news.
func (m *machine) tell(ctx context.Context, want state.Machine) error {
	r := m.describe(m.world.get().Network)
	r.Version, r.Started = m.Run.Version, m.Run.Since
	if r.Base.Name == "" { // one of several on its host: what was asked for, or what there is
		r.Base = want.Base
	}
	if r.Base.Name == "" {
		r.Base = base()
	}
	if sameJSON(r, m.report) {
		return nil
	}
	path := m.model.MachineReportPath(m.id)
	err := state.Edit(ctx, m.Store, func(ctx context.Context, tree state.Reader) (t state.Txn, err error) {
		rec, err := state.ReadIf[state.MachineReport](ctx, tree, path)
		if now := r.After(rec.Value); err == nil && !(rec.Exists() && sameJSON(rec.Value, now)) {
			state.Put(&t, path, rec, now)
			if rec.Exists() && !slices.Equal(rec.Value.Addresses, now.Addresses) {
				t.Tell(m.model, state.TicketMachine, string(m.id)) // firewalls let it in by its addresses
			}
		}
		return t, err
	})
	if err != nil {
		return fmt.Errorf("report how machine %s is: %w", m.id, err)
	}
	m.report = r
	return nil
}

// renew gets a new certificate and returns ErrRenewed once no hook runs. Otherwise it says when to try again.
func (m *machine) renew(ctx context.Context) (again time.Duration, err error) {
	fresh, err := m.Conf.Renew(ctx)
	if err == nil {
		err = fresh.Save(m.DataDir)
	}
	if err != nil {
		m.log.Warn("the certificate is not renewed and will be tried again", "err", err)
		return time.Hour, nil
	}
	release, _, err := m.lock.Acquire(ctx, "renewal of the machine's certificate")
	if err != nil {
		return 0, err
	}
	defer release()
	return 0, ErrRenewed
}
