package state

import (
	"fmt"
	"strings"
)

// Every path in the tree is made here and nowhere else. Paths are below the chroot /grigri.

// The nodes that are there before any model.
const (
	ModelsPath      = "/models"
	ModelNamesPath  = "/names"       // one empty-handed node a model name: admin+shop -> its UUID
	ControllersPath = "/controllers" // its data is the Controller
	ElectionPath    = "/controllers/election"
	PresencePath    = "/controllers/presence"
	UsersPath       = "/users"
	RequestsPath    = "/requests" // one node a user's request that changed something: its answer, should it come again
	KeptPath        = "/kept"     // one node an instance that users kept when they removed its machine
)

// Roots is every node that bootstrap makes, parents first.
func Roots() []string {
	return []string{ModelsPath, ModelNamesPath, ControllersPath, ElectionPath, PresencePath, UsersPath, RequestsPath, KeptPath, CloudsPath}
}

// ModelNamePath holds the name of a model of a user.
func ModelNamePath(owner, name string) string { return ModelNamesPath + "/" + owner + "+" + name }

// UserPath is where a User is.
func UserPath(name string) string { return UsersPath + "/" + name }

// RequestPath is where the answer to a request is.
func RequestPath(id string) string { return RequestsPath + "/" + id }

// KeptInstancePath says that the instance of a machine that is no more is not ours to stop.
func KeptInstancePath(m ModelID, id MachineID) string {
	return KeptPath + "/" + string(m) + "+" + id.Node()
}

// Path is the model's own node, whose data is the Model.
func (m ModelID) Path() string { return ModelsPath + "/" + string(m) }

// ConfigPath is where the model's settings are. All agents of the model watch it.
func (m ModelID) ConfigPath() string { return m.Path() + "/config" }

// ConstraintsPath is where the model's constraints are.
func (m ModelID) ConstraintsPath() string { return m.Path() + "/constraints" }

// AddressesPath is where agents find the controllers and ZooKeeper. All agents of the model watch it.
func (m ModelID) AddressesPath() string { return m.Path() + "/addresses" }

// The directories of a model.
func (m ModelID) ApplicationsPath() string { return m.Path() + "/applications" }
func (m ModelID) UnitsPath() string        { return m.Path() + "/units" }
func (m ModelID) MachinesPath() string     { return m.Path() + "/machines" }
func (m ModelID) RelationsPath() string    { return m.Path() + "/relations" }
func (m ModelID) CharmsPath() string       { return m.Path() + "/charms" }
func (m ModelID) ChangesPath() string      { return m.Path() + "/changes" }
func (m ModelID) HistoryPath() string      { return m.Path() + "/history" }
func (m ModelID) SequencesPath() string    { return m.Path() + "/sequences" }
func (m ModelID) OperationsPath() string   { return m.Path() + "/operations" }
func (m ModelID) ResourcesPath() string    { return m.Path() + "/resources" }
func (m ModelID) StoragesPath() string     { return m.Path() + "/storage" }
func (m ModelID) PoolsPath() string        { return m.Path() + "/pools" }

// Directories is every directory of a model that is made with it, parents first, without the model's own node.
func (m ModelID) Directories() []string {
	return []string{m.ApplicationsPath(), m.UnitsPath(), m.MachinesPath(), m.RelationsPath(), m.CharmsPath(),
		m.ChangesPath(), m.HistoryPath(), m.SequencesPath(), m.OperationsPath(), m.ResourcesPath(),
		m.StoragesPath(), m.PoolsPath(),
		m.SecretPlacesPath(), m.OwnedSecretsPath(SecretOwner{})}
}

// SequencePath is the counter of what is never numbered twice: "machine", "relation", "unit-web", "charm-web",
// "operation", "task", "resource-web+data", "storage", "container-4". Its data is the next number. It outlives what it counts.
func (m ModelID) SequencePath(of string) string { return m.SequencesPath() + "/" + of }

