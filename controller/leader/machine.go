package leader

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A sight is a listing of a provider.
type sight struct {
	instances []provider.Instance
	silent    map[provider.InstanceID]string // those of which only that they are there could be said, and why
	at        time.Time                      // not before this
	err       error
}

func (l *Leader) lookMachine(ctx context.Context, it item) error {
	m, id := it.model, state.MachineID(it.Name)
	if l.working[it] {
		return nil // it is looked at again when the provider has answered
	}
	machine, err := l.readMachine(ctx, m, id)
	if err != nil {
		return err
	}
	l.remember(it, machine)
	if machine == nil {
		return nil
	}
	l.tellInstance(m, machine)
	if machine.Life != state.Alive {
		for _, u := range machine.Units {
			l.enqueue(m, state.TicketUnit, string(u))
		}
	}
	if machine.Life != state.Alive || machine.Instance.State == provider.Gone {
		for _, c := range machine.Containers {
			l.enqueue(m, state.TicketMachine, string(c))
		}
	}
	if id.IsContainer() {
		return l.lookContainer(ctx, it, machine)
	}
	model, err := state.ReadIf[state.Model](ctx, l.Store, m.Path())
	if err != nil {
		return err
	}
	if !model.Exists() {
		return nil
	}
	place := model.Value.Place()
	l.places[m] = place
	l.enqueue(m, itemFitting, it.Name)
	l.serveStorage(it, machine)
	seen := l.sightOf(place, it, machine.Instance.Instance)
	if err := l.attend(ctx, it, machine, seen); err != nil {
		return err
	}
	switch a := plan.Provision(*machine, seen, l.Now()).(type) {
	case plan.Wait:
		l.again(it, a.Until)
	case plan.Look:
		l.lookers[it] = true
		l.list()
	case plan.Start:
		l.job(Job{Kind: JobStart, Place: place, item: it})
	case plan.Restart:
		l.Log.Warn("an instance has stopped and is started again", "model", m, "machine", id, "instance", machine.Instance.ID, "try", a.Try)
		l.job(Job{Kind: JobStart, Place: place, item: it, try: a.Try})
	case plan.Stop:
		l.job(Job{Kind: JobStop, Place: place, item: it, Instances: a.Instances, Late: a.Late})
	case plan.Release:
		t, err := state.ReleaseMachine(ctx, l.Store, m, id)
		if err != nil {
			return err
		}
		l.again(it, machine.Deadline)
		return l.commit(ctx, it, t)
	case plan.Bury:
		return l.buryMachine(ctx, it)
	case plan.Adopt:
		t, err := state.SetInstance(ctx, l.Store, m, id, a.Instance, l.Now())
		if err != nil {
			return err
		}
		machine.Instance.Instance, machine.Instance.Since = a.Instance, l.Now()
		l.serveStorage(it, machine)
		l.remember(it, machine)
		l.queue[it] = a.Instance.State == provider.Stopped || l.queue[it]
		if err := l.commit(ctx, it, t); err != nil {
			return err
		}
		l.tellInstance(m, machine)
		return nil
	case plan.Lose:
		l.Log.Warn("the instance of a machine is gone", "model", m, "machine", id, "instance", machine.Instance.ID)
		t, err := state.LoseInstance(ctx, l.Store, m, id, l.Now())
		if err != nil {
			return err
		}
		l.queue[it] = true
		return l.commit(ctx, it, t)
	}
	return nil
}

func (l *Leader) buryMachine(ctx context.Context, it item) error {
	id := state.MachineID(it.Name)
	err := l.steps(ctx, it, func() (state.Txn, bool, error) { return state.BuryMachine(ctx, l.Store, it.model, l.by(), id) })
	if err == nil {
		l.remember(it, nil)
		l.tellMachine(it.model, id, "stopped", "the machine is removed")
		l.enqueue(it.model, state.TicketModel, "")
		l.Log.Info("machine is gone", "model", it.model, "machine", id)
	}
	return err
}

