package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
)

// The files in the directory of a run.
const (
	siteFile      = "site.json"
	instancesFile = "instances" // one line an instance: model machine
	controllerDir = "controller"
	charmDir      = "charm"
	profileSocket = "profile" // where the controller's process answers for its profiles
)

// A site is where the parts of the environment are.
type site struct {
	ZooKeeper string        `json:"zookeeper"`
	API       string        `json:"api"`
	Model     state.ModelID `json:"model"` // empty until it is made
}

func readSite(dir string) (s site, err error) {
	data, err := os.ReadFile(filepath.Join(dir, siteFile))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

func (s site) save(dir string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(dir, siteFile), data)
}

// connect opens a session as a controller has it.
func (s site) connect(ctx context.Context, secrets controller.Secrets) (*zk.Store, error) {
	conf, err := controllerTLS(secrets)
	if err != nil {
		return nil, err
	}
	return zk.Open(ctx, zk.Config{Servers: []string{s.ZooKeeper}, TLS: conf, Controller: pki.ControllerName(), Machine: pki.MachineName,
		Log:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Secret: func(p state.Principal) (string, bool) { return secrets.Key.Credential(p).Secret, true }})
}

// control is the controller's process: the controller itself, with a cloud in which machines are there as soon as they are
// asked for. It prints a line when its API answers.
func control(ctx context.Context, dir string) error {
	s, err := readSite(dir)
	if err != nil {
		return err
	}
	own := filepath.Join(dir, controllerDir)
	secrets, err := controller.LoadSecrets(own)
	if err != nil {
		return err
	}
	store, err := s.connect(ctx, secrets)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.Init(ctx); err != nil {
		return err
	}
	profiles := http.NewServeMux()
	profiles.HandleFunc("/profile", pprof.Profile)
	profiles.Handle("/heap", pprof.Handler("heap"))
	if err := os.RemoveAll(filepath.Join(dir, profileSocket)); err != nil {
		return err
	}
	listener, err := net.Listen("unix", filepath.Join(dir, profileSocket))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: profiles}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	c := &cloud{file: filepath.Join(dir, instancesFile)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(listener) })
	g.Go(func() error {
		return controller.Run(ctx, controller.Config{Dir: own, ID: "0", Listen: s.API, Store: store, Secrets: secrets, Chroot: zk.DefaultChroot,
			Open:      func(provider.Spec) (provider.Provider, error) { return c, nil },
			Addresses: state.Addresses{API: []string{s.API}, ZooKeeper: []string{s.ZooKeeper}, AgentHash: strings.Repeat("0", 64)},
			Log:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
			Ready:     func(string) { fmt.Println("ready") }})
	})
	return g.Wait()
}

// A cloud is a provider whose machines other processes play: those find them in the file.
type cloud struct {
	file string
	mu   sync.Mutex
}

// Start implements provider.Provider.
func (c *cloud) Start(_ context.Context, req provider.StartRequest) (provider.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := os.OpenFile(c.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return provider.Instance{}, err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, req.Model, req.Machine)
	return instance(req.Model, req.Machine), err
}

// Stop implements provider.Provider.
func (*cloud) Stop(context.Context, ...provider.InstanceID) error { return nil }

// List implements provider.Provider.
func (c *cloud) List(context.Context, string) ([]provider.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := os.Open(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out, _, err := readInstances(f)
	return out, err
}

// readInstances reads the whole lines that there are, and says how many bytes they take.
func readInstances(f io.Reader) (out []provider.Instance, read int64, err error) {
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return out, read, nil
		}
		if err != nil {
			return out, read, err
		}
		read += int64(len(line))
		if model, machine, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out = append(out, instance(model, machine))
		}
	}
}

func instance(model, machine string) provider.Instance {
	return provider.Instance{ID: provider.InstanceID("i-" + machine), Model: model, Machine: machine, State: provider.Running, Addresses: []string{address(machine)}}
}

// controllerTLS is a controller's side of a connection to ZooKeeper.
func controllerTLS(secrets controller.Secrets) (*tls.Config, error) {
	id, err := secrets.Identity(time.Now())
	if err != nil {
		return nil, err
	}
	return id.ClientTLS(pki.ZooKeeperHost)
}
