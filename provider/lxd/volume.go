package lxd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// Volumes are custom storage volumes of LXD's, with file systems: in an instance each is a directory below this one.
const volumeDir = "/var/lib/grigri-volumes"

// Storage implements provider.Storer. Containers mount memory like other machines. Loop devices are in virtual machines, and in containers
// that a profile gives them to: the agent of another one says that there are none.
func (p *Provider) Storage() provider.Storage { return provider.Storage{Volumes: "lxd"} }

// CreateVolume implements provider.Volumer. The attribute lxd-pool is a storage pool.
func (p *Provider) CreateVolume(ctx context.Context, req provider.VolumeRequest) (provider.Volume, error) {
	v, err := p.createVolume(ctx, req)
	if err != nil {
		return v, fmt.Errorf("create volume %s of model %s in LXD: %w", req.Volume, req.Model, classify(err))
	}
	return v, nil
}

func (p *Provider) createVolume(ctx context.Context, req provider.VolumeRequest) (provider.Volume, error) {
	if req.Block {
		return provider.Volume{}, refuse("LXD's volumes are file systems, and not block devices: use another pool, such as loop on a machine with virt-type=virtual-machine")
	}
	s, err := p.server(ctx)
	if err != nil {
		return provider.Volume{}, err
	}
	pool := req.Attributes["lxd-pool"]
	if pool == "" {
		if pool, err = p.pool(ctx, s, p.settings.pool); err != nil {
			return provider.Volume{}, err
		}
	}
	about, err := p.describe(ctx)
	if err != nil {
		return provider.Volume{}, err
	}
	target := ""
	if about.Environment.ServerClustered {
		target = req.Zone
	}
	name := "grigri-" + short(req.Controller, req.Model) + "-" + req.Volume
	config := map[string]string{tagController: req.Controller, tagModel: req.Model, tagVolume: req.Volume, "size": fmt.Sprintf("%dMiB", req.SizeMiB)}
	var last error
	for try := range tries {
		have, _, err := s.GetStoragePoolVolume(ctx, pool, name)
		switch {
		case err == nil && (have.Config[tagController] != req.Controller || have.Config[tagVolume] != req.Volume):
			return provider.Volume{}, fmt.Errorf("there is a volume %s in LXD that is not this one: rename or delete it", name)
		case err == nil:
			return volumeOf(pool, *have), nil
		case client.IsNotFound(err):
			err = s.CreateStoragePoolVolume(ctx, pool, client.StorageVolume{Name: name, ContentType: "filesystem", Config: config,
				Description: fmt.Sprintf("storage %s of model %s", req.Volume, req.Model)}, target)
		}
		if err != nil && !unknown(err) && !raced(err) {
			return provider.Volume{}, err
		}
		if err != nil {
			last = err
			if err := pause(ctx, try); err != nil {
				return provider.Volume{}, fmt.Errorf("%w: %w", err, last)
			}
		}
	}
	return provider.Volume{}, fmt.Errorf("%w: %w", last, provider.ErrTransient)
}

func volumeOf(pool string, v client.StorageVolume) provider.Volume {
	out := provider.Volume{ID: provider.VolumeID(pool + "/" + v.Name), Model: v.Config[tagModel], Volume: v.Config[tagVolume], SizeMiB: mebibytes(v.Config["size"])}
	for _, user := range v.UsedBy {
		if strings.HasPrefix(user, "/1.0/instances/") {
			out.Instance = provider.InstanceID(lastOf(user))
			out.Dir = dirOf(v.Name)
		}
	}
	return out
}

func dirOf(name string) string { return volumeDir + "/" + name }

// volume finds one of ours.
func (p *Provider) volume(ctx context.Context, id provider.VolumeID) (pool string, v *client.StorageVolume, err error) {
	s, err := p.server(ctx)
	if err != nil {
		return "", nil, err
	}
	pool, name, ok := strings.Cut(string(id), "/")
	if !ok {
		return "", nil, provider.ErrNotFound
	}
	v, _, err = s.GetStoragePoolVolume(ctx, pool, name)
	if client.IsNotFound(err) || err == nil && v.Config[tagVolume] == "" {
		err = provider.ErrNotFound
	}
	return pool, v, err
}

