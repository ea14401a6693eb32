package resolve

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// TestCommitWritesWhatChanged: the nodes of a commit, and no others, whatever else the unit has heard.
func TestCommitWritesWhatChanged(t *testing.T) {
	heard := func(units map[state.UnitName]state.Stamp) Heard {
		return Heard{Heard: state.Heard{Endpoint: "db", Remote: "mysql"}, Units: units}
	}
	l := Local{Relations: map[state.RelationID]Heard{
		1: heard(map[state.UnitName]state.Stamp{"mysql/0": 5, "mysql/1": 6}),
		2: heard(map[state.UnitName]state.Stamp{"mysql/0": 5}),
	}}
	moved := heard(map[state.UnitName]state.Stamp{"mysql/0": 5, "mysql/1": 7})
	joined := heard(map[state.UnitName]state.Stamp{"mysql/0": 5, "mysql/2": 8})
	joined.Pending = "mysql/2"
	const head = "/models/m/units/web-0/ledger"
	for _, c := range []struct {
		what  string
		to    Local
		fence state.Version
		want  []state.Op
	}{
		{"nothing heard", l, 3, []state.Op{{Kind: state.OpSet, Path: head, Version: 3}}},
		{"a unit's settings", with(l, 1, moved), 3, []state.Op{
			{Kind: state.OpSet, Path: head, Version: 3}, {Kind: state.OpSet, Path: head + "/1/mysql-1", Version: state.Any}}},
		{"a unit that joined for one that departed", with(l, 1, joined), 3, []state.Op{
			{Kind: state.OpSet, Path: head, Version: 3}, {Kind: state.OpSet, Path: head + "/1", Version: state.Any},
			{Kind: state.OpDelete, Path: head + "/1/mysql-1", Version: state.Any}, {Kind: state.OpCreate, Path: head + "/1/mysql-2"}}},
		{"a relation that ended", without(l, 1), 3, []state.Op{
			{Kind: state.OpSet, Path: head, Version: 3},
			{Kind: state.OpDelete, Path: head + "/1/mysql-0", Version: state.Any}, {Kind: state.OpDelete, Path: head + "/1/mysql-1", Version: state.Any},
			{Kind: state.OpDelete, Path: head + "/1", Version: state.Any}}},
		{"a relation that began", with(l, 3, heard(map[state.UnitName]state.Stamp{"mysql/0": 5})), 3, []state.Op{
			{Kind: state.OpSet, Path: head, Version: 3}, {Kind: state.OpCreate, Path: head + "/3"}, {Kind: state.OpCreate, Path: head + "/3/mysql-0"}}},
	} {
		got := Commit(model, "web/0", l, c.to, c.fence).Ops
		for i := range got {
			got[i].Data = nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: the commit is %+v, want %+v", c.what, got, c.want)
		}
	}
}

// TestFence: of two agents of one unit only one goes on.
func TestFence(t *testing.T) {
	ctx := context.Background()
	l := newLedger("web/0")
	first, fence, err := Load(ctx, l.store, model, "web/0")
	if err != nil || fence != Unborn {
		t.Fatal(first, fence, err)
	}
	unpacked := Done(first, Remote{Charm: charm.ID{Name: "web"}, CharmRev: 1}, Unpack{CharmRev: 1})
	for i, want := range []error{nil, state.ErrConflict} {
		if _, err := l.store.Commit(ctx, Commit(model, "web/0", first, unpacked, fence)); !errors.Is(err, want) {
			t.Errorf("agent %d begins the ledger: %v, want %v", i, err, want)
		}
	}
	second, fence, err := Load(ctx, l.store, model, "web/0")
	if err != nil || fence != 0 || second.Phase != state.Unpacked {
		t.Fatal(second, fence, err)
	}
	installed := Done(second, Remote{}, run(hooks.Install))
	for i, want := range []error{nil, state.ErrConflict} {
		if _, err := l.store.Commit(ctx, Commit(model, "web/0", second, installed, fence)); !errors.Is(err, want) {
			t.Errorf("agent %d goes on: %v, want %v", i, err, want)
		}
	}
}

func TestFailureKeepsTheLastWords(t *testing.T) {
	long := make([]byte, 2*maxLine)
	for i := range long {
		long[i] = 'x'
	}
	var output []string
	for range maxLines {
		output = append(output, "early")
	}
	output = append(output, "late", string(long))
	h := hooks.Hook{Kind: hooks.RelationJoined, Relation: 0, Endpoint: "db", RemoteApp: "mysql", RemoteUnit: "mysql/0"}
	l := Failed(Local{}, Remote{}, h, time.Unix(5, 0), "exit status 3", output)
	f := l.Failed
	if f.Name != "db-relation-joined" || f.Exit != "exit status 3" || len(f.Output) != maxLines ||
		f.Output[maxLines-2] != "late" || len(f.Output[maxLines-1]) > maxLine+len("…") {
		t.Errorf("%+v", f)
	}
	if got := failedHook(l); !reflect.DeepEqual(got, h) {
		t.Errorf("the failed hook comes back as %+v, want %+v", got, h)
	}
}

// TestEndedTerm: a leader-elected that is skipped because the term has ended leaves no term behind.
func TestEndedTerm(t *testing.T) {
	r := Remote{Leader: true, Term: "n1"}
	elected := hooks.Hook{Kind: hooks.LeaderElected}
	l := Failed(Local{}, r, elected, time.Unix(5, 0), "exit status 1", nil)
	r.Leader = false
	if got := Done(l, r, Skip{elected, Moot}); got.Term != "" || got.Failed != nil {
		t.Errorf("%+v", got.Ledger)
	}
}

func TestExits(t *testing.T) {
	broken := hooks.Hook{Kind: hooks.RelationBroken, Relation: 4, Endpoint: "db"}
	for _, op := range []Op{Exit{4, "db"}, Run{broken}, Skip{broken, Resolved}} {
		if id, ok := Exits(op); !ok || id != 4 {
			t.Errorf("%v: %v %v", op, id, ok)
		}
	}
	for _, op := range []Op{Leave{}, Enter{4, "db"}, run(hooks.Stop), Run{hooks.Hook{Kind: hooks.RelationDeparted, Relation: 4, Endpoint: "db"}}} {
		if _, ok := Exits(op); ok {
			t.Errorf("%v leaves no scope", op)
		}
	}
}
