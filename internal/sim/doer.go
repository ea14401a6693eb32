package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// A disk is what a unit has on its machine: it outlives the agent.
type disk struct {
	charm  charm.Charm
	note   *unit.Pending
	placed map[state.StorageID]bool
}

// A doer plays what a unit's agent does on its machine. Its hooks count: each that succeeds adds one to a number in the
// unit's state and to one in its settings of some relations, so that what happens twice or never shows.
type doer struct {
	s    *Sim
	h    *host
	link *link // of the process; a doer is dead with it
	disk *disk
	unit state.UnitName
}

// Unpack implements unit.Doer.
func (d *doer) Unpack(_ context.Context, _ unit.API, id charm.ID) error {
	if err := d.link.alive(); err != nil {
		return err
	}
	c, ok := d.s.charms[id.SHA256]
	if !ok {
		return fmt.Errorf("no charm %s", id)
	}
	if d.s.accident(20) {
		d.link.die("while it unpacks")
		return errDied
	}
	if d.s.accident(20) {
		return errors.New("the archive cannot be fetched")
	}
	d.disk.charm = c
	return nil
}

// Resource implements unit.Doer.
func (d *doer) Resource(context.Context, unit.API, state.UnitName, unit.WantedFile) (string, error) {
	return "", hooks.ErrNoResource
}

// Charm implements unit.Doer.
func (d *doer) Charm() (charm.Charm, error) { return d.disk.charm, d.link.alive() }

// Load implements unit.Doer.
func (d *doer) Load() (*unit.Pending, error) { return d.disk.note, d.link.alive() }

// Save implements unit.Doer.
func (d *doer) Save(p *unit.Pending) error {
	if err := d.link.alive(); err != nil {
		return err
	}
	if d.s.accident(120) {
		d.link.die("before it notes what runs")
		return errDied
	}
	if was := d.disk.note; was != nil && p != nil && !was.Ended && !p.Ended && was.From == p.From && was.Hook.Kind != hooks.Command {
		d.s.fail("%s: %s runs, and %s was cut by a crash and is forgotten", d.unit, hookName(p.Hook), hookName(was.Hook))
	}
	d.disk.note = nil
	if p != nil {
		note := *p
		d.disk.note = &note
	}
	d.s.check.noted(d.unit, p)
	if d.s.accident(60) {
		d.link.die("when it has noted what runs")
		return errDied
	}
	return nil
}

// Mount implements unit.Doer.
func (d *doer) Mount(_ context.Context, a state.Attachment) error {
	if err := d.link.alive(); err != nil {
		return err
	}
	if d.s.accident(10) {
		return errors.New("the device has not appeared yet")
	}
	if d.disk.placed == nil {
		d.disk.placed = map[state.StorageID]bool{}
	}
	d.disk.placed[a.ID] = true
	return nil
}

// Unmount implements unit.Doer.
func (d *doer) Unmount(_ context.Context, id state.StorageID, force bool) error {
	if err := d.link.alive(); err != nil {
		return err
	}
	if l := read[state.Ledger](d.s, model.LedgerPath(d.unit)).Value; l.Storage[id].Attached && !force && l.Phase != state.Unpacked {
		d.s.fail("%s: %s leaves its place, and the charm does not know", d.unit, id)
	}
	if !force && d.s.accident(10) {
		return errors.New("it is in use")
	}
	delete(d.disk.placed, id)
	return nil
}

// Placed implements unit.Doer.
func (d *doer) Placed() ([]state.StorageID, error) {
	return slices.Sorted(maps.Keys(d.disk.placed)), d.link.alive()
}

// Location implements unit.Doer.
func (d *doer) Location(a state.Attachment) string { return "/srv/" + string(a.ID) }