// remember keeps in mind whether the machine is free, and whether its instance is still to run.
func (l *Leader) remember(it item, m *plan.Machine) {
	id := state.MachineID(it.Name)
	delete(l.pending, it)
	if m == nil {
		delete(l.served, it)
		l.unattend(it)
	}
	delete(l.free[it.model], id)
	l.rememberHost(it, m)
	if m == nil || m.Life != state.Alive {
		return
	}
	if len(m.Units) == 0 && !id.IsContainer() {
		l.setFree(it.model, id)
	}
	if !id.IsContainer() && m.Instance.ID != "" && (m.Instance.State == provider.Pending || m.Instance.State == provider.Running && len(m.Instance.Addresses) == 0) {
		l.pending[it] = true
	}
}

func (l *Leader) setFree(m state.ModelID, id state.MachineID) {
	if l.free[m] == nil {
		l.free[m] = map[state.MachineID]bool{}
	}
	l.free[m][id] = true
}

// sightOf is what is known of the machine from a listing of just now. Of an instance that is there, and of which nothing else could be
// said, it is what was known before.
func (l *Leader) sightOf(place state.Place, it item, known provider.Instance) plan.Sight {
	s := l.sights[place]
	switch {
	case s == nil:
		return plan.Sight{}
	case s.err != nil:
		return plan.Sight{Failed: true}
	}
	out := plan.Sight{Asked: true, At: s.at}
	for _, in := range s.instances {
		if in.Model == string(it.model) && in.Machine == it.Name && in.State != provider.Gone {
			out.Instances = append(out.Instances, in)
		}
	}
	if why, ok := s.silent[known.ID]; ok && known.State != provider.Gone {
		known.Message = why
		out.Instances = append(out.Instances, known)
	}
	return out
}

// list has every place listed that has models or is to be audited, and is not being listed.
func (l *Leader) list() {
	places := slices.Concat(slices.Collect(maps.Values(l.places)), slices.Collect(maps.Keys(l.auditing)))
	slices.SortFunc(places, func(a, b state.Place) int { return strings.Compare(a.String(), b.String()) })
	for _, place := range slices.Compact(places) {
		if !l.listing[place] {
			l.listing[place] = true
			l.jobs = append(l.jobs, Job{Kind: JobList, Place: place, audit: l.auditing[place]})
			delete(l.auditing, place)
		}
	}
}

func (l *Leader) job(j Job) {
	l.working[j.item] = true
	l.jobs = append(l.jobs, j)
}

// Take hears what has become of a job.
func (l *Leader) Take(r Result) {
	j := r.job
	if errors.Is(r.err, ErrDeposed) {
		l.deposed = true
	}
	switch {
	case j.Kind == JobReap:
		return // what is left is found at the next audit
	case j.Kind != JobList:
		delete(l.working, j.item)
		if r.err != nil {
			l.again(j.item, r.retry)
			return
		}
		l.queue[j.item] = true
		l.enqueue(j.item.model, state.TicketModel, "")
		return
	}
	delete(l.listing, j.Place)
	if l.auditing[j.Place] {
		l.list()
	}
	l.sights[j.Place] = &sight{r.instances, r.silent, r.at, r.err}
	for it := range l.lookers {
		l.queue[it] = true
	}
	clear(l.lookers)
	for it := range l.pending {
		l.queue[it] = true
	}
	if missing := (*state.NotFoundError)(nil); errors.As(r.err, &missing) && l.former[j.Place] {
		delete(l.former, j.Place) // with its cloud or its credential went the last who could have asked
		return
	}
	if r.err != nil {
		l.Log.Warn("cannot list instances, will try again", "cloud", j.Place.Cloud, "err", r.err)
		return
	}
	if len(r.silent) > 0 {
		l.Log.Warn("not all instances can be listed", "cloud", j.Place.Cloud, "err", &provider.PartialError{Silent: r.silent})
	}
	for it := range r.machines {
		l.queue[it] = true
	}
	for _, batch := range orphans(r) {
		l.jobs = append(l.jobs, batch)
	}
}

