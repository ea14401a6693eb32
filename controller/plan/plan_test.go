package plan

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

var (
	now   = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	jammy = charm.Base{Name: "ubuntu", Channel: "22.04"}
	noble = charm.Base{Name: "ubuntu", Channel: "24.04"}
)

func machine(id state.MachineID, change ...func(*Machine)) Machine {
	m := Machine{ID: id}
	for _, c := range change {
		c(&m)
	}
	return m
}

func busy(m *Machine)  { m.Units = []state.UnitName{"x/0"} }
func dying(m *Machine) { m.End = state.End{Life: state.Dying, Deadline: now.Add(time.Minute)} }
func late(m *Machine)  { m.End = state.End{Life: state.Dying, Deadline: now} }
func runs(m *Machine) {
	m.Instance.Instance = provider.Instance{ID: "i-1", State: provider.Running, Addresses: []string{"127.0.0.2"}}
	m.Instance.Since = now.Add(-time.Hour)
}
func gone(m *Machine)     { runs(m); m.Instance.State = provider.Gone }
func enrolled(m *Machine) { m.Enrolled = true }
func kept(m *Machine)     { m.KeepInstance = true }
func manual(m *Machine)   { m.Manual, m.Instance.ID = "root@h", "manual:root@h" }
func dead(m *Machine)     { m.Life = state.Dead }

func TestPlace(t *testing.T) {
	big := 4096
	unit := func(name state.UnitName, placement string) Homeless {
		return Homeless{Name: name, Placement: placement, Base: jammy}
	}
	want := func(u Homeless, mib int) Homeless { u.Constraints.MemoryMiB = &mib; return u }
	boxed := func(u Homeless) Homeless { kind := "lxd"; u.Constraints.Container = &kind; return u }
	hosting := func(m *Machine) { m.Containers = []state.MachineID{"0/lxd/0"} }
	three := []Machine{machine("10"), machine("0"), machine("2", busy), machine("1")}
	for _, test := range []struct {
		about    string
		units    []Homeless
		machines []Machine
		want     string
	}{
		{"a new one when none is free", []Homeless{unit("a/0", "")}, []Machine{machine("0", busy), machine("1", dying)}, "a/0:new"},
		{"free ones first, in the order of their numbers", []Homeless{unit("a/10", ""), unit("a/2", ""), unit("a/3", ""), unit("a/4", "")}, three, "a/2:0 a/3:1 a/4:10 a/10:new"},
		{"where the user wants it, busy or not", []Homeless{unit("a/0", "2")}, three, "a/0:2"},
		{"what one asks for no other is given", []Homeless{unit("a/0", ""), unit("a/1", "0")}, three, "a/0:1 a/1:0"},
		{"a new one because the user wants that", []Homeless{unit("a/0", "new"), unit("a/1", "zone=b")}, three, "a/0:new a/1:new,zone=b"},
		{"not there", []Homeless{unit("a/0", "7")}, three, "a/0:machine 7 does not exist"},
		{"going", []Homeless{unit("a/0", "1")}, []Machine{machine("1", dying)}, "a/0:machine 1 is being removed"},
		{"in a container on a machine", []Homeless{unit("a/0", "lxd:2"), unit("a/1", "lxd:0"), unit("a/2", "")}, three, "a/0:lxd:2 a/1:lxd:0 a/2:1"},
		{"in a container on a machine that is not there", []Homeless{unit("a/0", "lxd:3")}, three, "a/0:machine 3 does not exist"},
		{"in a container on one that goes", []Homeless{unit("a/0", "lxd:1")}, []Machine{machine("1", dying)}, "a/0:machine 1 is being removed"},
		{"in a container on a new machine", []Homeless{unit("a/0", "lxd"), boxed(unit("a/1", "")), boxed(unit("a/2", "zone=b"))}, three, "a/0:lxd a/1:lxd a/2:lxd,zone=b"},
		{"in a container that is there", []Homeless{unit("a/0", "0/lxd/1"), boxed(unit("a/1", "1"))}, append(three, machine("0/lxd/1", busy)), "a/0:0/lxd/1 a/1:1"},
		{"not in one that is free, nor beside one", []Homeless{unit("a/0", "")}, []Machine{machine("0", hosting), machine("0/lxd/0")}, "a/0:new"},
		{"not on the controller's", []Homeless{unit("a/0", "")}, []Machine{machine("0", func(m *Machine) { m.Required = true })}, "a/0:new"},
		{"another base", []Homeless{unit("a/0", "")}, []Machine{machine("0", func(m *Machine) { m.Base = noble }), machine("1", func(m *Machine) { m.Base = jammy })}, "a/0:1"},
		{"too small", []Homeless{want(unit("a/0", ""), big)}, []Machine{machine("0"), machine("1", func(m *Machine) { m.Instance.Hardware.MemoryMiB = 8192 })}, "a/0:1"},
		{"made for it", []Homeless{want(unit("a/0", ""), big)}, []Machine{machine("0", func(m *Machine) { m.Constraints.MemoryMiB = &big })}, "a/0:0"},
		{"lost", []Homeless{unit("a/0", "")}, []Machine{machine("0", gone)}, "a/0:new"},
	} {
		var got []string
		for _, h := range Place(test.units, provider.Constraints{}, test.machines) {
			switch {
			case h.Refused != "":
				got = append(got, fmt.Sprintf("%s:%s", h.Unit, h.Refused))
			case h.Machine != "":
				got = append(got, fmt.Sprintf("%s:%s", h.Unit, h.Machine))
			case h.New.On != "":
				got = append(got, fmt.Sprintf("%s:lxd:%s", h.Unit, h.New.On))
			case h.New.Container:
				got = append(got, strings.TrimSuffix(fmt.Sprintf("%s:lxd,%s", h.Unit, h.New.Placement), ","))
			default:
				got = append(got, strings.TrimSuffix(fmt.Sprintf("%s:new,%s", h.Unit, h.New.Placement), ","))
			}
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: got %s, want %s", test.about, text, test.want)
		}
	}
	home := Place([]Homeless{want(unit("a/0", ""), 1)}, provider.Constraints{MemoryMiB: &big, Cores: &big}, nil)[0]
	if *home.New.Constraints.MemoryMiB != 1 || *home.New.Constraints.Cores != big || home.New.Base.String() != "ubuntu@22.04" {
		t.Errorf("the new machine is to be %+v", home.New)
	}
}

