package statuslog

import (
	"testing"

	"github.com/grigri/grigri/state"
)

func entries(t *testing.T, lines ...string) (out []Entry) {
	for _, line := range lines {
		told, by := parse(t, line)
		out = append(out, Entry{by, told.StatusRecord})
	}
	return out
}

const silent = " " + state.AgentSilent

func TestAUnitIsLostWithItsMachine(t *testing.T) {
	machines := map[string][]Entry{
		"machine-1": entries(t, "juju-machine started @1", "machine running @2", "juju-machine down"+silent+" @10", "juju-machine started @20",
			"juju-machine down"+silent+" @40", "juju-machine started @50"),
		"machine-2": entries(t, "juju-machine down"+silent+" @5", "juju-machine started @6", "juju-machine down"+silent+" @60"),
	}
	for _, c := range []struct {
		what      string
		own, want []string
	}{
		{"from machine to machine under the same name",
			[]string{"juju-unit idle @3 by machine-1", "workload active @4 by machine-1", "workload terminated @30 by machine-1", "juju-unit executing x @55 by machine-2"},
			[]string{"juju-unit idle @3", "workload active @4", "juju-unit lost" + silent + " @10", "juju-unit idle @20", "workload terminated @30", "juju-unit executing x @55", "juju-unit lost" + silent + " @60"}},
		{"two of the same name on one machine",
			[]string{"juju-unit idle @3 by machine-1", "workload terminated @30 by machine-1", "juju-unit executing x @45 by machine-1"},
			[]string{"juju-unit idle @3", "juju-unit lost" + silent + " @10", "juju-unit idle @20", "workload terminated @30", "juju-unit executing x @45"}},
		{"who comes back and says so at once",
			[]string{"juju-unit idle @3 by machine-1", "juju-unit executing start @20 by machine-1"},
			[]string{"juju-unit idle @3", "juju-unit lost" + silent + " @10", "juju-unit executing start @20", "juju-unit lost" + silent + " @40", "juju-unit executing start @50"}},
		{"the controllers say that it has gone",
			[]string{"juju-unit idle @3 by machine-1", "workload terminated forced @15"},
			[]string{"juju-unit idle @3", "juju-unit lost" + silent + " @10", "workload terminated forced @15"}},
		{"made while the machine was away", []string{"juju-unit idle @25 by machine-1", "workload terminated @26 by machine-1"}, []string{"juju-unit idle @25", "workload terminated @26"}},
		{"nothing", nil, nil},
	} {
		own := entries(t, c.own...)
		same(t, c.what, printed(Of(UnitStory(own, machines), state.StatusOfAgent, state.StatusOfWorkload)), c.want)
	}
}

func TestOf(t *testing.T) {
	all := entries(t, "workload active @1", "juju-unit idle @2", "workload active @3", "juju-unit idle @4", "juju-unit executing @5", "juju-unit idle @6")
	same(t, "one type", printed(Of(all, state.StatusOfAgent)), []string{"juju-unit idle @2", "juju-unit executing @5", "juju-unit idle @6"})
	same(t, "two types", printed(Of(all, state.StatusOfAgent, state.StatusOfWorkload)), []string{"workload active @1", "juju-unit idle @2", "juju-unit executing @5", "juju-unit idle @6"})
}
