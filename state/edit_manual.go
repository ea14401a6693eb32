package state

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

// Stays says that there is a host when the machine is no more: its user's own, or an instance that he keeps.
func (m Machine) Stays() bool { return m.Manual != "" || m.KeepInstance }

// LeftPath is made by the agent of a machine whose host stays when it has heeded that the machine is dead: the host is about to be as it was.
func (m ModelID) LeftPath(id MachineID) string { return m.MachinePath(id) + "/left" }

// RulesPath is where the Rules of a machine are whose agent is to keep them. Without the node the agent leaves the host's firewall alone.
func (m ModelID) RulesPath(id MachineID) string { return m.MachinePath(id) + "/rules" }

// Rules is who may reach what of a machine whose agent keeps the host's firewall. All else is closed.
type Rules struct {
	Ports []provider.Rule `json:"ports,omitempty"` // open to the world, or to some of it
	Peers []string        `json:"peers,omitempty"` // addresses of the model's machines, which may reach every port
	SSH   int             `json:"ssh,omitempty"`   // the port of its sshd, which is always open; zero means 22
}

// A ManualMachine is a host that a user has, with what it is.
type ManualMachine struct {
	Target    string            `json:"target"` // how he logs in: user@host:port
	Base      charm.Base        `json:"base"`
	Addresses []string          `json:"addresses"` // the first is the one to reach it by
	Hardware  provider.Hardware `json:"hardware"`
	HostKeys  []string          `json:"hostKeys,omitempty"` // by which he knew it
}

// AddManualMachine makes a machine of a host that a user has. One that was made for the same host and has never enrolled
// is that machine: somebody was interrupted.
func AddManualMachine(ctx context.Context, r Reader, m ModelID, by By, key Key, want ManualMachine) (Txn, MachineID, error) {
	var t Txn
	switch {
	case want.Target == "" || len(want.Addresses) == 0:
		return t, "", invalid("a host to add needs a name and an address")
	case want.Base.Name == "" || want.Hardware.Arch == "":
		return t, "", invalid("a host to add needs a base and an architecture")
	}
	if len(want.HostKeys) > MaxHostKeys {
		return t, "", invalid("a host to add has at most %d keys, got %d", MaxHostKeys, len(want.HostKeys))
	}
	for _, line := range want.HostKeys {
		if _, err := ParseHostKey(line); err != nil {
			return t, "", invalid("%v", err)
		}
	}
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return Txn{}, "", err
	}
	same, err := interrupted(ctx, r, m, want.Target)
	if err != nil {
		return Txn{}, "", fmt.Errorf("add host %s: %w", want.Target, err)
	}
	if same.Exists() {
		if !slices.Equal(same.Value.HostKeys, want.HostKeys) {
			same.Value.HostKeys = want.HostKeys
			t.Set(same.Path, same.Value, same.Version)
		}
		return t, MachineOfNode(path.Base(same.Path)), nil
	}
	numbers, err := count(ctx, r, m, "machine", 0)
	if err != nil {
		return Txn{}, "", err
	}
	id := MachineID(strconv.Itoa(numbers.take()))
	addMachine(&t, m, key, id, Machine{Base: want.Base, Manual: want.Target, HostKeys: want.HostKeys, Created: by.Now})
	t.Create(m.InstancePath(id), Instance{Since: by.Now, Instance: provider.Instance{
		ID: provider.InstanceID("manual:" + want.Target), Model: string(m), Machine: string(id),
		State: provider.Running, Addresses: want.Addresses, Hardware: want.Hardware,
	}})
	numbers.save(&t)
	by.record(&t, m, "add-machine", fmt.Sprintf("%s ssh:%s", id, want.Target))
	return t, id, nil
}

func interrupted(ctx context.Context, r Reader, m ModelID, target string) (none Record[Machine], err error) {
	ids, err := MachinesOf(ctx, r, m)
	if err != nil {
		return none, err
	}
	for _, id := range ids {
		rec, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
		if err != nil {
			return none, err
		}
		if !rec.Exists() || rec.Value.Manual != target || rec.Value.Life != Alive {
			continue
		}
		e, err := ReadIf[Enrolment](ctx, r, m.EnrolPath(id))
		if err != nil {
			return none, err
		}
		if e.Value.KeyHash == "" {
			return rec, nil
		}
	}
	return none, nil
}

// ReleaseMachine tells the agent of a machine that is going, has no units any more, and whose host stays, to leave that host.
func ReleaseMachine(ctx context.Context, r Reader, m ModelID, id MachineID) (Txn, error) {
	var t Txn
	rec, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
	if err != nil || !rec.Exists() || rec.Value.Life != Dying {
		return t, err
	}
	if !rec.Value.Stays() || len(rec.Value.Units) > 0 {
		return t, fmt.Errorf("release machine %s: %w", id, refused("its instance goes with it, or it has units"))
	}
	rec.Value.Life = Dead
	t.Set(rec.Path, rec.Value, rec.Version)
	return t, nil
}

// LeaveMachine says that the agent leaves its host, and tells the leader.
func LeaveMachine(ctx context.Context, r Reader, m ModelID, id MachineID, now time.Time) (Txn, error) {
	var t Txn
	machine, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
	if err != nil || !machine.Exists() {
		return t, err
	}
	there, err := Exists(ctx, r, m.LeftPath(id))
	if err != nil || there {
		return t, err
	}
	t.Create(m.LeftPath(id), now)
	t.Tell(m, TicketMachine, string(id))
	return t, nil
}

// SetRules makes the rules that a manual machine's agent keeps exactly want; nil: the agent is to leave the host's firewall alone.
func SetRules(ctx context.Context, r Reader, m ModelID, id MachineID, want *Rules) (Txn, error) {
	var t Txn
	rec, err := ReadIf[Rules](ctx, r, m.RulesPath(id))
	if err != nil {
		return t, fmt.Errorf("set the rules of machine %s: %w", id, err)
	}
	switch {
	case want == nil && rec.Exists():
		t.Delete(rec.Path, rec.Version)
	case want != nil && !(rec.Exists() && string(Encode(rec.Value)) == string(Encode(*want))):
		Put(&t, m.RulesPath(id), rec, *want)
	}
	return t, nil
}