func TestProvision(t *testing.T) {
	one := provider.Instance{ID: "i-1", State: provider.Running, Addresses: []string{"127.0.0.2"}}
	two := provider.Instance{ID: "i-2", State: provider.Pending}
	asked := func(in ...provider.Instance) Sight { return Sight{Asked: true, At: now, Instances: in} }
	before := func(s Sight) Sight { s.At = now.Add(-2 * time.Hour); return s }
	moved := one
	moved.Addresses = []string{"127.0.0.3"}
	waits := func(m *Machine) { m.Instance.Retry = now.Add(time.Second) }
	for _, test := range []struct {
		about string
		m     Machine
		seen  Sight
		want  Action
	}{
		{"nothing yet", machine("0"), Sight{}, Start{}},
		{"failed just now", machine("0", waits), Sight{}, Wait{now.Add(time.Second)}},
		{"started by one that could not say so", machine("0"), asked(one), Adopt{one}},
		{"runs", machine("0", runs), Sight{}, Nothing{}},
		{"runs, seen", machine("0", runs), asked(one), Nothing{}},
		{"has another address", machine("0", runs), asked(moved), Adopt{moved}},
		{"has another address, seen before it started", machine("0", runs), before(asked(moved)), Nothing{}},
		{"not seen", machine("0", runs, away(time.Minute, 0, time.Minute)), asked(), Lose{}},
		{"not seen, for the first time", machine("0", runs, away(time.Minute, 0, 0)), asked(), Wait{now.Add(lookAgain)}},
		{"not seen twice, one right after the other", machine("0", runs, away(time.Minute, 0, time.Second)), asked(), Wait{now.Add(lookAgain)}},
		{"not seen, and its agent is there", machine("0", runs), asked(), Nothing{}},
		{"not seen before it started", machine("0", runs), before(asked()), Nothing{}},
		{"not seen by a listing that failed", machine("0", runs), Sight{Failed: true}, Nothing{}},
		{"lost before it enrolled", machine("0", gone), Sight{}, Start{}},
		{"lost after it enrolled", machine("0", gone, enrolled), Sight{}, Nothing{}},
		{"found again", machine("0", gone, enrolled), asked(one), Adopt{one}},
		{"another in its place", machine("0", gone), asked(two), Adopt{two}},

		{"manual", machine("0", manual), asked(), Nothing{}},
		{"manual, not enrolled, going", machine("0", manual, dying), Sight{}, Bury{}},
		{"manual, going", machine("0", manual, enrolled, dying), Sight{}, Release{}},
		{"manual, going, with units", machine("0", manual, enrolled, dying, busy), Sight{}, Wait{now.Add(time.Minute)}},
		{"manual, told to go", machine("0", manual, enrolled, dying, dead), Sight{}, Wait{now.Add(time.Minute)}},
		{"manual, has left", machine("0", manual, enrolled, dying, dead, func(m *Machine) { m.Left = true }), Sight{}, Bury{}},
		{"manual, told to go, and does not", machine("0", manual, enrolled, late, dead), Sight{}, Bury{}},
		{"going, with units", machine("0", dying, busy, runs), Sight{}, Wait{now.Add(time.Minute)}},
		{"going late, with units", machine("0", late, busy, runs), Sight{}, Nothing{}},
		{"going", machine("0", dying, runs), Sight{}, Stop{[]provider.InstanceID{"i-1"}, false}},
		{"going, there are two", machine("0", dying, runs), asked(one, two), Stop{[]provider.InstanceID{"i-1", "i-2"}, false}},
		{"going, never known", machine("0", dying), Sight{}, Look{}},
		{"going, the listing failed", machine("0", dying), Sight{Failed: true}, Wait{now.Add(lookAgain)}},
		{"going, the listing failed until the deadline", machine("0", late), Sight{Failed: true}, Bury{}},
		{"going, nothing there", machine("0", dying), asked(), Bury{}},
		{"going, found after all", machine("0", dying), asked(two), Stop{[]provider.InstanceID{"i-2"}, false}},
		{"going, stop failed just now", machine("0", dying, runs, waits), Sight{}, Wait{now.Add(time.Second)}},
		{"going, stop failed until the deadline", machine("0", late, runs, waits), Sight{}, Stop{[]provider.InstanceID{"i-1"}, true}},
		{"going, the instance stays and was never ours", machine("0", dying, runs, kept), Sight{}, Bury{}},
		{"going, the instance stays", machine("0", dying, runs, enrolled, kept), Sight{}, Release{}},
		{"going, the instance stays, with units", machine("0", dying, busy, runs, enrolled, kept), Sight{}, Wait{now.Add(time.Minute)}},
		{"going, the instance stays and was left", machine("0", dying, dead, runs, enrolled, kept, func(m *Machine) { m.Left = true }), Sight{}, Bury{}},
		{"going, the instance that was to stay is gone", machine("0", dying, gone, enrolled, kept), Sight{}, Bury{}},
		{"going, lost", machine("0", dying, gone), Sight{}, Bury{}},
	} {
		if got := Provision(test.m, test.seen, now); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, want %#v", test.about, got, test.want)
		}
	}
}

