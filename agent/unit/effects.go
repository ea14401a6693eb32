package unit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// errEffects is wrapped by what makes a hook fail although its process succeeded: what it asked for cannot be had.
var errEffects = errors.New("committing requested changes failed")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errEffects, fmt.Sprintf(format, args...))
}

// addEffects adds what the hook has asked for, as far as it changes anything.
func (a *Agent) addEffects(ctx context.Context, d *draft, e hooks.Effects) error {
	for _, id := range slices.Sorted(maps.Keys(e.Settings)) {
		if err := a.addSettings(d, id, e.Settings[id]); err != nil {
			return err
		}
	}
	if err := a.addApplication(ctx, d, e.Application); err != nil {
		return err
	}
	if ports := e.OpenPorts(d.own.openPorts()); !slices.Equal(ports, d.own.openPorts()) {
		write(&d.txn, a.Model.PortsPath(a.Unit), d.own.ports != nil, ports)
		d.txn.Tell(a.Model, state.TicketUnit, string(a.Unit))
		d.own.ports = &ports
	}
	return a.addState(d, e.State)
}

// addSettings changes the unit's own settings in a relation. In one whose scope it has left, or which is no more, no one would
// hear of it.
func (a *Agent) addSettings(d *draft, id state.RelationID, delta relation.Settings) error {
	have, in := d.own.settings[id]
	now := have.Apply(delta)
	if !in || maps.Equal(now, have) {
		return nil
	}
	rel := a.view.relations[id]
	if rel == nil {
		return nil
	}
	if err := fits(now, "the settings of %s in relation %s:%d", a.Unit, rel.membership.Endpoint, id); err != nil {
		return err
	}
	if _, still := d.local.Relations[id]; still { // else they go to where those who left are, with all the rest
		d.txn.Set(a.Model.MemberPath(id, rel.principal, a.Unit), now, state.Any)
	}
	d.own.settings[id] = now
	return nil
}

func fits(value any, format string, args ...any) error {
	if n := len(state.Encode(value)); n > state.MaxValue {
		return refuse("%s would take %d bytes, and at most %d fit", fmt.Sprintf(format, args...), n, state.MaxValue)
	}
	return nil
}

// addApplication changes the application's settings in relations, which only its leader may.
func (a *Agent) addApplication(ctx context.Context, d *draft, all map[state.RelationID]relation.Settings) error {
	app := a.Unit.Application()
	fenced := false
	for _, id := range slices.Sorted(maps.Keys(all)) {
		path := a.Model.SidePath(id, app)
		rec, err := state.ReadIf[relation.Settings](ctx, a.Store, path)
		if err != nil {
			return err
		}
		now := rec.Value.Apply(all[id])
		if !rec.Exists() || maps.Equal(now, rec.Value) {
			continue
		}
		if err := fits(now, "the settings of application %s in relation %d", app, id); err != nil {
			return err
		}
		if !fenced {
			if err := a.checkLead(ctx); err != nil {
				return refuse("cannot write relation settings: %v", err)
			}
			a.lead.fence.Check(&d.txn)
			fenced = true
		}
		d.txn.Set(path, now, rec.Version)
	}
	return nil
}

// checkLead asks the tree whether the unit leads still.
func (a *Agent) checkLead(ctx context.Context) error {
	if !a.lead.holds() {
		return hooks.ErrNotLeader
	}
	n, err := a.Store.Get(ctx, a.lead.fence.Path)
	if errors.Is(err, state.ErrNotFound) || err == nil && n.Version != a.lead.fence.Version {
		return hooks.ErrNotLeader
	}
	return err
}

func (a *Agent) addState(d *draft, delta map[string]*string) error {
	now := maps.Clone(d.own.state)
	if now == nil {
		now = map[string]string{}
	}
	for k, v := range delta {
		if v == nil {
			delete(now, k)
		} else {
			now[k] = *v
		}
	}
	if maps.Equal(now, d.own.state) {
		return nil
	}
	if err := fits(now, "the state of %s", a.Unit); err != nil {
		return err
	}
	write(&d.txn, a.Model.StatePath(a.Unit), d.own.state != nil, now)
	d.own.state = now
	return nil
}

