package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/install"
	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
)

// A remote is a controller being made on a machine that is not this host, or one that is there.
type remote struct {
	c          *cli
	entry      bootstrapEntry
	cloud      provider.Cloud
	credential provider.Credential
	login      login // on a manual host

	constraints provider.Constraints
	base        string
	placement   string
	model       string            // the UUID of the controllers' own model
	started     bool              // something of ours may be there
	provider    provider.Provider // nil: manual
	plugin      string            // the file of its program, if it is one of its own
	there       provider.Spec     // the cloud as the controller on the machine reaches it
	instance    provider.Instance
	host        provider.Host
	keys        *bootKeys // with which the machine is reached over ssh
}

// How long the parts of a bootstrap may take.
const (
	reachPatience = 15 * time.Minute // from the start of an instance until it can be worked on
	stopPatience  = 3 * time.Minute
)

// open opens the provider of the entry's cloud, as the entry's credential.
func (r *remote) open(s clientStore) error {
	if r.entry.Target != "" {
		return nil
	}
	var err error
	if r.plugin, err = s.pluginOf(r.cloud); err != nil {
		return err
	}
	spec := provider.Spec{Cloud: r.cloud, Region: r.entry.Region, Credential: r.credential}
	r.provider, err = all.Open(spec, all.Config{Dir: filepath.Join(s.dir, "providers"), Plugins: s.plugins(), Kept: string(s.kept())})
	return err
}

// reopen opens the provider of a controller that is there, as the credential that it was made with.
func (r *remote) reopen(b book, s clientStore) (err error) {
	if r.entry.Definition == nil {
		return fmt.Errorf("this client does not know what cloud %q is: its file bootstrap-config.yaml is not whole", r.entry.Cloud)
	}
	if r.cloud, err = r.entry.Definition.cloud(r.entry.Cloud); err != nil {
		return err
	}
	r.credential = provider.Credential{AuthType: provider.AuthEmpty}
	if r.entry.Credential != "" {
		if r.credential, err = b.chooseCredential(r.entry.Cloud, r.entry.Credential); err != nil {
			return err
		}
	}
	return r.open(s)
}

func (r *remote) close() {
	if r.host != nil {
		_ = r.host.Close() // nothing is to be done there any more
	}
	if p, ok := r.provider.(io.Closer); ok {
		_ = p.Close()
	}
	r.keys.remove()
}

// preflight finds what would not work later.
func (r *remote) preflight(ctx context.Context) error {
	checker, ok := r.provider.(provider.Checker)
	if !ok {
		return nil
	}
	problems, err := checker.Check(ctx)
	if err != nil {
		return fmt.Errorf("look whether cloud %q can have machines: %w", r.cloud.Name, err)
	}
	if len(problems) == 0 {
		return nil
	}
	var lines []string
	for _, p := range problems {
		line := "- " + p.What
		if p.Remedy != "" {
			line += ": " + p.Remedy
		}
		lines = append(lines, line)
	}
	return fmt.Errorf("cloud %q cannot have machines yet:\n%s", r.cloud.Name, strings.Join(lines, "\n"))
}

// start starts the instance, and reaches it.
func (r *remote) start(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	if r.entry.Target != "" {
		p.say("connecting to %s", r.entry.Target)
		return r.reachManual(ctx, p)
	}
	req := provider.StartRequest{Controller: r.entry.UUID, Model: r.model, Machine: "0", Base: r.base, Constraints: r.constraints, Placement: r.placement,
		Init: provider.Init{Script: []byte("#!/bin/sh\n:\n")}}
	hoster, direct := r.provider.(provider.Hoster)
	if !direct {
		var err error
		if r.keys, err = newBootKeys(); err != nil {
			return err
		}
		req.Init.Script = r.keys.script()
	}
	p.say("starting an instance")
	var err error
	r.started = true
	if r.instance, err = r.provider.Start(ctx, req); err != nil {
		return fmt.Errorf("start an instance: %w", err)
	}
	p.say("waiting for instance %s", r.instance.ID)
	if err := r.addressed(ctx); err != nil {
		return err
	}
	if err := r.openPorts(ctx); err != nil {
		return err
	}
	if direct {
		if r.host, err = hoster.Host(ctx, r.instance.ID); err != nil {
			return fmt.Errorf("reach instance %s: %w", r.instance.ID, err)
		}
		return nil
	}
	p.say("connecting to instance %s over ssh", r.instance.ID)
	r.host, err = r.keys.dial(ctx, r.instance.Addresses)
	return err
}

// relocate finds out how the controller on its machine reaches the cloud.
func (r *remote) relocate(ctx context.Context) (err error) {
	r.there = provider.Spec{Cloud: r.cloud, Region: r.entry.Region, Credential: r.credential}
	if p, ok := r.provider.(provider.Relocator); ok {
		if r.there, err = p.Relocate(ctx, r.entry.UUID); err == nil && r.there.Credential.AuthType != r.credential.AuthType {
			r.c.infof("the controller will prove itself to cloud %q with a credential of type %q", r.cloud.Name, r.there.Credential.AuthType)
		}
	}
	return err
}

