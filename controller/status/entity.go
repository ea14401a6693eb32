package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// Made is the status of a unit that was made at a time and of whose agent nothing was heard.
func Made(at time.Time) state.UnitStatus {
	return state.UnitStatus{
		Workload: state.StatusInfo{Status: "waiting", Message: "waiting for machine", Since: at},
		Agent:    state.StatusInfo{Status: "allocating", Since: at},
	}
}

func (b builder) unit(name state.UnitName, u UnitRecord) Unit {
	out := Unit{Leader: b.s.Applications[name.Application()].Leader == name, OpenPorts: ports(u.Ports)}
	if u.Principal == "" {
		out.Machine = u.Machine
	}
	if u.Address != nil {
		out.PublicAddress = u.Address.Public
	} else if u.Status != nil {
		out.PublicAddress = b.machineAddress(b.machineOf(u))
	}
	out.Workload, out.Agent = b.unitStatus(name, u)
	if u.Life != state.Alive {
		out.Agent.Life = string(u.Life)
		out.Workload.Message = also(out.Workload.Message, b.waitUnit(name, u))
	}
	if u.Agent != nil {
		out.Agent.Version = u.Agent.Version
	}
	if s := u.Status; s != nil && s.Charm != (charm.ID{}) && s.Charm != b.s.Applications[name.Application()].Charm {
		out.UpgradingFrom = s.Charm.URL()
	}
	for _, n := range b.subordinates[name] {
		if out.Subordinates == nil {
			out.Subordinates = map[state.UnitName]Unit{}
		}
		out.Subordinates[n] = b.unit(n, b.s.Units[n])
	}
	return out
}

// unitStatus is how the workload and the agent of a unit are: as the agent says, unless it has never come, is lost, or a hook has failed.
func (b builder) unitStatus(name state.UnitName, u UnitRecord) (workload, agent Info) {
	if u.Status == nil {
		made := Made(u.Created)
		workload, agent = info(made.Workload), info(made.Agent)
		if m, ok := b.s.Machines[b.machineOf(u)]; ok && m.Agent != nil {
			workload.Message = "installing agent"
		}
		return workload, agent
	}
	workload, agent = info(u.Status.Workload), info(u.Status.Agent)
	if workload.Current == "" {
		workload.Current = "unknown"
	}
	if agent.Current == "" {
		agent.Current = "allocating"
	}
	if f := u.Status.Failure; f != nil {
		workload = Info{Current: "error", Message: f.Message, Since: since(f.Since)}
		if workload.Message == "" && u.Ledger != nil && u.Ledger.Failed != nil {
			workload.Message = fmt.Sprintf("hook failed: %q", u.Ledger.Failed.Name)
		}
		if agent.Current == "error" {
			agent.Current, agent.Message = "idle", ""
		}
	}
	if b.lost(u) {
		agent.Current, agent.Message = state.AgentLost, state.AgentSilent
		if workload.Current != "error" && workload.Current != "terminated" {
			workload.Current, workload.Message = "unknown", fmt.Sprintf("agent lost, see 'juju show-status-log %s'", name)
		}
	}
	return workload, agent
}

// lost says whether the unit's agent has been there, should still be, and is not.
func (b builder) lost(u UnitRecord) bool {
	return u.Agent == nil && u.Status != nil && u.Life != state.Dead && (u.Ledger == nil || u.Ledger.Phase != state.Gone)
}

// machineOf is the machine that the unit is on: a subordinate is on its principal's.
func (b builder) machineOf(u UnitRecord) state.MachineID {
	if u.Machine == "" && u.Principal != "" {
		return b.s.Units[u.Principal].Machine
	}
	return u.Machine
}

func (b builder) machineAddress(id state.MachineID) string {
	if all := addresses(b.s.Machines[id]); len(all) > 0 {
		return all[0]
	}
	return ""
}

// addresses is where the machine can be reached.
func addresses(m MachineRecord) []string {
	var instance state.Instance
	var report state.MachineReport
	if m.Instance != nil {
		instance = *m.Instance
	}
	if m.Report != nil {
		report = *m.Report
	}
	return state.MachineAddresses(instance, report)
}

func ports(open []state.OpenPort) []string {
	ranges := make([]provider.PortRange, len(open))
	for i, p := range open {
		ranges[i] = p.PortRange
	}
	provider.SortPorts(ranges)
	var out []string
	for _, r := range slices.Compact(ranges) {
		out = append(out, r.String())
	}
	return out
}

