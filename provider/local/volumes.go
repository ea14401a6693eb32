package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
)

// A volume is a directory beside the machines: the file volume.json, and the directory in which its content is.
type volume struct {
	Controller string `json:"controller"`
	provider.Volume
}

const (
	volumesDir  = "volumes"
	volumeFile  = "volume.json"
	contentsDir = "data"
)

// Storage implements provider.Storer.
func (p *Provider) Storage() provider.Storage {
	return provider.Storage{Volumes: "local", Shared: true}
}

func (p *Provider) volumeDir(id provider.VolumeID, elem ...string) string {
	return filepath.Join(append([]string{p.Dir, volumesDir, string(id)}, elem...)...)
}

// readVolume wraps provider.ErrNotFound when there is no such volume.
func (p *Provider) readVolume(id provider.VolumeID) (volume, error) {
	var v volume
	if !validID(string(id)) {
		return v, fmt.Errorf("volume %s: %w", id, provider.ErrNotFound)
	}
	data, err := os.ReadFile(p.volumeDir(id, volumeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return v, fmt.Errorf("volume %s: %w", id, provider.ErrNotFound)
	}
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		return v, fmt.Errorf("read volume %s: %w", id, err)
	}
	return v, nil
}

func (p *Provider) writeVolume(v volume) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(p.volumeDir(v.ID, volumeFile), data, 0o600)
}

// CreateVolume implements provider.Volumer. This host gives directories, whose size nobody limits, and no devices.
func (p *Provider) CreateVolume(ctx context.Context, req provider.VolumeRequest) (provider.Volume, error) {
	id := provider.VolumeID(instanceID(req.Controller, req.Model, req.Volume))
	switch {
	case req.Block:
		return provider.Volume{}, fmt.Errorf("make volume %s: this host has no block devices to give: %w", req.Volume, provider.ErrRefused)
	case req.Controller == "" || req.Model == "" || !validID(string(id)):
		return provider.Volume{}, fmt.Errorf("make volume %q: the request names no controller, model or volume: %w", req.Volume, provider.ErrRefused)
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return provider.Volume{}, err
	}
	defer unlock()
	v, err := p.readVolume(id)
	if err == nil || !errors.Is(err, provider.ErrNotFound) {
		return v.Volume, err
	}
	if err := os.MkdirAll(p.volumeDir(id, contentsDir), 0o755); err != nil {
		return provider.Volume{}, fmt.Errorf("make volume %s: %w", id, err)
	}
	v = volume{req.Controller, provider.Volume{ID: id, Model: req.Model, Volume: req.Volume, SizeMiB: req.SizeMiB}}
	if err := p.writeVolume(v); err != nil { // last: without that file there is no volume
		return provider.Volume{}, fmt.Errorf("make volume %s: %w", id, err)
	}
	return v.Volume, nil
}

// AttachVolume implements provider.Volumer.
func (p *Provider) AttachVolume(ctx context.Context, id provider.VolumeID, in provider.InstanceID) (provider.Volume, error) {
	unlock, err := p.lock(ctx)
	if err != nil {
		return provider.Volume{}, err
	}
	defer unlock()
	v, err := p.readVolume(id)
	if err != nil {
		return provider.Volume{}, fmt.Errorf("attach to instance %s: %w", in, err)
	}
	if v.Instance != "" && v.Instance != in {
		return provider.Volume{}, fmt.Errorf("attach volume %s to instance %s: instance %s has it: %w", id, in, v.Instance, provider.ErrTransient)
	}
	if _, err := p.read(string(in)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = provider.ErrNotFound
		}
		return provider.Volume{}, fmt.Errorf("attach volume %s to instance %s: %w", id, in, err)
	}
	v.Instance, v.Dir = in, p.volumeDir(id, contentsDir)
	return v.Volume, p.writeVolume(v)
}

// DetachVolume implements provider.Volumer.
func (p *Provider) DetachVolume(ctx context.Context, id provider.VolumeID, in provider.InstanceID) error {
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	v, err := p.readVolume(id)
	if errors.Is(err, provider.ErrNotFound) || err == nil && v.Instance != in {
		return nil
	}
	if err != nil {
		return err
	}
	v.Instance, v.Dir = "", ""
	return p.writeVolume(v)
}

// DeleteVolume implements provider.Volumer.
func (p *Provider) DeleteVolume(ctx context.Context, ids ...provider.VolumeID) error {
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var errs []error
	for _, id := range ids {
		v, err := p.readVolume(id)
		switch {
		case errors.Is(err, provider.ErrNotFound):
			continue
		case err == nil && v.Instance != "":
			err = fmt.Errorf("delete volume %s: instance %s has it: %w", id, v.Instance, provider.ErrTransient)
		case err == nil:
			if err = os.Remove(p.volumeDir(id, volumeFile)); err == nil { // first: then there is no volume
				err = os.RemoveAll(p.volumeDir(id))
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ListVolumes implements provider.Volumer.
func (p *Provider) ListVolumes(ctx context.Context, controller string) ([]provider.Volume, error) {
	unlock, err := p.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	names, err := os.ReadDir(filepath.Join(p.Dir, volumesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the volumes of this host: %w", err)
	}
	var out []provider.Volume
	for _, n := range names {
		v, err := p.readVolume(provider.VolumeID(n.Name()))
		if errors.Is(err, provider.ErrNotFound) {
			continue // half made, or half removed
		}
		if err != nil {
			return nil, fmt.Errorf("list the volumes of this host: %w", err)
		}
		if v.Controller == controller {
			out = append(out, v.Volume)
		}
	}
	slices.SortFunc(out, func(a, b provider.Volume) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out, nil
}
