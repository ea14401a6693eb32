// Package redfish makes machines of servers that have a management controller with Redfish: it reserves one, has it boot from the
// network and switches it on; and switches it off and lets it go again. The server finds the init script where its network boot looks for it.
package redfish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/provider"
)

// A Provider is a provider.Provider and a provider.Checker. Several may be open on the same directory, in several processes.
type Provider struct {
	bmc     client
	systems []system
	dir     string // of reservations
	seeds   string // of what servers find when they boot
	arch    string
	tick    time.Duration // how often a server is asked whether it is off
}

// A system is one server, as the cloud's definition has it.
type system struct {
	name    string
	url     string // of its resource: https://bmc1/redfish/v1/Systems/1
	address string // that it will have
}

// Open reads the cloud's configuration: systems, state-dir, seed-dir and, if it is not amd64, arch.
func Open(spec provider.Spec) (*Provider, error) {
	c := spec.Cloud.Config
	p := &Provider{dir: c["state-dir"], seeds: c["seed-dir"], arch: cmp.Or(c["arch"], "amd64"), tick: time.Second / 2}
	for key, dir := range map[string]string{"state-dir": p.dir, "seed-dir": p.seeds} {
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("cloud %q: %s must be the absolute path of a directory, got %q: %w", spec.Cloud.Name, key, dir, provider.ErrRefused)
		}
	}
	var err error
	if p.systems, err = parseSystems(c["systems"]); err != nil {
		return nil, fmt.Errorf("cloud %q: %w: %w", spec.Cloud.Name, err, provider.ErrRefused)
	}
	a := spec.Credential.Attributes
	if p.bmc, err = newClient(a["username"], a["password"], spec.Cloud.CACertificates); err != nil {
		return nil, fmt.Errorf("cloud %q: %w: %w", spec.Cloud.Name, err, provider.ErrRefused)
	}
	return p, nil
}

// parseSystems reads "NAME=URL,ADDRESS", one after the other.
func parseSystems(text string) ([]system, error) {
	var out []system
	for _, word := range strings.Fields(text) {
		name, rest, ok := strings.Cut(word, "=")
		at, address, ok2 := strings.Cut(rest, ",")
		u, err := url.Parse(at)
		if !ok || !ok2 || err != nil || u.Host == "" || address == "" || name == "" || strings.ContainsAny(name, "/.") {
			return nil, fmt.Errorf("systems: %q is not NAME=URL,ADDRESS", word)
		}
		if slices.ContainsFunc(out, func(s system) bool { return s.name == name || s.url == at }) {
			return nil, fmt.Errorf("systems: %q is there twice", word)
		}
		out = append(out, system{name, at, address})
	}
	if len(out) == 0 {
		return nil, errors.New("systems: there is none: expected NAME=URL,ADDRESS for each server")
	}
	return out, nil
}

// Start implements provider.Provider.
func (p *Provider) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	in, err := p.start(ctx, req)
	if err != nil {
		return in, fmt.Errorf("start machine %s of model %s on a server: %w", req.Machine, req.Model, err)
	}
	return in, nil
}

func (p *Provider) start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	if err := p.refuse(req); err != nil {
		return provider.Instance{}, err
	}
	r, s, err := p.reserve(ctx, req)
	if err != nil {
		return provider.Instance{}, err
	}
	if !r.Started { // by us, or by one who died before he could say so: all of it may be done twice
		if err := p.writeSeed(s, req); err != nil {
			return provider.Instance{}, err
		}
		if err := p.bmc.bootFromNetwork(ctx, s.url); err != nil {
			return provider.Instance{}, fmt.Errorf("have %s boot from the network: %w", s.name, err)
		}
		if err := p.switchOn(ctx, s); err != nil {
			return provider.Instance{}, fmt.Errorf("switch %s on: %w", s.name, err)
		}
		r.Started = true
		if err := p.locked(ctx, func() error { return p.write(r) }); err != nil {
			return provider.Instance{}, err
		}
	}
	return p.wake(ctx, req, r, s)
}

// wake switches a server on again that has been switched off. One whose machine has never come up boots from the network as the
// first time: there may be nothing on its disk.
func (p *Provider) wake(ctx context.Context, req provider.StartRequest, r reservation, s system) (provider.Instance, error) {
	in, err := p.instance(ctx, r, s)
	if err != nil || in.State != provider.Stopped {
		return in, err
	}
	if !req.Enrolled {
		if err := p.writeSeed(s, req); err != nil {
			return in, err
		}
		if err := p.bmc.bootFromNetwork(ctx, s.url); err != nil {
			return in, fmt.Errorf("have %s boot from the network again: %w", s.name, err)
		}
	}
	if err := p.switchOn(ctx, s); err != nil {
		return in, fmt.Errorf("switch %s on again: %w", s.name, err)
	}
	return p.instance(ctx, r, s)
}

// onPatience is how long a server may take to obey.
const onPatience = 30 * time.Second

