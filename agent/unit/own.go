package unit

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// own is the nodes that this agent alone writes, as they are in the tree. What is nil is not there. It is a value: who
// changes it makes a copy, and puts that in its place when the change is committed.
type own struct {
	status   *state.UnitStatus
	unsure   bool // status may not be what is in the tree: a write of it has failed, or only its reply
	address  *state.UnitAddress
	ports    *[]state.OpenPort
	state    map[string]string
	tracked  map[state.SecretID]state.Tracked
	settings map[state.RelationID]relation.Settings // of the relations whose scope the unit is in
}

func (o own) clone() own {
	o.settings = maps.Clone(o.settings)
	return o
}

// openPorts is a copy of the unit's open ports.
func (o own) openPorts() []state.OpenPort {
	if o.ports == nil {
		return nil
	}
	return slices.Clone(*o.ports)
}

// readOwn reads all of it. The unit's node may be gone; then so is the rest.
func (a *Agent) readOwn(ctx context.Context) (own, error) {
	m := a.Model
	o := own{settings: map[state.RelationID]relation.Settings{}}
	var err error
	if o.status, err = read[state.UnitStatus](ctx, a.Store, m.StatusPath(a.Unit)); err != nil {
		return o, err
	}
	if o.address, err = read[state.UnitAddress](ctx, a.Store, m.AddressPath(a.Unit)); err != nil {
		return o, err
	}
	if o.ports, err = read[[]state.OpenPort](ctx, a.Store, m.PortsPath(a.Unit)); err != nil {
		return o, err
	}
	kv, err := read[map[string]string](ctx, a.Store, m.StatePath(a.Unit))
	if err != nil {
		return o, err
	}
	if kv != nil {
		if o.state = *kv; o.state == nil {
			o.state = map[string]string{}
		}
	}
	tracked, err := read[map[state.SecretID]state.Tracked](ctx, a.Store, m.TrackedPath(a.Unit))
	if err != nil {
		return o, err
	}
	if tracked != nil {
		o.tracked = *tracked
	}
	if len(a.local.Relations) == 0 {
		return o, nil
	}
	unit, err := state.ReadIf[state.Unit](ctx, a.Store, m.UnitPath(a.Unit))
	if err != nil {
		return o, err
	}
	app, err := state.ReadIf[state.Application](ctx, a.Store, m.ApplicationPath(a.Unit.Application()))
	if err != nil {
		return o, err
	}
	a.view.unit, a.view.app = unit, app
	for _, mem := range app.Value.Relations {
		if _, in := a.local.Relations[mem.Relation]; !in {
			continue
		}
		if err := a.Store.Prove(ctx, state.Credential{Principal: m.RelationPrincipal(mem.Relation), Secret: mem.Secret}); err != nil {
			return o, err
		}
		s, err := read[relation.Settings](ctx, a.Store, m.MemberPath(mem.Relation, a.principal(mem), a.Unit))
		if err != nil {
			return o, err
		}
		if s != nil {
			o.settings[mem.Relation] = *s
		}
	}
	return o, nil
}

func read[T any](ctx context.Context, r state.Reader, path string) (*T, error) {
	rec, err := state.ReadIf[T](ctx, r, path)
	if err != nil || !rec.Exists() {
		return nil, err
	}
	return &rec.Value, nil
}

// sureStatus reads the status again if it may be another one.
func (a *Agent) sureStatus(ctx context.Context, o *own) error {
	if !o.unsure {
		return nil
	}
	s, err := read[state.UnitStatus](ctx, a.Store, a.Model.StatusPath(a.Unit))
	if err == nil {
		o.status, o.unsure = s, false
	}
	return err
}

// write sets a node of the unit's own, or creates it. The ledger's version in the same transaction is its fence.
func write(t *state.Txn, path string, exists bool, value any) {
	if exists {
		t.Set(path, value, state.Any)
	} else {
		t.Create(path, value)
	}
}

// addressKeys is what everyone in the relation finds in the settings of a unit with this address from the start.
func (rel *related) addressKeys(a state.UnitAddress) relation.Settings {
	return relation.Settings{"ingress-address": a.Private, "private-address": a.Private, "egress-subnets": strings.Join(rel.egress(a.Egress), ",")}
}

// egress is where traffic of the relation comes from: from the networks that it was made with, else as all that the unit sends.
func (rel *related) egress(own []string) []string {
	if len(rel.membership.Egress) > 0 {
		return rel.membership.Egress
	}
	return own
}

// address is how the unit is reached.
func (n Network) address() state.UnitAddress {
	return state.UnitAddress{Public: n.Public, Private: n.Private, Egress: n.Egress}
}
