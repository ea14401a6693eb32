package state

// A StatusType says of what the statuses are that follow one another in the log of statuses.
type StatusType string

// The types of statuses that are kept.
const (
	StatusOfAgent       StatusType = "juju-unit"    // what a unit's agent does
	StatusOfWorkload    StatusType = "workload"     // what the unit's charm has said
	StatusOfApplication StatusType = "application"  // what the charm's leader has said
	StatusOfInstance    StatusType = "machine"      // what the provider says of a machine
	StatusOfMachine     StatusType = "juju-machine" // whether the machine's agent is there
	StatusOfModel       StatusType = "model"
)

// A StatusRecord is one status in the log of statuses.
type StatusRecord struct {
	StatusInfo
	Type StatusType `json:"type"`
}

// What the agent of a machine is, once it has been there, and what the agents of its units are meanwhile.
const (
	AgentStarted = "started"
	AgentDown    = "down"
	AgentLost    = "lost"
	AgentSilent  = "agent is not communicating with the server" // the message of the last two
)

// Same says whether two statuses say the same, whenever they do.
func (s StatusInfo) Same(other StatusInfo) bool {
	return s.Status == other.Status && s.Message == other.Message
}

// AgentStatus is what the unit's agent does, as the log of statuses tells it: between two tries of a hook that has failed it is in error.
func (s UnitStatus) AgentStatus() StatusInfo {
	if s.Failure == nil || s.Agent.Status != "idle" {
		return s.Agent
	}
	f := *s.Failure
	if s.Agent.Since.After(f.Since) {
		f.Since = s.Agent.Since
	}
	return f
}

// ModelTag is the model itself in its log of statuses.
const ModelTag = "model"

// Tag is the application in the log of statuses: application-web.
func (a ApplicationName) Tag() string { return "application-" + string(a) }