// TestNoOrphanWithAMachine: whatever is listed and whatever is there, no instance of a machine that is there is an orphan,
// and a tree in which nothing was found makes none.
func TestNoOrphanWithAMachine(t *testing.T) {
	names := rapid.SampledFrom([]string{"", "a", "b", "c"})
	rapid.Check(t, func(t *rapid.T) {
		var list []provider.Instance
		for i := range rapid.IntRange(0, 6).Draw(t, "instances") {
			list = append(list, provider.Instance{ID: provider.InstanceID(fmt.Sprint(i)), Model: names.Draw(t, "model"), Machine: names.Draw(t, "machine")})
		}
		tree := map[state.ModelID]map[state.MachineID]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "models") {
			tree[state.ModelID(names.Draw(t, "model"))] = map[state.MachineID]bool{state.MachineID(names.Draw(t, "machine")): true}
		}
		orphans := map[provider.InstanceID]bool{}
		for _, in := range Orphans(list, tree) {
			orphans[in.ID] = true
		}
		for _, in := range list {
			there := tree[state.ModelID(in.Model)][state.MachineID(in.Machine)]
			want := len(tree) > 0 && in.Model != "" && in.Machine != "" && !there
			if orphans[in.ID] != want {
				t.Fatalf("%+v is an orphan: %t, in %v", in, orphans[in.ID], tree)
			}
		}
	})
}

