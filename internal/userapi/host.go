package userapi

// The routes of hosts that users bring up themselves.
const (
	AddHostRoute    = "POST /v1/models/{model}/hosts"                     // state.ManualMachine -> AddedMachines, with one
	HostScriptRoute = "POST /v1/models/{model}/machines/{machine}/script" // of a host that has not enrolled -> HostScript, with its one-time token in it
)

// A HostScript is what brings up a host that a user has, run as root there. It holds a secret.
type HostScript struct {
	Script string `json:"script"`
}
