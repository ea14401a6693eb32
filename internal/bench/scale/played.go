package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
)

// A played is what a unit's agent does on a machine that is played: nothing. Its steps and hooks are counted.
type played struct {
	*host
	wake    chan struct{}
	steps   atomic.Int64
	hooks   atomic.Int64
	started atomic.Bool // the hook start has run
	note    *unit.Pending
	have    charm.Charm
}

// Unpack implements unit.Doer.
func (p *played) Unpack(context.Context, unit.API, charm.ID) error { p.have = p.charm; return nil }

// Charm implements unit.Doer.
func (p *played) Charm() (charm.Charm, error) { return p.have, nil }

// Resource implements unit.Doer.
func (*played) Resource(context.Context, unit.API, state.UnitName, unit.WantedFile) (string, error) {
	return "", errors.ErrUnsupported
}

// Run implements unit.Doer.
func (p *played) Run(_ context.Context, r unit.Request) (run.Result, hooks.Effects, error) {
	p.hooks.Add(1)
	if r.Hook.Kind == hooks.Start {
		p.started.Store(true)
	}
	return run.Result{Outcome: run.Done, Handler: "played"}, hooks.Effects{}, nil
}

// Save implements unit.Doer, and Load, Mount, Unmount, Placed and Location do as well.
func (p *played) Save(note *unit.Pending) error                      { p.note = note; return nil }
func (p *played) Load() (*unit.Pending, error)                       { return p.note, nil }
func (*played) Mount(context.Context, state.Attachment) error        { return nil }
func (*played) Unmount(context.Context, state.StorageID, bool) error { return nil }
func (*played) Placed() ([]state.StorageID, error)                   { return nil, nil }
func (*played) Location(s state.Attachment) string                   { return "/srv/" + string(s.ID) }
