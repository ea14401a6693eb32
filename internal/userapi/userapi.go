// Package userapi is what users' programs and controllers say to each other over HTTPS: paths and bodies. It is pure.
// A user proves himself with HTTP Basic. Every body is JSON unless its route says otherwise.
package userapi

import "github.com/grigri/grigri/state"

// The routes. {model} is a UUID, a beginning of one (6 digits or more), a name, or owner/name with the slash as %2F;
// {unit} is web-0. A parameter in brackets is optional. A removal with dry-run=true changes nothing and says what it would do.
const (
	HealthRoute            = "GET /healthz"
	ControllerRoute        = "GET /v1/controller"            // -> Controller
	DestroyControllerRoute = "DELETE /v1/controller"         // [all-models, force, destroy-storage, release-storage, timeout, dry-run] -> Removal
	StopControllerRoute    = "POST /v1/controller/stop"      // the daemon ends: only when no model is left, or force
	ModelsRoute            = "GET /v1/models"                // -> []Model
	CreateModelRoute       = "POST /v1/models"               // CreateModel -> Model
	ModelRoute             = "GET /v1/models/{model}"        // -> Model
	DestroyModelRoute      = "DELETE /v1/models/{model}"     // [force, destroy-storage, release-storage, timeout, dry-run] -> Removal
	StatusRoute            = "GET /v1/models/{model}/status" // [select (many), after, wait] -> status.Report; header Revision
	HistoryRoute           = "GET /v1/models/{model}/history"
	StatusLogRoute         = "GET /v1/models/{model}/status-log"       // the fields of StatusLogFilter -> []StatusLogEntry, the newest last
	ModelConfigRoute       = "GET /v1/models/{model}/config"           // -> map[string]ModelSetting
	UpgradeModelRoute      = "PUT /v1/models/{model}/agent"            // UpgradeModel -> UpgradedModel
	SetModelConfigRoute    = "PATCH /v1/models/{model}/config"         // Settings -> Warnings
	ConstraintsRoute       = "GET /v1/models/{model}/constraints"      // -> provider.Constraints
	SetConstraintsRoute    = "PUT /v1/models/{model}/constraints"      // provider.Constraints
	AnnotationsRoute       = "GET /v1/models/{model}/annotations"      // -> state.Annotations
	AnnotateRoute          = "PUT /v1/models/{model}/annotations"      // state.Annotations: those to change; an empty value removes one
	CharmRoute             = "GET /v1/models/{model}/charms/{hash}"    // {hash}: SHA-256 of the archive -> state.Charm
	UploadCharmRoute       = "PUT /v1/models/{model}/charms/{hash}"    // the archive -> state.Charm; the same archive is the same charm
	UploadResourceRoute    = "PUT /v1/models/{model}/resources/{hash}" // {hash}: SHA-256 of the file, which is the body
	PayloadsRoute          = "GET /v1/models/{model}/payloads"         // -> []Payload

	DeployRoute            = "POST /v1/models/{model}/applications"                                   // Deploy -> Deployed
	ApplicationRoute       = "GET /v1/models/{model}/applications/{application}"                      // -> Application
	RemoveApplicationRoute = "DELETE /v1/models/{model}/applications/{application}"                   // [force, destroy-storage, timeout, dry-run] -> Removal
	ConfigRoute            = "GET /v1/models/{model}/applications/{application}/config"               // -> Config
	SetConfigRoute         = "PATCH /v1/models/{model}/applications/{application}/config"             // Settings
	AppConstraintsRoute    = "GET /v1/models/{model}/applications/{application}/constraints"          // -> provider.Constraints
	SetAppConstraintsRoute = "PUT /v1/models/{model}/applications/{application}/constraints"          // provider.Constraints
	RefreshRoute           = "POST /v1/models/{model}/applications/{application}/refresh"             // Refresh -> Refreshed
	ExposeRoute            = "PUT /v1/models/{model}/applications/{application}/exposed"              // Expose
	UnexposeRoute          = "DELETE /v1/models/{model}/applications/{application}/exposed"           // [endpoint (many)]
	TrustRoute             = "PUT /v1/models/{model}/applications/{application}/trust"                // Trust
	ActionsRoute           = "GET /v1/models/{model}/applications/{application}/actions"              // -> map[string]charm.Action
	ResourcesRoute         = "GET /v1/models/{model}/applications/{application}/resources"            // -> Resources
	AttachResourceRoute    = "PUT /v1/models/{model}/applications/{application}/resources/{resource}" // ResourceChoice -> state.UsedResource
	AddUnitsRoute          = "POST /v1/models/{model}/applications/{application}/units"               // AddUnits -> Added
	UnitRoute              = "GET /v1/models/{model}/units/{unit}"                                    // -> Unit
	RemoveUnitRoute        = "DELETE /v1/models/{model}/units/{unit}"                                 // [force, destroy-storage, timeout, dry-run] -> Removal
	UnitShellRoute         = "GET /v1/models/{model}/units/{unit}/shell"                              // {unit}: also web-leader -> Shell
	UnitDebugRoute         = "GET /v1/models/{model}/units/{unit}/debug"                              // {unit}: also web-leader -> Debug
	ResolveRoute           = "POST /v1/models/{model}/resolve"                                        // Resolve -> Resolved
	RelationsRoute         = "GET /v1/models/{model}/relations"                                       // -> []Relation
	IntegrateRoute         = "POST /v1/models/{model}/relations"                                      // Integrate -> Relation
	RemoveRelationRoute    = "DELETE /v1/models/{model}/relations/{relation}"                         // {relation}: 7 or "web:db db:db" [force, timeout, dry-run] -> Removal
	AddMachinesRoute       = "POST /v1/models/{model}/machines"                                       // AddMachines -> AddedMachines
	RemoveMachineRoute     = "DELETE /v1/models/{model}/machines/{machine}"                           // [force, keep-instance, timeout, dry-run] -> Removal
	MachineShellRoute      = "GET /v1/models/{model}/machines/{machine}/shell"                        // -> Shell
	EnqueueRoute           = "POST /v1/models/{model}/operations"                                     // Enqueue -> Operation
	OperationsRoute        = "GET /v1/models/{model}/operations"                                      // the fields of OperationFilter -> []Operation, the newest last
	OperationRoute         = "GET /v1/models/{model}/operations/{operation}"                          // [wait: for its end; lines: or for more lines of its log than these] -> Operation
	TaskRoute              = "GET /v1/models/{model}/tasks/{task}"                                    // [wait, lines] -> Task
	CancelTaskRoute        = "DELETE /v1/models/{model}/tasks/{task}"                                 // -> Task
	LogsRoute              = "GET /v1/models/{model}/logs"                                            // the fields of LogFilter -> an agentapi.LogLine a line
)

