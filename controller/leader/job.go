package leader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

type (
	endpoint         = relation.Endpoint
	modelConstraints = provider.Constraints
)

// A JobKind is what a provider is asked for.
type JobKind string

// The kinds of Job.
const (
	JobList   JobKind = "list"   // what there is
	JobStart  JobKind = "start"  // an instance for a machine
	JobStop   JobKind = "stop"   // the end of a machine's instances, and then of the machine
	JobFit    JobKind = "fit"    // an instance with open ports and profiles
	JobVolume JobKind = "volume" // what is next for the volume of a storage instance
	JobReap   JobKind = "reap"   // the end of an instance that belongs to no machine
)

// A Job is one thing to ask of a provider. It may take long; Leader.Do does it.
type Job struct {
	Kind      JobKind
	Place     state.Place
	Instances []provider.InstanceID
	Late      bool // stop: the machine goes even when the instances do not
	item      item // start, stop, fit: the machine
	try       int  // start: of an instance that has stopped, which try in a row it is
	fit       plan.Refit
	orphan    item // reap: the machine that is not there
	audit     bool // list: and the machines of all models
}

// A Result is what has become of a Job.
type Result struct {
	job       Job
	err       error
	retry     time.Time
	at        time.Time // list: when it began
	instances []provider.Instance
	silent    map[provider.InstanceID]string // list: those of which only that they are there could be said
	machines  map[item]bool                  // of an audit: every machine there is
	models    []state.ModelID                // of an audit: every model there is
}

// Failures of a provider are waited out this long: at first, at most.
const (
	firstRetry = 5 * time.Second
	mostRetry  = 5 * time.Minute
)

// Do asks the provider and records its answer. It may run in any goroutine, and several at once.
func (l *Leader) Do(ctx context.Context, j Job) Result { return l.Config.do(ctx, j) }

func (c Config) do(ctx context.Context, j Job) Result {
	r := Result{job: j}
	switch j.Kind {
	case JobList:
		r = c.listAll(ctx, j)
	case JobStart:
		r.err = c.start(ctx, j)
	case JobStop:
		r.err = c.stop(ctx, j)
	case JobFit:
		r.err = c.fit(ctx, j)
	case JobVolume:
		r.err = c.volume(ctx, j)
	case JobReap:
		r.err = c.reap(ctx, j)
	}
	if r.err != nil && j.Kind != JobList && ctx.Err() == nil {
		r.retry = c.Now().Add(firstRetry)
		c.Log.Warn("the provider did not do it, will try again", "job", j.Kind, "model", j.item.model, "machine", j.item.Name, "instance", j.Instances, "err", r.err)
	}
	return r
}

// listAll lists the instances first and then the machines, so that an instance whose machine is not among them has none.
func (c Config) listAll(ctx context.Context, j Job) Result {
	r := Result{job: j, at: c.Now()}
	controller, err := state.Read[state.Controller](ctx, c.Store, state.ControllersPath)
	if err != nil {
		r.err = err
		return r
	}
	p, err := c.Providers(ctx, j.Place)
	if err != nil {
		r.err = err
		return r
	}
	r.err = within(ctx, mostList, func(ctx context.Context) error {
		r.instances, err = p.List(ctx, controller.Value.UUID)
		if partial := (*provider.PartialError)(nil); errors.As(err, &partial) {
			r.silent, err = partial.Silent, nil
		}
		return err
	})
	if r.err != nil || !j.audit {
		return r
	}
	names, err := c.Store.Children(ctx, state.ModelsPath)
	if err != nil {
		r.err = err
		return r
	}
	r.machines = map[item]bool{}
	for _, name := range names {
		m := state.ModelID(name)
		ids, err := state.MachinesOf(ctx, c.Store, m)
		if err != nil {
			r.err = err
			return r
		}
		r.models = append(r.models, m)
		for _, id := range ids {
			r.machines[item{m, state.Ticket{Kind: state.TicketMachine, Name: string(id)}}] = true
		}
	}
	return r
}

