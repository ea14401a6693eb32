// Package view reads what a status is made of from the tree, many nodes at a time.
package view

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// width is how many reads are under way at a time: they share one connection, so that each waits for the others' bytes but
// not for their round trips.
const width = 64

// Read reads the model. What disappears while it reads is left out. It wraps state.ErrNotFound when there is no such model.
func Read(ctx context.Context, r state.Reader, m state.ModelID) (status.Snapshot, error) {
	s := status.Snapshot{
		Applications: map[state.ApplicationName]status.ApplicationRecord{},
		Units:        map[state.UnitName]status.UnitRecord{},
		Machines:     map[state.MachineID]status.MachineRecord{},
		Relations:    map[state.RelationID]status.RelationRecord{},
		Charms:       map[charm.ID]state.Charm{},
		Storage:      map[state.StorageID]status.StorageRecord{},
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(width)
	v := &reading{r: r, m: m, group: g, into: &s}
	err := v.head(ctx)
	if err == nil {
		err = v.list(ctx)
	}
	if err = errors.Join(err, g.Wait()); err != nil {
		return s, fmt.Errorf("read model %s: %w", m, err)
	}
	return s, nil
}

// A reading fills a snapshot.
type reading struct {
	r     state.Reader
	m     state.ModelID
	group *errgroup.Group
	mu    sync.Mutex // guards into
	into  *status.Snapshot
}

// head reads what is the model's own, and not of one of its things.
func (v *reading) head(ctx context.Context) error {
	model, err := state.Read[state.Model](ctx, v.r, v.m.Path())
	if err != nil {
		return err
	}
	config, err := state.ReadIf[state.ModelConfig](ctx, v.r, v.m.ConfigPath())
	if err != nil {
		return err
	}
	controller, err := state.ReadIf[state.Controller](ctx, v.r, state.ControllersPath)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.into.Model, v.into.Config, v.into.Controller = model.Value, config.Value, controller.Value
	return nil
}

// list starts a read for each thing of the model.
func (v *reading) list(ctx context.Context) error {
	for _, dir := range v.dirs() {
		names, err := state.ChildrenIf(ctx, v.r, dir.path)
		if err != nil {
			return err
		}
		for _, name := range names {
			v.group.Go(func() error { return dir.read(ctx, name) })
		}
	}
	return nil
}

// get is the value at path; nil when there is no node.
func get[T any](ctx context.Context, r state.Reader, path string) (*T, error) {
	rec, err := state.ReadIf[T](ctx, r, path)
	if err != nil || !rec.Exists() {
		return nil, err
	}
	return &rec.Value, nil
}

// into reads the value at path into *to, unless *err is set already.
func into[T any](ctx context.Context, r state.Reader, path string, to **T, err *error) {
	if *err == nil {
		*to, *err = get[T](ctx, r, path)
	}
}

func (v *reading) unit(ctx context.Context, node string) error {
	name := state.UnitOfNode(node)
	rec, err := ReadUnit(ctx, v.r, v.m, name)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err == nil {
		v.mu.Lock()
		v.into.Units[name] = rec
		v.mu.Unlock()
	}
	return err
}

// ReadUnit reads what the tree says of a unit. It wraps state.ErrNotFound.
func ReadUnit(ctx context.Context, r state.Reader, m state.ModelID, name state.UnitName) (status.UnitRecord, error) {
	unit, err := state.Read[state.Unit](ctx, r, m.UnitPath(name))
	if err != nil {
		return status.UnitRecord{}, err
	}
	u := status.UnitRecord{Unit: unit.Value}
	var ports *[]state.OpenPort
	into(ctx, r, m.StatusPath(name), &u.Status, &err)
	into(ctx, r, m.LedgerPath(name), &u.Ledger, &err)
	into(ctx, r, m.AgentPath(name), &u.Agent, &err)
	into(ctx, r, m.AddressPath(name), &u.Address, &err)
	into(ctx, r, m.PortsPath(name), &ports, &err)
	if ports != nil {
		u.Ports = *ports
	}
	return u, err
}

func (v *reading) machine(ctx context.Context, node string) error {
	id := state.MachineOfNode(node)
	machine, err := get[state.Machine](ctx, v.r, v.m.MachinePath(id))
	if err != nil || machine == nil {
		return err
	}
	m := status.MachineRecord{Machine: *machine}
	into(ctx, v.r, v.m.InstancePath(id), &m.Instance, &err)
	into(ctx, v.r, v.m.MachineReportPath(id), &m.Report, &err)
	into(ctx, v.r, v.m.MachineAgentPath(id), &m.Agent, &err)
	into(ctx, v.r, v.m.FittingPath(id), &m.Fitting, &err)
	v.mu.Lock()
	v.into.Machines[id] = m
	v.mu.Unlock()
	return err
}

func (v *reading) application(ctx context.Context, node string) error {
	name := state.ApplicationName(node)
	app, err := get[state.Application](ctx, v.r, v.m.ApplicationPath(name))
	if err != nil || app == nil {
		return err
	}
	a := status.ApplicationRecord{Application: *app}
	var exposed *state.Exposed
	var ch *state.Charm
	into(ctx, v.r, v.m.ExposedPath(name), &exposed, &err)
	into(ctx, v.r, v.m.ApplicationStatusPath(name), &a.Status, &err)
	into(ctx, v.r, v.m.CharmPath(a.Charm.String()), &ch, &err)
	if err == nil {
		a.Leader, err = Leader(ctx, v.r, v.m, name)
	}
	a.Exposed = exposed != nil && exposed.Exposed
	if a.Status != nil && (a.Status.Status == "" || a.Status.Status == "unset") {
		a.Status = nil
	}
	v.mu.Lock()
	v.into.Applications[name] = a
	if ch != nil {
		v.into.Charms[a.Charm] = *ch
	}
	v.mu.Unlock()
	return err
}

// Leader is the unit that leads the application; empty while none does.
func Leader(ctx context.Context, r state.Reader, m state.ModelID, name state.ApplicationName) (state.UnitName, error) {
	chosen, err := coord.Leader(ctx, r, m.ElectionPath(name))
	if err != nil || chosen == "" {
		return "", err
	}
	return state.UnitOfNode(chosen), nil
}

func (v *reading) relation(ctx context.Context, node string) error {
	id := state.RelationIDOf(node)
	rel, err := get[state.Relation](ctx, v.r, v.m.RelationPath(id))
	if err != nil || rel == nil {
		return err
	}
	rec := status.RelationRecord{Relation: *rel}
	sides, err := state.ChildrenIf(ctx, v.r, v.m.RelationPath(id))
	for i := 0; i < len(sides) && err == nil; i++ {
		err = v.members(ctx, v.m.RelationPath(id)+"/"+sides[i], sides[i], &rec)
	}
	v.mu.Lock()
	v.into.Relations[id] = rec
	v.mu.Unlock()
	return err
}

// members adds the units below one child of a relation: a side, or in container scope a principal unit with its sides below.
func (v *reading) members(ctx context.Context, path, name string, rec *status.RelationRecord) error {
	names, err := state.ChildrenIf(ctx, v.r, path)
	if err != nil {
		return err
	}
	for _, n := range names {
		switch {
		case n == state.GoneName:
		case v.isSide(name, *rec):
			rec.Members = append(rec.Members, state.UnitOfNode(n))
		default:
			if err := v.members(ctx, path+"/"+n, n, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *reading) storage(ctx context.Context, node string) error {
	id := state.StorageOfNode(node)
	stored, err := get[state.Storage](ctx, v.r, v.m.StoragePath(id))
	if err != nil || stored == nil {
		return err
	}
	rec := status.StorageRecord{Storage: *stored}
	if stored.Persistent {
		into(ctx, v.r, v.m.VolumePath(id), &rec.Volume, &err)
	}
	v.mu.Lock()
	v.into.Storage[id] = rec
	v.mu.Unlock()
	return err
}

func (v *reading) isSide(name string, rec status.RelationRecord) bool {
	for _, e := range rec.Endpoints {
		if e.Application == name {
			return true
		}
	}
	return false
}