// orphans is a job for each instance that belongs to no machine.
func orphans(r Result) []Job {
	tree := map[state.ModelID]map[state.MachineID]bool{}
	for it := range r.machines {
		if tree[it.model] == nil {
			tree[it.model] = map[state.MachineID]bool{}
		}
		tree[it.model][state.MachineID(it.Name)] = true
	}
	for _, m := range r.models {
		if tree[m] == nil {
			tree[m] = map[state.MachineID]bool{}
		}
	}
	var out []Job
	for _, in := range plan.Orphans(r.instances, tree) {
		out = append(out, Job{Kind: JobReap, Place: r.job.Place, Instances: []provider.InstanceID{in.ID},
			orphan: item{state.ModelID(in.Model), state.Ticket{Kind: state.TicketMachine, Name: in.Machine}}})
	}
	return out
}

// place finds homes for units and moves them in.
func (l *Leader) place(ctx context.Context, m state.ModelID, names map[state.UnitName]bool) error {
	model, err := state.ReadIf[modelConstraints](ctx, l.Store, m.ConstraintsPath())
	if err != nil {
		return err
	}
	info, err := state.ReadIf[state.Model](ctx, l.Store, m.Path())
	if err != nil {
		return err
	}
	var units []plan.Homeless
	wanted := map[state.MachineID]bool{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		rec, err := state.ReadIf[state.Unit](ctx, l.Store, m.UnitPath(name))
		if err != nil {
			return err
		}
		if !rec.Exists() || rec.Value.Machine != "" || rec.Value.Life != state.Alive {
			l.enqueue(m, state.TicketUnit, string(name))
			continue
		}
		app, err := state.ReadIf[state.Application](ctx, l.Store, m.ApplicationPath(name.Application()))
		if err != nil {
			return err
		}
		units = append(units, plan.Homeless{Name: name, Placement: rec.Value.Placement, Base: app.Value.Base,
			Constraints: app.Value.Constraints, Created: rec.Value.Created})
		if p, err := state.ParsePlacement(rec.Value.Placement); err == nil && p.Machine != "" {
			wanted[p.Machine] = true
		}
	}
	for id := range l.free[m] {
		wanted[id] = true
	}
	var machines []plan.Machine
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		machine, err := l.readMachine(ctx, m, id)
		if err != nil {
			return err
		}
		if machine != nil {
			machine.Required = info.Value.Name == state.ControllerModel && id == "0"
			machines = append(machines, *machine)
		}
	}
	return l.moveIn(ctx, m, plan.Place(units, model.Value, machines))
}

func (l *Leader) moveIn(ctx context.Context, m state.ModelID, homes []plan.Home) error {
	var fresh []state.NewHome
	var errs []error
	for _, h := range homes {
		it := item{m, state.Ticket{Kind: state.TicketUnit, Name: string(h.Unit)}}
		if h.Refused != "" {
			errs = append(errs, l.settle(ctx, it, errors.New("no place for the unit: "+h.Refused)))
			continue
		}
		if h.Machine == "" {
			fresh = append(fresh, state.NewHome{Unit: h.Unit, Want: h.New})
			continue
		}
		t, err := state.Assign(ctx, l.Store, m, l.Key, h.Unit, h.Machine)
		if err == nil {
			err = l.commit(ctx, it, t)
		}
		if err == nil {
			delete(l.free[m], h.Machine)
			l.Log.Info("unit has a machine", "model", m, "unit", h.Unit, "machine", h.Machine)
		}
		errs = append(errs, l.settle(ctx, it, err))
	}
	for batch := range slices.Chunk(fresh, state.HomesPerEdit) {
		t, ids, err := state.AssignNew(ctx, l.Store, m, l.by(), l.Key, batch)
		if err == nil {
			err = l.write(ctx, t)
		}
		if err == nil {
			l.Log.Info("units have new machines", "model", m, "machines", ids)
		}
		for _, h := range batch {
			errs = append(errs, l.settle(ctx, item{m, state.Ticket{Kind: state.TicketUnit, Name: string(h.Unit)}}, err))
		}
	}
	return errors.Join(errs...)
}
