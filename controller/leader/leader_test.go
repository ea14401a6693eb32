package leader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

func TestLife(t *testing.T) {
	w := newWorld(t)
	w.life()
	w.want("machines ")
	if left := w.cloud.machines(); left != "" {
		t.Errorf("instances are left: %s", left)
	}
	w.quiet()
}

// life is a whole life of a model, from the first unit to the last, with a look in between.
func (w *world) life() {
	w.Helper()
	w.deploy("web", 2)
	w.settle()
	w.deploy("db", 1)
	w.deploy("logger", 0)
	w.settle()
	w.want("db 0@2; logger; web 0@0 1@1; 0 web:cluster [web/0 web/1]; machines 0 1 2")
	w.relate("web", "db")
	w.relate("logger", "web")
	w.settle()
	w.want("db 0@2; logger 0@0 1@1; web 0@0 1@1; 0 web:cluster [web/0 web/1]; 1 web:db db:db [db/0 web/0 web/1]; " +
		"2 logger:info web:juju-info [logger/0 logger/1 web/0 web/1]; machines 0 1 2")
	w.removeUnit("web/1", state.Ending{})
	w.settle()
	w.want("db 0@2; logger 0@0; web 0@0; 0 web:cluster [web/0]; 1 web:db db:db [db/0 web/0]; 2 logger:info web:juju-info [logger/0 web/0]; machines 0 2")
	w.removeApplication("db", state.Ending{})
	w.settle()
	w.want("logger 0@0; web 0@0; 0 web:cluster [web/0]; 2 logger:info web:juju-info [logger/0 web/0]; machines 0")
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveRelationID(ctx, r, model, w.by(), 2, state.Ending{})
		return t, err
	})
	w.settle()
	w.want("logger; web 0@0; 0 web:cluster [web/0]; machines 0")
	w.removeApplication("web", state.Ending{})
	w.removeApplication("logger", state.Ending{})
	w.settle()
}

// TestCrash ends the leader before and after each of its commits, and wants the next one to bring everything to the same end.
func TestCrash(t *testing.T) {
	whole := newWorld(t)
	before := whole.store.commits
	whole.life()
	n := whole.store.commits - before
	if n < 10 {
		t.Fatalf("a life is only %d commits", n)
	}
	for i := 1; i <= n; i++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit %d after=%t", i, after), func(t *testing.T) {
				w := newWorld(t)
				w.store.dieAt, w.store.after = w.store.commits+i, after
				w.life()
				w.want("machines ")
				if left := w.cloud.machines(); left != "" || w.cloud.started != 3 {
					t.Errorf("%d instances were started, left are: %s", w.cloud.started, left)
				}
				w.quiet()
			})
		}
	}
}

// TestLostReplies lets the leader not know whether each of its commits has happened.
func TestLostReplies(t *testing.T) {
	whole := newWorld(t)
	before := whole.store.commits
	whole.life()
	for i := range whole.store.commits - before {
		w := newWorld(t)
		w.store.loseAt = w.store.commits + i + 1
		w.life()
		w.pass(time.Second)
		w.want("machines ")
		w.quiet()
	}
}

func TestDeposedLeaderWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.settle()
	edit(w, func(context.Context, state.Reader) (state.Txn, error) {
		var t state.Txn
		t.Delete(fence, state.Any)
		return t, nil
	})
	w.deploy("web", 1)
	for range 3 {
		if _, err := w.leader.Step(t.Context()); errors.Is(err, ErrDeposed) {
			if got := w.show(); !strings.HasPrefix(got, "web 0@; ") {
				t.Errorf("it has written: %s", got)
			}
			return
		}
	}
	t.Error("it goes on")
}

