package lxd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// tries is how often a start looks again: after each answer that was lost, each time that another start was faster.
const tries = 10

// Start implements provider.Provider. It returns when the instance runs.
func (p *Provider) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	in, err := p.start(ctx, req)
	if err != nil {
		return in, fmt.Errorf("start machine %s of model %s in LXD: %w", req.Machine, req.Model, classify(err))
	}
	return in, nil
}

// start looks, does the next thing, and looks again, until the machine runs. So it goes on where an earlier one has died,
// and beside another one. What is not known to have happened is looked for.
func (p *Provider) start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	w, err := wishOf(req, p.settings)
	if err != nil {
		return provider.Instance{}, err
	}
	s, err := p.server(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	key := keyOf(req)
	defer p.arrived(key)
	revived := false // it has been stopped, and is started again
	var last error
	for try := range tries {
		i, _, err := s.GetInstanceFull(ctx, key.instance())
		switch {
		case client.IsNotFound(err) && req.Enrolled:
			return provider.Instance{}, req.Missing()
		case client.IsNotFound(err):
			err = p.create(ctx, s, req, w, try)
		case err != nil:
		case machineOf(i.Config) != key:
			return provider.Instance{}, fmt.Errorf("there is an instance %s in LXD that is not this machine's: rename or delete it", i.Name)
		case i.StatusCode == client.Frozen: // whoever has paused it lets it go on
			return p.instance(*i), nil
		case i.StatusCode != client.Running && i.StatusCode != client.Ready:
			revived = revived || stateOf(i.Instance) == provider.Stopped
			err = p.run(ctx, s, i.Name)
		default:
			if err = p.boot(ctx, s, i.Instance, req.Init.Script, revived && !req.Enrolled); err == nil {
				return p.instance(*i), nil
			}
		}
		if err != nil && !unknown(err) && !raced(err) && !errors.Is(err, errKilled) {
			return provider.Instance{}, err
		}
		if err != nil {
			last = err
			p.Log.Debug("a start looks again", "machine", req.Machine, "err", err)
			if err := pause(ctx, try); err != nil {
				return provider.Instance{}, fmt.Errorf("%w: %w", err, last)
			}
		}
	}
	return provider.Instance{}, fmt.Errorf("%w: %w", last, provider.ErrTransient)
}

// raced says that somebody else was faster, or is at it.
func raced(err error) bool {
	return exists(err) || client.IsNotFound(err) || client.StatusErrorCheck(err, http.StatusPreconditionFailed) || says(err, "already running", "busy", "is being", "already defined on another NIC", "Network not found", "already allocated", "is not stopped", "is not running", "currently in use", "already used", "non-reusable operation", "operation timed out after", stopsUnderFile)
}

// pause waits before the next look, longer each time: 0.1 s to 2 s.
func pause(ctx context.Context, try int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(100*time.Millisecond<<try, 2*time.Second)):
		return nil
	}
}

// create makes the instance.
func (p *Provider) create(ctx context.Context, s *client.InstanceServer, req provider.StartRequest, w wish, try int) error {
	if err := p.fits(ctx, s, w); err != nil {
		return err
	}
	source, err := p.image(ctx, s, w)
	if err != nil {
		return err
	}
	target, err := p.target(ctx, s, keyOf(req), w)
	if err != nil {
		return err
	}
	devices, err := p.devices(ctx, s, keyOf(req), w, try)
	if err != nil {
		return err
	}
	post := client.InstancesPost{
		Name: keyOf(req).instance(), Type: w.kind, Architecture: w.arch, Profiles: p.settings.profiles, Source: source, Devices: devices, Config: w.config(req),
		Description: fmt.Sprintf("machine %s of model %s", req.Machine, req.Model),
	}
	if post.Profiles == nil {
		post.Profiles = []string{}
	}
	p.Log.Info("an instance is made", "machine", req.Machine, "instance", post.Name, "devices", fmt.Sprint(post.Devices), "image", source.Alias+source.Fingerprint, "target", target)
	op, err := s.CreateInstance(ctx, post, target)
	if err == nil {
		err = op.WaitContext(ctx)
	}
	return imageError(source, err)
}

// imageError says of an error which image it may be about: LXD's words about servers seldom name them.
func imageError(source client.InstanceSource, err error) error {
	missing := says(err, "image") && says(err, "not found", "couldn't find", "couldn't be found")
	image := source.Alias + source.Fingerprint
	switch {
	case err == nil:
		return nil
	case missing && source.Server != "":
		return refuse("image server %s has no image %q: %v", source.Server, image, err)
	case missing:
		return refuse("LXD has no image %s: %v", image, err)
	case source.Server != "" && says(err, "x509", "certificate"):
		return fmt.Errorf("make an instance of image %q of %s, which LXD does not trust (to mend it: set the cloud's config %s to its certificate): %w", image, source.Server, keyImageCert, err)
	case source.Server != "":
		return fmt.Errorf("make an instance of image %q of %s: %w", image, source.Server, err)
	}
	return err
}

func (w wish) config(req provider.StartRequest) map[string]string {
	c := keyOf(req).tags()
	maps.Copy(c, map[string]string{
		"cloud-init.user-data": string(req.Init.Script), // what begins with #! cloud-init runs
		"boot.autostart":       "true",
		"security.nesting":     "true", // units may run containers of their own
	})
	if w.group != "" {
		c[tagGroup] = w.group
	}
	if w.kind == client.VM {
		delete(c, "security.nesting")
	}
	if w.cores > 0 {
		c["limits.cpu"] = strconv.Itoa(w.cores)
	}
	if w.memory > 0 {
		c["limits.memory"] = strconv.Itoa(w.memory) + "MiB"
	}
	return c
}

// run starts the instance, unless it is still being made or started by someone else: then that is waited for.
func (p *Provider) run(ctx context.Context, s *client.InstanceServer, name string) error {
	busy, err := p.settle(ctx, s, name)
	if err != nil || busy {
		return err
	}
	op, err := s.UpdateInstanceState(ctx, name, client.InstanceStatePut{Action: "start", Timeout: -1})
	if err != nil {
		return err
	}
	return op.WaitContext(ctx)
}

// mostSettle is how long is waited for something that LXD does with an instance. After that it is asked for what is wanted all the same:
// it says no to what cannot be.
const mostSettle = 30 * time.Second

// settle waits for what LXD is doing with the instance, and says whether there was anything that has ended. Commands and consoles in it are
// not waited for: a shell that somebody has open lasts as long as it likes, and ends with the instance.
func (p *Provider) settle(ctx context.Context, s *client.InstanceServer, name string) (bool, error) {
	ops, err := s.GetOperations(ctx)
	if err != nil {
		return false, err
	}
	waiting, cancel := context.WithTimeout(ctx, mostSettle)
	defer cancel()
	busy := false
	for _, o := range ops {
		if o.StatusCode >= 200 || o.Class == "websocket" || !about(o, name) {
			continue
		}
		p.Log.Debug("LXD is waited for", "instance", name, "operation", o.ID, "doing", o.Description)
		s.RetrieveOperation(o.ID).WaitContext(waiting) // how it ends is its starter's concern: here it is looked at again
		if waiting.Err() != nil {
			return false, ctx.Err()
		}
		busy = true
	}
	return busy, nil
}

func about(o client.OperationInfo, name string) bool {
	for _, kind := range []string{"instances", "containers", "virtual-machines"} {
		for _, path := range o.Resources[kind] {
			if lastOf(path) == name {
				return true
			}
		}
	}
	return false
}
