package agentapi

import (
	"time"

	"github.com/grigri/grigri/state"
)

// StatusesRoute takes a Status a line. What the controllers have already is not kept twice.
const StatusesRoute = "POST /v1/agent/statuses"

// A Status is one status of a unit, or of an application of which it has led.
type Status struct {
	Entity string `json:"entity"` // unit-web-0, application-web
	state.StatusRecord

	// Again is when an agent that has begun anew told what it found. If something else was told after the status was first told, it is that
	// of which the agent before did not say that it was over: the status then is since Again.
	Again time.Time `json:"again,omitzero"`
}
