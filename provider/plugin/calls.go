package plugin

import (
	"context"
	"errors"
	"io"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/wire"
)

var (
	_ provider.Provider   = (*remote)(nil)
	_ provider.Firewaller = (*remote)(nil)
	_ provider.Profiler   = (*remote)(nil)
	_ provider.Sheller    = sheller{}
	_ provider.Checker    = (*remote)(nil)
	_ provider.Volumer    = volumer{}
	_ provider.Hoster     = hoster{}
)

// call makes one call of the plugin that runs.
func (r *remote) call(ctx context.Context, f func(wire.ProviderClient) error) error {
	rpc, err := r.running(ctx)
	if err != nil {
		return err
	}
	return fromWire(ctx, f(rpc))
}

func document[T any](ctx context.Context, r *remote, f func(wire.ProviderClient) (*wire.Document, error)) (T, error) {
	var doc *wire.Document
	err := r.call(ctx, func(c wire.ProviderClient) (err error) { doc, err = f(c); return err })
	if err != nil {
		var none T
		return none, err
	}
	return decode[T](doc.Json)
}

// A receiver is a stream of documents.
type receiver interface {
	Recv() (*wire.Document, error)
}

func documents[T any](ctx context.Context, r *remote, f func(wire.ProviderClient) (receiver, error)) ([]T, error) {
	var out []T
	err := r.call(ctx, func(c wire.ProviderClient) error {
		s, err := f(c)
		if err != nil {
			return err
		}
		for {
			doc, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			v, err := decode[T](doc.Json)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
	})
	if err != nil {
		return nil, err // of what is missing nothing must be concluded
	}
	return out, nil
}

func (r *remote) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	data, err := encode(req)
	if err != nil {
		return provider.Instance{}, err
	}
	return document[provider.Instance](ctx, r, func(c wire.ProviderClient) (*wire.Document, error) {
		return c.Start(ctx, &wire.Document{Json: data})
	})
}

func (r *remote) Stop(ctx context.Context, ids ...provider.InstanceID) error {
	return r.call(ctx, func(c wire.ProviderClient) error { _, err := c.Stop(ctx, names(ids...)); return err })
}

func (r *remote) List(ctx context.Context, controller string) ([]provider.Instance, error) {
	return documents[provider.Instance](ctx, r, func(c wire.ProviderClient) (receiver, error) { return c.List(ctx, names(controller)) })
}

func (r *remote) SetPorts(ctx context.Context, id provider.InstanceID, want []provider.Rule) error {
	data, err := encode(want)
	if err != nil || !r.can[firewallerAbility] {
		return err
	}
	return r.call(ctx, func(c wire.ProviderClient) error {
		_, err := c.SetPorts(ctx, &wire.Change{Instance: string(id), Json: data})
		return err
	})
}

func (r *remote) SetProfiles(ctx context.Context, id provider.InstanceID, want map[string]provider.Profile) error {
	data, err := encode(want)
	if err != nil || !r.can[profilerAbility] {
		return err
	}
	return r.call(ctx, func(c wire.ProviderClient) error {
		_, err := c.SetProfiles(ctx, &wire.Change{Instance: string(id), Json: data})
		return err
	})
}

// withAbilities is the provider with exactly those abilities that callers look for.
func (r *remote) withAbilities() provider.Provider {
	h, v, s := hoster{r}, volumer{r}, sheller{r}
	switch [3]bool{r.can[hosterAbility], r.can[volumerAbility], r.can[shellerAbility]} {
	case [3]bool{true, true, true}:
		return struct {
			*remote
			hoster
			volumer
			sheller
		}{r, h, v, s}
	case [3]bool{true, true, false}:
		return struct {
			*remote
			hoster
			volumer
		}{r, h, v}
	case [3]bool{true, false, true}:
		return struct {
			*remote
			hoster
			sheller
		}{r, h, s}
	case [3]bool{true, false, false}:
		return struct {
			*remote
			hoster
		}{r, h}
	case [3]bool{false, true, true}:
		return struct {
			*remote
			volumer
			sheller
		}{r, v, s}
	case [3]bool{false, true, false}:
		return struct {
			*remote
			volumer
		}{r, v}
	case [3]bool{false, false, true}:
		return struct {
			*remote
			sheller
		}{r, s}
	}
	return r
}

// A sheller is the shells of a remote.
type sheller struct{ r *remote }

func (s sheller) Shell(ctx context.Context, id provider.InstanceID) (provider.Shell, error) {
	return document[provider.Shell](ctx, s.r, func(c wire.ProviderClient) (*wire.Document, error) { return c.Shell(ctx, names(id)) })
}

func (r *remote) Check(ctx context.Context) ([]provider.Problem, error) {
	if !r.can[checkerAbility] {
		return nil, nil
	}
	return document[[]provider.Problem](ctx, r, func(c wire.ProviderClient) (*wire.Document, error) { return c.Check(ctx, &wire.Nothing{}) })
}

// A volumer is the volumes of a remote.
type volumer struct{ r *remote }

func (v volumer) CreateVolume(ctx context.Context, req provider.VolumeRequest) (provider.Volume, error) {
	data, err := encode(req)
	if err != nil {
		return provider.Volume{}, err
	}
	return document[provider.Volume](ctx, v.r, func(c wire.ProviderClient) (*wire.Document, error) {
		return c.CreateVolume(ctx, &wire.Document{Json: data})
	})
}

func (v volumer) AttachVolume(ctx context.Context, id provider.VolumeID, to provider.InstanceID) (provider.Volume, error) {
	return document[provider.Volume](ctx, v.r, func(c wire.ProviderClient) (*wire.Document, error) {
		return c.AttachVolume(ctx, names(string(id), string(to)))
	})
}

func (v volumer) DetachVolume(ctx context.Context, id provider.VolumeID, from provider.InstanceID) error {
	return v.r.call(ctx, func(c wire.ProviderClient) error {
		_, err := c.DetachVolume(ctx, names(string(id), string(from)))
		return err
	})
}

func (v volumer) DeleteVolume(ctx context.Context, ids ...provider.VolumeID) error {
	return v.r.call(ctx, func(c wire.ProviderClient) error { _, err := c.DeleteVolume(ctx, names(ids...)); return err })
}

func (v volumer) ListVolumes(ctx context.Context, controller string) ([]provider.Volume, error) {
	return documents[provider.Volume](ctx, v.r, func(c wire.ProviderClient) (receiver, error) { return c.ListVolumes(ctx, names(controller)) })
}

func names[T ~string](list ...T) *wire.Names {
	out := &wire.Names{}
	for _, s := range list {
		out.Names = append(out.Names, string(s))
	}
	return out
}