// Both sides may have left a relation before the leader looks at it for the first time: a subordinate has lost its tie all the same.
func TestSubordinateOfARelationThatAllHaveLeft(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.deploy("logger", 0)
	w.relate("logger", "web")
	w.settle()
	w.want("logger 0@0; web 0@0; 0 web:cluster [web/0]; 1 logger:info web:juju-info [logger/0 web/0]; machines 0")
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveRelationID(ctx, r, model, w.by(), 1, state.Ending{})
		return t, err
	})
	for w.agents() {
	}
	w.settle()
	w.want("logger; web 0@0; 0 web:cluster [web/0]; machines 0")
}

func TestDeadlines(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	w.settle()
	w.deploy("db", 1)
	w.relate("web", "db")
	w.settle()
	w.stuck["web/0"], w.stuck["db/0"] = true, true
	w.removeUnit("web/0", state.Ending{})
	w.pass(9 * time.Minute)
	if got := w.show(); !strings.Contains(got, "web 0@0(dying) 1@1;") {
		t.Errorf("before the deadline: %s", got)
	}
	w.pass(2 * time.Minute)
	w.want("db 0@2; web 1@1; 0 web:cluster [web/1]; 1 web:db db:db [db/0 web/1]; machines 1 2")
	if n, err := w.store.Get(t.Context(), model.GonePath(1, "", "web/0")); err != nil || !strings.Contains(string(n.Data), "web/0") {
		t.Errorf("what web/0 had set is not kept: %s, %v", n.Data, err)
	}
	w.removeApplication("db", state.Ending{Timeout: time.Minute})
	w.pass(3 * time.Minute)
	w.want("web 1@1; 0 web:cluster [web/1]; machines 1")
	if got := w.history(); !strings.Contains(got, "web/0: not gone at its deadline, its agent was not there") ||
		!strings.Contains(got, "1: at its deadline db/0 had not left") && !strings.Contains(got, "db/0: not gone at its deadline") {
		t.Errorf("the history does not say so: %s", got)
	}
	w.quiet()
}

func TestForce(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.deploy("logger", 0)
	w.relate("logger", "web")
	w.settle()
	w.stuck["web/0"], w.stuck["logger/0"] = true, true
	w.removeUnit("web/0", state.Ending{Force: true})
	w.settle()
	w.want("logger; web; 0 web:cluster []; 1 logger:info web:juju-info []; machines ")
}

func TestMachines(t *testing.T) {
	w := newWorld(t)
	add := func(n int) {
		edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.AddMachines(ctx, r, model, w.by(), key, n, state.NewMachine{})
			return t, err
		})
	}
	remove := func(id string, how state.Ending) error {
		return state.Edit(t.Context(), w.store.Client, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.RemoveMachine(ctx, r, model, w.by(), state.MachineID(id), how, false)
			return t, err
		})
	}
	add(3)
	w.settle()
	w.deploy("web", 1, "1")
	w.deploy("db", 3)
	w.settle()
	w.want("db 0@0 1@2 2@3; web 0@1; 0 web:cluster [web/0]; machines 0 1 2 3")
	if err := remove("1", state.Ending{}); err == nil || err.Error() != "cannot remove machine 1: machine has unit web/0 assigned" {
		t.Errorf("removed a machine that has units: %v", err)
	}
	w.stuck["web/0"] = true
	if err := remove("1", state.Ending{Force: true}); err != nil {
		t.Error(err)
	}
	add(1)
	w.settle()
	w.want("db 0@0 1@2 2@3; web; 0 web:cluster []; machines 0 2 3 4")
	if err := remove("4", state.Ending{}); err != nil {
		t.Error(err)
	}
	w.settle()
	w.want("db 0@0 1@2 2@3; web; 0 web:cluster []; machines 0 2 3")
	if got := w.cloud.machines(); got != "0 2 3" {
		t.Errorf("instances: %s", got)
	}
}