// addScope enters or leaves the scope of a relation, where o does.
func (a *Agent) addScope(ctx context.Context, d *draft, o *outcome) error {
	if op, ok := o.op.(resolve.Enter); ok {
		return a.addEntry(ctx, d, op.Relation)
	}
	id, exits := resolve.Exits(o.op)
	if !exits || o.failed != nil {
		return nil
	}
	settings, in := d.own.settings[id]
	delete(d.own.settings, id)
	rel := a.view.relations[id]
	if !in || rel == nil { // it has been removed without waiting for us
		return nil
	}
	gone := a.Model.GonePath(id, rel.principal, a.Unit)
	was, err := state.ReadIf[relation.Settings](ctx, a.Store, gone)
	if err != nil {
		return err
	}
	d.txn.Delete(a.Model.MemberPath(id, rel.principal, a.Unit), state.Any)
	write(&d.txn, gone, was.Exists(), settings)
	d.txn.Tell(a.Model, state.TicketRelation, id.String())
	return nil
}

// addEntry puts the unit's settings into the relation: whoever is there sees it join.
func (a *Agent) addEntry(ctx context.Context, d *draft, id state.RelationID) error {
	rel := a.view.relations[id]
	if rel == nil {
		return refuse("relation %d is no more", id)
	}
	dir := a.Model.MembersPath(id, a.Unit.Application(), rel.principal)
	if rel.principal != "" {
		for _, p := range []string{a.Model.RelationPath(id) + "/" + rel.principal.Node(), dir, dir + "/" + state.GoneName} {
			n, err := state.ReadIf[any](ctx, a.Store, p)
			if err != nil {
				return err
			}
			if !n.Exists() {
				d.txn.Create(p, nil)
			}
		}
	}
	address := a.World().Network.address()
	if d.own.address != nil {
		address = *d.own.address // as in all relations, until config-changed has heard of another
	}
	settings := relation.Settings{}.Apply(rel.addressKeys(address))
	path := a.Model.MemberPath(id, rel.principal, a.Unit)
	was, err := state.ReadIf[relation.Settings](ctx, a.Store, path)
	if err != nil {
		return err
	}
	write(&d.txn, path, was.Exists(), settings)
	d.own.settings[id] = settings
	if rel.principal == a.Unit { // a subordinate is to be made
		d.txn.Tell(a.Model, state.TicketUnit, string(a.Unit))
	}
	return nil
}

// addAddress tells how the unit is reached, with its first commit and whenever config-changed has heard of a change, or is left
// behind. Then the settings in all relations follow, but for what the charm has put in the addresses' place.
func (a *Agent) addAddress(d *draft, o *outcome) {
	now := a.World().Network.address()
	was := d.own.address
	if was != nil && (!o.heeds(hooks.ConfigChanged) || reflect.DeepEqual(*was, now)) {
		return
	}
	write(&d.txn, a.Model.AddressPath(a.Unit), was != nil, now)
	d.own.address = &now
	if was == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(d.own.settings)) {
		rel := a.view.relations[id]
		if _, in := d.local.Relations[id]; !in || rel == nil {
			continue
		}
		delta, before := relation.Settings{}, rel.addressKeys(*was)
		for k, v := range rel.addressKeys(now) {
			if d.own.settings[id][k] == before[k] {
				delta[k] = v
			}
		}
		if settings := d.own.settings[id].Apply(delta); !maps.Equal(settings, d.own.settings[id]) {
			d.own.settings[id] = settings
			set(&d.txn, a.Model.MemberPath(id, rel.principal, a.Unit), settings)
		}
	}
}

// set sets the node at path, in the place of another set of it in t.
func set(t *state.Txn, path string, value any) {
	t.Ops = slices.DeleteFunc(t.Ops, func(op state.Op) bool { return op.Kind == state.OpSet && op.Path == path })
	t.Set(path, value, state.Any)
}
