package status_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// one is the status of testdb/0 after a change of its record.
func one(change func(*status.UnitRecord)) status.Unit {
	s := sample()
	u := s.Units["testdb/0"]
	change(&u)
	s.Units["testdb/0"] = u
	return status.Build(s, now).Status.Applications["testdb"].Units["testdb/0"]
}

func TestHowAUnitIs(t *testing.T) {
	dying := state.End{Life: state.Dying, Deadline: now.Add(10 * time.Minute)}
	for _, c := range []struct {
		name                            string
		change                          func(*status.UnitRecord)
		workload, message, agent, doing string
	}{
		{"not placed", func(u *status.UnitRecord) { *u = status.UnitRecord{} }, "waiting", "waiting for machine", "allocating", ""},
		{"its machine's agent is there", func(u *status.UnitRecord) { *u = status.UnitRecord{Unit: state.Unit{Machine: "0"}} }, "waiting", "installing agent", "allocating", ""},
		{"it says nothing", func(u *status.UnitRecord) { u.Status.Workload = state.StatusInfo{} }, "unknown", "", "executing", "running update-status hook"},
		{"a hook has failed", func(u *status.UnitRecord) {
			f := info("error", `hook failed: "install"`)
			u.Status.Failure, u.Status.Agent.Status = &f, "error"
		}, "error", `hook failed: "install"`, "idle", ""},
		{"the agent is lost", func(u *status.UnitRecord) { u.Agent = nil }, "unknown", "agent lost, see 'juju show-status-log testdb/0'", "lost", "agent is not communicating with the server"},
		{"lost with a failed hook", func(u *status.UnitRecord) {
			f := info("error", `hook failed: "start"`)
			u.Status.Failure, u.Agent = &f, nil
		}, "error", `hook failed: "start"`, "lost", "agent is not communicating with the server"},
		{"going", func(u *status.UnitRecord) {
			u.End = dying
			u.Status.Workload = info("maintenance", "stopping charm software")
		},
			"maintenance", "stopping charm software; removal waits for its subordinate agentd/0, until 09:40:12Z at most", "executing", "running update-status hook"},
		{"gone", func(u *status.UnitRecord) {
			u.End, u.Ledger, u.Agent = dying, &state.Ledger{Phase: state.Gone}, nil
			u.Status.Workload, u.Status.Agent = info("terminated", ""), info("idle", "")
		}, "terminated", "removal waits for the controller to clear it away, until 09:40:12Z at most", "idle", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := one(c.change)
			got := []string{u.Workload.Current, u.Workload.Message, u.Agent.Current, u.Agent.Message}
			if want := []string{c.workload, c.message, c.agent, c.doing}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// Each removal names the one thing that it waits for.
func TestWhatRemovalsWaitFor(t *testing.T) {
	dying := state.End{Life: state.Dying, Deadline: now.Add(10 * time.Minute)}
	s := sample()
	for name, u := range s.Units {
		u.End = dying
		s.Units[name] = u
	}
	lost := s.Units["agentd/0"]
	lost.Agent = nil
	s.Units["agentd/0"] = lost
	failed := s.Units["agentd/1"]
	failed.Ledger = &state.Ledger{Failed: &state.Failure{Name: "stop"}}
	s.Units["agentd/1"] = failed
	for name, a := range s.Applications {
		a.End = dying
		s.Applications[name] = a
	}
	for id, m := range s.Machines {
		m.End = dying
		if id == "0" {
			m.Units = []state.UnitName{"testdb/0", "agentd/0"}
		}
		s.Machines[id] = m
	}
	r := s.Relations[0]
	r.End = dying
	s.Relations[0] = r
	s.Model.End = dying
	report := status.Build(s, now)
	got := report.Status
	for what, c := range map[string]struct{ message, want string }{
		"model":         {got.Model.Status.Message, "for application agentd and 2 more, until 09:40:12Z"},
		"application":   {got.Applications["testapp"].Status.Message, "for unit testapp/0 and 1 more, until"},
		"lost agent":    {got.Applications["testdb"].Units["testdb/0"].Subordinates["agentd/0"].Workload.Message, "for its agent, which is not communicating, until"},
		"failed hook":   {got.Applications["testapp"].Units["testapp/0"].Subordinates["agentd/1"].Workload.Message, `for its hook "stop" to succeed or be resolved`},
		"no agent yet":  {got.Applications["testapp"].Units["testapp/1"].Workload.Message, "for its agent, which has not come yet"},
		"machine":       {got.Machines["0"].Instance.Message, "for unit testdb/0 and 1 more"},
		"empty machine": {got.Machines["1"].Instance.Message, "for its agent to clear up"},
		"no instance":   {got.Machines["2"].Instance.Message, "for the controller: it has no instance"},
	} {
		if !strings.Contains(c.message, "removal waits "+c.want) {
			t.Errorf("%s: got %q, want %q", what, c.message, c.want)
		}
	}
	for _, rel := range report.Relations {
		if rel.ID == 0 && (rel.Status.Current != "broken" || !strings.Contains(rel.Status.Message, "for unit testdb/0 to leave it")) {
			t.Errorf("relation 0 is %+v", rel.Status)
		}
	}
}

func TestHowAMachineIs(t *testing.T) {
	s := sample()
	m := s.Machines["0"]
	m.Agent = nil
	s.Machines["0"] = m
	m = s.Machines["1"]
	m.Agent, m.Report = nil, nil
	m.Instance = &state.Instance{Failures: 3, Error: "no quota left", Retry: now.Add(time.Minute)}
	s.Machines["1"] = m
	got := status.Build(s, now).Status.Machines
	if a := got["0"].Agent; a.Current != "down" || a.Message != "agent is not communicating with the server" {
		t.Errorf("a lost machine is %+v", a)
	}
	if i := got["1"].Instance; i.Current != "provisioning error" || i.Message != "no quota left (failed 3 times, next try 09:31:12Z)" || got["1"].InstanceID != "pending" {
		t.Errorf("a machine that cannot be had is %+v", i)
	}
	if got["2"].InstanceID != "pending" || got["2"].Agent.Current != "pending" {
		t.Errorf("a machine to come is %+v", got["2"])
	}
	m.Instance = &state.Instance{Instance: provider.Instance{ID: "x", State: provider.Gone}}
	s.Machines["1"] = m
	if i := status.Build(s, now).Status.Machines["1"].Instance; i.Current != "error" || !strings.Contains(i.Message, "remove-machine --force 1") {
		t.Errorf("a machine whose instance is gone is %+v", i)
	}
	halted := func(change func(*state.Instance)) string {
		m.Instance = &state.Instance{Instance: provider.Instance{ID: "x", State: provider.Stopped}, Since: now}
		change(m.Instance)
		s.Machines["1"] = m
		i := status.Build(s, now).Status.Machines["1"].Instance
		return i.Current + ": " + i.Message
	}
	last := now.Add(-5 * time.Second)
	for _, test := range []struct {
		change func(*state.Instance)
		want   string
	}{
		{func(i *state.Instance) { i.Message = "Client.UserInitiatedShutdown" }, "stopped: instance x has stopped (Client.UserInitiatedShutdown); starting it again (try 1)"},
		{func(i *state.Instance) { i.Restarts, i.Restarted = 1, last }, "stopped: instance x has stopped; starting it again (try 2, not before 09:30:17Z)"},
		{func(i *state.Instance) { i.Failures, i.Error, i.Retry = 2, "no room", now.Add(time.Minute) },
			"stopped: instance x has stopped; starting it again (try 1): no room (failed 2 times, next try 09:31:12Z)"},
		{func(*state.Instance) { s.Config = state.ModelConfig{"restart-stopped-after": "never"} },
			"stopped: instance x has stopped; it is not started again, because the model's setting restart-stopped-after is never"},
	} {
		if got := halted(test.change); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestHowAnApplicationIs(t *testing.T) {
	s := sample()
	if got := status.Build(s, now).Status.Applications["testapp"].Status; got.Current != "blocked" || got.Message != "dbkey not found" {
		t.Errorf("the worst of its units is %+v", got)
	}
	a := s.Applications["testapp"]
	own := info("active", "all is well")
	a.Status = &own
	s.Applications["testapp"] = a
	if got := status.Build(s, now).Status.Applications["testapp"].Status; got.Current != "active" || got.Message != "all is well" {
		t.Errorf("what its leader says is %+v", got)
	}
	s.Applications["empty"] = application("empty", 0, "24.04")
	if got := status.Build(s, now).Status.Applications["empty"]; got.Status.Current != "unknown" || got.Units != nil {
		t.Errorf("one without units is %+v", got)
	}
	if got := status.Build(s, now).Status.Applications["agentd"]; !slices.Equal(got.SubordinateTo, []state.ApplicationName{"testapp"}) || got.Units != nil {
		t.Errorf("a subordinate is %+v", got)
	}
	u := one(func(u *status.UnitRecord) { u.Status.Charm = charm.ID{Name: "testdb", Revision: 1, SHA256: "x"} })
	if u.UpgradingFrom != "local:testdb-1" {
		t.Errorf("upgrading from %q", u.UpgradingFrom)
	}
}

func TestFilter(t *testing.T) {
	r := status.Build(sample(), now)
	for _, c := range []struct{ selectors, applications, units, machines string }{
		{"", "agentd testapp testdb", "testapp/0 testapp/1 testdb/0", "0 1 2"},
		{"testdb", "agentd testdb", "testdb/0", "0"},
		{"testapp/0", "agentd testapp", "testapp/0", "1"},
		{"testapp/leader", "agentd testapp", "testapp/0", "1"},
		{"2", "testapp", "testapp/1", "2"},
		{"test*", "agentd testapp testdb", "testapp/0 testapp/1 testdb/0", "0 1 2"},
		{"agentd", "agentd testapp testdb", "testapp/0 testdb/0", "0 1"},
		{"agentd/1", "agentd testapp", "testapp/0", "1"},
		{"blocked", "agentd testapp", "testapp/0", "1"},
		{"10.20.0.10", "agentd testdb", "testdb/0", "0"},
		{"exposed", "agentd testapp", "testapp/0 testapp/1", "1 2"},
		{"testdb 2", "agentd testapp testdb", "testapp/1 testdb/0", "0 2"},
		{"nothing", "", "", ""},
	} {
		got := status.Filter(r, strings.Fields(c.selectors))
		var apps, units, machines []string
		for name, a := range got.Status.Applications {
			apps = append(apps, string(name))
			for u := range a.Units {
				units = append(units, string(u))
			}
		}
		for id := range got.Status.Machines {
			machines = append(machines, string(id))
		}
		for _, list := range [][]string{apps, units, machines} {
			slices.Sort(list)
		}
		if a, u, m := strings.Join(apps, " "), strings.Join(units, " "), strings.Join(machines, " "); a != c.applications || u != c.units || m != c.machines {
			t.Errorf("%q: got %q %q %q, want %q %q %q", c.selectors, a, u, m, c.applications, c.units, c.machines)
		}
		if got.Unmatched != (c.selectors == "nothing") || got.Status.Machines == nil || got.Status.Applications == nil {
			t.Errorf("%q: unmatched %t", c.selectors, got.Unmatched)
		}
	}
	if got := status.Filter(r, []string{"testdb"}).Relations; len(got) != 3 {
		t.Errorf("relations of testdb and its subordinate: %v", got)
	}
}

func TestNaturalOrder(t *testing.T) {
	names := []string{"a10", "b", "a2", "a02", "a", "a2b10", "a2b9"}
	slices.SortStableFunc(names, status.CompareNatural)
	if got := strings.Join(names, " "); got != "a a2 a02 a2b9 a2b10 a10 b" {
		t.Errorf("sorted: %s", got)
	}
}
