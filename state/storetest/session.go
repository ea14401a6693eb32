package storetest

import (
	"errors"
	"time"

	"github.com/grigri/grigri/state"
)

var sessionTests = []contract{
	{"an ephemeral node names its session", func(t *suite) {
		s := t.session(t.s)
		t.commit(t.s, func(x *state.Txn) { x.Ephemeral("/e", 1); x.Create("/a", 1) })
		if n := t.get("/e"); n.Session != s.ID || s.ID == 0 {
			t.Errorf("it lives by %d, the session is %d", n.Session, s.ID)
		}
		if n := t.get("/a"); n.Session != 0 {
			t.Errorf("a lasting node lives by %d", n.Session)
		}
		if isClosed(s.Lost) {
			t.Error("the session is lost")
		}
		if again := t.session(t.s); again != s {
			t.Error("the same session is another")
		}
		if other := t.session(t.Controller(t)); other.ID == s.ID {
			t.Error("two clients share a session")
		}
	}},
	{"a broken connection is not the end of a session", func(t *suite) {
		s := t.session(t.s)
		t.commit(t.s, func(x *state.Txn) { x.Ephemeral("/e", 1) })
		t.Disconnect(t, t.s)
		if n := t.get("/e"); n.Session != s.ID {
			t.Errorf("the node lives by %d, the session is %d", n.Session, s.ID)
		}
		if after := t.session(t.s); after.ID != s.ID {
			t.Errorf("the session was %d, is %d", s.ID, after.ID)
		}
	}},
	{"the end of a session", func(t *suite) {
		c := t.Controller(t)
		s := t.session(c)
		t.commit(c, func(x *state.Txn) { x.Ephemeral("/e", 1); x.Create("/a", 1); x.Ephemeral("/a/e", 1) })
		t.Expire(t, c)
		select {
		case <-s.Lost:
		case <-time.After(patience):
			t.Fatal("Lost does not close")
		}
		for _, path := range []string{"/e", "/a/e"} {
			_, err := t.s.Get(t.ctx, path)
			t.want("get "+path, err, state.ErrNotFound)
		}
		after := t.session(c)
		if after.ID == s.ID || isClosed(after.Lost) {
			t.Errorf("the session was %d, is %d; lost: %v", s.ID, after.ID, isClosed(after.Lost))
		}
		t.commit(c, func(x *state.Txn) { x.Ephemeral("/e", 1) })
		if n := t.get("/e"); n.Session != after.ID {
			t.Errorf("a new node lives by %d, the session is %d", n.Session, after.ID)
		}
	}},
	{"an ephemeral node can be made in one with others, and deleted", func(t *suite) {
		t.commit(t.s, func(x *state.Txn) { x.Create("/a", 1); x.Ephemeral("/a/e", 1) })
		t.commit(t.s, func(x *state.Txn) { x.Delete("/a/e", 0); x.Ephemeral("/a/e", 2) })
		if n := t.get("/a/e"); n.Session != t.session(t.s).ID || string(n.Data) != "2" {
			t.Errorf("%+v", n)
		}
		other := t.Controller(t)
		t.commit(other, func(x *state.Txn) { x.Delete("/a/e", 0) })
		created := t.commit(other, func(x *state.Txn) {
			x.Ops = []state.Op{{Kind: state.OpCreate, Path: "/a/e-", Sequence: true, Ephemeral: true}}
		})
		t.Expire(t, other)
		_, err := t.s.Get(t.ctx, created[0])
		t.want("get", err, state.ErrNotFound)
	}},
}

func (t *suite) session(s state.Store) state.Session {
	t.Helper()
	session, err := s.Session(t.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// commitSurely commits through a broken connection: it may have to try again.
func (t *suite) commitSurely(s state.Store, edit func(*state.Txn)) {
	t.Helper()
	for {
		_, err := t.try(s, edit)
		if err == nil {
			return
		}
		if !errors.Is(err, state.ErrUnknown) {
			t.Fatal(err)
		}
	}
}
