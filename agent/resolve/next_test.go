package resolve

import (
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// TestFirstDeploy is the order that every charm relies on, in short. The scenarios in testdata say it at length.
func TestFirstDeploy(t *testing.T) {
	now := time.Unix(1000, 0)
	r := Remote{
		Unit: "web/0", Charm: charm.ID{Name: "web", Revision: 1}, CharmRev: 1, Config: "c1",
		Endpoints: []string{"db", "cluster"}, Leader: true, Term: "n1", LeaderSettings: 5, Boot: "b1",
		Relations: map[state.RelationID]Relation{
			1: {Endpoint: "cluster", Role: charm.Peer, Remote: "web"},
			2: {Endpoint: "db", Role: charm.Requirer, Remote: "mysql", Members: map[state.UnitName]state.Stamp{"mysql/0": 7}},
		},
	}
	var got []string
	l := Local{}
	for range 20 {
		op := Next(l, r, now)
		got = append(got, op.String())
		if _, idle := op.(Wait); idle {
			break
		}
		l = Done(l, r, op)
	}
	want := []string{
		"unpack web-1", "install",
		"enter db:2", "db-relation-created db:2 mysql", "enter cluster:1", "cluster-relation-created cluster:1 web",
		"leader-elected", "config-changed", "start",
		"db-relation-joined db:2 mysql/0", "db-relation-changed db:2 mysql/0", "wait: nothing to do",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