func TestUnitFate(t *testing.T) {
	deadline := now.Add(time.Minute)
	end := state.End{Life: state.Dying, Deadline: deadline}
	soon := state.End{Life: state.Dying, Deadline: now.Add(state.DefaultDeadline)}
	app := func(e state.End, relations ...state.Membership) state.Record[state.Application] {
		return state.Record[state.Application]{Path: "/a", Value: state.Application{End: e, Relations: relations}}
	}
	unit := func(e state.End) state.Record[state.Unit] {
		return state.Record[state.Unit]{Path: "/u", Value: state.Unit{End: e}}
	}
	ledger := func(l state.Ledger) state.Record[state.Ledger] {
		return state.Record[state.Ledger]{Path: "/l", Value: l}
	}
	logger := state.Membership{Relation: 5, Scope: charm.Container, Remote: relation.Endpoint{Application: "logger", Subordinate: true}}
	toWeb := state.Membership{Relation: 5, Scope: charm.Container, Remote: relation.Endpoint{Application: "web"}}
	going := func(m state.Membership) state.Membership { m.Life = state.Dying; return m }
	host := machine("0", runs)
	on := func(u Unit) Unit {
		u.Name, u.Machine = "web/0", "0"
		if u.Host == nil {
			u.Host = &host
		}
		return u
	}
	dead := on(Unit{Unit: state.Unit{End: end}, Application: app(end), Agent: true, Ledger: ledger(state.Ledger{Phase: state.Started})})
	sub := on(Unit{Unit: state.Unit{Principal: "web/0"}, Application: app(state.End{}, toWeb), Principal: unit(state.End{})})
	with := func(u Unit, change func(*Unit)) Unit { change(&u); return u }
	dyingHost, bareHost := machine("0", dying), machine("0")
	for _, test := range []struct {
		about string
		u     Unit
		want  Fate
	}{
		{"without a machine", Unit{Name: "web/0", Application: app(state.End{})}, Fate{Home: true}},
		{"settled", on(Unit{Application: app(state.End{})}), Fate{}},
		{"its application goes", on(Unit{Application: app(end)}), Fate{End: &end}},
		{"its application is gone", on(Unit{}), Fate{End: &soon}},
		{"its machine goes", on(Unit{Application: app(state.End{}), Host: &dyingHost}), Fate{End: &dyingHost.End}},
		{"wants a subordinate", on(Unit{Application: app(state.End{}, logger), Entered: map[state.RelationID]bool{5: true}}), Fate{Subordinates: []state.ApplicationName{"logger"}}},
		{"has not entered", on(Unit{Application: app(state.End{}, logger)}), Fate{}},
		{"has one", with(on(Unit{Application: app(state.End{}, logger), Entered: map[state.RelationID]bool{5: true}}), func(u *Unit) { u.Subordinates = []state.UnitName{"logger/3"} }), Fate{}},
		{"the relation goes", on(Unit{Application: app(state.End{}, going(logger)), Entered: map[state.RelationID]bool{5: true}}), Fate{}},
		{"a subordinate", sub, Fate{}},
		{"its principal goes", with(sub, func(u *Unit) { u.Principal = unit(end) }), Fate{End: &end}},
		{"its principal is gone", with(sub, func(u *Unit) { u.Principal = state.Record[state.Unit]{} }), Fate{End: &soon}},
		{"its tie goes", with(sub, func(u *Unit) { u.Application = app(state.End{}, going(toWeb)) }), Fate{End: &soon}},

		{"goes", dead, Fate{Again: deadline.Add(Grace)}},
		{"goes, no agent", with(dead, func(u *Unit) { u.Agent = false }), Fate{Again: deadline}},
		{"is gone", with(dead, func(u *Unit) { u.Ledger.Value.Phase = state.Gone }), Fate{Bury: true}},
		{"is gone and left hooks behind", with(dead, func(u *Unit) {
			u.Ledger.Value.Phase, u.Ledger.Value.LeftBehind = state.Gone, []string{"stop: exit status 1", "remove: exit status 2"}
		}), Fate{Bury: true, Why: "at its deadline hooks still failed and were left behind: stop: exit status 1, remove: exit status 2"}},
		{"is gone but for its subordinates", with(dead, func(u *Unit) { u.Ledger.Value.Phase = state.Gone; u.Subordinates = []state.UnitName{"logger/0"} }), Fate{EndOthers: []state.UnitName{"logger/0"}}},
		{"is half buried", with(dead, func(u *Unit) { u.Life = state.Dead }), Fate{Bury: true}},
		{"never had a machine", Unit{Name: "web/0", Unit: state.Unit{End: end}, Application: app(end)}, Fate{Bury: true}},
		{"its machine never started", with(dead, func(u *Unit) { u.Host = &bareHost; u.Agent = false; u.Ledger = state.Record[state.Ledger]{} }), Fate{Bury: true}},
		{"its machine has started and its agent has not come", with(dead, func(u *Unit) { u.Agent = false; u.Ledger = state.Record[state.Ledger]{} }), Fate{Again: deadline}},
		{"forced", with(dead, func(u *Unit) { u.Force = true }), Fate{Bury: true, Why: "forced, it was started"}},
		{"late", with(dead, func(u *Unit) { u.Agent, u.Deadline = false, now }), Fate{Bury: true, Why: "not gone at its deadline, its agent was not there"}},
		{"late with a failed hook", with(dead, func(u *Unit) {
			u.Deadline = now.Add(-Grace)
			u.Ledger.Value.Failed = &state.Failure{Name: "stop", Exit: "exit status 1"}
		}),
			Fate{Bury: true, Why: `not gone at its deadline, hook failed: "stop" exit status 1`}},
	} {
		if got := UnitFate(test.u, now); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.about, got, test.want)
		}
	}
}

