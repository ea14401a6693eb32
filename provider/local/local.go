// Package local makes machines on this very host: each is a directory, everything that runs under one reaper
// process, and a loopback address of its own. It needs no privileges and writes nothing outside its directory.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/provider"
)

// Config is what a Provider needs.
type Config struct {
	Dir     string   // of all machines of this host; it is made when missing. Short: unix sockets lie below it
	Reaper  []string // the command that keeps a machine: grigri-agent supervise
	Archive string   // a file that may hold the agent's archive, so that no machine has to fetch it; or ""
	Grace   time.Duration
	Log     *slog.Logger
}

// A Provider is a provider.Provider, Sheller and Sharer, and a provider.Volumer, whose volumes are directories.
type Provider struct {
	Config
	mu   sync.Mutex
	mine []*exec.Cmd // reapers that this process has started and not yet waited for
}

// Open returns the provider over the directory. Several may be open on the same directory, in several processes.
func Open(c Config) (*Provider, error) {
	if c.Dir == "" || len(c.Reaper) == 0 {
		return nil, errors.New("open the local provider: it needs a directory and the command of the reaper")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the local provider: %w", err)
	}
	c.Dir = dir
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the local provider: %w", err)
	}
	return &Provider{Config: c}, nil
}

// Start implements provider.Provider.
func (p *Provider) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	in, err := p.start(ctx, req)
	if err != nil {
		return in, fmt.Errorf("start machine %s of model %s on this host: %w", req.Machine, req.Model, classify(err))
	}
	return in, nil
}

func (p *Provider) start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	if err := refuse(req); err != nil {
		return provider.Instance{}, err
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	defer unlock()
	id := instanceID(req.Controller, req.Model, req.Machine)
	m, err := p.read(id)
	switch {
	case req.Enrolled && (errors.Is(err, fs.ErrNotExist) || err == nil && m.Stopping):
		return provider.Instance{}, req.Missing()
	case errors.Is(err, fs.ErrNotExist):
		if m, err = p.make(id, req); err != nil {
			return provider.Instance{}, err
		}
	case err != nil:
		return provider.Instance{}, err
	case m.Controller != req.Controller || m.Model != req.Model || m.Machine != req.Machine:
		return provider.Instance{}, fmt.Errorf("its directory %s belongs to machine %s of model %s", p.dir(id), m.Machine, m.Model)
	case m.Stopping:
		if err := p.end(ctx, id); err != nil {
			return provider.Instance{}, err
		}
		if m, err = p.make(id, req); err != nil {
			return provider.Instance{}, err
		}
	}
	if !p.held(id) { // of a machine that has died nothing runs on beside the new start
		if err := p.killStrays(ctx, id); err != nil {
			return provider.Instance{}, err
		}
	}
	if err := p.run(&m); err != nil {
		return provider.Instance{}, err
	}
	return p.instance(m), nil
}

// classify says of what this host has no more of just now that it may have it later.
func classify(err error) error {
	for _, full := range []error{unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.EAGAIN, unix.ENOMEM} {
		if errors.Is(err, full) && !errors.Is(err, provider.ErrTransient) {
			return fmt.Errorf("%w: %w", err, provider.ErrTransient)
		}
	}
	return err
}

// refuse says what this host can never give.
func refuse(req provider.StartRequest) error {
	hw, c := hardware(), req.Constraints
	no := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), provider.ErrRefused)
	}
	switch {
	case req.Controller == "" || req.Model == "" || req.Machine == "" || strings.ContainsAny(req.Machine, "/\x00") || req.Machine[0] == '.':
		return no("the request names no controller, model or machine")
	case c.Arch != nil && *c.Arch != "" && *c.Arch != hw.Arch:
		return no("constraint arch=%s: this host is %s", *c.Arch, hw.Arch)
	case c.Container != nil && *c.Container != "" && *c.Container != "none":
		return no("constraint container=%s: %s", *c.Container, shares)
	case c.Cores != nil && *c.Cores > hw.Cores:
		return no("constraint cores=%d: this host has %d", *c.Cores, hw.Cores)
	case c.MemoryMiB != nil && *c.MemoryMiB > hw.MemoryMiB:
		return no("constraint mem=%dM: this host has %dM", *c.MemoryMiB, hw.MemoryMiB)
	case req.Placement != "":
		return no("placement %q: the local provider knows no places", req.Placement)
	}
	return nil
}

