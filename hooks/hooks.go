// Package hooks says what a hook is, what it may ask, and what it may change.
// It is pure. Its sub-packages do: run executes hooks, serve answers their tools, tool is those tools, wire is between them.
package hooks

import (
	"context"
	"time"

	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// A Kind is the kind of a hook.
type Kind string

// The kinds of hook.
const (
	Install               Kind = "install"
	Start                 Kind = "start"
	ConfigChanged         Kind = "config-changed"
	UpgradeCharm          Kind = "upgrade-charm"
	UpdateStatus          Kind = "update-status"
	Stop                  Kind = "stop"
	Remove                Kind = "remove"
	LeaderElected         Kind = "leader-elected"
	LeaderSettingsChanged Kind = "leader-settings-changed"
	RelationCreated       Kind = "relation-created"
	RelationJoined        Kind = "relation-joined"
	RelationChanged       Kind = "relation-changed"
	RelationDeparted      Kind = "relation-departed"
	RelationBroken        Kind = "relation-broken"
	StorageAttached       Kind = "storage-attached"
	StorageDetaching      Kind = "storage-detaching"
	SecretChanged         Kind = "secret-changed"
	SecretRotate          Kind = "secret-rotate"
	SecretExpired         Kind = "secret-expired"
	SecretRemove          Kind = "secret-remove"
	Action                Kind = "action"  // an action or a command: no hook at all, but run in a hook's context
	Command               Kind = "command" // the same, called with juju-exec or juju-run on the machine itself
)

// A Hook is one call of one hook.
type Hook struct {
	Kind        Kind                  `json:"kind"`
	Relation    state.RelationID      `json:"relation,omitempty"` // only if Endpoint is not empty
	Endpoint    string                `json:"endpoint,omitempty"` // the unit's own
	RemoteApp   state.ApplicationName `json:"remoteApp,omitempty"`
	RemoteUnit  state.UnitName        `json:"remoteUnit,omitempty"` // empty in created, broken and a changed of the application's settings
	Departing   state.UnitName        `json:"departing,omitempty"`  // only in departed
	Storage     state.StorageID       `json:"storage,omitempty"`    // of a storage hook, with its kind and location
	StorageKind string                `json:"storageKind,omitempty"`
	Location    string                `json:"location,omitempty"`
	Task        state.TaskID          `json:"task,omitempty"`
	Action      string                `json:"action,omitempty"`
	ActionInput map[string]any        `json:"-"` // the parameters of the action

	Secret         state.SecretID `json:"secret,omitempty"`
	SecretLabel    string         `json:"secretLabel,omitempty"`    // as the unit knows it
	SecretRevision int            `json:"secretRevision,omitempty"` // that the hook is about; the latest in changed and rotate, which do not tell it
}

// Name is the hook's name, "db-relation-changed". It is empty for actions and commands.
func (h Hook) Name() string {
	switch {
	case h.Kind == Action || h.Kind == Command:
		return ""
	case h.Endpoint != "":
		return h.Endpoint + "-" + string(h.Kind)
	case h.Storage != "":
		return h.Storage.Name() + "-" + string(h.Kind)
	}
	return string(h.Kind)
}

// RunName names one run: the hook's name, the action's, or run-commands. It is part of logs and tokens.
func (h Hook) RunName() string {
	switch {
	case h.Shell():
		return "run-commands"
	case h.Kind == Action:
		return h.Action
	}
	return h.Name()
}

// Shell says whether it is shell text that is run: the parameter "command".
func (h Hook) Shell() bool {
	return h.Kind == Command || h.Kind == Action && h.Action == state.ExecAction
}

// A Reader answers what a hook may ask of the tree. The first answer to a question is its answer for the whole hook;
// what the hook itself has asked for is laid over it by serve, not here. Errors that wrap those of this package
// reach the charm in the words of the contract.
type Reader interface {
	// Config is every option of the charm: string, int64, float64, bool, or nil when it has no value.
	Config(ctx context.Context) (map[string]any, error)
	// Relations is every relation of the unit that hooks may see, ordered by id: alive ones and those that are being left.
	Relations(ctx context.Context) ([]Relation, error)
	// Members is the other side's units that this unit has heard of and not heard leave, sorted.
	Members(ctx context.Context, r state.RelationID) ([]state.UnitName, error)
	// Settings is what a unit of either side has set; of one that has left too.
	Settings(ctx context.Context, r state.RelationID, u state.UnitName) (relation.Settings, error)
	// ApplicationSettings is what the leader of one side has set.
	ApplicationSettings(ctx context.Context, r state.RelationID, a state.ApplicationName) (relation.Settings, error)
	// Leader says whether the unit leads its application, and will for 30 s.
	Leader(ctx context.Context) (bool, error)
	LeaderSettings(ctx context.Context) (relation.Settings, error)
	State(ctx context.Context) (map[string]string, error)
	Ports(ctx context.Context) ([]state.OpenPort, error)
	Address(ctx context.Context) (state.UnitAddress, error)
	// Network is the addresses of a binding: an endpoint, an extra binding or juju-info. It wraps ErrNoBinding.
	// The relation may give addresses of its own; NoRelation means none is meant.
	Network(ctx context.Context, binding string, r state.RelationID) (Network, error)
	Status(ctx context.Context) (state.StatusInfo, error)
	ApplicationStatus(ctx context.Context) (ApplicationStatus, error)
	GoalState(ctx context.Context) (GoalState, error)
	// Storage is what storage the unit has.
	Storage(ctx context.Context) (Storage, error)
	SecretReader
	// Resource is the path of a resource's file, which it fetches unless this revision is there already. It wraps ErrNoResource.
	Resource(ctx context.Context, name string) (path string, err error)
	Payloads(ctx context.Context) ([]state.Payload, error)
	// Credential is how the cloud is reached. Only applications that are trusted may know; for others it wraps ErrDenied.
	Credential(ctx context.Context) (CloudSpec, error)
}

// NoRelation is no relation, where one may be given.
const NoRelation state.RelationID = -1

// A Writer does what takes effect at once, whatever becomes of the hook.
type Writer interface {
	SetStatus(ctx context.Context, s state.StatusInfo) error
	// SetApplicationStatus and SetLeader wrap ErrNotLeader.
	SetApplicationStatus(ctx context.Context, s state.StatusInfo) error
	SetLeader(ctx context.Context, delta relation.Settings) error
	SetVersion(ctx context.Context, version string) error
	// Log writes a message of the charm. Level is TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL.
	Log(ctx context.Context, level, message string) error
	// LogAction adds a line to the progress of the action that the hook is.
	LogAction(ctx context.Context, message string) error
	SecretWriter
	// SetPayloads puts what the unit says of its payloads in the place of what it said before.
	SetPayloads(ctx context.Context, all []state.Payload) error
}

// A CloudSpec is a cloud with what is needed to use it.
type CloudSpec struct {
	Type            string            `json:"type"`
	Name            string            `json:"name"`
	Region          string            `json:"region,omitempty"`
	Endpoint        string            `json:"endpoint,omitempty"`
	AuthType        string            `json:"authType,omitempty"`
	Attributes      map[string]string `json:"attributes,omitempty"` // of the credential; in no log
	CACertificates  []string          `json:"caCertificates,omitempty"`
	ControllerCloud bool              `json:"controllerCloud,omitempty"` // the controllers run there too
}

// A Relation is one relation as a hook sees it.
type Relation struct {
	ID        state.RelationID
	Endpoint  string // the unit's own
	Peer      bool
	RemoteApp state.ApplicationName
	Broken    bool // it is going and no member is left: relation-ids hides it
}

// A Network is what network-get knows of a binding.
type Network struct {
	Interfaces []Interface
	Ingress    []string
	Egress     []string // CIDRs
}

// An Interface is a network interface with its addresses.
type Interface struct {
	Name, MAC string
	Addresses []InterfaceAddress
}

// An InterfaceAddress is one address of an interface.
type InterfaceAddress struct{ Hostname, Value, CIDR string }

// An ApplicationStatus is the status of an application and its units.
type ApplicationStatus struct {
	Application state.StatusInfo                    `json:"application"`
	Units       map[state.UnitName]state.StatusInfo `json:"units"`
}

// A GoalState is what the user wants of the units here and at the other ends, and how far they are.
type GoalState struct {
	Units     map[state.UnitName]Goal    `json:"units"`
	Relations map[string]map[string]Goal `json:"relations"` // own endpoint -> application or unit
}

// A Goal is how far one thing is.
type Goal struct {
	Status string    `json:"status"`
	Since  time.Time `json:"since,omitzero"`
}

// Effects is all that a hook has asked for. They are committed with the ledger when the hook succeeds, dropped when it fails.
type Effects struct {
	Settings    map[state.RelationID]relation.Settings // the unit's own; "" removes
	Application map[state.RelationID]relation.Settings // its application's; only a leader
	Ports       []PortChange                           // in the order they were asked for
	State       map[string]*string                     // nil removes
	Storage     map[string]int                         // how many more of each storage
	Action      *ActionOutcome
	Secrets     map[state.SecretID]state.SecretChange
	Tracked     map[state.SecretID]*state.Tracked // secrets of others that have been read; nil: tracked no more
	Reboot      bool                              // the machine is to start again once all this is committed
}

// A PortChange opens or closes a range of ports.
type PortChange struct {
	Port  state.OpenPort
	Close bool
}

// An ActionOutcome is what an action says of itself.
type ActionOutcome struct {
	Results map[string]any
	Failed  bool
	Message string
}

// Empty says whether nothing has been asked for.
func (e Effects) Empty() bool {
	return len(e.Settings) == 0 && len(e.Application) == 0 && len(e.Ports) == 0 && len(e.State) == 0 && e.Action == nil &&
		len(e.Storage) == 0 && len(e.Secrets) == 0 && len(e.Tracked) == 0 && !e.Reboot
}
