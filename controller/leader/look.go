package leader

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/state"
)

// look reads what the item names, lets plan decide what becomes of it, and commits that.
func (l *Leader) look(ctx context.Context, it item) error {
	switch it.Kind {
	case state.TicketModel:
		return l.lookModel(ctx, it)
	case state.TicketApplication:
		return l.lookApplication(ctx, it)
	case state.TicketUnit:
		return l.lookUnit(ctx, it)
	case state.TicketRelation:
		return l.lookRelation(ctx, it)
	case state.TicketMachine:
		return l.lookMachine(ctx, it)
	case state.TicketStorage:
		return l.lookStorage(ctx, it)
	case itemFitting:
		return l.lookFitting(ctx, it)
	case state.TicketSecret:
		return l.lookSecret(ctx, it)
	}
	l.Log.Warn("a ticket names a kind of thing that there is not", "model", it.model, "kind", it.Kind)
	return nil
}

func (c Config) by() state.By { return state.By{User: state.LeaderUser, Now: c.Now()} }

func (l *Leader) enqueue(m state.ModelID, kind, name string) {
	l.queue[item{m, state.Ticket{Kind: kind, Name: name}}] = true
}

func (l *Leader) lookModel(ctx context.Context, it item) error {
	m := it.model
	rec, err := state.ReadIf[state.Model](ctx, l.Store, m.Path())
	if err != nil || !rec.Exists() {
		return err
	}
	l.places[m] = rec.Value.Place()
	if rec.Value.Life == state.Alive {
		l.enqueueHosts(m) // its settings may have changed
		l.enqueueAbsent(m)
		return nil
	}
	l.Tell(m, state.ModelTag, state.StatusRecord{StatusInfo: state.StatusInfo{Status: "destroying", Since: l.Now()}, Type: state.StatusOfModel})
	var lists [5][]string
	things := 0
	for i, dir := range []string{m.ApplicationsPath(), m.MachinesPath(), m.UnitsPath(), m.RelationsPath(), m.StoragesPath()} {
		if lists[i], err = state.ChildrenIf(ctx, l.Store, dir); err != nil {
			return err
		}
		things += len(lists[i])
	}
	fate := plan.ModelFate(rec.Value, things)
	if fate.Bury {
		l.dropTickets(m) // they go with the model
		err := l.steps(ctx, it, func() (state.Txn, bool, error) { return state.BuryModel(ctx, l.Store, m) })
		if err == nil {
			l.Log.Info("model is gone", "model", rec.Value.Name)
		}
		return err
	}
	how := string(state.Encode(*fate.End))
	if l.ended[it] == how {
		return nil
	}
	for _, name := range lists[0] {
		if err := l.endApplication(ctx, m, state.ApplicationName(name), *fate.End); err != nil {
			return err
		}
	}
	for _, name := range lists[1] {
		t, err := state.EndMachine(ctx, l.Store, m, state.MachineOfNode(name), *fate.End)
		if err != nil {
			return err
		}
		if err := l.write(ctx, t); err != nil {
			return err
		}
	}
	if err := l.endStorage(ctx, m, lists[4], *fate.End); err != nil {
		return err
	}
	l.ended[it] = how
	return nil
}

// endApplication begins the end of the application and of all that is its own, once for each end.
func (l *Leader) endApplication(ctx context.Context, m state.ModelID, name state.ApplicationName, end state.End) error {
	it := item{m, state.Ticket{Kind: state.TicketApplication, Name: string(name)}}
	how := string(state.Encode(end))
	if l.ended[it] == how {
		return nil
	}
	for {
		t, _, err := state.EndApplication(ctx, l.Store, m, name, end)
		if err != nil {
			return err
		}
		if len(t.Ops) == 0 {
			l.ended[it] = how
			return nil
		}
		if err := l.write(ctx, t); err != nil {
			return err
		}
	}
}

