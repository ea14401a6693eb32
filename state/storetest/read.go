package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/grigri/grigri/state"
)

var readTests = []contract{
	{"the root is a slash", func(t *suite) {
		if n := t.get("/"); n.Children != 0 || n.Session != 0 {
			t.Errorf("the root is %+v", n)
		}
		if names := t.children("/"); len(names) != 0 {
			t.Errorf("the root has %v", names)
		}
		t.make("/a")
		if names := t.children("/"); !slices.Equal(names, []string{"a"}) {
			t.Errorf("the root has %v", names)
		}
	}},
	{"what is not there is not found", func(t *suite) {
		t.make("/a")
		for _, path := range []string{"/b", "/a/b", "/b/c", "/a "} {
			_, err := t.s.Get(t.ctx, path)
			t.want("get "+path, err, state.ErrNotFound)
			_, err = t.s.Children(t.ctx, path)
			t.want("children of "+path, err, state.ErrNotFound)
		}
	}},
	{"what is no path is refused", func(t *suite) {
		for _, path := range []string{"", "a", "/a/", "//", "/a//b", "/a/../b", "/.", "/a\x00"} {
			_, err := t.s.Get(t.ctx, path)
			t.wantOther("get "+path, err)
			_, err = t.s.Children(t.ctx, path)
			t.wantOther("children of "+path, err)
			_, err = t.try(t.s, func(x *state.Txn) { x.Create(path, 1) })
			t.wantOther("create "+path, err)
		}
	}},
	{"children are sorted names", func(t *suite) {
		t.make("/a", "/a/c", "/a/b", "/a/b/x", "/a/B", "/a/b-1", "/a/å", "/ab")
		if names := t.children("/a"); !slices.Equal(names, []string{"B", "b", "b-1", "c", "å"}) {
			t.Errorf("%v", names)
		}
		if n := t.get("/a"); n.Children != 5 {
			t.Errorf("it says it has %d children", n.Children)
		}
		if names := t.children("/a/c"); len(names) != 0 {
			t.Errorf("a node without children has %v", names)
		}
	}},
	{"data is what was written", func(t *suite) {
		for i, data := range [][]byte{nil, {}, {0}, []byte("x"), bytes.Repeat([]byte("\xff\x00"), state.MaxValue/2)} {
			path := fmt.Sprintf("/%d", i)
			t.commit(t.s, func(x *state.Txn) { x.Ops = []state.Op{{Kind: state.OpCreate, Path: path, Data: data}} })
			if n := t.get(path); !bytes.Equal(n.Data, data) {
				t.Errorf("%d bytes became %d", len(data), len(n.Data))
			}
		}
		own := []byte("own")
		t.commit(t.s, func(x *state.Txn) { x.Ops = []state.Op{{Kind: state.OpSet, Path: "/0", Data: own}} })
		own[0] = 'x'
		n := t.get("/0")
		n.Data[1] = 'x'
		if n := t.get("/0"); string(n.Data) != "own" {
			t.Errorf("the tree shares memory with its users: %s", n.Data)
		}
	}},
	{"versions count the writes of one node", func(t *suite) {
		t.make("/a", "/b")
		for v := range state.Version(3) {
			if n := t.get("/a"); n.Version != v {
				t.Errorf("version %d after %d writes", n.Version, v)
			}
			t.commit(t.s, func(x *state.Txn) { x.Set("/a", v, v) })
		}
		t.make("/a/c")
		if n := t.get("/a"); n.Version != 3 {
			t.Errorf("a child made it version %d", n.Version)
		}
		if n := t.get("/b"); n.Version != 0 {
			t.Errorf("the other is at version %d", n.Version)
		}
		t.commit(t.s, func(x *state.Txn) { x.Set("/b", 1, 0); x.Set("/b", 2, 1) })
		if n := t.get("/b"); n.Version != 2 || string(n.Data) != "2" {
			t.Errorf("two writes in one: version %d of %s", n.Version, n.Data)
		}
	}},
	{"stamps order all changes", func(t *suite) {
		var last state.Stamp
		later := func(what string, s state.Stamp) {
			t.Helper()
			if s <= last {
				t.Errorf("%s: stamp %d after %d", what, s, last)
			}
			last = s
		}
		t.make("/a")
		a := t.get("/a")
		if a.Created != a.Stamp {
			t.Errorf("created at %d, written at %d", a.Created, a.Stamp)
		}
		later("create", a.Stamp)
		t.make("/b")
		later("create another", t.get("/b").Stamp)
		t.commit(t.s, func(x *state.Txn) { x.Set("/a", 1, 0) })
		later("set", t.get("/a").Stamp)
		t.make("/a/c")
		n := t.get("/a")
		if n.Stamp != last || n.Created != a.Created {
			t.Errorf("a child changed the stamps of its parent: %d %d", n.Stamp, n.Created)
		}
		later("create below", t.get("/a/c").Stamp)
		t.commit(t.s, func(x *state.Txn) { x.Delete("/b", 0) })
		t.make("/b")
		later("create again", t.get("/b").Stamp)
		if n := t.get("/b"); n.Version != 0 || n.Created != n.Stamp {
			t.Errorf("created again: %+v", n)
		}
		t.commit(t.s, func(x *state.Txn) { x.Delete("/b", 0); x.Create("/b", 1) })
		later("delete and create in one", t.get("/b").Created)
	}},
	{"a list that is too long is refused", func(t *suite) {
		t.make("/a")
		for n := 0; n <= state.MaxChildren; n += state.MaxOps {
			t.commit(t.s, func(x *state.Txn) {
				for i := range min(state.MaxOps, state.MaxChildren+1-n) {
					x.Create(fmt.Sprintf("/a/%d", n+i), nil)
				}
			})
		}
		_, err := t.s.Children(t.ctx, "/a")
		t.want("one too many", err, state.ErrTooLarge)
		t.commit(t.s, func(x *state.Txn) { x.Delete("/a/0", 0) })
		if names := t.children("/a"); len(names) != state.MaxChildren {
			t.Errorf("%d names", len(names))
		}
		w := t.s.Watch(t.ctx)
		w.Children("/a")
		t.await(w, "/a")
	}},
	{"a context that has ended ends every call", func(t *suite) {
		t.make("/a")
		over, cancel := context.WithCancel(t.ctx)
		cancel()
		_, err := t.s.Get(over, "/a")
		t.ended("get", err)
		_, err = t.s.Children(over, "/a")
		t.ended("children", err)
		_, err = t.s.Commit(over, state.Txn{Ops: []state.Op{{Path: "/a"}}})
		t.ended("commit", err)
		_, err = t.s.Session(over)
		t.ended("session", err)
		t.ended("prove", t.s.Prove(over, state.Credential{Principal: "p", Secret: "s"}))
	}},
}