// Run implements unit.Doer.
func (d *doer) Run(ctx context.Context, r unit.Request) (run.Result, hooks.Effects, error) {
	s, failed := d.s, run.Result{Outcome: run.Failed, Code: 1, Reason: "exit status 1"}
	s.count("hooks")
	switch {
	case r.Hook.Storage != "":
		s.count("storage hooks")
	case r.Hook.Secret != "":
		s.count("secret hooks")
	}
	s.check.begins(d.unit, r)
	if r.Hook.Kind == hooks.Action || r.Hook.Kind == hooks.Command {
		return d.called(ctx, r)
	}
	e, err := d.effects(ctx, r)
	if d.link.alive() != nil {
		return run.Result{}, hooks.Effects{}, errDied
	}
	switch {
	case err != nil:
		return run.Result{Outcome: run.Failed, Code: 1, Reason: err.Error()}, e, nil
	case s.accident(40):
		d.link.die("in the middle of a hook")
		return run.Result{}, hooks.Effects{}, errDied
	case s.accident(40):
		s.log("%s: %s is ended with the agent", d.unit, hookName(r.Hook))
		s.count("stops")
		d.h.units[d.unit].stop()
		return run.Result{Outcome: run.Terminated, Code: -1, Reason: "signal: terminated"}, e, nil
	case s.accident(80):
		s.log("%s: %s is cut", d.unit, hookName(r.Hook))
		s.count("cut hooks")
		return run.Result{Outcome: run.Rebooting}, hooks.Effects{}, nil
	case s.accident(10) || s.check.hopeless[d.unit]:
		s.log("%s: %s fails", d.unit, hookName(r.Hook))
		s.count("failed hooks")
		return failed, e, nil
	}
	return run.Result{Outcome: run.Done, Handler: "played"}, e, nil
}

func hookName(h hooks.Hook) string {
	switch h.Kind {
	case hooks.Action:
		return fmt.Sprintf("task %d", h.Task)
	case hooks.Command:
		return fmt.Sprintf("command %v", h.ActionInput["command"])
	}
	return h.Name()
}

// effects is what a hook reads, does at once, and asks for.
func (d *doer) effects(ctx context.Context, r unit.Request) (hooks.Effects, error) {
	s := d.s
	var e hooks.Effects
	rels, err := r.Reader.Relations(ctx)
	if err != nil {
		return e, err
	}
	for _, rel := range rels {
		if err := s.check.reads(ctx, d.unit, r, rel); err != nil {
			return e, err
		}
		s.meanwhile()
	}
	have, err := r.Reader.State(ctx)
	if err != nil {
		return e, err
	}
	n, id := next(have["n"]), s.id("run")
	e.State = map[string]*string{"n": &n, "run": &id}
	leads, err := r.Reader.Leader(ctx)
	if err != nil {
		return e, err
	}
	e.Settings, e.Application = map[state.RelationID]relation.Settings{}, map[state.RelationID]relation.Settings{}
	talk := 3
	if r.Hook.Kind == hooks.RelationChanged { // or they would go on answering each other for ever
		talk = 40
	}
	for _, rel := range rels {
		if s.chance(talk) {
			own, err := r.Reader.Settings(ctx, rel.ID, d.unit)
			if err != nil {
				return e, err
			}
			e.Settings[rel.ID] = relation.Settings{"n": next(own["n"]), "run": id}
		}
		if leads && s.chance(talk) {
			e.Application[rel.ID] = relation.Settings{"run": id}
		}
	}
	if err := d.belongings(ctx, r, &e, rels, leads, id, talk); err != nil {
		return e, err
	}
	port := state.OpenPort{PortRange: provider.PortRange{Protocol: "tcp", From: 80 + s.rng.IntN(3)}}
	port.To = port.From
	e.Ports = []hooks.PortChange{{Port: port, Close: s.chance(2)}}
	if leads && s.chance(talk) {
		if err := r.Writer.SetLeader(ctx, relation.Settings{"run": id}); err != nil && !errors.Is(err, hooks.ErrNotLeader) {
			return e, err
		}
	}
	if s.chance(3) {
		if err := r.Writer.SetStatus(ctx, state.StatusInfo{Status: "active", Message: id}); err != nil {
			return e, err
		}
	}
	return e, nil
}

// next is the number after n.
func next(n string) string {
	i, _ := strconv.Atoi(n)
	return strconv.Itoa(i + 1)
}
