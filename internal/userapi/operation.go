package userapi

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/grigri/grigri/state"
)

// Enqueue asks units to run an action, or units and machines to run a command as state.ExecAction with the parameter "command".
type Enqueue struct {
	Action   string         `json:"action"`
	Params   map[string]any `json:"params,omitempty"`
	Units    []string       `json:"units,omitempty"`        // web/0 or web/leader
	Apps     []string       `json:"applications,omitempty"` // every unit of them
	Machines []string       `json:"machines,omitempty"`     // for commands: outside of any unit
	All      bool           `json:"all,omitempty"`          // every machine of the model
	state.Beside
}

// An Operation is an operation with its tasks.
type Operation struct {
	ID        state.OperationID     `json:"id"`
	Summary   string                `json:"summary"`
	Status    string                `json:"status"` // the worst of its tasks', or running
	Action    string                `json:"action"`
	User      string                `json:"user"`
	Enqueued  time.Time             `json:"enqueued"`
	Started   time.Time             `json:"started,omitzero"`
	Completed time.Time             `json:"completed,omitzero"`
	Tasks     map[state.TaskID]Task `json:"tasks"`
	Refused   map[string]string     `json:"refused,omitempty"` // target -> why it got no task
}

// A Task is a task with its result. Status is one of state's, or error when nothing is left of it.
type Task struct {
	ID        state.TaskID      `json:"id"`
	Operation state.OperationID `json:"operation"`
	Unit      state.UnitName    `json:"unit,omitempty"`    // or
	Machine   state.MachineID   `json:"machine,omitempty"` // that it is for
	Action    string            `json:"action"`
	Params    map[string]any    `json:"params,omitempty"`
	Status    string            `json:"status"`
	Message   string            `json:"message,omitempty"`
	Results   map[string]any    `json:"results,omitempty"`
	Log       []state.TaskLine  `json:"log,omitempty"`
	Enqueued  time.Time         `json:"enqueued"`
	Started   time.Time         `json:"started,omitzero"`
	Completed time.Time         `json:"completed,omitzero"`
}

// On is who the task is for.
func (t Task) On() state.Receiver {
	if t.Machine != "" {
		return state.Receiver(t.Machine)
	}
	return state.Receiver(t.Unit)
}

// Done says whether the task has ended.
func (t Task) Done() bool {
	return t.Status != state.TaskPending && t.Status != state.TaskRunning && t.Status != state.TaskAborting
}

// Lines is how many lines the task has said of its progress.
func (t Task) Lines() int { return len(t.Log) }

// Done says whether all tasks have ended.
func (o Operation) Done() bool {
	for _, t := range o.Tasks {
		if !t.Done() {
			return false
		}
	}
	return true
}

// Lines is how many lines the tasks have said of their progress.
func (o Operation) Lines() int {
	n := 0
	for _, t := range o.Tasks {
		n += t.Lines()
	}
	return n
}

// An OperationFilter chooses operations. What is empty chooses all; of those chosen, Offset are left out from the newest on,
// and at most Limit are listed.
type OperationFilter struct {
	Actions  []string
	Apps     []string // of a task's unit. Apps, Units and Machines choose what either of them does
	Units    []string
	Machines []string
	Statuses []string
	Limit    int // zero: no limit
	Offset   int
}

// Query is the filter as the query of a request.
func (f OperationFilter) Query() url.Values {
	q := url.Values{"action": f.Actions, "application": f.Apps, "unit": f.Units, "machine": f.Machines, "status": f.Statuses}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Offset > 0 {
		q.Set("offset", strconv.Itoa(f.Offset))
	}
	return q
}

// Chooses says whether the filter chooses the operation.
func (f OperationFilter) Chooses(o Operation) bool {
	if len(f.Actions) > 0 && !slices.Contains(f.Actions, o.Action) || len(f.Statuses) > 0 && !slices.Contains(f.Statuses, o.Status) {
		return false
	}
	if len(f.Apps)+len(f.Units)+len(f.Machines) == 0 {
		return true
	}
	for _, t := range o.Tasks {
		if t.Machine != "" && slices.Contains(f.Machines, string(t.Machine)) ||
			t.Unit != "" && (slices.Contains(f.Units, string(t.Unit)) || slices.Contains(f.Apps, string(t.Unit.Application()))) {
			return true
		}
	}
	return false
}