// Providers are told for which unit a machine is made, and of one that is made for none nothing, whatever runs there.
func TestSpread(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	w.settle()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.AddMachines(ctx, r, model, w.by(), key, 1, state.NewMachine{})
		return t, err
	})
	w.settle()
	w.deploy("db", 2)
	w.settle()
	w.want("db 0@2 1@3; web 0@0 1@1; 0 web:cluster [web/0 web/1]; machines 0 1 2 3")
	if slices.Sort(w.cloud.wanted); !slices.Equal(w.cloud.wanted, []string{"0: web 0", "1: web 1", "2:  0", "3: db 1"}) {
		t.Errorf("asked for %q", w.cloud.wanted)
	}
}

func TestKeptInstance(t *testing.T) {
	w := newWorld(t)
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.AddMachines(ctx, r, model, w.by(), key, 2, state.NewMachine{})
		return t, err
	})
	w.settle()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveMachine(ctx, r, model, w.by(), "0", state.Ending{}, true)
		return t, err
	})
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.DestroyModel(ctx, r, model, w.by(), state.Ending{}, false)
		return t, err
	})
	w.pass(11 * time.Minute)
	if got := w.cloud.machines(); got != "0" {
		t.Errorf("left are the instances of %q, want the one that was kept", got)
	}
}

func TestProvisioningIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.cloud.startErr = fmt.Errorf("no addresses left: %w", provider.ErrTransient)
	w.deploy("web", 1)
	w.settle()
	in, err := state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0"))
	if err != nil || in.Value.Failures != 1 || !strings.Contains(in.Value.Error, "no addresses left") || !in.Value.Retry.Equal(w.now.Add(5*time.Second)) {
		t.Errorf("noted: %+v, %v", in.Value, err)
	}
	w.pass(time.Minute)
	if in, _ = state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0")); in.Value.Failures != 4 {
		t.Errorf("after a minute: %+v", in.Value)
	}
	w.cloud.startErr = nil
	w.pass(time.Minute)
	in, _ = state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0"))
	if in.Value.ID != "i-1" || in.Value.Failures != 0 || in.Value.Error != "" {
		t.Errorf("at last: %+v", in.Value)
	}
	enrol, err := state.Read[state.Enrolment](t.Context(), w.store, model.EnrolPath("0"))
	if err != nil || enrol.Value.TokenHash != state.HashToken(key.EnrolmentToken(model, "0")) {
		t.Errorf("enrolment: %+v, %v", enrol.Value, err)
	}
}

func TestRemovalDoesNotWaitForAProvider(t *testing.T) {
	w := newWorld(t)
	w.cloud.startErr = errors.New("out of order")
	w.deploy("web", 1)
	w.settle()
	w.cloud.listErr = errors.New("out of order")
	w.removeApplication("web", state.Ending{})
	w.settle()
	if got := w.show(); got != "machines 0" {
		t.Errorf("got %s", got)
	}
	w.pass(11 * time.Minute)
	w.want("machines ")
}

func TestStopIsTriedAgainUntilTheDeadline(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.settle()
	w.cloud.stopErr = errors.New("out of order")
	w.removeApplication("web", state.Ending{})
	w.pass(9 * time.Minute)
	if got := w.show(); got != "machines 0" {
		t.Errorf("got %s", got)
	}
	w.pass(2 * time.Minute)
	w.want("machines ")
	w.cloud.stopErr = nil
	w.pass(11 * time.Minute)
	if left := w.cloud.machines(); left != "" {
		t.Errorf("the audit does not stop what is left: %s", left)
	}
}

func TestPendingInstancesAreFollowed(t *testing.T) {
	w := newWorld(t)
	w.cloud.boots = true
	w.deploy("web", 1)
	w.settle()
	in := w.cloud.instances["i-1"]
	in.State, in.Addresses = provider.Running, []string{"127.2.0.1"}
	w.cloud.instances["i-1"] = in
	w.pass(6 * time.Second)
	if got, _ := state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0")); got.Value.State != provider.Running || len(got.Value.Addresses) != 1 {
		t.Errorf("got %+v", got.Value)
	}
}

