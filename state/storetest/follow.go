package storetest

import (
	"slices"

	"github.com/grigri/grigri/state"
)

var followTests = []contract{
	{"what is followed is told once", func(t *suite) {
		t.make("/a", "/a/b")
		f := t.follow("/a", "/none")
		f.changed()
		for range 2 {
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, state.Any); x.Set("/a/b", 1, state.Any) })
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", 2, state.Any) })
			f.changed("/a")
			f.changed()
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", 3, state.Any) })
			f.changed() // it has not been read again
			f.read("/a")
		}
		f.changed()
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 4, state.Any) })
		f.read("/a")
		f.changed()
	}},
	{"what comes and goes is followed", func(t *suite) {
		f := t.follow("/a")
		for range 2 {
			t.make("/a")
			f.changed("/a")
			f.read("/a")
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a", state.Any) })
			f.changed("/a")
			f.read("/a")
		}
		f.changed()
	}},
	{"names are followed", func(t *suite) {
		f := t.follow()
		f.list("/a")
		for range 2 {
			t.make("/a")
			f.changed("/a")
			f.list("/a")
			t.make("/a/b")
			f.changed("/a")
			f.list("/a", "b")
			t.commit(t.s, func(x *state.Txn) { x.Set("/a/b", 1, state.Any) })
			t.make("/a/b/c")
			f.changed()
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a/b/c", state.Any); x.Delete("/a/b", state.Any) })
			f.changed("/a")
			f.list("/a")
			t.commit(t.s, func(x *state.Txn) { x.Delete("/a", state.Any) })
			f.changed("/a")
			f.list("/a")
		}
		t.make("/a")
		f.changed("/a")
		f.list("/a")
		f.read("/a")
		t.make("/a/b")
		f.changed("/a")
		f.read("/a")
		t.make("/a/c")
		f.changed() // data alone was read
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, state.Any) })
		f.changed("/a")
	}},
	{"others' commits are heard as soon as they have been made", func(t *suite) {
		t.make("/a")
		other := t.Controller(t)
		f := t.follow("/a")
		for range 20 {
			t.commit(other, func(x *state.Txn) { x.Set("/a", 1, state.Any) })
			f.changed("/a")
			f.read("/a")
		}
	}},
	{"two who follow one node hear of it both", func(t *suite) {
		t.make("/a")
		one, two := t.follow("/a"), t.follow("/a")
		w := t.watch(t.s)
		w.Data("/a")
		t.await(w, "/a")
		for range 3 {
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, state.Any) })
			one.changed("/a")
			one.read("/a")
			t.await(w, "/a")
		}
		two.changed("/a")
		two.read("/a")
		one.changed()
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, state.Any) })
		one.changed("/a")
		two.changed("/a")
	}},
	{"after a lost connection all that was read may have changed", func(t *suite) {
		t.make("/a", "/b")
		f := t.follow("/a", "/none")
		f.list("/b")
		for _, lose := range []func(){func() { t.Disconnect(t, t.s) }, func() { t.Expire(t, t.s) }} {
			lose()
			for { // the client may not have noticed yet
				got, err := f.f.Changed(t.ctx)
				if err == nil && slices.Equal(got, []string{"/a", "/b", "/none"}) {
					break
				}
				if err != nil && t.ctx.Err() != nil || len(got) > 0 {
					t.Fatalf("changed: %v, %v", got, err)
				}
			}
			for range 2 {
				f.read("/a")
				f.read("/none")
				f.list("/b", t.children("/b")...)
				f.changed()
				t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, state.Any) })
				t.make("/none")
				t.make("/b/c")
				f.changed("/a", "/b", "/none")
				t.commit(t.s, func(x *state.Txn) { x.Delete("/none", state.Any); x.Delete("/b/c", state.Any) })
			}
			f.read("/a")
			f.read("/none")
			f.list("/b")
		}
	}},
}

// A followed is a Follower of the suite's client.
type followed struct {
	t *suite
	f state.Follower
}

func (t *suite) follow(paths ...string) followed {
	t.Helper()
	f := followed{t, t.s.Follow(t.ctx)}
	for _, p := range paths {
		f.read(p)
	}
	return f
}

// read reads, through the follower, what is there.
func (f followed) read(path string) {
	f.t.Helper()
	n, err := f.f.Get(f.t.ctx, path)
	want, other := f.t.s.Get(f.t.ctx, path)
	if (err == nil) != (other == nil) || string(n.Data) != string(want.Data) || n.Version != want.Version || n.Stamp != want.Stamp {
		f.t.Fatalf("%s is %+v, %v; want %+v, %v", path, n, err, want, other)
	}
}

func (f followed) list(path string, want ...string) {
	f.t.Helper()
	if names, _ := f.f.Children(f.t.ctx, path); !slices.Equal(names, want) {
		f.t.Fatalf("children of %s: %v, want %v", path, names, want)
	}
}

func (f followed) changed(want ...string) {
	f.t.Helper()
	got, err := f.f.Changed(f.t.ctx)
	if err != nil || !slices.Equal(got, want) {
		f.t.Fatalf("changed: %v, %v; want %v", got, err, want)
	}
}
