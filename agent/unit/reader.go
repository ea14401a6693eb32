package unit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// A reader answers one hook. What the unit has heard is answered by its ledger, what others have set by the tree when
// the hook first asks.
type reader struct {
	a    *Agent
	hook hooks.Hook
}

var _ hooks.Reader = (*reader)(nil)

func (r *reader) Config(context.Context) (map[string]any, error) {
	return r.a.charm.Options.Effective(r.a.view.app.Value.Config), nil
}

func (r *reader) Relations(context.Context) ([]hooks.Relation, error) {
	var out []hooks.Relation
	l := r.a.local
	for _, id := range slices.Sorted(maps.Keys(l.Relations)) {
		mine := l.Relations[id]
		out = append(out, hooks.Relation{ID: id, Endpoint: mine.Endpoint, Peer: mine.Peer, RemoteApp: mine.Remote,
			Broken: !mine.Peer && len(mine.Units) == 0 && r.leaving(id)})
	}
	return out, nil
}

// leaving says whether the relation is being removed.
func (r *reader) leaving(id state.RelationID) bool {
	rel := r.a.view.relations[id]
	return rel == nil || rel.membership.Life != state.Alive || r.hook.Kind == hooks.RelationBroken && r.hook.Relation == id
}

func (r *reader) Members(_ context.Context, id state.RelationID) ([]state.UnitName, error) {
	mine, ok := r.a.local.Relations[id]
	if !ok {
		return nil, hooks.ErrNoRelation
	}
	return slices.Sorted(maps.Keys(mine.Units)), nil
}

func (r *reader) Settings(ctx context.Context, id state.RelationID, u state.UnitName) (relation.Settings, error) {
	if _, ok := r.a.local.Relations[id]; !ok {
		return nil, hooks.ErrNoRelation
	}
	if u == r.a.Unit {
		return maps.Clone(r.a.own.settings[id]), nil
	}
	rel := r.a.view.relations[id]
	if rel == nil {
		return nil, fmt.Errorf("settings of %s: relation %d is no more: %w", u, id, hooks.ErrDenied)
	}
	dir := r.a.Model.MembersPath(id, u.Application(), rel.principal)
	for _, p := range []string{dir + "/" + u.Node(), dir + "/" + state.GoneName + "/" + u.Node()} {
		rec, err := state.Read[relation.Settings](ctx, r.a.Store, p)
		if err == nil || !errors.Is(err, state.ErrNotFound) {
			return rec.Value, err
		}
	}
	return nil, fmt.Errorf("%s has never been in relation %d: %w", u, id, hooks.ErrDenied)
}

func (r *reader) ApplicationSettings(ctx context.Context, id state.RelationID, app state.ApplicationName) (relation.Settings, error) {
	if _, ok := r.a.local.Relations[id]; !ok {
		return nil, hooks.ErrNoRelation
	}
	rec, err := state.ReadIf[relation.Settings](ctx, r.a.Store, r.a.Model.SidePath(id, app))
	return rec.Value, err
}

func (r *reader) Leader(context.Context) (bool, error) { return r.a.lead.holds(), nil }

func (r *reader) LeaderSettings(ctx context.Context) (relation.Settings, error) {
	rec, err := state.ReadIf[relation.Settings](ctx, r.a.Store, r.a.Model.LeaderPath(r.a.Unit.Application()))
	return rec.Value, err
}

func (r *reader) State(context.Context) (map[string]string, error) {
	return maps.Clone(r.a.own.state), nil
}

func (r *reader) Ports(context.Context) ([]state.OpenPort, error) { return r.a.own.openPorts(), nil }

func (r *reader) Address(context.Context) (state.UnitAddress, error) {
	return r.a.World().Network.address(), nil
}

func (r *reader) Network(_ context.Context, binding string, id state.RelationID) (hooks.Network, error) {
	m := r.a.charm.Meta
	_, endpoint := m.Endpoints[binding]
	if !endpoint && binding != charm.JujuInfo().Name && !slices.Contains(m.ExtraBindings, binding) {
		return hooks.Network{}, fmt.Errorf("%w %q", hooks.ErrNoBinding, binding)
	}
	n := r.a.World().Network
	egress := n.Egress
	if rel := r.a.view.relations[id]; rel != nil {
		egress = rel.egress(egress)
	}
	return hooks.Network{Interfaces: n.Interfaces, Ingress: []string{n.Private}, Egress: egress}, nil
}

