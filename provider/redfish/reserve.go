package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/provider"
)

// A reservation says whose a server is. It is a file, because few management controllers keep text of others.
type reservation struct {
	System     string `json:"system"`
	Controller string `json:"controller"`
	Model      string `json:"model"`
	Machine    string `json:"machine"` // empty: nobody's
	Started    bool   `json:"started,omitempty"`
}

// ID names whose it is.
func (r reservation) ID() [3]string { return [3]string{r.Controller, r.Model, r.Machine} }

// reserve finds the server that is the machine's already, or takes a free one that has what is asked for.
func (p *Provider) reserve(ctx context.Context, req provider.StartRequest) (r reservation, s system, err error) {
	err = p.locked(ctx, func() error {
		want := reservation{Controller: req.Controller, Model: req.Model, Machine: req.Machine}
		var free []system
		for _, candidate := range p.systems {
			have, err := p.read(candidate.name)
			if err != nil {
				return err
			}
			if have.ID() == want.ID() {
				r, s = have, candidate
				return nil
			}
			if have.Machine == "" {
				free = append(free, candidate)
			}
		}
		if req.Enrolled {
			return req.Missing()
		}
		if len(free) == 0 {
			return fmt.Errorf("all %d servers are in use: %w", len(p.systems), provider.ErrTransient)
		}
		for _, s = range free {
			now, err := p.bmc.get(ctx, s.url)
			if err != nil {
				return fmt.Errorf("ask %s what it is: %w", s.name, err)
			}
			if now.PowerState != "Off" || !now.has(req.Constraints) { // one that is on may be somebody else's
				continue
			}
			r = want
			r.System = s.name
			return p.write(r)
		}
		return fmt.Errorf("of the %d servers that are free none is off and has %q: %w", len(free), req.Constraints, provider.ErrTransient)
	})
	return r, s, err
}

// locked runs f while nobody else changes reservations.
func (p *Provider) locked(ctx context.Context, f func() error) error {
	if err := os.MkdirAll(p.dir, 0o750); err != nil {
		return err
	}
	l, err := os.OpenFile(filepath.Join(p.dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer l.Close()
	for {
		err := unix.Flock(int(l.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock the reservations: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *Provider) file(name string) string { return filepath.Join(p.dir, name+".json") }

// read is the reservation of a server; the zero value if it is nobody's.
func (p *Provider) read(name string) (reservation, error) {
	var r reservation
	data, err := os.ReadFile(p.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read whose server %s is: %w", name, err)
	}
	return r, nil
}

func (p *Provider) write(r reservation) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replace(p.file(r.System), data, 0o600)
}

func (p *Provider) free(name string) error {
	if err := os.Remove(p.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replace writes a file whole. Several may do it at once.
func replace(name string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
