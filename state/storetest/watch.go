package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/state"
)

var watchTests = []contract{
	{"a watch begins dirty", func(t *suite) {
		t.make("/a")
		w := t.watch(t.s)
		w.Data("/b")
		w.Data("/a")
		w.Children("/a")
		t.await(w, "/a", "/b")
		t.quiet(w)
		w.Data("/a")
		w.Children("/a")
		w.Data("/b")
		t.quiet(w) // it watches them already
		w.Children("/b")
		t.await(w, "/b")
		t.quiet(w)
	}},
	{"data", func(t *suite) {
		w := t.watch(t.s)
		w.Data("/a")
		t.await(w, "/a")
		for range 2 {
			t.make("/a")
			t.await(w, "/a")
			for range 3 {
				t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, state.Any) })
				t.await(w, "/a")
			}
			t.make("/a/b")
			t.commit(t.s, func(x *state.Txn) { x.Set("/a/b", 1, 0) })
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a/b", 1) })
			t.quiet(w)
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a", state.Any) })
			t.await(w, "/a")
		}
		t.quiet(w)
	}},
	{"children", func(t *suite) {
		w := t.watch(t.s)
		w.Children("/a")
		t.await(w, "/a")
		for range 2 {
			t.make("/a")
			t.await(w, "/a")
			t.make("/a/b")
			t.await(w, "/a")
			t.make("/a/c")
			t.await(w, "/a")
			t.make("/a/b/x")
			t.commit(t.s, func(x *state.Txn) { x.Set("/a/b", 1, 0) })
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a/b/x", 0) })
			t.quiet(w)
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a/b", 1); x.Delete("/a/c", 0) })
			t.await(w, "/a")
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a", state.Any) })
			t.await(w, "/a")
		}
		t.quiet(w)
	}},
	{"data and children of one node", func(t *suite) {
		w := t.watch(t.s)
		w.Data("/a")
		w.Children("/a")
		t.await(w, "/a")
		t.make("/a")
		t.await(w, "/a")
		t.make("/a/b")
		t.await(w, "/a")
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, 0) })
		t.await(w, "/a")
		t.commit(t.s, func(x *state.Txn) { x.Delete("/a/b", 0); x.Delete("/a", 1) })
		t.await(w, "/a")
		t.quiet(w)
	}},
	{"what is no path does no harm", func(t *suite) {
		w := t.watch(t.s)
		w.Data("/a//b")
		w.Children("a")
		t.await(w, "/a//b", "a")
		t.quiet(w)
		w.Drop("a")
	}},
	{"repetitions are merged", func(t *suite) {
		t.make("/a", "/b")
		w := t.watch(t.s)
		w.Data("/b")
		w.Data("/a")
		t.await(w, "/a", "/b")
		for v := range state.Version(5) {
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, v); x.Set("/b", 1, v) })
		}
		t.await(w, "/a", "/b")
		for {
			t.quietBut(w, "/a", "/b") // a report of the later changes may come yet, but not for ever
			select {
			case <-w.C():
				continue
			default:
			}
			break
		}
	}},
	{"drop", func(t *suite) {
		t.make("/a", "/b")
		w := t.watch(t.s)
		w.Data("/a")
		w.Children("/a")
		w.Data("/b")
		t.await(w, "/a", "/b")
		w.Drop("/a")
		w.Drop("/nowhere")
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, 0); x.Create("/a/b", 1) })
		t.quiet(w)
		w.Data("/a")
		t.await(w, "/a")
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, 1) })
		t.await(w, "/a")
		t.commit(t.s, func(x *state.Txn) { x.Set("/b", 1, 0) })
		<-w.C()
		w.Drop("/b") // dirty
		t.quiet(w)
	}},
	{"watches do not disturb one another", func(t *suite) {
		t.make("/a")
		w1, w2 := t.watch(t.s), t.watch(t.s)
		w1.Data("/a")
		w2.Data("/a")
		t.await(w1, "/a")
		t.await(w2, "/a")
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, 0) })
		t.await(w1, "/a")
		t.await(w2, "/a")
		w1.Drop("/a")
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, 1) })
		t.await(w2, "/a")
		t.quiet(w1)
		w1.Data("/a")
		t.await(w1, "/a")
		t.quiet(w2)
	}},
	{"a watch ends with its context", func(t *suite) {
		t.make("/a")
		ctx, cancel := context.WithCancel(t.ctx)
		w, other := t.s.Watch(ctx), t.watch(t.s)
		w.Data("/a")
		other.Data("/a")
		t.await(w, "/a")
		t.await(other, "/a")
		cancel()
		for v := state.Version(0); ; v++ {
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, v) })
			t.await(other, "/a")
			if w.Take() == nil { // once it has ended it stays so
				break
			}
		}
		w.Data("/a")
		if got := w.Take(); got != nil {
			t.Errorf("reports %v", got)
		}
	}},
	{"everything is dirty after a lost connection", func(t *suite) {
		t.make("/a", "/b")
		c := t.Controller(t)
		w := t.watch(c)
		w.Data("/a")
		w.Children("/b")
		w.Data("/c")
		t.await(w, "/a", "/b", "/c")
		for _, lose := range []func(){func() { t.Disconnect(t, c) }, func() { t.Expire(t, c) }} {
			lose()
			t.await(w, "/a", "/b", "/c")
			t.commitSurely(c, func(x *state.Txn) { x.Check("/a", state.Any) }) // the connection is back
			w.Take()
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, state.Any) })
			t.await(w, "/a")
			created := t.commit(t.s, func(x *state.Txn) { x.Create("/b/x", 1); x.Create("/c", 1) })
			t.await(w, "/b", "/c")
			t.commit(t.s, func(x *state.Txn) {
				for _, p := range created {
					x.Delete(p, 0)
				}
			})
			t.await(w, "/b", "/c")
		}
	}},
	{"no change is missed", func(t *suite) {
		const writes = 200
		t.make("/a", "/a/n")
		c := t.Controller(t)
		w := t.watch(c)
		w.Data("/a/n")
		w.Children("/a")
		var g errgroup.Group
		g.Go(func() error {
			for v := range writes {
				t.commit(t.s, func(x *state.Txn) {
					x.Set("/a/n", v, state.Version(v))
					x.Create(fmt.Sprintf("/a/c%d", v), 1)
				})
			}
			return nil
		})
		defer g.Wait()
		data, children := false, false
		for !data || !children {
			select {
			case <-w.C():
			case <-time.After(patience):
				t.Fatal("the last change is never reported")
			}
			for _, path := range w.Take() {
				if path == "/a/n" {
					n, err := c.Get(t.ctx, path)
					data = data || err == nil && n.Version == writes
				} else {
					names, err := c.Children(t.ctx, path)
					children = children || err == nil && len(names) == writes+1
				}
			}
		}
	}},
	{"what may not be read is not heard", func(t *suite) {
		t.model()
		app, election := model.ApplicationPath("web"), model.ElectionPath("web")
		t.make(app)
		c := t.Machine(t, model, machine)
		w := t.watch(c)
		w.Data(app)
		w.Children(election)
		t.await(w, app, election)
		t.make(election, election+"/x")
		t.commit(t.s, func(x *state.Txn) { x.Set(app, 1, 0) })
		t.quietAgent(w)
		t.prove(c, model.ApplicationPrincipal("web"))
		t.await(w, app, election)
		t.make(election + "/y")
		t.await(w, election)
		t.commit(t.s, func(x *state.Txn) { x.Set(app, 1, 1) })
		t.await(w, app)
		t.prove(c, model.ApplicationPrincipal("web"), model.ModelAgents())
		t.quietAgent(w)
	}},
	{"several goroutines share a watch", func(t *suite) {
		w := t.watch(t.s)
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				for j := range 20 {
					path := fmt.Sprintf("/%d-%d", i, j)
					w.Data(path)
					w.Take()
					w.Children(path)
					if j%2 == 0 {
						w.Drop(path)
					}
				}
				return nil
			})
		}
		_ = g.Wait()
		t.settle(w)
		t.make("/0-1", "/7-19", "/0-2")
		t.await(w, "/0-1", "/7-19")
	}},
}