func TestOrphans(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.settle()
	foreign := func(id provider.InstanceID, controller, model, machine string) {
		w.cloud.instances[id] = tagged{controller, provider.Instance{ID: id, Model: model, Machine: machine, State: provider.Running}}
	}
	foreign("ours-no-machine", "c", string(model), "77")
	foreign("ours-no-model", "c", "00000000-0000-4000-8000-00000000000f", "0")
	foreign("ours-untagged", "c", "", "")
	foreign("theirs", "another", string(model), "77")
	w.pass(11 * time.Minute)
	if got := len(w.cloud.instances); got != 3 || w.cloud.instances["theirs"].ID == "" || w.cloud.instances["i-1"].ID == "" || w.cloud.instances["ours-untagged"].ID == "" {
		t.Errorf("left are %v", w.cloud.instances)
	}
}

func TestLostInstance(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.pass(5 * time.Minute)
	delete(w.cloud.instances, "i-1")
	w.cloud.listErr = errors.New("out of order")
	w.pass(11 * time.Minute)
	got := func() state.Instance {
		rec, _ := state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0"))
		return rec.Value
	}
	if in := got(); in.State != provider.Running {
		t.Errorf("a failed listing proves something: %+v", in)
	}
	w.cloud.listErr = nil
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		var t state.Txn
		rec, err := state.Read[state.Enrolment](ctx, r, model.EnrolPath("0"))
		rec.Value.KeyHash = "key"
		t.Set(rec.Path, rec.Value, rec.Version)
		return t, err
	})
	w.pass(11 * time.Minute)
	if in := got(); in.State != provider.Gone {
		t.Errorf("the instance of a machine that has enrolled is replaced or not missed: %+v", in)
	}
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		var t state.Txn
		t.Set(model.EnrolPath("0"), state.Enrolment{}, state.Any)
		return t, nil
	})
	w.pass(11 * time.Minute)
	if in := got(); in.ID != "i-2" || in.State != provider.Running {
		t.Errorf("the instance of a machine that has never enrolled is not replaced: %+v", in)
	}
}

// TestDestroyEmptyModel: the ticket that asks for it goes with the model.
func TestDestroyEmptyModel(t *testing.T) {
	w := newWorld(t)
	w.settle()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.DestroyModel(ctx, r, model, w.by(), state.Ending{}, false)
		return t, err
	})
	w.settle()
	for _, path := range w.tree.Paths() {
		if strings.HasPrefix(path, model.Path()) {
			t.Errorf("%s is left", path)
		}
	}
}

func TestDestroyModel(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 3)
	w.deploy("db", 1)
	w.deploy("logger", 0)
	w.relate("web", "db")
	w.relate("logger", "web")
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.AddMachines(ctx, r, model, w.by(), key, 2, state.NewMachine{})
		return t, err
	})
	w.settle()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.DestroyModel(ctx, r, model, w.by(), state.Ending{}, false)
		return t, err
	})
	w.settle()
	for _, path := range w.tree.Paths() {
		if strings.HasPrefix(path, model.Path()) || path == state.ModelNamePath("admin", "shop") {
			t.Errorf("%s is left", path)
		}
	}
	if left := w.cloud.machines(); left != "" {
		t.Errorf("instances are left: %s", left)
	}
}

func TestManyUnits(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 500)
	w.settle()
	if got := len(w.cloud.instances); got != 500 {
		t.Errorf("%d instances", got)
	}
	w.removeApplication("web", state.Ending{})
	w.settle()
	w.want("machines ")
	if w.store.ops > state.MaxOps {
		t.Errorf("a commit of %d", w.store.ops)
	}
}