// ApplicationPath is where an Application is. Its units, and only they, watch it.
func (m ModelID) ApplicationPath(a ApplicationName) string {
	return m.ApplicationsPath() + "/" + string(a)
}

// ExposedPath is where an Exposed is.
func (m ModelID) ExposedPath(a ApplicationName) string { return m.ApplicationPath(a) + "/exposed" }

// PromisePath is where a Promise is, while there is one.
func (m ModelID) PromisePath(a ApplicationName) string { return m.ApplicationPath(a) + "/promise" }

// ElectionPath is the directory of the election of the application's leader.
func (m ModelID) ElectionPath(a ApplicationName) string { return m.ApplicationPath(a) + "/election" }

// LeaderPath is where the leader settings are.
func (m ModelID) LeaderPath(a ApplicationName) string { return m.ApplicationPath(a) + "/leader" }

// ApplicationStatusPath is where the leader says how the application is.
func (m ModelID) ApplicationStatusPath(a ApplicationName) string {
	return m.ApplicationPath(a) + "/status"
}

// UnitPath is where a Unit is. The unit and its machine watch it.
func (m ModelID) UnitPath(u UnitName) string { return m.UnitsPath() + "/" + u.Node() }

// What lies under a unit, beside its tasks, is the unit's own to write.
func (m ModelID) LedgerPath(u UnitName) string  { return m.UnitPath(u) + "/ledger" }
func (m ModelID) StatusPath(u UnitName) string  { return m.UnitPath(u) + "/status" }
func (m ModelID) PortsPath(u UnitName) string   { return m.UnitPath(u) + "/ports" }
func (m ModelID) AddressPath(u UnitName) string { return m.UnitPath(u) + "/address" }
func (m ModelID) StatePath(u UnitName) string   { return m.UnitPath(u) + "/state" }
func (m ModelID) AgentPath(u UnitName) string   { return m.UnitPath(u) + "/agent" }

// UnitResourcesPath is where a UnitResources is; PayloadsPath is where the []Payload of the unit is.
func (m ModelID) UnitResourcesPath(u UnitName) string { return m.UnitPath(u) + "/resources" }
func (m ModelID) PayloadsPath(u UnitName) string      { return m.UnitPath(u) + "/payloads" }

// HeardPath is the directory of what the unit has heard in the relation, below its ledger; HeardUnitPath the node for one related unit.
func (m ModelID) HeardPath(u UnitName, r RelationID) string {
	return m.LedgerPath(u) + "/" + r.String()
}
func (m ModelID) HeardUnitPath(u UnitName, r RelationID, remote UnitName) string {
	return m.HeardPath(u, r) + "/" + remote.Node()
}

// OperationPath is where an Operation is.
func (m ModelID) OperationPath(o OperationID) string {
	return fmt.Sprintf("%s/%d", m.OperationsPath(), o)
}

// ReceiverPath is where the unit, or the machine, that runs a task is.
func (m ModelID) ReceiverPath(r Receiver) string {
	if u, ok := r.Unit(); ok {
		return m.UnitPath(u)
	}
	return m.MachinePath(MachineID(r))
}

// TasksPath is the directory of the tasks of a unit or a machine.
func (m ModelID) TasksPath(r Receiver) string { return m.ReceiverPath(r) + "/tasks" }

// TaskPath is where a Task is; its data is the Task.
func (m ModelID) TaskPath(r Receiver, t TaskID) string {
	return fmt.Sprintf("%s/%d", m.TasksPath(r), t)
}

// TaskResultPath is where the TaskResult is.
func (m ModelID) TaskResultPath(r Receiver, t TaskID) string { return m.TaskPath(r, t) + "/result" }

// KeptTaskPath is where a Task is when its receiver is no more, and KeptResultPath where its TaskResult is.
func (m ModelID) KeptTaskPath(o OperationID, t TaskID) string {
	return fmt.Sprintf("%s/%d", m.OperationPath(o), t)
}
func (m ModelID) KeptResultPath(o OperationID, t TaskID) string {
	return m.KeptTaskPath(o, t) + "/result"
}