// start has an instance started for the machine. First the machine is let enrol, so that no instance runs that cannot.
func (c Config) start(ctx context.Context, j Job) error {
	m, id := j.item.model, state.MachineID(j.item.Name)
	machine, err := c.readMachine(ctx, m, id)
	if err != nil || machine == nil || machine.Life != state.Alive {
		return err
	}
	most := mostStart
	if j.try > 0 {
		most = mostRestart
	}
	var instance provider.Instance
	err = within(ctx, most, func(ctx context.Context) error {
		instance, err = c.startInstance(ctx, j.Place, m, *machine)
		return err
	})
	if j.try > 0 && errors.Is(err, provider.ErrNotFound) {
		c.Log.Warn("the instance of a machine is gone", "model", m, "machine", id, "instance", machine.Instance.ID)
		return c.record(ctx, func() (state.Txn, error) { return state.LoseInstance(ctx, c.Store, m, id, c.Now()) })
	}
	if err == nil && j.try > 0 && instance.State == provider.Stopped {
		err = fmt.Errorf("instance %s was started and is still stopped: %s: %w", instance.ID, instance.Message, provider.ErrTransient)
	}
	if err != nil {
		return c.noteFailure(ctx, m, *machine, fmt.Errorf("start machine %s: %w", id, err))
	}
	if j.try > 0 {
		c.Log.Info("an instance that had stopped is started again", "model", m, "machine", id, "instance", instance.ID, "try", j.try)
		return c.record(ctx, func() (state.Txn, error) { return state.RestartInstance(ctx, c.Store, m, id, instance, j.try, c.Now()) })
	}
	c.Log.Info("machine has an instance", "model", m, "machine", id, "instance", instance.ID)
	return c.record(ctx, func() (state.Txn, error) { return state.SetInstance(ctx, c.Store, m, id, instance, c.Now()) })
}

func (c Config) startInstance(ctx context.Context, place state.Place, m state.ModelID, machine plan.Machine) (provider.Instance, error) {
	p, err := c.Providers(ctx, place)
	if err != nil {
		return provider.Instance{}, err
	}
	req, err := c.startRequest(ctx, m, machine)
	if err != nil {
		return provider.Instance{}, err
	}
	return p.Start(ctx, req)
}

// startRequest is what a machine is asked for with. The machine is let enrol.
func (c Config) startRequest(ctx context.Context, m state.ModelID, machine plan.Machine) (provider.StartRequest, error) {
	req, err := c.request(ctx, m, machine)
	if err != nil {
		return req, err
	}
	controller, err := state.Read[state.Controller](ctx, c.Store, state.ControllersPath)
	if err != nil {
		return req, err
	}
	addresses, err := state.Read[state.Addresses](ctx, c.Store, m.AddressesPath())
	if err != nil {
		return req, err
	}
	var enrol state.Enrolment
	err = c.record(ctx, func() (t state.Txn, err error) {
		t, enrol, err = state.OpenEnrolment(ctx, c.Store, m, c.Key, machine.ID, c.Now())
		return t, err
	})
	if err != nil {
		return req, err
	}
	req.Init = provider.Init{Addresses: addresses.Value.API, CA: controller.Value.CA, Token: c.Key.EnrolmentToken(m, machine.ID),
		Expires: enrol.Expires, AgentHash: addresses.Value.AgentHash}
	if c.Script != nil {
		if req.Init.Script, err = c.Script(req); err != nil {
			return req, fmt.Errorf("make the init script: %w", err)
		}
	}
	return req, nil
}

