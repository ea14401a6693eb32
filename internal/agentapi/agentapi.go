// Package agentapi is what agents and controllers say to each other over HTTPS: paths and bodies.
// Agents prove themselves with their machine's certificate, but for Enrol, which takes a one-time token. It is pure.
package agentapi

import (
	"time"

	"github.com/grigri/grigri/state"
)

// The routes. {hash} is the SHA-256 of a charm's archive, of the agent's or of a resource, in hex; {unit} is web-0.
const (
	EnrolRoute             = "POST /v1/agent/enrol"                          // Enrol -> Enrolled
	CharmRoute             = "GET /v1/agent/charms/{hash}"                   // -> the archive
	BinaryRoute            = "GET /v1/agent/binaries/{hash}"                 // -> the agent's archive; open to all, it is no secret
	LogsRoute              = "POST /v1/agent/logs"                           // a LogLine a line
	GoalStateRoute         = "GET /v1/agent/units/{unit}/goal-state"         // -> hooks.GoalState
	ResourceRoute          = "GET /v1/agent/units/{unit}/resources/{hash}"   // -> the file; one that the unit's application is to have
	CredentialRoute        = "GET /v1/agent/units/{unit}/credential"         // -> hooks.CloudSpec; for trusted applications
	ApplicationStatusRoute = "GET /v1/agent/units/{unit}/application-status" // -> hooks.ApplicationStatus
)

// Enrol trades a one-time token for a certificate. It may be sent again with the same request and key.
type Enrol struct {
	Model   state.ModelID   `json:"model"`
	Machine state.MachineID `json:"machine"`
	Token   string          `json:"token"`
	Request []byte          `json:"request"` // a certificate request, DER
}

// Enrolled is a machine's identity and where to go with it.
type Enrolled struct {
	Certificate string          `json:"certificate"` // PEM
	Addresses   state.Addresses `json:"addresses"`
	Chroot      string          `json:"chroot"` // of the tree in ZooKeeper
}

// A LogLine is one line of a model's log. Also what debug-log --format json prints.
type LogLine struct {
	Model   state.ModelID     `json:"model-uuid,omitempty"`
	Time    time.Time         `json:"timestamp"`
	Entity  string            `json:"entity"` // unit-web-0, machine-4
	Level   string            `json:"level"`  // TRACE to CRITICAL
	Module  string            `json:"module"` // unit.web/0.juju-log
	Where   string            `json:"location,omitempty"`
	Message string            `json:"message"`
	Labels  map[string]string `json:"labels,omitempty"`
}
