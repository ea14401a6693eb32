// Package nest makes the containers on the agent's own machine: it is told in the tree what there is to be, has LXD make it, which it
// installs where it is missing, and says what has become of it.
package nest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd"
	"github.com/grigri/grigri/state"
)

// Config is what Run needs.
type Config struct {
	Model   state.ModelID
	Machine state.MachineID
	Store   state.Store
	Base    charm.Base // of the machine
	Log     *slog.Logger
	Now     func() time.Time

	Settings func() state.ModelConfig                                           // the model's
	Reach    func() []string                                                    // host:port that containers must reach
	Lock     func(ctx context.Context, what string) (release func(), err error) // no hook runs until it is released
}

// Run keeps the containers until the machine is no more, or ctx ends.
func Run(ctx context.Context, c Config) error {
	n := &nest{Config: c, watch: c.Store.Watch(ctx), reports: map[state.MachineID]state.ContainerReport{}, fitted: map[state.MachineID]string{}}
	n.watch.Data(c.Model.MachinePath(c.Machine))
	defer func() {
		if n.lxd != nil {
			n.lxd.Close()
		}
	}()
	for delay := firstRetry; ; {
		n.watch.Take()
		again, err := n.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case errors.Is(err, errNoMachine):
			return nil
		case err != nil:
			c.Log.Warn("the containers on the machine are looked after again", "err", err, "delay", delay)
			again = c.Now().Add(delay)
			delay = min(2*delay, mostRetry)
		default:
			delay = firstRetry
		}
		timer := time.NewTimer(max(again.Sub(c.Now()), 10*time.Millisecond))
		select {
		case <-ctx.Done():
		case <-n.watch.C():
		case <-timer.C:
		}
		timer.Stop()
	}
}

var errNoMachine = errors.New("the machine is no more")

// How often LXD is asked how its containers are: while one is coming up, and otherwise.
const (
	often  = time.Second
	seldom = 30 * time.Second
)

type nest struct {
	Config
	watch   state.Watch
	told    map[state.MachineID]state.Container
	watched []string

	lxd      *lxd.Provider
	opened   string // what it was opened with
	prepared bool   // it can make containers
	images   map[string]bool

	mu      sync.Mutex
	reports map[state.MachineID]state.ContainerReport // as last said
	fitted  map[state.MachineID]string                // with what
}

