package lxd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// List implements provider.Provider.
func (p *Provider) List(ctx context.Context, controller string) ([]provider.Instance, error) {
	return p.list(ctx, func(k machineKey) bool { return k.controller == controller })
}

// ListOf returns the instances that were started for the model, of whichever controller: it may have changed hands.
func (p *Provider) ListOf(ctx context.Context, model string) ([]provider.Instance, error) {
	return p.list(ctx, func(k machineKey) bool { return k.model == model })
}

// list returns the machines that are wanted.
func (p *Provider) list(ctx context.Context, wanted func(machineKey) bool) ([]provider.Instance, error) {
	fail := func(err error) ([]provider.Instance, error) {
		return nil, fmt.Errorf("list the instances in LXD: %w", classify(err))
	}
	s, err := p.server(ctx)
	if err != nil {
		return fail(err)
	}
	all, err := s.GetInstancesFull(ctx)
	if err != nil {
		return fail(err)
	}
	all, unknown := p.complete(all)
	var out []provider.Instance
	for _, i := range all {
		if !ours(i.Instance) || !wanted(machineOf(i.Config)) {
			continue
		}
		in := p.instance(i)
		if i.Status == silent {
			in.Message = noAnswer(i.Location)
		}
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b provider.Instance) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if len(unknown) > 0 {
		return out, fmt.Errorf("list the instances in LXD: %w", &provider.PartialError{Silent: unknown})
	}
	return out, nil
}

func (p *Provider) instance(i client.InstanceFull) provider.Instance {
	key := machineOf(i.Config)
	in := provider.Instance{ID: provider.InstanceID(i.Name), Model: key.model, Machine: key.machine, State: stateOf(i.Instance), Message: message(i.Instance)}
	in.Addresses = addresses(i)
	in.Hardware = provider.Hardware{Arch: ourArch(i.Architecture), VirtType: cmp.Or(i.Type, client.Container), DiskMiB: mebibytes(i.ExpandedDevices["root"]["size"]),
		MemoryMiB: mebibytes(i.ExpandedConfig["limits.memory"])}
	in.Hardware.Cores, _ = strconv.Atoi(i.ExpandedConfig["limits.cpu"])
	if i.Type == client.VM { // what LXD gives one for which nothing is said; a container has all that there is
		in.Hardware.Cores, in.Hardware.MemoryMiB = cmp.Or(in.Hardware.Cores, 1), cmp.Or(in.Hardware.MemoryMiB, 1024)
	}
	if i.Location != "" && i.Location != "none" {
		in.Hardware.Zone = i.Location
	}
	return in
}

func stateOf(i client.Instance) provider.State {
	switch i.StatusCode {
	case client.Running, client.Ready, client.Freezing, client.Frozen: // it was paused on purpose
		return provider.Running
	case client.Starting, client.Aborting:
		return provider.Pending
	case client.Stopped:
		if i.Config["volatile.last_state.power"] == "" { // it has never run: it is being made
			return provider.Pending
		}
	}
	return provider.Stopped
}

func message(i client.Instance) string {
	if i.StatusCode == client.Running || i.StatusCode == client.Ready {
		return ""
	}
	return i.Status
}

// addresses is those that others reach the instance by, of IPv4 first. While it does not run it is the one that it will have.
// Those of networks inside it, such as that of containers in it, are nobody else's concern.
func addresses(i client.InstanceFull) []string {
	var out []string
	if i.State != nil {
		for _, name := range []string{"eth0", "enp5s0"} {
			for _, a := range i.State.Network[name].Addresses {
				if ip, err := netip.ParseAddr(a.Address); err == nil && a.Scope == "global" {
					out = append(out, ip.String())
				}
			}
		}
	}
	if len(out) == 0 && i.Devices["eth0"][keyAddress] != "" && i.StatusCode != client.Running {
		out = append(out, i.Devices["eth0"][keyAddress])
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(strings.Count(a, ":"), strings.Count(b, ":")) })
	return out
}

// mebibytes reads one of LXD's sizes; what it does not understand is not known.
func mebibytes(text string) int {
	for unit, factor := range map[string]float64{"KiB": 1. / 1024, "MiB": 1, "GiB": 1024, "TiB": 1 << 20, "kB": 1e3 / (1 << 20), "MB": 1e6 / (1 << 20), "GB": 1e9 / (1 << 20), "TB": 1e12 / (1 << 20)} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.ParseFloat(number, 64); err == nil {
				return int(n * factor)
			}
		}
	}
	return 0
}

// stopsAtOnce is how many instances are stopped at the same time.
const stopsAtOnce = 8

// Stop implements provider.Provider.
func (p *Provider) Stop(ctx context.Context, ids ...provider.InstanceID) error {
	var g errgroup.Group
	g.SetLimit(stopsAtOnce)
	errs := make([]error, len(ids))
	for n, id := range ids {
		g.Go(func() error { // one that does not stop keeps no other from it
			if err := p.stop(ctx, id); err != nil {
				errs[n] = fmt.Errorf("stop instance %s: %w", id, classify(err))
			}
			return nil
		})
	}
	g.Wait()
	return errors.Join(errs...)
}

func (p *Provider) stop(ctx context.Context, id provider.InstanceID) error {
	controller := ""
	var last error
	for try := range tries {
		s, i, err := p.find(ctx, id)
		if errors.Is(err, provider.ErrNotFound) {
			return p.tidy(ctx, string(id), controller)
		}
		if err == nil {
			controller = i.Config[tagController]
			err = p.end(ctx, s, i)
		}
		if err != nil && !unknown(err) && !raced(err) && !says(err, "is running") {
			return err
		}
		last = err
		if err != nil {
			if err := pause(ctx, try); err != nil {
				return fmt.Errorf("%w: %w", err, last)
			}
		}
	}
	return fmt.Errorf("%w: %w", last, provider.ErrTransient)
}

// end does what is next to be done for an instance to go.
func (p *Provider) end(ctx context.Context, s *client.InstanceServer, i *client.Instance) error {
	if busy, err := p.settle(ctx, s, i.Name); err != nil || busy {
		return err
	}
	if err := p.closed(ctx, s, i); err != nil {
		return err
	}
	if i.StatusCode != client.Stopped && i.StatusCode != client.Error {
		op, err := s.UpdateInstanceState(ctx, i.Name, client.InstanceStatePut{Action: "stop", Timeout: -1, Force: true})
		if err == nil {
			err = op.WaitContext(ctx)
		}
		if err != nil && !says(err, "already stopped") {
			return err
		}
	}
	op, err := s.DeleteInstance(ctx, i.Name)
	if err == nil {
		err = op.WaitContext(ctx)
	}
	return err
}

// tidy removes what an instance that has gone leaves: its profiles, and if it was the last of its controller, the bridge.
func (p *Provider) tidy(ctx context.Context, name, controller string) error {
	if !strings.HasPrefix(name, "grigri-") {
		return nil
	}
	if err := p.deleteProfiles(ctx, p.client, name, nil); err != nil || controller == "" {
		return err
	}
	return p.leave(ctx, p.client, controller)
}
