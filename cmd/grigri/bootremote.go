package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/grigri/grigri/internal/install"
	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// manualCloud is the cloud of hosts that no provider makes.
const manualCloud = "manual"

// bootstrapPlaces lists the clouds, or the regions of one.
func (c *cli) bootstrapPlaces(regionsOf string) error {
	b, err := c.book()
	if err != nil {
		return err
	}
	if regionsOf == "" {
		clouds, _, err := b.clientClouds()
		for _, name := range slices.Sorted(maps.Keys(clouds)) {
			fmt.Fprintln(c.out, name)
		}
		return err
	}
	cloud, err := b.clientCloud(regionsOf)
	for _, r := range cloud.Regions {
		fmt.Fprintln(c.out, r.Name)
	}
	return err
}

// find finds out where the controller is to be, and as whom its machine is asked for.
func (b *bootstrap) find(cloud, where, credential string) error {
	k, err := b.c.book()
	if err != nil {
		return err
	}
	r := b.remote
	r.entry = bootstrapEntry{Cloud: cloud, Type: cloud, UUID: newUUID()}
	r.model = newUUID()
	if cloud == manualCloud {
		target, err := sshhost.ParseTarget(where)
		if err != nil {
			return usagef("bootstrap manual/[user@]host[:port]: %w", err)
		}
		r.entry.Target = target.String()
		r.cloud = provider.Cloud{Name: manualCloud, Type: manualCloud, Description: "Hosts that users have, added with add-machine ssh:user@host", AuthTypes: []string{provider.AuthEmpty}}
		r.credential = provider.Credential{AuthType: provider.AuthEmpty}
		r.entry.Definition = entryOf(r.cloud)
		return nil
	}
	if r.cloud, err = k.clientCloud(cloud); err != nil {
		return err
	}
	if r.cloud.Type == "local" {
		return fmt.Errorf("cloud %q is this host: a controller on this host is made with \"%s bootstrap local\"", cloud, b.c.name)
	}
	if where == "" && k.credentials.Credentials[cloud] != nil {
		where = k.credentials.Credentials[cloud].DefaultRegion
	}
	if r.entry.Region, err = state.RegionOf(r.cloud, where); err != nil {
		return err
	}
	if r.credential, err = k.chooseCredential(cloud, credential); err != nil {
		return err
	}
	r.entry.Type, r.entry.Credential, r.entry.Definition = r.cloud.Type, r.credential.Name, entryOf(r.cloud)
	return nil
}

// reachManual logs in to the host.
func (r *remote) reachManual(ctx context.Context, p *progress) error {
	target, err := sshhost.ParseTarget(r.entry.Target)
	if err != nil {
		return err
	}
	config, err := r.c.sshConfig(target, r.login, p)
	if err != nil {
		return err
	}
	host, err := sshhost.Dial(ctx, config)
	if err != nil {
		return err
	}
	r.host = host
	r.instance = provider.Instance{ID: provider.InstanceID("manual:" + r.entry.Target), State: provider.Running, Addresses: []string{host.Address()}}
	return nil
}

// runRemote makes the controller on a machine of its own.
func (b *bootstrap) runRemote(ctx context.Context) (err error) {
	r := b.remote
	if b.store, err = b.c.openStore(); err != nil {
		return err
	}
	daemon, err := b.c.daemon()
	if err != nil {
		return err
	}
	for name, file := range programFiles(daemon) {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("the program %s must be beside grigrid: %w", name, err)
		}
	}
	if err := r.open(b.store); err != nil {
		return err
	}
	defer r.close()
	err = b.store.update(func(k *book) error { // from here on the name is ours
		if k.controllers.Controllers[b.name] != nil {
			return fmt.Errorf("controller %q already exists", b.name)
		}
		if k.bootstrap.Controllers[b.name].Cloud != "" {
			return fmt.Errorf("controller %q is being made, or was when that was interrupted: if no other bootstrap runs, \"%s kill-controller %s\" removes what is left", b.name, b.c.name, b.name)
		}
		k.bootstrap.Controllers[b.name] = r.entry
		return b.store.keepPlugin(k, r.cloud.PluginHash, r.plugin)
	})
	if err != nil {
		return err
	}
	p := b.c.progress()
	defer p.end()
	b.c.infof("Creating controller %q on %s", b.name, cloudRegion(b.cloud, r.entry.Region))
	if err := b.makeRemote(ctx, daemon, p); err != nil {
		p.end()
		if ctx.Err() != nil {
			err = errors.New("interrupted") // what failed then has failed for that
		}
		if b.keepBroken {
			b.c.infof("the machine is kept: %q removes it", b.c.name+" kill-controller "+b.name)
			return fmt.Errorf("bootstrap controller %q: %w", b.name, err)
		}
		b.c.infof("removing what has been made of controller %q", b.name)
		clean := r.undo(ctx)
		if clean == nil {
			clean = b.store.update(func(k *book) error { k.forget(b.name); return nil })
		}
		if clean != nil {
			clean = fmt.Errorf("something of it is left, and \"%s kill-controller %s\" removes it: %w", b.c.name, b.name, clean)
		} else if ctx.Err() != nil {
			err = errInterrupted
		}
		return errors.Join(fmt.Errorf("bootstrap controller %q: %w", b.name, err), clean)
	}
	p.end()
	b.c.infof("Bootstrap complete, controller %q is now available\nController machines are in the \"controller\" model\nNow you can run\n\t%s add-model <model-name>\nto make a model for your applications.", b.name, b.c.name)
	return nil
}

func (b *bootstrap) makeRemote(ctx context.Context, daemon string, p *progress) error {
	r := b.remote
	p.say("looking whether the cloud can have machines")
	if err := r.preflight(ctx); err != nil {
		return err
	}
	if err := r.start(ctx, p); err != nil {
		return err
	}
	if err := r.relocate(ctx); err != nil {
		return err
	}
	how := r.installation(b, daemon, p)
	made, err := install.Run(ctx, how)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(made, &b.made); err != nil {
		return fmt.Errorf("read what was made: %w", err)
	}
	p.say("waiting for the controller to answer at %s", joined(b.made.Addresses))
	if err := b.answers(ctx); err != nil {
		return fmt.Errorf("%w; the last lines of its log:\n%s", err, install.Log(context.WithoutCancel(ctx), r.host))
	}
	if err := install.Agent(ctx, how); err != nil {
		return err
	}
	if r.keys != nil {
		if err := r.host.Run(ctx, forget, io.Discard); err != nil {
			return fmt.Errorf("take back the keys with which the machine was reached: %w", err)
		}
	}
	return b.remember()
}