func (l *Leader) lookApplication(ctx context.Context, it item) error {
	m, name := it.model, state.ApplicationName(it.Name)
	rec, err := state.ReadIf[state.Application](ctx, l.Store, m.ApplicationPath(name))
	if err != nil || !rec.Exists() {
		delete(l.ended, it)
		return err
	}
	units, err := state.UnitsOf(ctx, l.Store, m, name)
	if err != nil {
		return err
	}
	fate := plan.ApplicationFate(name, rec.Value, len(units))
	switch {
	case fate.Bury:
		err := l.steps(ctx, it, func() (state.Txn, bool, error) {
			return state.BuryApplication(ctx, l.Store, m, l.by(), name)
		})
		if err == nil {
			delete(l.ended, it)
			l.enqueue(m, state.TicketModel, "")
			l.recheck[m] = true
			l.Log.Info("application is gone", "model", m, "application", name)
		}
		return err
	case fate.End != nil:
		return l.endApplication(ctx, m, name, *fate.End)
	}
	err = l.steps(ctx, it, func() (state.Txn, bool, error) { return state.KeepPromise(ctx, l.Store, m, l.by(), name) })
	if err != nil {
		return err
	}
	for _, u := range units {
		l.enqueue(m, state.TicketUnit, string(u))
	}
	return nil
}

