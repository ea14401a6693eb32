package zk

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
)

// TestReadAhead: what a watch has read serves the next Get without the server, and is never older than it may be: a client
// sees its own writes at once, and another's when it has been told.
func TestReadAhead(t *testing.T) {
	rival, c, p := through(t, 20*time.Second)
	get := func(ctx context.Context) int {
		t.Helper()
		n, err := c.Get(ctx, "/a")
		if err != nil {
			t.Fatal(err)
		}
		v, err := strconv.Atoi(string(n.Data))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	commit(t, rival, func(x *state.Txn) { x.Create("/a", 0) })
	w := c.Watch(t.Context())
	w.Data("/a")
	<-w.C()
	w.Take()
	for i := range 200 {
		commit(t, c, func(x *state.Txn) { x.Set("/a", 2*i+1, state.Any) })
		if got := get(t.Context()); got != 2*i+1 {
			t.Fatalf("after its own write of %d the client reads %d", 2*i+1, got)
		}
		commit(t, rival, func(x *state.Txn) { x.Set("/a", 2*i+2, state.Any) })
		for read := 0; read != 2*i+2; read = get(t.Context()) {
			select {
			case <-w.C():
			case <-time.After(time.Minute):
				t.Fatalf("the client is not told of the write of %d", 2*i+2)
			}
			w.Take()
		}
	}
	ahead := func(want string) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		h := c.spots["/a"].held
		return h != nil && string(h.node.Data) == want
	}
	for n := -1; ; n-- {
		want := strconv.Itoa(n)
		commit(t, rival, func(x *state.Txn) { x.Set("/a", n, state.Any) })
		for end := time.Now().Add(time.Minute); !ahead(want); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing is read ahead")
			}
		}
		p.set(frozen)
		brief, cancel := context.WithTimeout(t.Context(), heldFor/2)
		defer cancel()
		got, err := c.Get(brief, "/a")
		if err != nil && n > -10 { // a machine with much to do comes too late for what is held, now and then
			p.set(passing)
			continue
		}
		if err != nil || string(got.Data) != want {
			t.Errorf("read ahead is %q, %v", got.Data, err)
		}
		if _, err := c.Get(brief, "/a"); err == nil {
			t.Error("what was read ahead is read twice")
		}
		return
	}
}
