package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/state"
)

var commitTests = []contract{
	{"an empty transaction asks nothing", func(t *suite) {
		over, cancel := context.WithCancel(t.ctx)
		cancel()
		if created, err := t.s.Commit(over, state.Txn{}); err != nil || len(created) != 0 {
			t.Errorf("%v: %v", created, err)
		}
	}},
	{"created paths come in the order of the ops", func(t *suite) {
		created := t.commit(t.s, func(x *state.Txn) {
			x.Create("/b", 1)
			x.Set("/b", 2, 0)
			x.Create("/a", 1)
			x.Ops = append(x.Ops, state.Op{Kind: state.OpCreate, Path: "/b/s-", Sequence: true})
			x.Check("/a", 0)
			x.Create("/a/c", 1)
		})
		if !slices.Equal(created, []string{"/b", "/a", "/b/s-0000000000", "/a/c"}) {
			t.Errorf("%v", created)
		}
	}},
	{"one node takes the place of another", func(t *suite) {
		t.make("/a")
		before := t.get("/a")
		t.commit(t.s, func(x *state.Txn) {
			x.Delete("/a", before.Version)
			x.Ephemeral("/a", 2)
		})
		if n := t.get("/a"); n.Created <= before.Created || n.Session == 0 || n.Version != 0 {
			t.Errorf("it was %+v, is %+v", before, n)
		}
	}},
	{"all or none", func(t *suite) {
		t.make("/a", "/b")
		good := []state.Op{
			{Kind: state.OpCreate, Path: "/c"},
			{Kind: state.OpSet, Path: "/a", Data: []byte("1"), Version: 0},
			{Kind: state.OpDelete, Path: "/b", Version: 0},
			{Kind: state.OpCheck, Path: "/a", Version: 1},
			{Kind: state.OpCreate, Path: "/s-", Sequence: true},
		}
		for i := range len(good) + 1 {
			ops := slices.Insert(slices.Clone(good), i, state.Op{Kind: state.OpCheck, Path: "/nowhere", Version: state.Any})
			_, err := t.s.Commit(t.ctx, state.Txn{Ops: ops})
			t.want(fmt.Sprintf("with a check that fails at %d", i), err, state.ErrConflict)
			if !strings.Contains(err.Error(), "/nowhere") {
				t.Errorf("the error does not name the op that failed: %v", err)
			}
			if names := t.children("/"); !slices.Equal(names, []string{"a", "b"}) {
				t.Fatalf("the root has %v", names)
			}
			if n := t.get("/a"); n.Version != 0 {
				t.Fatalf("it is at version %d", n.Version)
			}
		}
		created := t.commit(t.s, func(x *state.Txn) { x.Ops = good })
		if names := t.children("/"); !slices.Equal(created, []string{"/c", "/s-0000000003"}) || !slices.Equal(names, []string{"a", "c", "s-0000000003"}) {
			t.Errorf("created %v; the root has %v", created, names)
		}
	}},
	{"an op sees the ops before it", func(t *suite) {
		t.commit(t.s, func(x *state.Txn) {
			x.Create("/a", 1)
			x.Create("/a/b", 2)
			x.Set("/a/b", 3, 0)
			x.Check("/a/b", 1)
			x.Delete("/a/b", 1)
			x.Delete("/a", 0)
			x.Create("/a", 4)
		})
		if n := t.get("/a"); string(n.Data) != "4" || n.Version != 0 || n.Children != 0 {
			t.Errorf("%+v", n)
		}
		_, err := t.try(t.s, func(x *state.Txn) { x.Create("/b", 1); x.Create("/b", 1) })
		t.want("create twice", err, state.ErrConflict)
		_, err = t.try(t.s, func(x *state.Txn) { x.Create("/a/c", 1); x.Delete("/a", 0) })
		t.want("delete what has got a child", err, state.ErrConflict)
		_, err = t.try(t.s, func(x *state.Txn) { x.Delete("/a", 0); x.Create("/a/c", 1) })
		t.want("create below what is deleted", err, state.ErrConflict)
	}},
	{"conflicts", func(t *suite) {
		t.make("/a", "/a/b", "/c")
		t.commit(t.s, func(x *state.Txn) { x.Ephemeral("/e", 1); x.Set("/c", 1, 0) })
		for name, edit := range map[string]func(*state.Txn){
			"check of an older version":  func(x *state.Txn) { x.Check("/c", 0) },
			"check of a later version":   func(x *state.Txn) { x.Check("/c", 2) },
			"check of nothing":           func(x *state.Txn) { x.Check("/x", state.Any) },
			"set of an older version":    func(x *state.Txn) { x.Set("/c", 1, 0) },
			"set of nothing":             func(x *state.Txn) { x.Set("/x", 1, state.Any) },
			"delete of an older version": func(x *state.Txn) { x.Delete("/c", 0) },
			"delete of nothing":          func(x *state.Txn) { x.Delete("/x", state.Any) },
			"delete below nothing":       func(x *state.Txn) { x.Delete("/x/y", state.Any) },
			"delete of what has a child": func(x *state.Txn) { x.Delete("/a", state.Any) },
			"create of what is there":    func(x *state.Txn) { x.Create("/c", 1) },
			"create below nothing":       func(x *state.Txn) { x.Create("/x/y", 1) },
			"create below an ephemeral":  func(x *state.Txn) { x.Create("/e/x", 1) },
		} {
			_, err := t.try(t.s, edit)
			t.want(name, err, state.ErrConflict)
		}
	}},
	{"any version will do", func(t *suite) {
		t.make("/a")
		for range 3 {
			t.commit(t.s, func(x *state.Txn) { x.Check("/a", state.Any); x.Set("/a", 1, state.Any) })
		}
		if n := t.get("/a"); n.Version != 3 {
			t.Errorf("version %d", n.Version)
		}
		t.commit(t.s, func(x *state.Txn) { x.Delete("/a", state.Any) })
	}},
	{"the root stays", func(t *suite) {
		_, err := t.try(t.s, func(x *state.Txn) { x.Delete("/", state.Any) })
		t.wantOther("delete the root", err)
		_, err = t.try(t.s, func(x *state.Txn) { x.Create("/", 1) })
		t.wantOther("create the root", err)
		t.commit(t.s, func(x *state.Txn) { x.Check("/", state.Any); x.Set("/", 1, state.Any) })
	}},
	{"sequences number whatever their parent has had made", func(t *suite) {
		t.make("/a")
		next := func(path string) string {
			t.Helper()
			return t.commit(t.s, func(x *state.Txn) { x.Ops = []state.Op{{Kind: state.OpCreate, Path: path, Sequence: true}} })[0]
		}
		want := func(got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("made %s; want %s", got, want)
			}
		}
		want(next("/a/s-"), "/a/s-0000000000")
		want(next("/a/t-"), "/a/t-0000000001")
		t.make("/a/plain")
		want(next("/a/"), "/a/0000000003")
		t.commit(t.s, func(x *state.Txn) { x.Delete("/a/s-0000000000", 0); x.Delete("/a/t-0000000001", 0) })
		want(next("/a/s-"), "/a/s-0000000004")
		want(next("/a/plain/s-"), "/a/plain/s-0000000000")
		_, err := t.try(t.s, func(x *state.Txn) {
			x.Ops = []state.Op{{Kind: state.OpCreate, Path: "/x/s-", Sequence: true}}
		})
		t.want("below nothing", err, state.ErrConflict)
	}},
	{"what is too large is refused", func(t *suite) {
		t.make("/a")
		data := make([]byte, state.MaxValue+1)
		op := func(n int) state.Op {
			return state.Op{Kind: state.OpSet, Path: "/a", Data: data[:n], Version: state.Any}
		}
		_, err := t.s.Commit(t.ctx, state.Txn{Ops: []state.Op{op(state.MaxValue + 1)}})
		t.want("a value", err, state.ErrTooLarge)
		_, err = t.s.Commit(t.ctx, state.Txn{Ops: []state.Op{op(state.MaxValue), op(state.MaxValue)}})
		t.want("a transaction", err, state.ErrTooLarge)
		_, err = t.s.Commit(t.ctx, state.Txn{Ops: make([]state.Op, state.MaxOps+1)})
		t.want("many ops", err, state.ErrTooLarge)
		if n := t.get("/a"); n.Version != 0 {
			t.Errorf("version %d", n.Version)
		}
	}},
	{"what is just not too large is done", func(t *suite) {
		long := state.ModelID(strings.Repeat("m", 36))
		unit := state.UnitName(strings.Repeat("u", 100) + "/1234")
		path := long.MemberPath(1, "", unit)
		var dirs []string
		for i, c := range path {
			if c == '/' && i > 0 {
				dirs = append(dirs, path[:i])
			}
		}
		t.make(dirs...)
		var x state.Txn
		left := state.MaxTxn - x.Size()
		for i := 0; len(x.Ops) < state.MaxOps; i++ {
			op := state.Op{Kind: state.OpCreate, Path: long.MemberPath(1, "", state.UnitName(fmt.Sprintf("%s%d", unit, i)))}
			if left -= (state.Txn{Ops: []state.Op{op}}).Size() - (state.Txn{}).Size(); left < 0 {
				break
			}
			x.Ops = append(x.Ops, op)
		}
		x.Ops[0].Data = make([]byte, state.MaxTxn-x.Size())
		if err := x.Valid(); err != nil {
			t.Fatal(err)
		}
		created, err := t.s.Commit(t.ctx, x)
		if err != nil || len(created) != len(x.Ops) {
			t.Errorf("of %d ops, %d nodes: %v", len(x.Ops), len(created), err)
		}
	}},
}