func (t *suite) watch(s state.Store) state.Watch { return s.Watch(t.ctx) }

// await waits until w has reported the paths, and none but them.
func (t *suite) await(w state.Watch, paths ...string) {
	t.Helper()
	var got []string
	for late := time.After(patience); len(got) < len(paths); {
		select {
		case <-w.C():
		case <-late:
			t.Fatalf("reported are %v, not %v", got, paths)
		}
		got = append(got, t.take(w)...)
		slices.Sort(got)
		got = slices.Compact(got)
	}
	if !slices.Equal(got, paths) {
		t.Fatalf("reported are %v, not %v", got, paths)
	}
}

// take takes, and wants the paths sorted.
func (t *suite) take(w state.Watch) []string {
	t.Helper()
	paths := w.Take()
	if !slices.IsSorted(paths) {
		t.Errorf("Take returns %v", paths)
	}
	return paths
}

// markPath is a node that the watches of quiet watch meanwhile.
const markPath = "/mark"

// quiet wants w to report nothing of what has happened: a change from now is reported first.
func (t *suite) quiet(w state.Watch) { t.Helper(); t.quietBut(w) }

func (t *suite) quietBut(w state.Watch, but ...string) {
	t.Helper()
	t.markWith(w, markPath, but)
}

// quietAgent is quiet for the client of the machine, which may not see markPath.
func (t *suite) quietAgent(w state.Watch) {
	t.Helper()
	t.markWith(w, model.MachineAgentPath(machine), nil)
}

func (t *suite) markWith(w state.Watch, mark string, but []string) {
	t.Helper()
	w.Data(mark)
	t.awaitMark(w, mark, but)
	t.commit(t.s, func(x *state.Txn) { x.Create(mark, 1) })
	t.awaitMark(w, mark, but)
	w.Drop(mark)
	t.commit(t.s, func(x *state.Txn) { x.Delete(mark, 0) })
}

func (t *suite) awaitMark(w state.Watch, mark string, but []string) {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case <-w.C():
		case <-late:
			t.Fatal("the mark is never reported")
		}
		paths := t.take(w)
		for _, p := range paths {
			if p != mark && !slices.Contains(but, p) {
				t.Errorf("reports %v for no reason", paths)
			}
		}
		if slices.Contains(paths, mark) {
			return
		}
	}
}

// settle takes until nothing comes that was owed before.
func (t *suite) settle(w state.Watch) {
	t.Helper()
	w.Data(markPath)
	for late := time.After(patience); ; {
		select {
		case <-w.C():
		case <-late:
			t.Fatal("the mark is never reported")
		}
		if slices.Contains(w.Take(), markPath) {
			w.Drop(markPath)
			return
		}
	}
}