func (r *reader) Status(ctx context.Context) (state.StatusInfo, error) {
	var s state.StatusInfo
	err := r.a.inTurn(ctx, func() error {
		if r.a.own.status != nil {
			s = r.a.own.status.Workload
		}
		return nil
	})
	return s, err
}

func (r *reader) ApplicationStatus(ctx context.Context) (hooks.ApplicationStatus, error) {
	if !r.a.lead.holds() {
		return hooks.ApplicationStatus{}, hooks.ErrNotLeader
	}
	return r.a.API.ApplicationStatus(ctx, r.a.Unit)
}

func (r *reader) GoalState(ctx context.Context) (hooks.GoalState, error) {
	return r.a.API.GoalState(ctx, r.a.Unit)
}

// A writer does at once what a hook asks for at once.
type writer struct {
	a    *Agent
	hook hooks.Hook
	op   resolve.Op // that the hook belongs to
}

var _ hooks.Writer = (*writer)(nil)

// SetStatus also tells what runs: who reads that the unit is active and idle may rely on it.
func (w *writer) SetStatus(ctx context.Context, info state.StatusInfo) error {
	now, action := w.a.Now(), w.a.action(w.op)
	return w.a.setStatus(ctx, func(s state.UnitStatus) state.UnitStatus {
		s = statusFor(&s, w.a.local, w.op, action, now)
		s.Workload, s.Said = change(s.Workload, info, now), true
		return s
	})
}

func (w *writer) SetVersion(ctx context.Context, version string) error {
	return w.a.setStatus(ctx, func(s state.UnitStatus) state.UnitStatus {
		s.Version = version
		return s
	})
}

func (w *writer) SetApplicationStatus(ctx context.Context, info state.StatusInfo) error {
	now := w.a.Now()
	var set state.StatusInfo
	err := fenced(ctx, w.a, w.a.Model.ApplicationStatusPath(w.a.Unit.Application()), func(was state.StatusInfo) state.StatusInfo {
		set = change(was, info, now)
		return set
	})
	if err == nil && w.a.Statuses != nil {
		w.a.Statuses(agentapi.Status{Entity: w.a.Unit.Application().Tag(), StatusRecord: state.StatusRecord{StatusInfo: set, Type: state.StatusOfApplication}})
	}
	return err
}

func (w *writer) SetLeader(ctx context.Context, delta relation.Settings) error {
	return fenced(ctx, w.a, w.a.Model.LeaderPath(w.a.Unit.Application()), func(was relation.Settings) relation.Settings {
		return was.Apply(delta)
	})
}

// fenced edits a node that only the application's leader writes. Nothing is written when nothing changes.
func fenced[T any](ctx context.Context, a *Agent, path string, edit func(T) T) error {
	return state.Edit(ctx, a.Store, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		var t state.Txn
		if err := a.checkLead(ctx); err != nil {
			return t, err
		}
		rec, err := state.ReadIf[T](ctx, r, path)
		if err != nil {
			return t, err
		}
		now := edit(rec.Value)
		if rec.Exists() && string(state.Encode(now)) == string(state.Encode(rec.Value)) {
			return t, nil
		}
		if n := len(state.Encode(now)); n > state.MaxValue {
			return t, fmt.Errorf("it would take %d bytes, and at most %d fit", n, state.MaxValue)
		}
		a.lead.fence.Check(&t)
		state.Put(&t, path, rec, now)
		return t, nil
	})
}

func (w *writer) Log(_ context.Context, level, message string) error {
	w.a.Lines(Line{Time: w.a.Now(), Entity: w.a.Unit.Tag(), Level: level, Module: "unit." + string(w.a.Unit) + ".juju-log", Message: message})
	return nil
}

func (w *writer) LogAction(ctx context.Context, message string) error {
	return w.a.logTask(ctx, w.hook.Task, message)
}