// step does what is to be done now, and says when to look again if nothing changes.
func (n *nest) step(ctx context.Context) (again time.Time, err error) {
	again = n.Now().Add(seldom)
	if err := n.read(ctx); err != nil {
		return again, err
	}
	if err := n.open(); err != nil {
		return again, n.failAll(ctx, err)
	}
	have, listed := map[state.MachineID]provider.Instance{}, n.lxd.Reach(ctx) == nil
	if listed {
		if have, err = n.list(ctx); err != nil {
			return again, n.failAll(ctx, err)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(n.workers())
	var waiting []state.MachineID
	for id, told := range n.told {
		var in *provider.Instance
		if found, ok := have[id]; ok {
			in = &found
		}
		was := n.reports[id]
		t, until := decide(told, was, in, n.Now())
		if !until.IsZero() && until.Before(again) {
			again = until
		}
		switch t {
		case start:
			waiting = append(waiting, id)
		case remove:
			g.Go(func() error { return n.remove(gctx, id, told, *in) })
		case gone:
			if !listed && was.ID != "" {
				continue // LXD does not answer: nobody knows
			}
			g.Go(func() error { return n.report(gctx, id, lostReport(was, told, n.Now())) })
		case follow:
			g.Go(func() error { return n.follow(gctx, id, told, *in) })
			if in.State != provider.Running || len(in.Addresses) == 0 {
				again = n.Now().Add(often)
			}
		}
	}
	for id, in := range have {
		if _, told := n.told[id]; !told {
			g.Go(func() error {
				n.Log.Warn("a container is no machine any more and is stopped", "machine", id, "instance", in.ID)
				return n.lxd.Stop(gctx, in.ID)
			})
		}
	}
	if err := g.Wait(); err != nil {
		return again, err
	}
	if len(waiting) > 0 {
		again = n.Now().Add(often)
		slices.SortFunc(waiting, state.CompareMachines)
		err = n.makeAll(ctx, waiting)
	}
	return again, err
}

// read reads what there is to be, and watches it.
func (n *nest) read(ctx context.Context) error {
	machine, err := state.ReadIf[state.Machine](ctx, n.Store, n.Model.MachinePath(n.Machine))
	if err != nil {
		return fmt.Errorf("read machine %s: %w", n.Machine, err)
	}
	if !machine.Exists() {
		return errNoMachine
	}
	kept, err := state.ChildrenIf(ctx, n.Store, n.Model.ContainersPath(n.Machine)) // those that are kept are on no list
	if err != nil {
		return fmt.Errorf("list the containers of machine %s: %w", n.Machine, err)
	}
	ids := slices.Clone(machine.Value.Containers)
	for _, node := range kept {
		if id := state.MachineOfNode(node); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	var paths []string
	n.told = map[state.MachineID]state.Container{}
	for _, id := range ids {
		path := n.Model.ContainerPath(id)
		paths = append(paths, path)
		n.watch.Data(path)
		rec, err := state.ReadIf[state.Container](ctx, n.Store, path)
		if err != nil {
			return fmt.Errorf("read what container %s is to be: %w", id, err)
		}
		n.told[id] = rec.Value
		if !rec.Exists() {
			n.told[id] = state.Container{Kept: true} // it is still to be said: until then it is let alone
		}
		if _, ok := n.reports[id]; !ok {
			rec, err := state.ReadIf[state.ContainerReport](ctx, n.Store, n.Model.ContainerReportPath(id))
			if err != nil {
				return fmt.Errorf("read what was said of container %s: %w", id, err)
			}
			n.reports[id] = rec.Value
		}
	}
	for _, path := range n.watched {
		if !slices.Contains(paths, path) {
			n.watch.Drop(path)
		}
	}
	n.watched = paths
	for id := range n.reports {
		if !slices.Contains(ids, id) {
			delete(n.reports, id)
			delete(n.fitted, id)
		}
	}
	return nil
}

func (n *nest) workers() int {
	if w, err := strconv.Atoi(n.Settings()["num-container-provision-workers"]); err == nil && w > 0 {
		return w
	}
	return 4
}

// list is the containers of this machine in LXD.
func (n *nest) list(ctx context.Context) (map[state.MachineID]provider.Instance, error) {
	out := map[state.MachineID]provider.Instance{}
	all, err := n.lxd.ListOf(ctx, string(n.Model))
	for _, in := range all {
		if host, ok := state.MachineID(in.Machine).Host(); ok && host == n.Machine {
			out[state.MachineID(in.Machine)] = in
		}
	}
	return out, err
}

// report says how a container is, if that is news.
func (n *nest) report(ctx context.Context, id state.MachineID, r state.ContainerReport) error {
	n.mu.Lock()
	was, said := n.reports[id]
	n.reports[id] = r
	n.mu.Unlock()
	if said && string(state.Encode(was)) == string(state.Encode(r)) {
		return nil
	}
	err := state.Edit(ctx, n.Store, func(ctx context.Context, tree state.Reader) (state.Txn, error) {
		return state.ReportContainer(ctx, tree, n.Model, id, r)
	})
	if err != nil {
		n.mu.Lock()
		delete(n.reports, id) // it is read again
		n.mu.Unlock()
		return fmt.Errorf("report on container %s: %w", id, err)
	}
	return nil
}

func (n *nest) remove(ctx context.Context, id state.MachineID, told state.Container, in provider.Instance) error {
	n.Log.Info("a container is removed", "machine", id, "instance", in.ID)
	if err := n.lxd.Stop(ctx, in.ID); err != nil {
		return n.fail(ctx, id, told, fmt.Errorf("remove container %s: %w", id, err))
	}
	return n.report(ctx, id, lostReport(n.was(id), told, n.Now()))
}

// follow says how a container is, and fits it.
func (n *nest) follow(ctx context.Context, id state.MachineID, told state.Container, in provider.Instance) error {
	r := found(n.was(id), told, in, n.Now())
	want := string(state.Encode(state.Container{Rules: told.Rules, Profiles: told.Profiles}))
	n.mu.Lock()
	same := n.fitted[id] == want
	n.mu.Unlock()
	if !same && in.State == provider.Running {
		err := n.lxd.SetPorts(ctx, in.ID, told.Rules)
		if err == nil {
			err = n.lxd.SetProfiles(ctx, in.ID, told.Profiles)
		}
		r.Problem = ""
		if err != nil {
			n.Log.Warn("a container is not fitted with its rules and profiles, will try again", "machine", id, "err", err)
			r.Problem = err.Error()
		} else {
			n.mu.Lock()
			n.fitted[id] = want
			n.mu.Unlock()
		}
	}
	return n.report(ctx, id, r)
}

func (n *nest) was(id state.MachineID) state.ContainerReport {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.reports[id]
}

func (n *nest) fail(ctx context.Context, id state.MachineID, told state.Container, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	wait := firstRetry
	if errors.Is(err, provider.ErrRefused) {
		wait = mostRetry
	}
	n.Log.Warn("a container is not as it is to be, will try again", "machine", id, "err", err)
	return n.report(ctx, id, failed(n.was(id), told, err, n.Now(), wait))
}

// failAll says of each container that there is something to be done about why it cannot be.
func (n *nest) failAll(ctx context.Context, err error) error {
	for id, told := range n.told {
		if told.Kept {
			continue
		}
		if rerr := n.fail(ctx, id, told, err); rerr != nil {
			return rerr
		}
	}
	return err
}

func lostReport(was state.ContainerReport, told state.Container, now time.Time) state.ContainerReport {
	was.State, was.Message, was.Error, was.Since, was.Again = provider.Gone, "", "", now, told.Again
	if !told.Gone {
		was.Message = "LXD on its machine has it no more"
	}
	return was
}

// Clear ends what is left of the containers on a host that the agent leaves, but for those that are kept.
func Clear(ctx context.Context, c Config) error {
	n := &nest{Config: c}
	if err := n.open(); err != nil {
		return err
	}
	defer n.lxd.Close()
	if n.lxd.Reach(ctx) != nil {
		return nil // whoever has taken LXD off the host has taken them too
	}
	kept, err := state.ChildrenIf(ctx, c.Store, c.Model.ContainersPath(c.Machine))
	if err != nil {
		return fmt.Errorf("list the containers of machine %s: %w", c.Machine, err)
	}
	have, err := n.list(ctx)
	if err != nil {
		return err
	}
	for id, in := range have {
		if slices.Contains(kept, id.Node()) {
			continue
		}
		if err := n.lxd.Stop(ctx, in.ID); err != nil {
			return err
		}
	}
	return nil
}