// TestUnrelatedAgentsSleep counts what the agents of another application would wake for.
func TestUnrelatedAgentsSleep(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 3)
	w.settle()
	watch := w.tree.Connect(memory.Controller).Watch(t.Context())
	watch.Data(model.ApplicationPath("web"))
	watch.Data(model.LeaderPath("web"))
	watch.Data(model.ConfigPath())
	watch.Data(model.AddressesPath())
	for _, id := range []state.MachineID{"0", "1", "2"} {
		watch.Data(model.MachinePath(id))
		watch.Data(model.SecretsPath(id))
		watch.Data(model.UnitPath(state.ApplicationName("web").Unit(int(id[0] - '0'))))
		watch.Children(model.TasksPath(state.Receiver(state.ApplicationName("web").Unit(int(id[0] - '0')))))
	}
	watch.Children(model.SidePath(0, "web"))
	watch.Take()
	w.deploy("db", 2)
	w.settle()
	w.removeApplication("db", state.Ending{})
	w.settle()
	if dirty := watch.Take(); len(dirty) > 0 {
		t.Errorf("agents of web are woken by db: %v", dirty)
	}
	w.removeUnit("web/2", state.Ending{})
	w.settle()
	for _, path := range watch.Take() {
		if path == model.ApplicationPath("web") || path == model.UnitPath("web/0") || path == model.MachinePath("1") {
			t.Errorf("agents of web/0 are woken at %s by the end of web/2", path)
		}
	}
}

func TestOneStartAtATime(t *testing.T) {
	w := newWorld(t)
	w.settle()
	w.deploy("web", 1)
	var jobs []Job
	for range 5 {
		more, err := w.leader.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, more...)
		edit(w, func(context.Context, state.Reader) (t state.Txn, err error) {
			t.Tell(model, state.TicketMachine, "0")
			return t, nil
		})
	}
	if len(jobs) != 1 || jobs[0].Kind != JobStart {
		t.Errorf("the jobs are %+v", jobs)
	}
}

func TestReapLooksAgain(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.settle()
	w.leader.Do(t.Context(), Job{Kind: JobReap, Place: state.Place{Cloud: "cloud"}, Instances: []provider.InstanceID{"i-1"},
		orphan: item{model, state.Ticket{Kind: state.TicketMachine, Name: "0"}}})
	if got := w.cloud.machines(); got != "0" {
		t.Errorf("an instance was stopped whose machine is there")
	}
}

// TestTicketsThatAreGone are not in the way of what their item needs.
func TestTicketsThatAreGone(t *testing.T) {
	w := newWorld(t)
	w.settle()
	w.deploy("web", 1)
	w.removeUnit("web/0", state.Ending{Force: true})
	it := item{model, state.Ticket{Kind: state.TicketUnit, Name: "web/0"}}
	w.leader.tickets[it] = []string{model.ChangesPath() + "/unit=web-0:0000009999"}
	w.settle()
	w.want("web; 0 web:cluster []; machines ")
	w.quiet()
}

// TestRun runs the loop itself, in a time of its own.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cancel()
		ctx, cancel := context.WithCancel(t.Context())
		c := w.leader.Config
		c.Now, c.Store = time.Now, w.store.Client
		w.cloud.startErr = errors.New("out of order")
		ended := make(chan error)
		go func() { ended <- Run(ctx, c) }()
		synctest.Wait()
		w.now = time.Now()
		w.deploy("web", 3)
		time.Sleep(time.Minute)
		w.cloud.mu.Lock()
		w.cloud.startErr = nil
		w.cloud.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if got := w.cloud.count(); got != 3 {
			t.Errorf("%d instances", got)
		}
		w.cloud.mu.Lock()
		w.cloud.hangs = true
		w.cloud.mu.Unlock()
		edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.AddUnits(ctx, r, model, w.by(), "web", 20, nil)
			return t, err
		})
		synctest.Wait()
		cancel() // with calls of the provider under way
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		go func() { ended <- Run(t.Context(), c) }()
		synctest.Wait()
		edit(w, func(context.Context, state.Reader) (state.Txn, error) {
			var t state.Txn
			t.Delete(fence, state.Any)
			return t, nil
		})
		w.deploy("db", 1)
		if err := <-ended; !errors.Is(err, ErrDeposed) {
			t.Errorf("ended with %v", err)
		}
	})
}