func (l *Leader) lookUnit(ctx context.Context, it item) error {
	m, name := it.model, state.UnitName(it.Name)
	u, there, err := l.readUnit(ctx, m, name)
	if err != nil || !there {
		return err
	}
	fate := plan.UnitFate(u, l.Now())
	l.again(it, fate.Again)
	if u.Machine != "" {
		l.enqueue(m, itemFitting, string(u.Machine))
	}
	switch {
	case fate.Home:
		if l.homeless[m] == nil {
			l.homeless[m] = map[state.UnitName]bool{}
		}
		l.homeless[m][name] = true
	case fate.Bury:
		if fate.Why != "" {
			l.Log.Warn("unit goes and has not ended as it should", "model", m, "unit", name, "why", fate.Why)
		}
		err := l.steps(ctx, it, func() (state.Txn, bool, error) {
			return state.BuryUnit(ctx, l.Store, m, l.by(), l.Key, name, fate.Why)
		})
		if err == nil {
			l.recheck[m] = true
			l.Tell(m, name.Tag(), ended(fate.Why, l.Now()))
			l.Log.Info("unit is gone", "model", m, "unit", name)
		}
		return err
	case fate.End != nil || len(fate.EndOthers) > 0:
		end, units := u.End, fate.EndOthers
		if fate.End != nil {
			end, units = *fate.End, []state.UnitName{name}
		}
		var t state.Txn
		for _, v := range units {
			if err := state.EndUnit(ctx, l.Store, &t, m, v, end); err != nil {
				return err
			}
		}
		return l.commit(ctx, it, t)
	}
	if u.Life == state.Alive {
		if err := l.fillStorage(ctx, it, u); err != nil {
			return err
		}
	}
	for _, sub := range fate.Subordinates {
		t, err := state.AddSubordinate(ctx, l.Store, m, l.by(), l.Key, name, sub)
		if err != nil {
			return err
		}
		if err := l.write(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// readUnit reads of a unit and around it as much as its fate depends on.
func (l *Leader) readUnit(ctx context.Context, m state.ModelID, name state.UnitName) (u plan.Unit, there bool, err error) {
	rec, err := state.ReadIf[state.Unit](ctx, l.Store, m.UnitPath(name))
	if err != nil || !rec.Exists() {
		return u, false, err
	}
	u = plan.Unit{Name: name, Unit: rec.Value, Entered: map[state.RelationID]bool{}}
	if u.Application, err = state.ReadIf[state.Application](ctx, l.Store, m.ApplicationPath(name.Application())); err != nil {
		return u, false, err
	}
	if p := rec.Value.Principal; p != "" {
		if u.Principal, err = state.ReadIf[state.Unit](ctx, l.Store, m.UnitPath(p)); err != nil {
			return u, false, err
		}
	}
	if u.Machine != "" {
		if u.Host, err = l.readMachine(ctx, m, u.Machine); err != nil {
			return u, false, err
		}
	}
	if rec.Value.Life != state.Alive {
		if u.Ledger, err = state.ReadIf[state.Ledger](ctx, l.Store, m.LedgerPath(name)); err != nil {
			return u, false, err
		}
		u.Agent, err = l.exists(ctx, m.AgentPath(name))
		return u, true, err
	}
	for _, r := range u.Application.Value.Relations {
		if p := state.Scoped(r.Scope, name, rec.Value); p == name && r.Remote.Subordinate {
			if u.Entered[r.Relation], err = l.exists(ctx, m.MemberPath(r.Relation, p, name)); err != nil {
				return u, false, err
			}
		}
	}
	return u, true, nil
}

func (c Config) exists(ctx context.Context, path string) (bool, error) {
	return state.Exists(ctx, c.Store, path)
}

// readMachine is the machine, or nil if there is none.
func (c Config) readMachine(ctx context.Context, m state.ModelID, id state.MachineID) (*plan.Machine, error) {
	rec, err := state.ReadIf[state.Machine](ctx, c.Store, m.MachinePath(id))
	if err != nil || !rec.Exists() {
		return nil, err
	}
	instance, err := state.ReadIf[state.Instance](ctx, c.Store, m.InstancePath(id))
	if err != nil {
		return nil, err
	}
	enrol, err := state.ReadIf[state.Enrolment](ctx, c.Store, m.EnrolPath(id))
	if err != nil {
		return nil, err
	}
	report, err := state.ReadIf[state.MachineReport](ctx, c.Store, m.MachineReportPath(id))
	if err != nil {
		return nil, err
	}
	out := &plan.Machine{ID: id, Machine: rec.Value, Instance: instance.Value, Report: report.Value, Enrolled: enrol.Value.KeyHash != ""}
	if out.Stays() && out.Life != state.Alive {
		out.Left, err = c.exists(ctx, m.LeftPath(id))
	}
	return out, err
}

func (l *Leader) lookRelation(ctx context.Context, it item) error {
	m := it.model
	n, err := strconv.Atoi(it.Name)
	if err != nil {
		l.Log.Warn("a ticket names no relation", "model", m, "name", it.Name)
		return nil
	}
	id := state.RelationID(n)
	rec, err := state.ReadIf[state.Relation](ctx, l.Store, m.RelationPath(id))
	if err != nil || !rec.Exists() {
		return err
	}
	applications := true
	for _, ep := range rec.Value.Endpoints {
		there, err := l.exists(ctx, m.ApplicationPath(state.ApplicationName(ep.Application)))
		if err != nil {
			return err
		}
		applications = applications && there
	}
	members, principals, err := l.members(ctx, m, id, rec.Value)
	if err != nil {
		return err
	}
	fate := plan.RelationFate(rec.Value, applications, members, l.Now())
	l.again(it, fate.Again)
	if fate.Bury {
		if fate.Why != "" {
			l.Log.Warn("relation goes before all have left", "model", m, "relation", id, "why", fate.Why)
		}
		err := l.steps(ctx, it, func() (state.Txn, bool, error) {
			return state.RemoveRelationTree(ctx, l.Store, m, l.by(), id, fate.Why)
		})
		if err != nil {
			return err
		}
		l.recheck[m] = true
		return l.enqueueSubordinates(ctx, m, rec.Value)
	}
	if rec.Value.Life == state.Alive { // those that have entered may want a subordinate
		for _, p := range principals {
			l.enqueue(m, state.TicketUnit, string(p))
		}
		return nil
	}
	return l.enqueueSubordinates(ctx, m, rec.Value)
}

// enqueueSubordinates looks at the units of the subordinate side of a relation that goes: it may have been their last tie.
func (l *Leader) enqueueSubordinates(ctx context.Context, m state.ModelID, r state.Relation) error {
	for _, ep := range r.Endpoints {
		if r.Scope != ep.Scope || !ep.Subordinate {
			continue
		}
		units, err := state.UnitsOf(ctx, l.Store, m, state.ApplicationName(ep.Application))
		if err != nil {
			return err
		}
		for _, u := range units {
			l.enqueue(m, state.TicketUnit, string(u))
		}
	}
	return nil
}

// members is the units in scope of the relation, and the principals that have a directory in it.
func (l *Leader) members(ctx context.Context, m state.ModelID, id state.RelationID, r state.Relation) (units, principals []state.UnitName, err error) {
	names, err := state.ChildrenIf(ctx, l.Store, m.RelationPath(id))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		path := m.RelationPath(id) + "/" + name
		sides := []string{path}
		if !slices.ContainsFunc(r.Endpoints, func(ep endpoint) bool { return ep.Application == name }) {
			principals = append(principals, state.UnitOfNode(name))
			below, err := state.ChildrenIf(ctx, l.Store, path)
			if err != nil {
				return nil, nil, err
			}
			sides = nil
			for _, side := range below {
				sides = append(sides, path+"/"+side)
			}
		}
		for _, side := range sides {
			in, err := state.ChildrenIf(ctx, l.Store, side)
			if err != nil {
				return nil, nil, fmt.Errorf("list the members of relation %d: %w", id, err)
			}
			for _, node := range in {
				if node != state.GoneName {
					units = append(units, state.UnitOfNode(node))
				}
			}
		}
	}
	return units, principals, nil
}