// addMachine adds a machine to those at the top, or a container to those of its host.
func (b builder) addMachine(top map[state.MachineID]Machine, id state.MachineID) {
	hostID, in := id.Host()
	host, there := top[hostID]
	if !in || !there {
		top[id] = b.machine(id, b.s.Machines[id])
		return
	}
	if host.Containers == nil {
		host.Containers = map[state.MachineID]Machine{}
		top[hostID] = host
	}
	host.Containers[id] = b.machine(id, b.s.Machines[id])
}

func (b builder) machine(id state.MachineID, m MachineRecord) Machine {
	out := Machine{
		InstanceID: "pending", Constraints: m.Constraints.String(), Base: base(m.Base), IPAddresses: addresses(m),
		Agent:        Info{Current: "pending", Since: since(m.Created)},
		Instance:     Info{Current: "pending", Since: since(m.Created)},
		Modification: Info{Current: "idle", Since: since(m.Created)},
	}
	if len(out.IPAddresses) > 0 {
		out.DNSName = out.IPAddresses[0]
	}
	if m.Instance != nil {
		b.instance(id, &out, *m.Instance)
	} else if host, in := id.Host(); in {
		out.Instance.Message = fmt.Sprintf("waiting for the agent of machine %s", host)
	}
	if m.Fitting != nil {
		fitted(&out, *m.Fitting)
	}
	if r := m.Report; r != nil {
		out.Hostname = r.Hostname
		if r.Base.Name != "" {
			out.Base = base(r.Base)
		}
		out.Hardware = hardware(allHardware(m.Instance, r.Hardware))
		out.Interfaces = interfaces(r.Links)
		out.Agent = Info{Current: state.AgentDown, Message: state.AgentSilent, Since: since(r.Started), Version: r.Version}
	}
	if m.Agent != nil {
		out.Agent = Info{Current: state.AgentStarted, Since: since(m.Agent.Since), Version: m.Agent.Version}
	}
	if m.Life != state.Alive {
		out.Agent.Life = string(m.Life)
		out.Instance.Message = also(out.Instance.Message, b.waitMachine(id, m))
	}
	return out
}

// fitted says what has become of what the charms on the machine want of its instance.
func fitted(out *Machine, f state.Fitting) {
	for app, p := range f.Profiles {
		if out.Profiles == nil {
			out.Profiles = map[string]Profile{}
		}
		shown := Profile{Config: map[string]string{}, Description: p.Description, Devices: map[string]map[string]string{}}
		maps.Copy(shown.Config, p.Config)
		maps.Copy(shown.Devices, p.Devices)
		out.Profiles[provider.ProfileName(f.Instance, app)] = shown
	}
	switch {
	case f.Error != "":
		out.Modification = Info{Current: "error", Message: failed(f.Error, f.Failures, f.Retry), Since: since(f.Since)}
	case len(f.Profiles) > 0 && !f.Pending:
		out.Modification = Info{Current: "applied", Since: since(f.Since)}
	}
}

// interfaces is those that the machine has found in itself. All are in the only space.
func interfaces(links []state.Link) map[string]NetworkInterface {
	var out map[string]NetworkInterface
	for _, l := range links {
		if out == nil {
			out = map[string]NetworkInterface{}
		}
		out[l.Name] = NetworkInterface{IPAddresses: l.Addresses, MAC: l.MAC, Gateway: l.Gateway, Space: "alpha", Up: true}
	}
	return out
}

// allHardware is what the provider says of the machine, and where it says nothing, what the machine says of itself.
func allHardware(i *state.Instance, own provider.Hardware) provider.Hardware {
	if i == nil {
		return own
	}
	h := i.Hardware
	h.Arch, h.Cores, h.MemoryMiB, h.DiskMiB = cmp.Or(h.Arch, own.Arch), cmp.Or(h.Cores, own.Cores), cmp.Or(h.MemoryMiB, own.MemoryMiB), cmp.Or(h.DiskMiB, own.DiskMiB)
	return h
}

// failed is what could not be done, and when it will be tried again.
func failed(text string, times int, retry time.Time) string {
	switch {
	case times == 0:
		return text
	case retry.IsZero():
		return fmt.Sprintf("%s (failed %d times)", text, times)
	}
	return fmt.Sprintf("%s (failed %d times, next try %s)", text, times, moment(retry))
}

func hardware(h provider.Hardware) string {
	var parts []string
	add := func(format string, value any, known bool) {
		if known {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	add("arch=%s", h.Arch, h.Arch != "")
	add("cores=%d", h.Cores, h.Cores != 0)
	add("mem=%dM", h.MemoryMiB, h.MemoryMiB != 0)
	add("root-disk=%dM", h.DiskMiB, h.DiskMiB != 0)
	add("availability-zone=%s", h.Zone, h.Zone != "")
	add("virt-type=%s", h.VirtType, h.VirtType != "")
	return strings.Join(parts, " ")
}