// request is startRequest without what lets the machine enrol.
func (c Config) request(ctx context.Context, m state.ModelID, machine plan.Machine) (provider.StartRequest, error) {
	controller, err := state.Read[state.Controller](ctx, c.Store, state.ControllersPath)
	req := provider.StartRequest{Controller: controller.Value.UUID, Model: string(m), Machine: string(machine.ID),
		Base: machine.Base.String(), Constraints: machine.Constraints, Placement: machine.Placement, Enrolled: machine.Enrolled}
	if machine.For != "" {
		req.Group, req.Turn = string(machine.For.Application()), machine.For.Number()
	}
	return req, err
}

// stop ends the machine's instances and then the machine.
func (c Config) stop(ctx context.Context, j Job) error {
	m, id := j.item.model, state.MachineID(j.item.Name)
	err := c.record(ctx, func() (state.Txn, error) { return state.StopMachine(ctx, c.Store, m, id) })
	if refused := (*state.RefusedError)(nil); errors.As(err, &refused) {
		return nil // its user has just said that it is to be kept: it is looked at again
	}
	if err != nil {
		return err
	}
	p, err := c.Providers(ctx, j.Place)
	if err == nil {
		err = within(ctx, mostCall, func(ctx context.Context) error { return p.Stop(ctx, j.Instances...) })
	}
	if err != nil && (!j.Late || ctx.Err() != nil) {
		machine, rerr := c.readMachine(ctx, m, id)
		if rerr != nil || machine == nil {
			return errors.Join(err, rerr)
		}
		return c.noteFailure(ctx, m, *machine, fmt.Errorf("stop the instance of machine %s: %w", id, err))
	}
	if err != nil {
		c.Log.Error("a machine goes at its deadline and its instance may still be there", "model", m, "machine", id, "instance", j.Instances, "err", err)
	}
	for done := false; !done; {
		err := c.record(ctx, func() (t state.Txn, err error) {
			t, done, err = state.BuryMachine(ctx, c.Store, m, c.by(), id)
			return t, err
		})
		if err != nil {
			return err
		}
	}
	c.tellMachine(m, id, "stopped", "the machine is removed")
	c.Log.Info("machine is gone", "model", m, "machine", id)
	return nil
}

// reap ends an instance if there is still no machine that it could belong to, and no user has kept it.
func (c Config) reap(ctx context.Context, j Job) error {
	m, id := j.orphan.model, state.MachineID(j.orphan.Name)
	for _, path := range []string{m.MachinePath(id), state.KeptInstancePath(m, id)} {
		if there, err := c.exists(ctx, path); err != nil || there {
			return err
		}
	}
	p, err := c.Providers(ctx, j.Place)
	if err != nil {
		return err
	}
	c.Log.Warn("an instance belongs to no machine and is stopped", "cloud", j.Place.Cloud, "instance", j.Instances)
	return within(ctx, mostCall, func(ctx context.Context) error { return p.Stop(ctx, j.Instances...) })
}

// noteFailure puts the provider's words where status shows them, with the time of the next try.
func (c Config) noteFailure(ctx context.Context, m state.ModelID, machine plan.Machine, err error) error {
	if ctx.Err() != nil {
		return err
	}
	wait := plan.Backoff(machine.Instance.Failures+1, firstRetry, mostRetry)
	if errors.Is(err, provider.ErrRefused) {
		wait = mostRetry
	}
	now := c.Now()
	note := c.record(ctx, func() (state.Txn, error) {
		return state.FailInstance(ctx, c.Store, m, machine.ID, err.Error(), now, now.Add(wait))
	})
	return errors.Join(err, note)
}

// record commits what decide returns, again while the tree changes, and a few times when nobody knows whether it was
// committed: what decide returns may happen twice.
func (c Config) record(ctx context.Context, decide func() (state.Txn, error)) error {
	for unknown := 0; ; {
		t, err := decide()
		if err != nil {
			return err
		}
		err = c.write(ctx, t)
		switch {
		case errors.Is(err, state.ErrUnknown) && unknown < 3:
			unknown++
		case !errors.Is(err, state.ErrConflict):
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
