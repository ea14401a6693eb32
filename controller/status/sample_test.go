package status_test

import (
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

var now = time.Date(2026, 3, 7, 9, 30, 12, 0, time.UTC)

func info(current, message string) state.StatusInfo {
	return state.StatusInfo{Status: current, Message: message, Since: now.Add(-time.Minute)}
}

func unit(machine state.MachineID, address, workload, message, agent, doing string) status.UnitRecord {
	return status.UnitRecord{
		Unit:    state.Unit{Machine: machine, Created: now.Add(-time.Hour)},
		Status:  &state.UnitStatus{Workload: info(workload, message), Agent: info(agent, doing)},
		Ledger:  &state.Ledger{Phase: state.Started},
		Agent:   &state.Presence{Boot: "b", Version: "4.1.0"},
		Address: &state.UnitAddress{Public: address},
	}
}

func subordinate(principal state.UnitName, u status.UnitRecord) status.UnitRecord {
	u.Principal, u.Machine = principal, ""
	return u
}

func machine(id, address string) status.MachineRecord {
	return status.MachineRecord{
		Machine:  state.Machine{Base: charm.Base{Name: "ubuntu", Channel: "24.04"}, Created: now.Add(-time.Hour)},
		Instance: &state.Instance{Instance: provider.Instance{ID: provider.InstanceID("lab-0a1b-" + id), State: provider.Running, Addresses: []string{address}, Hardware: provider.Hardware{Zone: "node1"}}},
		Report:   &state.MachineReport{Hostname: "host-" + id, Hardware: provider.Hardware{Arch: "amd64", Cores: 4, MemoryMiB: 7962, Zone: "node1"}},
		Agent:    &state.Presence{Boot: "b", Version: "4.1.0"},
	}
}

func application(name string, revision int, base string) status.ApplicationRecord {
	return status.ApplicationRecord{Application: state.Application{
		Charm: charm.ID{Name: name, Revision: revision}, CharmRev: 1, Base: charm.Base{Name: "ubuntu", Channel: base}, Created: now.Add(-time.Hour)}}
}

func end(app, name, iface string, role charm.Role, scope charm.Scope) relation.Endpoint {
	return relation.Endpoint{Application: app, Endpoint: charm.Endpoint{Name: name, Interface: iface, Role: role, Scope: scope}}
}

// sample is a model with one of everything that the tables show.
func sample() status.Snapshot {
	agentd := application("agentd", 4, "24.04")
	agentd.Subordinate = true
	testapp, testdb := application("testapp", 0, "24.04"), application("testdb", 2, "24.04")
	testapp.Exposed = true
	testapp.Leader, testdb.Leader, agentd.Leader = "testapp/0", "testdb/0", "agentd/0"
	one := unit("1", "10.20.0.11", "blocked", "dbkey not found", "idle", "")
	one.Ports = []state.OpenPort{{PortRange: provider.PortRange{Protocol: "tcp", From: 8000, To: 8002}, Endpoint: "web"}, {PortRange: provider.PortRange{Protocol: "tcp", From: 80, To: 80}},
		{PortRange: provider.PortRange{Protocol: "tcp", From: 80, To: 80}, Endpoint: "web"}}
	db := unit("0", "10.20.0.10", "active", "relation created", "executing", "running update-status hook")
	db.Status.Version = "16.3"
	sub := subordinate("testdb/0", unit("", "10.20.0.10", "active", "", "idle", ""))
	sub.Status.Version = "1.10.2-really-a-long-one"
	pending := machine("2", "")
	pending.Instance, pending.Report, pending.Agent = nil, nil, nil
	return status.Snapshot{
		Controller: state.Controller{Name: "lab"},
		Model:      state.Model{Name: "shop", Cloud: "localhost", Region: "localhost", Created: now.Add(-time.Hour)},
		Version:    "4.1.0",
		Applications: map[state.ApplicationName]status.ApplicationRecord{
			"agentd": agentd, "testapp": testapp, "testdb": testdb,
		},
		Units: map[state.UnitName]status.UnitRecord{
			"testapp/0": one, "testapp/1": {Unit: state.Unit{Machine: "2", Created: now.Add(-time.Minute)}}, "testdb/0": db,
			"agentd/0": sub, "agentd/1": subordinate("testapp/0", unit("", "10.20.0.11", "active", "", "idle", "")),
		},
		Machines: map[state.MachineID]status.MachineRecord{"0": machine("0", "10.20.0.10"), "1": machine("1", "10.20.0.11"), "2": pending},
		Relations: map[state.RelationID]status.RelationRecord{
			0: {Relation: state.Relation{Endpoints: []relation.Endpoint{end("testdb", "db", "dbi", charm.Provider, charm.Global), end("testapp", "db", "dbi", charm.Requirer, charm.Global)}, Scope: charm.Global, Created: now},
				Members: []state.UnitName{"testdb/0"}},
			1: {Relation: state.Relation{Endpoints: []relation.Endpoint{end("testapp", "juju-info", "juju-info", charm.Provider, charm.Container), end("agentd", "general", "juju-info", charm.Requirer, charm.Container)}, Scope: charm.Container, Created: now},
				Members: []state.UnitName{"testapp/0", "agentd/1"}},
			2: {Relation: state.Relation{Endpoints: []relation.Endpoint{end("testdb", "peers", "raft", charm.Peer, charm.Global)}, Scope: charm.Global, Created: now}, Members: []state.UnitName{"testdb/0"}},
		},
	}
}