// MachinePath is where a Machine is. The machine watches it.
func (m ModelID) MachinePath(id MachineID) string { return m.MachinesPath() + "/" + id.Node() }

// What lies under a machine.
func (m ModelID) SecretsPath(id MachineID) string  { return m.MachinePath(id) + "/secrets" }
func (m ModelID) InstancePath(id MachineID) string { return m.MachinePath(id) + "/instance" }
func (m ModelID) EnrolPath(id MachineID) string    { return m.MachinePath(id) + "/enrol" }

// MachineAgentPath is the presence of the machine's agent; MachineReportPath what the agent says of its machine.
func (m ModelID) MachineAgentPath(id MachineID) string  { return m.MachinePath(id) + "/agent" }
func (m ModelID) MachineReportPath(id MachineID) string { return m.MachinePath(id) + "/report" }

// StoragePath is where a Storage is; VolumePath the Volume of a persistent one. Units see of it what is in their Unit.
func (m ModelID) StoragePath(s StorageID) string { return m.StoragesPath() + "/" + s.Node() }
func (m ModelID) VolumePath(s StorageID) string  { return m.StoragePath(s) + "/volume" }

// PoolPath is where a Pool of the users' own is.
func (m ModelID) PoolPath(name string) string { return m.PoolsPath() + "/" + name }

// RelationPath is where a Relation is.
func (m ModelID) RelationPath(r RelationID) string { return m.RelationsPath() + "/" + r.String() }

// SidePath holds the application settings of one side of a relation; for a global relation the
// nodes of the units of that side lie below it.
func (m ModelID) SidePath(r RelationID, side ApplicationName) string {
	return m.RelationPath(r) + "/" + string(side)
}

// MembersPath is the directory of the members of one side: the side itself in a global relation, a directory
// of the principal unit's own in a container-scoped one. Principal is empty for a global relation.
func (m ModelID) MembersPath(r RelationID, side ApplicationName, principal UnitName) string {
	if principal == "" {
		return m.SidePath(r, side)
	}
	return m.RelationPath(r) + "/" + principal.Node() + "/" + string(side)
}

// MemberPath holds the unit's settings; it exists while the unit is in scope.
func (m ModelID) MemberPath(r RelationID, principal, u UnitName) string {
	return m.MembersPath(r, u.Application(), principal) + "/" + u.Node()
}

// GoneName is the directory, beside the members, of the settings of units that have left. It is no member.
const GoneName = ".gone"

// GonePath holds the settings of a unit that has left.
func (m ModelID) GonePath(r RelationID, principal, u UnitName) string {
	return m.MembersPath(r, u.Application(), principal) + "/" + GoneName + "/" + u.Node()
}

// CharmPath is where a Charm is.
func (m ModelID) CharmPath(id string) string { return m.CharmsPath() + "/" + id }

// ResourcePath is where a Resource is.
func (m ModelID) ResourcePath(charm, name string, revision int) string {
	return fmt.Sprintf("%s/%s+%s+%d", m.ResourcesPath(), charm, name, revision)
}

// TicketPrefix is the path of a ticket before its number.
func (m ModelID) TicketPrefix(t Ticket) string {
	return m.ChangesPath() + "/" + t.Kind + "=" + strings.ReplaceAll(t.Name, "/", "-") + ":"
}

// ParseTicket is the ticket whose node has this name.
func ParseTicket(node string) (Ticket, bool) {
	body, _, ok := strings.Cut(node, ":")
	kind, name, ok2 := strings.Cut(body, "=")
	if !ok || !ok2 {
		return Ticket{}, false
	}
	switch kind {
	case TicketUnit:
		name = string(UnitOfNode(name))
	case TicketStorage:
		name = string(StorageOfNode(name))
	case TicketMachine:
		name = string(MachineOfNode(name))
	}
	return Ticket{kind, name}, true
}
