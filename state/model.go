package state

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
)

// Life only moves forward. What is dead is soon no more.
type Life string

// The stages of life. The zero value is alive.
const (
	Alive Life = ""
	Dying Life = "dying"
	Dead  Life = "dead"
)

// Word is the life as users read it.
func (l Life) Word() string {
	if l == Alive {
		return "alive"
	}
	return string(l)
}

// An End is how a thing goes. Every removal has a deadline; when it passes, the removal goes on without
// whoever has not answered.
type End struct {
	Life     Life      `json:"life,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	Force    bool      `json:"force,omitempty"`   // do not wait and run no hooks
	Destroy  bool      `json:"destroy,omitempty"` // and its persistent storage with it, which is else kept
}

// A Controller is what all controllers are: written once, at bootstrap.
type Controller struct {
	Format  int       `json:"format"` // of the tree: FormatNumber, or we refuse to touch it
	UUID    string    `json:"uuid"`
	Name    string    `json:"name"`
	Cloud   string    `json:"cloud"`
	Region  string    `json:"region,omitempty"`
	Version string    `json:"version"`
	CA      string    `json:"ca"` // PEM
	Created time.Time `json:"created"`
}

// FormatNumber is the format of the tree that this code reads and writes.
const FormatNumber = 1

// A User may log in. The password is kept as a bcrypt hash.
type User struct {
	Name     string    `json:"name"`
	Hash     string    `json:"hash"`
	Created  time.Time `json:"created"`
	Superior bool      `json:"superuser"`
}

// A Model is one topology with its own machines.
type Model struct {
	UUID    ModelID   `json:"uuid"`
	Name    string    `json:"name"`
	Owner   string    `json:"owner"`
	Cloud   string    `json:"cloud"`
	Region  string    `json:"region,omitempty"`
	Created time.Time `json:"created"`

	Credential CredentialName `json:"credential,omitempty"` // with which its machines are asked for; empty: the cloud needs none
	End
}

// A ModelConfig is the model's settings, as text: those that a user has set, and those of its cloud's ModelDefaults.
type ModelConfig map[string]string

// NoProxy is the settings no-proxy and juju-no-proxy of a model whose user has not set them.
const NoProxy = "127.0.0.1,localhost,::1"

// Addresses is where agents find the controllers and ZooKeeper.
type Addresses struct {
	API       []string `json:"api"`       // host:port
	ZooKeeper []string `json:"zookeeper"` // host:port
	AgentHash string   `json:"agentHash"` // SHA-256 of the agent's archive that the controllers serve
	Name      string   `json:"name"`      // the model's

	// ZooKeeperCA is who issued ZooKeeper's certificates (PEM), and ZooKeeperName the host in them, which if empty is that in
	// ZooKeeper. Without ZooKeeperCA it is the controllers' own authority, and the host is pki.ZooKeeperHost.
	ZooKeeperCA   string `json:"zookeeperCA,omitempty"`
	ZooKeeperName string `json:"zookeeperName,omitempty"`
}

// A Charm is one charm of a model. The archive itself is on the controllers' disks.
type Charm struct {
	ID    charm.ID    `json:"id"`
	Size  int64       `json:"size"`
	Charm charm.Charm `json:"charm"`
	Added time.Time   `json:"added"`
}

// An Application is what the user wants of an application. Its units, and only they, watch it.
type Application struct {
	Charm       charm.ID             `json:"charm"`
	CharmRev    int                  `json:"charmRev"` // counts refreshes from 1; moves also when only a resource changes
	ForceCharm  bool                 `json:"forceCharm,omitempty"`
	Base        charm.Base           `json:"base"`
	Config      Config               `json:"config,omitempty"` // only what a user has set
	Trust       bool                 `json:"trust,omitempty"`
	Subordinate bool                 `json:"subordinate,omitempty"`
	Constraints provider.Constraints `json:"constraints"`
	Relations   []Membership         `json:"relations,omitempty"`  // ordered by id
	Storage     map[string]Directive `json:"storage,omitempty"`    // what units have of each of the charm's storage when they are made
	StorageRev  int                  `json:"storageRev,omitempty"` // counts the changes of that
	Created     time.Time            `json:"created"`
	Annotations map[string]string    `json:"annotations,omitempty"`

	Resources map[string]UsedResource `json:"resources,omitempty"` // by name; those that have not been given are not in it
	End
}

// A Config is settings of a charm's options: text, numbers, booleans. Out of a node numbers come as json.Number, which holds every int.
type Config map[string]any

// UnmarshalJSON reads a Config without making a float64 of every number.
func (c *Config) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode((*map[string]any)(c))
}

// A Membership is one relation that an application is in, as its units see it.
type Membership struct {
	Relation RelationID        `json:"relation"`
	Endpoint string            `json:"endpoint"` // our own
	Role     charm.Role        `json:"role"`
	Scope    charm.Scope       `json:"scope"`
	Remote   relation.Endpoint `json:"remote"`             // the other side; our own again for a peer relation
	Implicit bool              `json:"implicit,omitempty"` // our side is the implicit juju-info: no hooks
	Secret   string            `json:"secret"`             // of RelationPrincipal
	Life     Life              `json:"life,omitempty"`     // the relation's, so that its end wakes the units too
	Egress   []string          `json:"egress,omitempty"`   // CIDRs that the traffic of the relation comes from; empty: as the units' own does
}

// Exposed is what is open to the world. The zero value is nothing; the key "" means all endpoints.
type Exposed struct {
	Exposed   bool                       `json:"exposed"`
	Endpoints map[string]ExposedEndpoint `json:"endpoints,omitempty"`
}

// An ExposedEndpoint says who may reach the ports of an endpoint.
type ExposedEndpoint struct {
	CIDRs  []string `json:"expose-to-cidrs,omitempty"`
	Spaces []string `json:"expose-to-spaces,omitempty"`
}

// A Promise is units that a user has asked for and that the leader is still to make: the rest of those that did not fit into the
// transaction of the asking. Their numbers are theirs already.
type Promise struct {
	Units []NumberRange `json:"units"`
}

// A NumberRange is the numbers from From on that are less than To.
type NumberRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Names is the units of the application that have these numbers.
func (r NumberRange) Names(a ApplicationName) []UnitName {
	out := make([]UnitName, 0, r.To-r.From)
	for n := r.From; n < r.To; n++ {
		out = append(out, a.Unit(n))
	}
	return out
}

// A Unit is what the user wants of a unit. The unit and its machine watch it.
type Unit struct {
	Machine      MachineID      `json:"machine,omitempty"`   // empty until it is placed
	Placement    string         `json:"placement,omitempty"` // what the user asked for with --to; empty: anywhere
	Principal    UnitName       `json:"principal,omitempty"` // of a subordinate
	Subordinates []UnitName     `json:"subordinates,omitempty"`
	Answer       Answer         `json:"answer"`
	Storage      []Attachment   `json:"storage,omitempty"`      // ordered by number
	StorageFor   int            `json:"storageFor,omitempty"`   // Application.StorageRev that it has been given storage for
	StorageGiven map[string]int `json:"storageGiven,omitempty"` // how much of Ledger.StorageAsked has been heeded
	Created      time.Time      `json:"created"`
	End
}

// An Answer is what the user says of a failed hook. The unit's ledger says which revision it has heeded,
// so neither ever writes the other's node. Rev zero means never.
type Answer struct {
	Rev  int  `json:"rev,omitempty"`
	Skip bool `json:"skip,omitempty"` // leave the hook behind; otherwise run it again now
}

// A Machine is what the user wants of a machine. The machine watches it and runs its units.
type Machine struct {
	Constraints  provider.Constraints `json:"constraints"`
	Base         charm.Base           `json:"base"`
	Placement    string               `json:"placement,omitempty"` // for the provider: "zone=a"
	For          UnitName             `json:"for,omitempty"`       // the unit for which it was made: units of one application are spread over zones
	Units        []UnitName           `json:"units,omitempty"`     // ordered; principals and subordinates
	Containers   []MachineID          `json:"containers,omitempty"`
	KeepInstance bool                 `json:"keepInstance,omitempty"`
	Stopping     bool                 `json:"stopping,omitempty"` // its provider has been told to end the instance: it cannot be kept any more
	Manual       string               `json:"manual,omitempty"`   // how its user logged in, user@host:port: no provider starts or stops it
	HostKeys     []string             `json:"hostKeys,omitempty"` // by which he knew it
	Created      time.Time            `json:"created"`
	Annotations  map[string]string    `json:"annotations,omitempty"`
	End
}

// MachineSecrets is the credentials of the machine's units, by who proves what: one for each unit, each of their
// applications, the model's agents and all agents.
type MachineSecrets map[Principal]string

// An Instance is what the provider has made of a machine.
type Instance struct {
	provider.Instance
	Failures int       `json:"failures,omitempty"` // starts that failed since the last that did not
	Error    string    `json:"error,omitempty"`    // of the last start
	Retry    time.Time `json:"retry,omitzero"`     // not before
	Since    time.Time `json:"since"`

	Restarts  int       `json:"restarts,omitempty"` // in a row, because it had stopped
	Restarted time.Time `json:"restarted,omitzero"` // the last of them
}

// An Enrolment lets a machine trade its one-time token for a certificate. Only the key that came first may come again.
type Enrolment struct {
	TokenHash string    `json:"tokenHash"` // SHA-256, hex
	Expires   time.Time `json:"expires"`
	KeyHash   string    `json:"keyHash,omitempty"` // SHA-256 of the public key that has enrolled
}

// A MachineReport is what a machine's agent says of its machine.
type MachineReport struct {
	Hostname  string            `json:"hostname"`
	Addresses []string          `json:"addresses"`
	Former    []string          `json:"former,omitempty"` // addresses that it has had, the last ones
	Links     []Link            `json:"links,omitempty"`
	Base      charm.Base        `json:"base"`
	Hardware  provider.Hardware `json:"hardware"`
	HostKeys  []string          `json:"hostKeys,omitempty"` // public keys of its sshd, as HostKeys reads them
	Version   string            `json:"version"`
	Started   time.Time         `json:"started"`
}

// A Link is a network interface of a machine that is up and has addresses.
type Link struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
	Gateway   string   `json:"gateway,omitempty"` // of IPv4, to everywhere
}

// A Presence is the data of an agent's ephemeral node.
type Presence struct {
	Boot    string    `json:"boot"` // names one run of one agent
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
}

// A Relation joins one or two applications.
type Relation struct {
	Endpoints []relation.Endpoint `json:"endpoints"` // one for a peer relation, otherwise provider first
	Scope     charm.Scope         `json:"scope"`
	Created   time.Time           `json:"created"`
	End
}

// Endpoint is the end of the relation that is a's, and the other one; both are the same in a peer relation.
func (r Relation) Endpoint(a ApplicationName) (own, other relation.Endpoint, ok bool) {
	for i, e := range r.Endpoints {
		if e.Application == string(a) {
			return e, r.Endpoints[len(r.Endpoints)-1-i], true
		}
	}
	return own, other, false
}

// A StatusInfo is one status at one time.
type StatusInfo struct {
	Status  string            `json:"status"`
	Message string            `json:"message,omitempty"`
	Data    map[string]string `json:"data,omitempty"`
	Since   time.Time         `json:"since"`
}

// A UnitStatus is what a unit says of itself.
type UnitStatus struct {
	Agent    StatusInfo  `json:"agent"`
	Workload StatusInfo  `json:"workload"` // what the charm has said, kept while a hook's failure covers it
	Failure  *StatusInfo `json:"failure,omitempty"`
	Version  string      `json:"version,omitempty"` // of the workload
	Charm    charm.ID    `json:"charm"`             // whose files are in place
	Said     bool        `json:"said,omitempty"`    // the charm itself has set the workload's status
}

// A UnitAddress is how a unit is reached.
type UnitAddress struct {
	Public  string   `json:"public"`
	Private string   `json:"private"`
	Egress  []string `json:"egress,omitempty"` // CIDRs
}

// An OpenPort is a range of ports a unit has open, for one endpoint; "" means for all.
type OpenPort struct {
	provider.PortRange
	Endpoint string `json:"endpoint,omitempty"`
}

// A Change is one record of the history: what a user did.
type Change struct {
	User    string    `json:"user"`
	When    time.Time `json:"when"`
	What    string    `json:"what"`
	Details string    `json:"details,omitempty"`
	ID      string    `json:"id,omitempty"` // names the change, so that one whose reply was lost can be found
}
