package leader

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// Two machines stop at once, and the calls that are to start them again never return. That keeps nobody from saying so, and when calls
// return again both are started.
func TestCallsThatNeverReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cancel()
		c := w.leader.Config
		c.Now, c.Store = time.Now, w.store.Client
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() { ended <- Run(ctx, c) }()
		synctest.Wait()
		w.now = time.Now()
		w.deploy("web", 2)
		time.Sleep(time.Minute)
		for n := range 2 {
			w.cloud.halt(provider.InstanceID(fmt.Sprintf("i-%d", n+1)))
		}
		w.cloud.become(true)
		time.Sleep(time.Minute + time.Second) // the look that finds them comes each minute, and not at the same instant
		instances := func() (out []state.Instance) {
			for _, id := range []state.MachineID{"0", "1"} {
				rec, err := state.Read[state.Instance](t.Context(), w.store, model.InstancePath(id))
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, rec.Value)
			}
			return out
		}
		for _, in := range instances() {
			if in.State != provider.Stopped || in.Failures != 0 {
				t.Errorf("while it is being started again it is %+v", in)
			}
		}
		time.Sleep(mostRestart)
		for _, in := range instances() {
			if in.State != provider.Stopped || in.Failures != 1 || !strings.Contains(in.Error, "has not come to an end within 3m0s") {
				t.Errorf("when it was not started in time it is %+v", in)
			}
		}
		w.cloud.become(false)
		time.Sleep(mostRestart + time.Minute)
		for _, in := range instances() {
			if in.State != provider.Running || in.Failures != 0 || in.Restarts != 1 {
				t.Errorf("when the cloud answers again it is %+v", in)
			}
		}
		before := w.cloud.become(true)
		edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.AddUnits(ctx, r, model, w.by(), "web", 20, nil)
			return t, err
		})
		time.Sleep(mostStart / 2)
		if w.cloud.become(true) == before {
			t.Error("while calls do not return nothing is listed")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

// become has starts hang from now on, or not, and returns how often was listed until now.
func (c *cloud) become(hanging bool) (listed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hangs = hanging
	return c.listed
}