// switchOn returns when the server has begun to come on: one that is still off could not be switched off.
func (p *Provider) switchOn(ctx context.Context, s system) error {
	if err := p.bmc.reset(ctx, s.url, "On"); err != nil {
		return err
	}
	for end := time.Now().Add(onPatience); ; {
		now, err := p.bmc.get(ctx, s.url)
		if err != nil || now.PowerState != "Off" {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("it is still off after %s: %w", onPatience, provider.ErrTransient)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(p.tick):
		}
	}
}

func (p *Provider) refuse(req provider.StartRequest) error {
	c := req.Constraints
	switch {
	case req.Controller == "" || req.Model == "" || req.Machine == "":
		return fmt.Errorf("the request names no controller, model or machine: %w", provider.ErrRefused)
	case c.Arch != nil && *c.Arch != "" && *c.Arch != p.arch:
		return fmt.Errorf("constraint arch=%s: the servers are %s: %w", *c.Arch, p.arch, provider.ErrRefused)
	case c.Container != nil && *c.Container != "" && *c.Container != "none":
		return fmt.Errorf("constraint container=%s: servers are no containers: %w", *c.Container, provider.ErrRefused)
	}
	return nil
}

// writeSeed puts the init script where the server finds it when it boots: cloud-init takes a script for user data.
func (p *Provider) writeSeed(s system, req provider.StartRequest) error {
	dir := filepath.Join(p.seeds, s.name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("write the init script of %s: %w", s.name, err)
	}
	meta := fmt.Sprintf("instance-id: %s-%s\nlocal-hostname: %s\n", req.Model, req.Machine, s.name)
	for name, data := range map[string][]byte{"meta-data": []byte(meta), "user-data": req.Init.Script} {
		if err := replace(filepath.Join(dir, name), data, 0o640); err != nil {
			return fmt.Errorf("write the init script of %s: %w", s.name, err)
		}
	}
	return nil
}

// Stop implements provider.Provider. A server is let go when it is off.
func (p *Provider) Stop(ctx context.Context, ids ...provider.InstanceID) error {
	var errs []error
	for _, id := range ids {
		if err := p.stop(ctx, string(id)); err != nil {
			errs = append(errs, fmt.Errorf("stop server %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Provider) stop(ctx context.Context, name string) error {
	i := slices.IndexFunc(p.systems, func(s system) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	s := p.systems[i]
	r, err := p.read(name)
	if err != nil || r.Machine == "" { // a server that is nobody's is not ours to switch off
		return err
	}
	for {
		now, err := p.bmc.get(ctx, s.url)
		if err != nil {
			return err
		}
		if now.PowerState == "Off" {
			break
		}
		if err := p.bmc.reset(ctx, s.url, "ForceOff"); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(p.tick):
		}
	}
	return p.locked(ctx, func() error {
		if now, err := p.read(name); err != nil || now.ID() != r.ID() { // somebody has let it go before us
			return err
		}
		return errors.Join(os.RemoveAll(filepath.Join(p.seeds, name)), p.free(name))
	})
}

// List implements provider.Provider.
func (p *Provider) List(ctx context.Context, controller string) ([]provider.Instance, error) {
	var out []provider.Instance
	for _, s := range p.systems {
		r, err := p.read(s.name)
		if err != nil {
			return nil, fmt.Errorf("list the servers: %w", err)
		}
		if r.Machine == "" || r.Controller != controller {
			continue
		}
		in, err := p.instance(ctx, r, s)
		if err != nil {
			return nil, fmt.Errorf("list the servers: %w", err)
		}
		out = append(out, in)
	}
	return out, nil
}

func (p *Provider) instance(ctx context.Context, r reservation, s system) (provider.Instance, error) {
	now, err := p.bmc.get(ctx, s.url)
	if err != nil {
		return provider.Instance{}, fmt.Errorf("ask %s how it is: %w", s.name, err)
	}
	in := provider.Instance{ID: provider.InstanceID(s.name), Model: r.Model, Machine: r.Machine, State: provider.Pending, Message: "power " + strings.ToLower(now.PowerState),
		Addresses: []string{s.address}, Hardware: provider.Hardware{Arch: p.arch, Cores: now.ProcessorSummary.Count, MemoryMiB: int(now.MemorySummary.GiB * 1024), VirtType: "metal"}}
	switch {
	case now.PowerState == "On":
		in.State = provider.Running
	case now.PowerState == "Off" && r.Started:
		in.State = provider.Stopped
	}
	return in, nil
}

// Check implements provider.Checker.
func (p *Provider) Check(ctx context.Context) ([]provider.Problem, error) {
	var out []provider.Problem
	for _, s := range p.systems {
		if _, err := p.bmc.get(ctx, s.url); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			out = append(out, provider.Problem{What: fmt.Sprintf("server %s does not answer: %v", s.name, err), Remedy: "check its URL in systems, the credential, and the network to its management controller"})
		}
	}
	for key, dir := range map[string]string{"state-dir": p.dir, "seed-dir": p.seeds} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			out = append(out, provider.Problem{What: fmt.Sprintf("%s cannot be written: %v", key, err), Remedy: "make the directory, and let the controller write to it"})
		}
	}
	return out, nil
}
