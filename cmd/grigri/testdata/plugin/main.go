// Command grigri-provider-box is the plugin of the tests: its first machine is a host that is reached over ssh, as bootstrap does,
// and the others are processes on that host, which the controller there starts.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/local"
	"github.com/grigri/grigri/provider/plugin"
)

const (
	agent = "/usr/local/lib/grigri/grigri-agent"
	dir   = "/srv/box"
	claim = dir + "/host.json" // whose the host is
	hold  = dir + "/hold"      // while it is there, machines are being started
	began = dir + "/began"     // says that one is, and by which process
)

func main() { plugin.Serve(open) }

func open(s provider.Spec) (provider.Provider, error) {
	c := s.Cloud.Config
	target, err := sshhost.ParseTarget(c["target"])
	if err != nil {
		return nil, err
	}
	key, err := os.CreateTemp("", "box")
	if err == nil {
		_, err = key.WriteString(c["key"])
	}
	if err != nil {
		return nil, err
	}
	return &box{sshhost.Config{Target: target, HostKey: c["host-key"], KeyFiles: []string{key.Name()}}}, key.Close()
}

type box struct{ ssh sshhost.Config }

func (b *box) machines() (*local.Provider, error) {
	return local.Open(local.Config{Dir: dir + "/machines", Reaper: []string{agent, "supervise"}})
}

// host is the instance that is the host, and whose it is; the zero value if it is nobody's.
func (b *box) host(ctx context.Context) (h *sshhost.Host, r provider.StartRequest, err error) {
	if h, err = sshhost.Dial(ctx, b.ssh); err != nil {
		return nil, r, fmt.Errorf("%w: %w", err, provider.ErrTransient)
	}
	var out bytes.Buffer
	if err := h.Run(ctx, "cat "+claim+" 2>/dev/null || echo '{}'", &out); err != nil {
		return nil, r, errors.Join(err, h.Close())
	}
	return h, r, json.Unmarshal(out.Bytes(), &r)
}

func (b *box) instance(r provider.StartRequest) provider.Instance {
	return provider.Instance{ID: "host", Model: r.Model, Machine: r.Machine, State: provider.Running, Addresses: []string{b.ssh.Host}}
}

func (b *box) Start(ctx context.Context, req provider.StartRequest) (provider.Instance, error) {
	h, have, err := b.host(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	defer h.Close()
	if have.Controller == "" {
		req.Init = provider.Init{}
		data, err := json.Marshal(req)
		if err == nil {
			err = h.Put(ctx, claim, 0o600, bytes.NewReader(data))
		}
		return b.instance(req), err
	}
	if have.Model == req.Model && have.Machine == req.Machine {
		return b.instance(have), nil
	}
	p, err := b.machines()
	if err != nil {
		return provider.Instance{}, err
	}
	for {
		if _, err := os.Stat(hold); errors.Is(err, fs.ErrNotExist) {
			return p.Start(ctx, req)
		}
		_ = os.WriteFile(began, fmt.Appendf(nil, "%d %s\n", os.Getpid(), strings.TrimSpace(req.Machine)), 0o600)
		select {
		case <-ctx.Done():
			return provider.Instance{}, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *box) Stop(ctx context.Context, ids ...provider.InstanceID) error {
	var rest []provider.InstanceID
	for _, id := range ids {
		if id != "host" {
			rest = append(rest, id)
			continue
		}
		h, _, err := b.host(ctx)
		if err == nil {
			err = errors.Join(h.Run(ctx, "rm -f "+claim, os.Stderr), h.Close())
		}
		if err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	p, err := b.machines()
	if err != nil {
		return err
	}
	return p.Stop(ctx, rest...)
}

func (b *box) List(ctx context.Context, controller string) ([]provider.Instance, error) {
	h, have, err := b.host(ctx)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	var out []provider.Instance
	if have.Controller == controller {
		out = append(out, b.instance(have))
	}
	if _, err := os.Stat(filepath.Dir(agent)); err != nil {
		return out, nil // we are a client's
	}
	p, err := b.machines()
	if err != nil {
		return nil, err
	}
	rest, err := p.List(ctx, controller)
	return append(out, rest...), err
}

// Host makes it a provider.Hoster.
func (b *box) Host(ctx context.Context, id provider.InstanceID) (provider.Host, error) {
	if id != "host" {
		return nil, provider.ErrNotFound
	}
	return sshhost.Dial(ctx, b.ssh)
}
