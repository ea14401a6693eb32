package leader

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A ward is a world with a machine 0 whose agent has enrolled and is there.
type ward struct {
	*world
}

func newWard(t *testing.T) ward {
	w := ward{newWorld(t)}
	w.deploy("web", 1)
	w.settle()
	edit(w.world, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		var t state.Txn
		rec, err := state.Read[state.Enrolment](ctx, r, model.EnrolPath("0"))
		rec.Value.KeyHash = "key"
		t.Set(rec.Path, rec.Value, rec.Version)
		return t, err
	})
	w.present()
	w.pass(5 * time.Minute)
	w.cloud.listed = 0
	return w
}

// present and absent are the agent's coming and going.
func (w ward) present() {
	w.Helper()
	edit(w.world, func(context.Context, state.Reader) (t state.Txn, err error) {
		t.Create(model.MachineAgentPath("0"), state.Presence{Boot: "b"})
		return t, nil
	})
	w.settle()
}

func (w ward) absent() {
	w.Helper()
	edit(w.world, func(context.Context, state.Reader) (t state.Txn, err error) {
		t.Delete(model.MachineAgentPath("0"), state.Any)
		return t, nil
	})
	w.settle()
}

// dies has the instance stop, and the agent's session end.
func (w ward) dies() {
	w.Helper()
	w.cloud.halt("i-1")
	w.absent()
}

func (w ward) instance() state.Instance {
	w.Helper()
	rec, err := state.Read[state.Instance](w.Context(), w.store.Client, model.InstancePath("0"))
	if err != nil {
		w.Fatal(err)
	}
	return rec.Value
}

func (w ward) set(value string) {
	w.Helper()
	edit(w.world, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.SetModelConfig(ctx, r, model, w.by(), state.ModelConfig{state.RestartStoppedAfter: value}, nil)
		return t, err
	})
	w.settle()
}

// is wants the instance in this state, started again so often all in all.
func (w ward) is(about string, s provider.State, revived int) {
	w.Helper()
	if in := w.instance(); in.State != s || in.ID != "i-1" || w.cloud.revived != revived || w.cloud.started != 1 {
		w.Fatalf("%s: the instance is %+v, revived %d times; want it %s, %d times\n%s", about, in, w.cloud.revived, s, revived, w.logs)
	}
}

func TestAMachineThatDiesIsHealed(t *testing.T) {
	w := newWard(t)
	w.dies()
	w.is("at once", provider.Running, 0)
	if w.cloud.listed != 0 {
		t.Errorf("within the grace the provider is asked %d times", w.cloud.listed)
	}
	w.pass(state.DefaultHealing)
	w.is("after the grace", provider.Running, 1)
	if w.cloud.listed != 1 {
		t.Errorf("the provider is asked %d times", w.cloud.listed)
	}
	w.present()

	w.dies()
	w.pass(state.DefaultHealing + time.Second)
	w.is("the second time, after the grace and the wait of 10 s", provider.Running, 2)
	w.present()
	w.dies()
	w.pass(state.DefaultHealing + time.Second)
	w.is("the third time, after the grace", provider.Stopped, 2)
	w.elect() // all of it is in the tree
	w.pass(20 * time.Second)
	w.is("the third time, after the wait of 20 s", provider.Running, 3)
	w.present()
	w.pass(15 * time.Minute)
	w.dies()
	w.pass(state.DefaultHealing)
	w.is("after it has run for long", provider.Running, 4)
	if in := w.instance(); in.Restarts != 1 {
		t.Errorf("the tries are counted on: %+v", in)
	}
	w.quiet()
}

// TestAnAgentAlone: while the agent is away and the instance runs, the provider is asked less and less often.
func TestAnAgentAlone(t *testing.T) {
	w := newWard(t)
	w.absent()
	w.pass(10 * time.Second)
	w.present()
	w.pass(9 * time.Minute)
	before := w.cloud.listed
	w.absent()
	w.pass(4 * time.Minute)
	if n := w.cloud.listed - before; n < 4 || n > 6 {
		t.Errorf("in four minutes the provider is asked %d times", n)
	}
	w.cloud.halt("i-1")
	w.pass(5 * time.Minute)
	w.is("stopped long after the agent", provider.Running, 1)
}

func TestAMachineThatIsToStayStopped(t *testing.T) {
	w := newWard(t)
	w.set("never")
	w.dies()
	w.pass(30 * time.Minute)
	w.is("with never", provider.Stopped, 0)
	edit(w.world, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		_, _, err := state.RetryProvisioning(ctx, r, model, w.by(), []state.MachineID{"0"}, false)
		if err == nil {
			t.Error("the start of a machine that stays stopped may be retried")
		}
		return state.Txn{}, nil
	})
	in := w.cloud.instances["i-1"] // somebody starts it
	in.State = provider.Running
	w.cloud.instances["i-1"] = in
	w.present()
	w.is("started by somebody", provider.Running, 0)
	w.dies()
	w.pass(time.Minute)
	w.is("again", provider.Stopped, 0)
	w.set("2s")
	w.pass(time.Second)
	w.is("with 2s", provider.Running, 1)
}

func TestAStartThatFails(t *testing.T) {
	w := newWard(t)
	w.cloud.startErr = fmt.Errorf("no room: %w", provider.ErrTransient)
	w.dies()
	w.pass(time.Minute)
	w.is("without room", provider.Stopped, 0)
	if in := w.instance(); in.Failures < 2 || in.Failures > 6 || in.Error != "start machine 0: no room: try again later" || in.Retry.IsZero() {
		t.Errorf("it is %+v", in)
	}
	w.cloud.startErr = nil
	edit(w.world, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RetryProvisioning(ctx, r, model, w.by(), nil, true)
		return t, err
	})
	w.settle()
	w.is("with room, without a wait", provider.Running, 1)
	if in := w.instance(); in.Failures != 0 || in.Error != "" {
		t.Errorf("it is %+v", in)
	}
}

// TestAHealedMachineThatIsGone: what is not there is not replaced, and not given up on one listing's word.
func TestAHealedMachineThatIsGone(t *testing.T) {
	w := newWard(t)
	was := w.cloud.instances["i-1"]
	delete(w.cloud.instances, "i-1")
	w.absent()
	w.pass(state.DefaultHealing)
	w.is("missed once", provider.Running, 0)
	w.cloud.listErr = errors.New("out of order")
	w.pass(time.Minute)
	w.is("missed once, and then nobody answers", provider.Running, 0)
	w.cloud.listErr = nil
	w.pass(10 * time.Second)
	w.is("missed twice", provider.Gone, 0)
	w.pass(time.Hour)
	w.is("an hour later", provider.Gone, 0)

	w.cloud.instances["i-1"] = was
	w.pass(11 * time.Minute)
	w.is("back again", provider.Running, 0)
	w.present()
	w.dies()
	w.cloud.startErr = fmt.Errorf("no room: %w", provider.ErrTransient)
	w.pass(20 * time.Second)
	delete(w.cloud.instances, "i-1")
	w.cloud.startErr = nil
	w.pass(time.Minute)
	w.is("gone while it waited", provider.Gone, 0)
}
