package state

import "time"

// A Receiver is who runs a task: a unit ("web/0"), or a machine ("4") whose agent runs commands outside of any unit.
type Receiver string

// Unit is the unit; ok is false for a machine.
func (r Receiver) Unit() (u UnitName, ok bool) {
	if r == "" || r[0] >= '0' && r[0] <= '9' {
		return "", false
	}
	return UnitName(r), true
}

// Machine is the machine; ok is false for a unit.
func (r Receiver) Machine() (id MachineID, ok bool) {
	if _, unit := r.Unit(); unit || r == "" {
		return "", false
	}
	return MachineID(r), true
}

// Kind is what the receiver is: "unit" or "machine".
func (r Receiver) Kind() string {
	if _, ok := r.Unit(); ok {
		return "unit"
	}
	return "machine"
}

// Tag is the receiver as logs name it: "unit-web-0" or "machine-4".
func (r Receiver) Tag() string {
	if u, ok := r.Unit(); ok {
		return u.Tag()
	}
	return MachineID(r).Tag()
}

// An Operation is what one run or exec of a user has started: a task on each of several receivers.
type Operation struct {
	Summary string              `json:"summary"`
	Action  string              `json:"action"` // juju-exec for commands
	Tasks   map[TaskID]Receiver `json:"tasks"`
	User    string              `json:"user"`
	Created time.Time           `json:"created"`
}

// A Task is one action or command for one receiver to run.
type Task struct {
	Operation OperationID    `json:"operation"`
	Action    string         `json:"action"` // juju-exec for commands
	Params    map[string]any `json:"params,omitempty"`
	Enqueued  time.Time      `json:"enqueued"`
	Cancel    bool           `json:"cancel,omitempty"`
	Beside
}

// Beside is what a task may run beside, on its machine. What is not set is as the charm declares the action.
type Beside struct {
	Parallel *bool  `json:"parallel,omitempty"`       // without the machine's lock; false: with it, as hooks run
	Group    string `json:"executionGroup,omitempty"` // beside hooks, but not beside other tasks of this group
}

// Lock is the group whose lock the task runs under, "" being the machine's own, and whether it needs one at all. The
// arguments are what the charm declares of the action.
func (b Beside) Lock(group string, parallel bool) (string, bool) {
	if b.Group != "" {
		group = b.Group
	}
	if b.Parallel != nil {
		parallel = *b.Parallel
	}
	return group, group != "" || !parallel
}

// ExecAction is the action that runs the shell text in its parameter "command".
const ExecAction = "juju-exec"

// A TaskResult is how a task ended, or how far it is. Who makes the node decides whether the task runs: its receiver, when it
// begins, or a controller, when the task is cancelled before that. From then on the receiver alone writes it.
type TaskResult struct {
	Status    string         `json:"status"`
	Message   string         `json:"message,omitempty"`
	Results   map[string]any `json:"results,omitempty"` // with return-code, stdout, stderr
	Log       []TaskLine     `json:"log,omitempty"`
	Started   time.Time      `json:"started,omitzero"` // zero when it never has
	Completed time.Time      `json:"completed,omitzero"`
}

// A TaskLine is one thing that an action has said of its progress.
type TaskLine struct {
	When    time.Time `json:"when"`
	Message string    `json:"message"`
}

// The statuses of a task. One without a result is pending; one that is running and cancelled is aborting.
const (
	TaskPending   = "pending"
	TaskRunning   = "running"
	TaskAborting  = "aborting"
	TaskCompleted = "completed"
	TaskFailed    = "failed"
	TaskAborted   = "aborted"   // cancelled while it was running
	TaskCancelled = "cancelled" // before it was
)