// Shares implements provider.Sharer.
func (p *Provider) Shares() string { return shares }

const shares = "they are directories on one host, not hosts of their own; leave the container out, or use a model of another cloud, such as LXD: grigri bootstrap localhost"

// Stop implements provider.Provider.
func (p *Provider) Stop(ctx context.Context, ids ...provider.InstanceID) error {
	var errs []error
	for _, id := range ids {
		if err := p.stop(ctx, string(id)); err != nil {
			errs = append(errs, fmt.Errorf("stop instance %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Provider) stop(ctx context.Context, id string) error {
	if !validID(id) {
		return nil
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	m, err := p.read(id)
	if err == nil && !m.Stopping {
		m.Stopping = true
		err = p.write(m)
	}
	unlock() // others may start and stop theirs while this one ends
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.end(ctx, id)
}

// List implements provider.Provider. A machine whose reaper has died, with the host or alone, is stopped.
func (p *Provider) List(ctx context.Context, controller string) ([]provider.Instance, error) {
	unlock, err := p.lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the machines of this host: %w", err)
	}
	defer unlock()
	p.reapMine()
	names, err := os.ReadDir(p.Dir)
	if err != nil {
		return nil, fmt.Errorf("list the machines of this host: %w", err)
	}
	var out []provider.Instance
	for _, n := range names {
		if !n.IsDir() || !validID(n.Name()) {
			continue
		}
		m, err := p.read(n.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // half made by a start that died, or half removed
		}
		if err != nil {
			return nil, fmt.Errorf("list the machines of this host: %w", err)
		}
		if m.Controller != controller {
			continue
		}
		out = append(out, p.instance(m))
	}
	slices.SortFunc(out, func(a, b provider.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out, nil
}

// Shell implements provider.Sheller.
func (p *Provider) Shell(_ context.Context, id provider.InstanceID) (provider.Shell, error) {
	if !validID(string(id)) {
		return provider.Shell{}, fmt.Errorf("open a shell on instance %s: %w", id, provider.ErrNotFound)
	}
	m, err := p.read(string(id))
	if errors.Is(err, fs.ErrNotExist) {
		return provider.Shell{}, fmt.Errorf("open a shell on instance %s: %w", id, provider.ErrNotFound)
	}
	if err != nil {
		return provider.Shell{}, fmt.Errorf("open a shell on instance %s: %w", id, err)
	}
	return provider.Shell{Command: []string{"/bin/bash"}, Dir: p.dir(m.ID), Env: append(p.environ(m), "HOME="+p.dir(m.ID), "TERM="+cmp.Or(os.Getenv("TERM"), "dumb"))}, nil
}

func (p *Provider) instance(m machine) provider.Instance {
	in := provider.Instance{
		ID: provider.InstanceID(m.ID), Model: m.Model, Machine: m.Machine,
		State: provider.Stopped, Addresses: []string{m.Address}, Hardware: hardware(),
	}
	switch {
	case m.Stopping:
		in.Message = "being stopped"
	case p.held(m.ID):
		in.State = provider.Running
	case p.record(m.ID).Ended:
		in.Message = "ended by itself"
	}
	return in
}

func hardware() provider.Hardware {
	var info unix.Sysinfo_t
	unix.Sysinfo(&info)
	return provider.Hardware{
		Arch: runtime.GOARCH, Cores: runtime.NumCPU(),
		MemoryMiB: int(uint64(info.Totalram) * uint64(info.Unit) >> 20), VirtType: "process-group",
	}
}
