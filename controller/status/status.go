// Package status turns records of the tree into what a person reads of a model: the values, in the form that
// programs parse, and the tables that people read. It is pure.
package status

import (
	"time"

	"github.com/grigri/grigri/state"
)

// A Report is a model's status and what its tables show besides.
type Report struct {
	Status    Status     `json:"status"`
	Relations []Relation `json:"relations"`
	Empty     bool       `json:"empty,omitempty"`     // the model has no application and no machine
	Unmatched bool       `json:"unmatched,omitempty"` // there were selectors and they chose nothing
}

// A Status is a model as "status --format json" prints it. No map in it is ever null.
// Times are RFC 3339 in UTC until In makes them the reader's own.
type Status struct {
	Model        Model                                 `json:"model"`
	Machines     map[state.MachineID]Machine           `json:"machines"`
	Applications map[state.ApplicationName]Application `json:"applications"`
	Storage      Storage                               `json:"storage"`
	Controller   Controller                            `json:"controller"`
}

// A Controller in a Status says when the status was made.
type Controller struct {
	Timestamp string `json:"timestamp"`
}

// An Info is one status with its explanation.
type Info struct {
	Current string `json:"current,omitempty"`
	Message string `json:"message,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Since   string `json:"since,omitempty"`
	Version string `json:"version,omitempty"` // of the agent
	Life    string `json:"life,omitempty"`    // dying or dead; of what is alive there is none
}

// A Model is the model in a Status.
type Model struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Controller string `json:"controller"`
	Cloud      string `json:"cloud"`
	Region     string `json:"region,omitempty"`
	Version    string `json:"version"`
	Status     Info   `json:"model-status"`
}

// A Base is an operating system with its channel.
type Base struct {
	Name    string `json:"name"`
	Channel string `json:"channel"`
}

// String is the base as tables show it: "ubuntu@24.04".
func (b *Base) String() string {
	if b == nil || b.Name == "" {
		return ""
	}
	return b.Name + "@" + b.Channel
}

// A Machine is a machine in a Status.
type Machine struct {
	Agent        Info                        `json:"juju-status"`
	Hostname     string                      `json:"hostname,omitempty"`
	DNSName      string                      `json:"dns-name,omitempty"`
	IPAddresses  []string                    `json:"ip-addresses,omitempty"`
	InstanceID   string                      `json:"instance-id,omitempty"` // "pending" until there is one
	DisplayName  string                      `json:"display-name,omitempty"`
	Instance     Info                        `json:"machine-status"`
	Modification Info                        `json:"modification-status"`
	Base         *Base                       `json:"base,omitempty"`
	Interfaces   map[string]NetworkInterface `json:"network-interfaces,omitempty"`
	Containers   map[state.MachineID]Machine `json:"containers,omitempty"`
	Constraints  string                      `json:"constraints,omitempty"`
	Hardware     string                      `json:"hardware,omitempty"`
	Profiles     map[string]Profile          `json:"lxd-profiles,omitempty"` // by their names in LXD
}

// A NetworkInterface is an interface of a machine.
type NetworkInterface struct {
	IPAddresses []string `json:"ip-addresses"`
	MAC         string   `json:"mac-address"`
	Gateway     string   `json:"gateway,omitempty"`
	Space       string   `json:"space,omitempty"`
	Up          bool     `json:"is-up"`
}

// A Profile is what a charm's lxd-profile.yaml asks for, as the machine has it.
type Profile struct {
	Config      map[string]string            `json:"config"`
	Description string                       `json:"description"`
	Devices     map[string]map[string]string `json:"devices"`
}

// An Application is an application in a Status. A subordinate's units are below their principals' and not here.
type Application struct {
	Charm         string                          `json:"charm"`
	Base          *Base                           `json:"base,omitempty"`
	CharmOrigin   string                          `json:"charm-origin"`
	CharmName     string                          `json:"charm-name"`
	CharmRev      int                             `json:"charm-rev"`
	CharmVersion  string                          `json:"charm-version,omitempty"`
	Exposed       bool                            `json:"exposed"`
	Life          string                          `json:"life,omitempty"`
	Status        Info                            `json:"application-status"`
	Relations     map[string][]RelatedApplication `json:"relations,omitempty"` // by own endpoint
	SubordinateTo []state.ApplicationName         `json:"subordinate-to,omitempty"`
	Units         map[state.UnitName]Unit         `json:"units,omitempty"`
	Version       string                          `json:"version,omitempty"` // of the workload
}

// A RelatedApplication is who is at the other end of one endpoint.
type RelatedApplication struct {
	Application state.ApplicationName `json:"related-application"`
	Interface   string                `json:"interface"`
	Scope       string                `json:"scope"`
}

// A Unit is a unit in a Status.
type Unit struct {
	Workload      Info                    `json:"workload-status"`
	Agent         Info                    `json:"juju-status"`
	Leader        bool                    `json:"leader,omitempty"`
	UpgradingFrom string                  `json:"upgrading-from,omitempty"` // the URL of the charm whose files are in place
	Machine       state.MachineID         `json:"machine,omitempty"`        // none in a subordinate
	OpenPorts     []string                `json:"open-ports,omitempty"`     // 80/tcp, 8000-8010/tcp, icmp
	PublicAddress string                  `json:"public-address,omitempty"`
	Subordinates  map[state.UnitName]Unit `json:"subordinates,omitempty"`
}

// A Relation is one row of the relations table.
type Relation struct {
	ID        state.RelationID `json:"id"`
	Provider  string           `json:"provider"` // web:website
	Requirer  string           `json:"requirer"` // the same in a peer relation
	Interface string           `json:"interface"`
	Type      string           `json:"type"` // regular, peer or subordinate
	Status    Info             `json:"relation-status"`
}

// The forms of times.
const (
	sinceForm     = "02 Jan 2006 15:04:05Z07:00"
	sinceISOForm  = "2006-01-02 15:04:05Z"
	timestampForm = "15:04:05Z07:00"
	timestampISO  = "15:04:05"
)

// In returns s with its times as a reader in loc sees them, or in UTC in ISO form when utc is true. s is as Build made it,
// and is changed no more.
func (s Status) In(loc *time.Location, utc bool) Status {
	if utc {
		loc = time.UTC
	}
	show := func(i Info) Info { i.Since = retime(i.Since, loc, utc, sinceForm, sinceISOForm); return i }
	s.Model.Status = show(s.Model.Status)
	s.Controller.Timestamp = retime(s.Controller.Timestamp, loc, utc, timestampForm, timestampISO)
	s.Machines = machinesIn(s.Machines, show)
	applications := make(map[state.ApplicationName]Application, len(s.Applications))
	for name, a := range s.Applications {
		a.Status = show(a.Status)
		a.Units = unitsIn(a.Units, show)
		applications[name] = a
	}
	s.Applications = applications
	s.Storage = s.Storage.in(show)
	return s
}

// Machine is the machine, or the container on one.
func (s Status) Machine(id state.MachineID) (Machine, bool) {
	if host, in := id.Host(); in {
		if m, ok := s.Machines[host].Containers[id]; ok {
			return m, true
		}
	}
	m, ok := s.Machines[id]
	return m, ok
}

func machinesIn(machines map[state.MachineID]Machine, show func(Info) Info) map[state.MachineID]Machine {
	if machines == nil {
		return nil
	}
	out := make(map[state.MachineID]Machine, len(machines))
	for id, m := range machines {
		m.Agent, m.Instance, m.Modification = show(m.Agent), show(m.Instance), show(m.Modification)
		m.Containers = machinesIn(m.Containers, show)
		out[id] = m
	}
	return out
}

func unitsIn(units map[state.UnitName]Unit, show func(Info) Info) map[state.UnitName]Unit {
	if units == nil {
		return nil
	}
	out := make(map[state.UnitName]Unit, len(units))
	for name, u := range units {
		u.Workload, u.Agent = show(u.Workload), show(u.Agent)
		u.Subordinates = unitsIn(u.Subordinates, show)
		out[name] = u
	}
	return out
}

// Moment is a time as In shows it.
func Moment(t time.Time, loc *time.Location, utc bool) string {
	if utc {
		return t.UTC().Format(sinceISOForm)
	}
	return t.In(loc).Format(sinceForm)
}

func retime(text string, loc *time.Location, utc bool, form, iso string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	if utc {
		form = iso
	}
	return t.In(loc).Format(form)
}