// addressed waits until the instance runs and has an address.
func (r *remote) addressed(ctx context.Context) error {
	for {
		list, err := r.provider.List(ctx, r.entry.UUID)
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("wait for instance %s: %w", r.instance.ID, err)
		}
		for _, in := range list {
			if in.ID != r.instance.ID {
				continue
			}
			r.instance = in
			if in.State == provider.Running && len(in.Addresses) > 0 {
				return nil
			}
			if in.State == provider.Gone || in.State == provider.Stopped {
				return fmt.Errorf("instance %s has stopped: %s", in.ID, in.Message)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for instance %s: it does not run or has no address: %s: %w", r.instance.ID, r.instance.Message, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// openPorts opens what clients and agents need of the controller's machine. From then on the controller keeps that so.
func (r *remote) openPorts(ctx context.Context) error {
	f, ok := r.provider.(provider.Firewaller)
	if !ok {
		return nil
	}
	var rules []provider.Rule
	for _, port := range []int{install.APIPort, install.ZKPort} {
		rules = append(rules, provider.Rule{PortRange: provider.PortRange{Protocol: provider.TCP, From: port, To: port}})
	}
	slices.SortFunc(rules, func(a, b provider.Rule) int { return a.PortRange.Compare(b.PortRange) })
	if err := f.SetPorts(ctx, r.instance.ID, rules); err != nil {
		return fmt.Errorf("open the controller's ports on instance %s: %w", r.instance.ID, err)
	}
	return nil
}

// undo takes back what was made, whatever state it is in.
func (r *remote) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if r.entry.Target != "" {
		if !r.started {
			return nil // what is there is not ours
		}
		if h, ok := r.host.(*sshhost.Host); ok {
			if err := h.Reconnect(ctx); err != nil {
				return err
			}
		}
		return install.Remove(ctx, r.host, r.entry.UUID)
	}
	if !r.started {
		return nil
	}
	return r.stopAll(ctx)
}

// stopAll stops every instance of the controller, and sees that none is left.
func (r *remote) stopAll(ctx context.Context) error {
	for {
		list, err := r.provider.List(ctx, r.entry.UUID)
		if err != nil {
			return fmt.Errorf("list the instances of the controller in cloud %q: %w", r.cloud.Name, err)
		}
		var ids []provider.InstanceID
		for _, in := range list {
			if in.State != provider.Gone {
				ids = append(ids, in.ID)
			}
		}
		if len(ids) == 0 {
			p, ok := r.provider.(provider.Relocator)
			if !ok {
				return nil
			}
			if err = p.Forget(ctx, r.entry.UUID); !errors.Is(err, provider.ErrTransient) || ctx.Err() != nil {
				return err
			}
		} else if err := r.provider.Stop(ctx, ids...); err != nil && (!errors.Is(err, provider.ErrTransient) || ctx.Err() != nil) {
			return fmt.Errorf("stop instances %v in cloud %q: %w", ids, r.cloud.Name, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("instances %v in cloud %q have been asked to stop and are still there: %w", ids, r.cloud.Name, ctx.Err()), err)
		case <-time.After(time.Second):
		}
	}
}

// tellVolumes names the controller's volumes that are there still. Who has released one wants to keep it, and only a controller knows.
func (r *remote) tellVolumes(ctx context.Context) error {
	p, ok := r.provider.(provider.Volumer)
	if !ok {
		return nil
	}
	all, err := p.ListVolumes(ctx, r.entry.UUID)
	if err != nil || len(all) == 0 {
		return err
	}
	var ids []string
	for _, v := range all {
		ids = append(ids, string(v.ID))
	}
	r.c.infof("volumes of the controller are left in cloud %q, with what is on them: %s", r.cloud.Name, joined(ids))
	return nil
}

// addresses is where the machine is known to be reached: what is an IP address.
func (r *remote) addresses() []string {
	var out []string
	for _, a := range r.instance.Addresses {
		if _, err := netip.ParseAddr(a); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// installation is how the controller is brought up on the machine.
func (r *remote) installation(b *bootstrap, daemon string, p *progress) install.Config {
	d := install.Definition{Cloud: r.there.Cloud, Region: r.there.Region, Instance: r.instance, Manual: r.entry.Target, Base: r.base}
	if r.there.Credential.Name != "" {
		d.Credential = &r.there.Credential
	}
	settings := map[string]string{}
	port := 0
	for k, v := range b.config {
		if k == apiPort {
			port, _ = strconv.Atoi(v) // it was checked
			continue
		}
		settings[k] = v
	}
	return install.Config{Host: r.host, Name: b.name, UUID: r.entry.UUID, Model: r.model, Definition: d, Files: programFiles(daemon), Plugin: r.plugin, Arch: runtime.GOARCH, Addresses: r.addresses(),
		Port: port, Settings: settings, Defaults: b.defaults, Flags: b.daemonFlags, Say: func(step string) { p.say("%s", step) }, Begun: func() { r.started = true }, Now: time.Now}
}

// newUUID is a random UUID, RFC 9562 version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
