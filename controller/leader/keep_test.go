package leader

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
)

// A machine that goes with its last unit: its instance can be kept until its provider is told to end it, and not from then on.
func TestAnInstanceIsKeptBeforeItsEnd(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	w.settle()
	keep := func(id state.MachineID) error {
		return state.Edit(t.Context(), w.store, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.RemoveMachine(ctx, r, model, w.by(), id, state.Ending{}, true)
			return t, err
		})
	}

	w.removeUnit("web/0", state.Ending{})
	for n := 0; ; n++ {
		jobs, err := w.leader.Step(t.Context())
		if err != nil || n == 1000 {
			t.Fatalf("no instance is to be stopped: %v", err)
		}
		stops := false
		for _, j := range jobs {
			if j.Kind == JobStop {
				stops = true
				if err := keep("0"); err != nil {
					t.Errorf("keep the instance that is not ending yet: %v", err)
				}
			}
			w.leader.Take(w.leader.Do(t.Context(), j))
		}
		if stops {
			break
		}
		w.agents()
	}
	w.pass(11 * time.Minute)
	if got := w.cloud.machines(); got != "0 1" {
		t.Errorf("there are instances of %q", got)
	}

	w.cloud.stopErr = errors.New("out of order")
	w.removeUnit("web/1", state.Ending{})
	w.settle()
	var refused *state.RefusedError
	if err := keep("1"); !errors.As(err, &refused) {
		t.Errorf("keep the instance that is ending: %v", err)
	}
	w.cloud.stopErr = nil
	w.pass(11 * time.Minute)
	if got := w.cloud.machines(); got != "0" {
		t.Errorf("there are instances of %q", got)
	}
	w.want("web; 0 web:cluster []; machines ")
}