// AttachVolume implements provider.Volumer.
func (p *Provider) AttachVolume(ctx context.Context, id provider.VolumeID, in provider.InstanceID) (provider.Volume, error) {
	fail := func(err error) (provider.Volume, error) {
		return provider.Volume{}, fmt.Errorf("attach volume %s to instance %s: %w", id, in, classify(err))
	}
	pool, v, err := p.volume(ctx, id)
	if err != nil {
		return fail(err)
	}
	out := volumeOf(pool, *v)
	if out.Instance != "" && out.Instance != in {
		return fail(transient("instance %s has it", out.Instance))
	}
	device := map[string]string{"type": "disk", "pool": pool, "source": v.Name, "path": dirOf(v.Name)}
	if err := p.changeDevices(ctx, in, func(d map[string]map[string]string) { d[v.Name] = device }); err != nil {
		return fail(err)
	}
	out.Instance, out.Dir = in, dirOf(v.Name)
	return out, nil
}

// DetachVolume implements provider.Volumer.
func (p *Provider) DetachVolume(ctx context.Context, id provider.VolumeID, in provider.InstanceID) error {
	_, name, _ := strings.Cut(string(id), "/")
	err := p.changeDevices(ctx, in, func(d map[string]map[string]string) {
		if d[name]["source"] == name {
			delete(d, name)
		}
	})
	if err != nil && !errors.Is(err, provider.ErrNotFound) {
		return fmt.Errorf("detach volume %s from instance %s: %w", id, in, classify(err))
	}
	return nil
}

// changeDevices changes the devices of an instance, again when others have changed it meanwhile.
func (p *Provider) changeDevices(ctx context.Context, id provider.InstanceID, change func(map[string]map[string]string)) error {
	var last error
	for try := range tries {
		s, _, err := p.find(ctx, id)
		if err != nil {
			return err
		}
		i, etag, err := s.GetInstance(ctx, string(id))
		if err != nil {
			return err
		}
		put := i.Writable()
		put.Devices = maps.Clone(put.Devices)
		if put.Devices == nil {
			put.Devices = map[string]map[string]string{}
		}
		change(put.Devices)
		if maps.EqualFunc(put.Devices, i.Devices, maps.Equal[map[string]string, map[string]string]) {
			return nil
		}
		op, err := s.UpdateInstance(ctx, i.Name, put, etag)
		if err == nil {
			err = op.WaitContext(ctx)
		}
		if err == nil || !unknown(err) && !raced(err) {
			return err
		}
		last = err
		if err := pause(ctx, try); err != nil {
			return fmt.Errorf("%w: %w", err, last)
		}
	}
	return fmt.Errorf("%w: %w", last, provider.ErrTransient)
}

// DeleteVolume implements provider.Volumer.
func (p *Provider) DeleteVolume(ctx context.Context, ids ...provider.VolumeID) error {
	var errs []error
	for _, id := range ids {
		pool, v, err := p.volume(ctx, id)
		if errors.Is(err, provider.ErrNotFound) {
			continue
		}
		if err == nil {
			if in := volumeOf(pool, *v).Instance; in != "" {
				err = fmt.Errorf("instance %s has it: detach it first", in)
			} else if err = p.client.DeleteStoragePoolVolume(ctx, pool, v.Name); client.IsNotFound(err) {
				err = nil
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("delete volume %s: %w", id, classify(err)))
		}
	}
	return errors.Join(errs...)
}

// ListVolumes implements provider.Volumer.
func (p *Provider) ListVolumes(ctx context.Context, controller string) ([]provider.Volume, error) {
	fail := func(err error) ([]provider.Volume, error) {
		return nil, fmt.Errorf("list the volumes in LXD: %w", classify(err))
	}
	s, err := p.server(ctx)
	if err != nil {
		return fail(err)
	}
	pools, err := s.GetStoragePools(ctx)
	if err != nil {
		return fail(err)
	}
	var out []provider.Volume
	for _, pool := range pools {
		all, err := s.GetStoragePoolVolumes(ctx, pool.Name)
		if err != nil {
			return fail(err)
		}
		for _, v := range all {
			if v.Type == "custom" && v.Config[tagController] == controller && v.Config[tagVolume] != "" {
				out = append(out, volumeOf(pool.Name, v))
			}
		}
	}
	return out, nil
}
