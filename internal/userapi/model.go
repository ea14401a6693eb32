package userapi

import (
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A Controller is what a user may know of a controller.
type Controller struct {
	UUID      string    `json:"uuid"`
	Name      string    `json:"name"`
	Cloud     string    `json:"cloud"`
	Region    string    `json:"region,omitempty"`
	Version   string    `json:"version"`
	CA        string    `json:"ca"` // PEM
	Addresses []string  `json:"addresses"`
	User      string    `json:"user"` // who asked
	Superuser bool      `json:"superuser"`
	Models    int       `json:"models"`
	Machines  int       `json:"machines"`
	Leader    bool      `json:"leader"` // this controller leads
	Created   time.Time `json:"created"`
	Format    int       `json:"format"` // of the tree
	Build     string    `json:"build"`  // SHA-256 of the daemon's program
	Release   string    `json:"release"`
	Arch      string    `json:"arch"`
	Upgrade   *Upgrade  `json:"upgrade,omitempty"` // superusers see it
}

// UpgradeModel asks that the model's machines run the agent that the controller has.
type UpgradeModel struct {
	DryRun bool `json:"dryRun,omitempty"` // only say what would be
}

// UpgradedModel says which agent the model had and has: hashes of archives. They are the same when there was nothing to do.
type UpgradedModel struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// CreateModel asks for a model.
type CreateModel struct {
	Name   string `json:"name"`
	Owner  string `json:"owner,omitempty"` // empty: who asks
	Cloud  string `json:"cloud,omitempty"` // empty: the controllers' own
	Region string `json:"region,omitempty"`

	Credential string            `json:"credential,omitempty"` // name, or user/name; empty: the one there is
	Config     map[string]string `json:"config,omitempty"`
}

// A Model is a model in a list, or alone.
type Model struct {
	UUID         state.ModelID `json:"uuid"`
	Name         string        `json:"name"`
	Owner        string        `json:"owner"`
	Cloud        string        `json:"cloud"`
	Region       string        `json:"region,omitempty"`
	CloudType    string        `json:"cloudType,omitempty"`
	Credential   string        `json:"credential,omitempty"` // owner/name
	Life         string        `json:"life"`
	Status       string        `json:"status"` // available or destroying
	Message      string        `json:"message,omitempty"`
	Since        time.Time     `json:"since"`
	Access       string        `json:"access"`  // of who asked
	Version      string        `json:"version"` // of the controller
	Applications int           `json:"applications"`
	Units        int           `json:"units"`
	Cores        int           `json:"cores"`

	// MachineCores is the cores of each machine; zero is not known.
	MachineCores map[state.MachineID]int `json:"machineCores"`
}

// A ModelSetting is one setting of a model. Its JSON names are those of juju's model-config.
type ModelSetting struct {
	Value  any    `json:"Value"`
	Source string `json:"Source"` // default, controller, region or model
}

// AddMachines asks for N machines that are alike.
type AddMachines struct {
	N           int                  `json:"n"`
	Base        string               `json:"base,omitempty"` // ubuntu@22.04
	Constraints provider.Constraints `json:"constraints"`
	Placement   string               `json:"placement,omitempty"` // zone=a
}

// A Debug is what one needs to debug a unit: the way there, and what its charm may have.
type Debug struct {
	Shell
	Hooks   []string `json:"hooks"`
	Actions []string `json:"actions"`
}

// A Shell is how to reach a unit or a machine.
type Shell struct {
	provider.Shell
	Machine   state.MachineID `json:"machine"`
	Unit      state.UnitName  `json:"unit,omitempty"`
	Addresses []string        `json:"addresses"`
	HostKeys  []string        `json:"hostKeys,omitempty"` // public keys of its sshd, "ssh-ed25519 AAAA": it must have one of them
	Inside    []string        `json:"inside,omitempty"`   // of a container: the command, on the host that the rest reaches, that is like Shell.Command
}
