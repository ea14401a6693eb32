package agentapi

import "github.com/grigri/grigri/state"

// The routes of secrets. {unit} is web-0, {secret} an id. What they carry in clear is in no log.
const (
	NewSecretRoute  = "POST /v1/agent/units/{unit}/secrets"                    // NewSecret -> Sealed
	SealSecretRoute = "POST /v1/agent/units/{unit}/secrets/{secret}"           // NewSecret -> Sealed
	ReadSecretRoute = "GET /v1/agent/units/{unit}/secrets/{secret}/{revision}" // -> SecretValue; revision 0 is the latest
)

// NewSecret asks for a value to be sealed, for a secret of the unit or of its application.
type NewSecret struct {
	Application bool                `json:"application,omitempty"`
	Value       state.SecretContent `json:"value"`
}

// Sealed is a value that may lie in the tree, and the id of its secret.
type Sealed struct {
	ID state.SecretID `json:"id"`
	state.SealedSecret
}

// A SecretValue is one revision of a secret in clear.
type SecretValue struct {
	Revision int                 `json:"revision"`
	Value    state.SecretContent `json:"value"`
}