func TestOtherFates(t *testing.T) {
	end := state.End{Life: state.Dying, Deadline: now.Add(time.Minute)}
	late := state.End{Life: state.Dying, Deadline: now.Add(-Grace)}
	force := state.End{Life: state.Dying, Deadline: now, Force: true}
	units := []state.UnitName{"a/0", "a/1", "a/2", "a/3", "a/4", "a/5", "a/6"}
	peer := state.Membership{Remote: relation.Endpoint{Application: "web"}}
	other := state.Membership{Remote: relation.Endpoint{Application: "db"}}
	for _, test := range []struct {
		about     string
		got, want Fate
	}{
		{"relation", RelationFate(state.Relation{}, true, nil, now), Fate{}},
		{"relation of nobody", RelationFate(state.Relation{}, false, units, now), Fate{Bury: true}},
		{"relation goes", RelationFate(state.Relation{End: end}, true, units, now), Fate{Again: end.Deadline.Add(Grace)}},
		{"relation is empty", RelationFate(state.Relation{End: end}, true, nil, now), Fate{Bury: true}},
		{"relation is late", RelationFate(state.Relation{End: late}, true, units, now), Fate{Bury: true, Why: "at its deadline a/0, a/1, a/2, a/3, a/4, 2 more had not left"}},
		{"relation is forced", RelationFate(state.Relation{End: force}, true, units[:1], now), Fate{Bury: true, Why: "forced, with a/0 in it"}},
		{"application", ApplicationFate("web", state.Application{}, 0), Fate{}},
		{"application goes", ApplicationFate("web", state.Application{End: end}, 1), Fate{End: &end}},
		{"application is related", ApplicationFate("web", state.Application{End: end, Relations: []state.Membership{peer, other}}, 0), Fate{End: &end}},
		{"application is empty", ApplicationFate("web", state.Application{End: end, Relations: []state.Membership{peer}}, 0), Fate{Bury: true}},
		{"model", ModelFate(state.Model{}, 0), Fate{}},
		{"model goes", ModelFate(state.Model{End: end}, 1), Fate{End: &end}},
		{"model is empty", ModelFate(state.Model{End: end}, 0), Fate{Bury: true}},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.about, test.got, test.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 5, 1: 5, 2: 10, 3: 20, 6: 160, 7: 300, 1000: 300} {
		if got := Backoff(n, 5*time.Second, 5*time.Minute); got != want*time.Second {
			t.Errorf("after %d: %s", n, got)
		}
	}
}
