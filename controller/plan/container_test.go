package plan

import (
	"reflect"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func TestContain(t *testing.T) {
	running := state.Instance{Instance: provider.Instance{ID: "c0", State: provider.Running, Addresses: []string{"10.0.0.2"}}}
	ended := running
	ended.State = provider.Gone
	end := state.End{Life: state.Dying, Deadline: now.Add(time.Minute)}
	late := state.End{Life: state.Dying, Deadline: now}
	box := func(e state.End, in state.Instance) Machine {
		return Machine{ID: "3/lxd/0", Machine: state.Machine{End: e}, Instance: in}
	}
	host := func(change ...func(*Machine)) *Machine {
		m := &Machine{ID: "3", Instance: state.Instance{Instance: provider.Instance{ID: "i-3", State: provider.Running}}}
		for _, c := range change {
			c(m)
		}
		return m
	}
	going := func(m *Machine) { m.End = end }
	manual := func(m *Machine) { m.Manual = "root@host" }
	lost := func(m *Machine) { m.Instance.State = provider.Gone }
	busy := box(end, running)
	busy.Units = []state.UnitName{"a/0"}
	kept := box(end, running)
	kept.KeepInstance = true
	told, toGo := &state.Container{}, &state.Container{Gone: true}
	says := func(in state.Instance) *state.ContainerReport { return &state.ContainerReport{Instance: in} }
	for _, c := range []struct {
		about string
		m     Machine
		n     Nest
		want  Action
	}{
		{"new", box(state.End{}, state.Instance{}), Nest{Host: host()}, Tell{}},
		{"its host's agent has something to say", box(state.End{}, state.Instance{}), Nest{host(), told, says(running)}, Note{}},
		{"that has been noted", box(state.End{}, running), Nest{host(), told, says(running)}, Tell{}},
		{"it has a problem with its profiles", box(state.End{}, running), Nest{host(), told, &state.ContainerReport{Instance: running, Problem: "no such device"}}, Note{}},
		{"its host goes", box(state.End{}, running), Nest{host(going), told, says(running)}, Perish{end}},
		{"its host is no more", box(state.End{}, running), Nest{nil, nil, nil}, Perish{state.End{Life: state.Dying, Deadline: now.Add(state.DefaultDeadline)}}},
		{"its host's instance is no more", box(state.End{}, running), Nest{host(lost), told, says(running)}, Lose{}},
		{"that is known", box(state.End{}, ended), Nest{host(lost), told, says(running)}, Nothing{}},
		{"it goes and has units", busy, Nest{host(), told, says(running)}, Wait{end.Deadline}},
		{"it goes", box(end, running), Nest{host(), told, says(running)}, Tell{Gone: true}},
		{"it is told to go", box(end, running), Nest{host(), toGo, says(running)}, Wait{end.Deadline}},
		{"it has gone", box(end, running), Nest{host(), toGo, says(ended)}, Bury{}},
		{"it does not go in time", box(late, running), Nest{host(), toGo, says(running)}, Bury{}},
		{"it was never told of", box(end, state.Instance{}), Nest{Host: host()}, Bury{}},
		{"it goes with its host", box(end, running), Nest{host(going), told, says(running)}, Bury{}},
		{"its host goes and the user's computer stays", box(end, running), Nest{host(going, manual), told, says(running)}, Tell{Gone: true}},
		{"it goes and its host's instance is no more", box(end, running), Nest{host(lost), told, says(running)}, Bury{}},
		{"it goes and its host is no more", box(end, running), Nest{nil, nil, nil}, Bury{}},
		{"it goes and is kept", kept, Nest{host(), told, says(running)}, Bury{}},
	} {
		if got := Contain(c.m, c.n, now); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %T%+v, want %T%+v", c.about, got, got, c.want, c.want)
		}
	}
}

// A machine that has containers does not go before them.
func TestAHostWaitsForItsContainers(t *testing.T) {
	m := Machine{ID: "3", Machine: state.Machine{Containers: []state.MachineID{"3/lxd/0"}, End: state.End{Life: state.Dying, Deadline: now.Add(time.Minute)}},
		Instance: state.Instance{Instance: provider.Instance{ID: "i-3", State: provider.Running}}}
	if got := Provision(m, Sight{}, now); got != (Wait{m.Deadline}) {
		t.Errorf("it is to %T", got)
	}
	m.Containers = nil
	if _, ok := Provision(m, Sight{}, now).(Stop); !ok {
		t.Error("it does not go after them")
	}
}
