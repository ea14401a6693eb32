package lxd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// lastOf is the last element of one of LXD's paths, without its query.
func lastOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// fits says what this server can never give.
func (p *Provider) fits(ctx context.Context, s *client.InstanceServer, w wish) error {
	about, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(about.Environment.Architectures, w.arch) {
		return refuse("constraint arch=%s: this LXD has %s", ourArch(w.arch), strings.Join(about.Environment.Architectures, ", "))
	}
	if w.kind == client.VM && !strings.Contains(about.Environment.Driver, "qemu") {
		return refuse("constraint virt-type=%s: this LXD has containers alone; virtual machines need KVM, vhost_vsock and qemu on its host", client.VM)
	}
	if about.Environment.ServerClustered || w.cores == 0 && w.memory == 0 {
		return nil
	}
	r, err := s.GetServerResources(ctx)
	switch {
	case err != nil:
		return err
	case w.cores > r.CPU.Total:
		return refuse("constraint cores=%d: LXD's host has %d", w.cores, r.CPU.Total)
	case int64(w.memory) > r.Memory.Total>>20:
		return refuse("constraint mem=%dM: LXD's host has %dM", w.memory, r.Memory.Total>>20)
	}
	return nil
}

// image is where the image is taken from: LXD's own store, if it has it for machines of that kind, else the image server. A wish of no kind
// is for either.
func (p *Provider) image(ctx context.Context, s *client.InstanceServer, w wish) (client.InstanceSource, error) {
	name, channel, _ := strings.Cut(w.base, "@")
	channel, _, _ = strings.Cut(channel, "/")
	fill := strings.NewReplacer("{name}", name, "{channel}", channel, "{arch}", ourArch(w.arch)).Replace
	wanted := fill(w.image)
	if wanted == "" {
		wanted = fill(p.settings.image)
	}
	remote := wanted
	if wanted == "" {
		remote = fill(usualImage)
		wanted = "grigri/" + name + "@" + channel // what an administrator may have imported for us
	}
	unfit := func(kind string) bool { return w.kind != "" && kind != "" && kind != w.kind }
	other := "" // the kind of machines that our store's image of that name is for
	if alias, _, err := s.GetImageAlias(ctx, wanted); err == nil && unfit(alias.Type) {
		other = alias.Type // the image server has one of each kind by the same name
	} else if err == nil {
		return client.InstanceSource{Type: "image", Fingerprint: alias.Target}, nil
	} else if !client.IsNotFound(err) {
		return client.InstanceSource{}, err
	}
	if other == "" && isFingerprint(wanted) {
		if i, _, err := s.GetImage(ctx, wanted); err == nil && unfit(i.Type) {
			return client.InstanceSource{}, wrongKind(wanted, i.Type, w.kind)
		} else if err == nil {
			return client.InstanceSource{Type: "image", Fingerprint: i.Fingerprint}, nil
		} else if !client.IsNotFound(err) {
			return client.InstanceSource{}, err
		}
	}
	if p.settings.imageServer == "" && other != "" {
		return client.InstanceSource{}, wrongKind(wanted, other, w.kind)
	}
	if p.settings.imageServer == "" {
		return client.InstanceSource{}, refuse("LXD's store has no image %q, and no image server is given: import one, or set the cloud's config %s or %s", wanted, keyImage, keyImageServer)
	}
	return client.InstanceSource{Type: "image", Mode: "pull", Alias: remote, Server: p.settings.imageServer, Protocol: p.settings.imageProtocol, Certificate: p.settings.imageCert}, nil
}

func wrongKind(image, kind, wanted string) error {
	return refuse("image %q of LXD's store is for machines of the kind %s, and this one is a %s: name one for it with the constraint image-id", image, kind, wanted)
}

func isFingerprint(s string) bool {
	return len(s) >= 12 && strings.Trim(s, "0123456789abcdef") == ""
}

// devices is the disk and the network interface of a machine.
func (p *Provider) devices(ctx context.Context, s *client.InstanceServer, key machineKey, w wish, try int) (map[string]map[string]string, error) {
	pool, err := p.pool(ctx, s, w.pool)
	if err != nil {
		return nil, err
	}
	root := map[string]string{"type": "disk", "path": "/", "pool": pool}
	if w.disk > 0 {
		root["size"] = fmt.Sprintf("%dMiB", w.disk)
	}
	nic := map[string]string{"type": "nic", "name": "eth0"}
	if p.settings.network != "" {
		nic["network"] = p.settings.network
	} else if err := p.join(ctx, s, key, nic, try); err != nil {
		return nil, err
	}
	return map[string]map[string]string{"root": root, "eth0": nic}, nil
}

// pool is the storage pool of root disks.
func (p *Provider) pool(ctx context.Context, s *client.InstanceServer, wanted string) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	if d, _, err := s.GetProfile(ctx, "default"); err == nil && d.Devices["root"]["pool"] != "" {
		return d.Devices["root"]["pool"], nil
	} else if err != nil && !client.IsNotFound(err) {
		return "", err
	}
	pools, err := s.GetStoragePools(ctx)
	if err != nil {
		return "", err
	}
	if len(pools) != 1 {
		return "", refuse("LXD has %d storage pools: say which with the cloud's config %s, or make one with \"lxc storage create\"", len(pools), keyPool)
	}
	return pools[0].Name, nil
}

func transient(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), provider.ErrTransient)
}