// ServerName is a name that every controller's certificate is for.
const ServerName = "grigri-controller"

// RequestHeader names one request of a client. A request that changes something and comes again under
// the same name, within an hour, is not done again: it gets the first one's answer.
const RequestHeader = "Grigri-Request"

// RetryHeader is not empty in a request that has been sent before.
const RetryHeader = "Grigri-Retry"

// RevisionHeader is what a long poll gives as its parameter "after".
const RevisionHeader = "Grigri-Revision"

// A Code says what kind of error happened.
type Code string

// The codes.
const (
	NotFound      Code = "not-found"
	AlreadyExists Code = "already-exists"
	BadRequest    Code = "bad-request"
	Unauthorized  Code = "unauthorized"
	Forbidden     Code = "forbidden"
	Conflict      Code = "conflict"    // the thing is not in a state for this
	Unavailable   Code = "unavailable" // try again
	Internal      Code = "internal"
)

// An Error is the body of every answer that is not a success, under the key "error".
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// A Failure is the body that carries an Error.
type Failure struct {
	Error *Error `json:"error"`
}

// Settings changes settings: Set first, then Reset to their defaults.
type Settings struct {
	Set   map[string]string `json:"set,omitempty"`
	Reset []string          `json:"reset,omitempty"`
}

// Warnings is what the user should hear although the request was done.
type Warnings struct {
	Warnings []string `json:"warnings,omitempty"`
}

// A Removal is what goes, or would go, for each thing as one sentence, indented with "- " when it follows from another.
type Removal struct {
	Effects []string `json:"effects"`
}

// Added names the units that were made.
type Added struct {
	Units []state.UnitName `json:"units"`
}

// AddedMachines names the machines that were made.
type AddedMachines struct {
	Machines []state.MachineID `json:"machines"`
}
