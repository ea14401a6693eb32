package controller

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/controller/api"
	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/controller/leader"
	"github.com/grigri/grigri/controller/logs"
	"github.com/grigri/grigri/controller/statuslog"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// Config is what a controller needs. All of it is required but Log and what comes after.
type Config struct {
	Dir       string // the controller's files
	ID        string // of this controller among all: "0"
	Listen    string // host:port of the API
	Store     state.Store
	Secrets   Secrets
	Open      func(provider.Spec) (provider.Provider, error) // the provider of a cloud's region; a provider that is an io.Closer is closed
	Addresses state.Addresses                                // of the API, of ZooKeeper, and the hash of the agent's archive in Dir
	Chroot    string
	Build     string // SHA-256 of the program, hex: tells one build from another
	Programs  api.Programs
	Log       *slog.Logger
	Ready     func(address string) // called when the API answers
}

// Run runs a controller until ctx ends, which is no error. When it returns nothing of it runs any more.
func Run(ctx context.Context, c Config) error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	controller, err := found(ctx, c)
	if err != nil {
		return err
	}
	if err := ensureRoots(ctx, c.Store, controller); err != nil {
		return err
	}
	if err := announce(ctx, c); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{Config: c, controller: controller, run: state.Presence{Boot: rand.Text(), Version: version.Grigri, Since: time.Now().UTC()},
		logs:      logs.Open(logs.Config{Dir: filepath.Join(c.Dir, "logs")}),
		statuses:  statuslog.Open(statuslog.Config{Dir: filepath.Join(c.Dir, "statuses")}),
		providers: providers{store: c.Store, key: c.Secrets.Key, open: c.Open, log: c.Log}}
	defer d.logs.Close()
	defer d.providers.closeAll()
	if d.server, err = d.newServer(stop); err != nil {
		return errors.Join(err, listener.Close())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.serve(ctx, listener, g) })
	g.Go(func() error {
		return coord.NewPresence(ctx, c.Store, state.PresencePath+"/"+c.ID, d.run).Keep(ctx, c.Log)
	})
	g.Go(func() error { return d.stand(ctx) })
	g.Go(func() error { return d.tidy(ctx) })
	g.Go(func() error { return d.heed(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// A daemon is a running controller.
type daemon struct {
	Config
	controller state.Controller
	run        state.Presence
	logs       *logs.Store
	statuses   *statuslog.Store
	providers  providers
	server     *api.Server
	leads      atomic.Bool
}

func (d *daemon) charms() archive.Dir { return archive.Dir(filepath.Join(d.Dir, "charms")) }

func (d *daemon) resources() archive.Dir { return archive.Dir(filepath.Join(d.Dir, "resources")) }

func (d *daemon) newServer(stop func()) (*api.Server, error) {
	return api.New(api.Config{
		Store: d.Store, Key: d.Secrets.Key, Authority: d.Secrets.Authority, Charms: d.charms(), Agents: Agents(d.Dir), Resources: d.resources(), Plugins: Plugins(d.Dir), Logs: d.logs, Statuses: d.statuses,
		Providers: d.providers.of, Build: d.Build, Programs: d.Programs, Addresses: d.Addresses, Chroot: d.Chroot, Leads: d.leads.Load, Stop: stop, Log: d.Log,
	})
}

// serve answers the API until ctx ends, and then those who have been asking.
func (d *daemon) serve(ctx context.Context, listener net.Listener, g *errgroup.Group) error {
	host, _, err := net.SplitHostPort(d.Listen)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	hosts := []string{userapi.ServerName, "localhost", "127.0.0.1", "::1"}
	for _, a := range append(slices.Clone(d.Addresses.API), net.JoinHostPort(host, "0")) {
		if h, _, err := net.SplitHostPort(a); err == nil && h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	id, err := d.Secrets.Identity(time.Now(), hosts...)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	conf, err := api.TLS(id)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	conf.NextProtos = []string{"h2", "http/1.1"}
	server := &http.Server{
		Handler: d.server, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		<-ctx.Done()
		d.server.End()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			return server.Close()
		}
		return nil
	})
	if d.Ready != nil {
		d.Ready(listener.Addr().String())
	}
	d.Log.Info("the API answers", "address", listener.Addr().String())
	if err := server.Serve(tls.NewListener(listener, conf)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API: %w", err)
	}
	return nil
}

// stand stands for election until ctx ends, and again after whatever has ended a time as leader.
func (d *daemon) stand(ctx context.Context) error {
	conf := coord.Config{Store: d.Store, Dir: state.ElectionPath, Name: "controller-" + d.ID, Run: d.run, Log: d.Log}
	for {
		err := coord.Elect(ctx, conf, d.lead)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.Log.Warn("lead: another try follows", "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// lead leads while fence stands.
func (d *daemon) lead(ctx context.Context, fence coord.Fence) error {
	d.leads.Store(true)
	defer d.leads.Store(false)
	err := leader.Run(ctx, leader.Config{
		Store: d.Store, Fence: fence.Path, Providers: d.providers.of, Key: d.Secrets.Key, Log: d.Log,
		Script: func(r provider.StartRequest) ([]byte, error) {
			return initscript.Script(r.Model, state.MachineID(r.Machine).Node(), r.Init), nil
		},
		Tell: func(m state.ModelID, tag string, s state.StatusRecord) {
			if err := d.statuses.Add(m, "", agentapi.Status{Entity: tag, StatusRecord: s}); err != nil {
				d.Log.Warn("a status will not be in the log of statuses", "err", err)
			}
		},
	})
	if errors.Is(err, leader.ErrDeposed) {
		return nil
	}
	return err
}

// announce writes into every model where the controllers and ZooKeeper are now. Which agent its machines run a user changes,
// with upgrade-model, unless this controller does not have that one.
func announce(ctx context.Context, c Config) error {
	ids, err := c.Store.Children(ctx, state.ModelsPath)
	if err != nil {
		return fmt.Errorf("announce the addresses: %w", err)
	}
	for _, id := range ids {
		m := state.ModelID(id)
		err := state.Edit(ctx, c.Store, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			var t state.Txn
			rec, err := state.ReadIf[state.Addresses](ctx, r, m.AddressesPath())
			if err != nil || !rec.Exists() {
				return t, err
			}
			want := c.Addresses
			want.Name = rec.Value.Name
			if f, _, err := Agents(c.Dir).Open(rec.Value.AgentHash); err == nil {
				want.AgentHash = rec.Value.AgentHash
				_ = f.Close()
			}
			if string(state.Encode(want)) != string(state.Encode(rec.Value)) {
				t.Set(rec.Path, want, rec.Version)
			}
			return t, nil
		})
		if err != nil && !errors.Is(err, state.ErrUnknown) { // then it is there, or the next start does it
			return fmt.Errorf("announce the addresses to model %s: %w", m, err)
		}
	}
	return nil
}
