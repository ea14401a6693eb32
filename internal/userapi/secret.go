package userapi

import "github.com/grigri/grigri/state"

// The routes of secrets. {secret} is an id, secret:id, or the name of one of users'. What they carry in clear is in no log.
const (
	SecretsRoute      = "GET /v1/models/{model}/secrets"                  // -> []Secret
	AddSecretRoute    = "POST /v1/models/{model}/secrets"                 // AddSecret -> AddedSecret
	SecretRoute       = "GET /v1/models/{model}/secrets/{secret}"         // -> Secret
	RevealSecretRoute = "GET /v1/models/{model}/secrets/{secret}/content" // [revision] -> Secret with its Value
	UpdateSecretRoute = "PATCH /v1/models/{model}/secrets/{secret}"       // UpdateSecret
	RemoveSecretRoute = "DELETE /v1/models/{model}/secrets/{secret}"      // [revision]
	GrantSecretRoute  = "POST /v1/models/{model}/secrets/{secret}/grants" // GrantSecret
)

// AddSecret makes a secret of users.
type AddSecret struct {
	Name  string              `json:"name"`
	Info  string              `json:"info,omitempty"`
	Value state.SecretContent `json:"value"`
}

// AddedSecret names the secret that was made.
type AddedSecret struct {
	ID state.SecretID `json:"id"`
}

// UpdateSecret changes a secret of users. What is nil stays.
type UpdateSecret struct {
	Name      *string             `json:"name,omitempty"`
	Info      *string             `json:"info,omitempty"`
	AutoPrune *bool               `json:"autoPrune,omitempty"`
	Value     state.SecretContent `json:"value,omitempty"`
}

// GrantSecret lets the units of applications read a secret of users, or no more.
type GrantSecret struct {
	Applications []state.ApplicationName `json:"applications"`
	Revoke       bool                    `json:"revoke,omitempty"`
}

// A Secret is a secret as users see it. Value is that of the revision that was asked for.
type Secret struct {
	ID state.SecretID `json:"id"`
	state.Secret
	Access   []SecretAccess      `json:"access,omitempty"`
	Shown    int                 `json:"shown,omitempty"` // the revision of Value
	Checksum string              `json:"checksum,omitempty"`
	Value    state.SecretContent `json:"value,omitempty"`
}

// A SecretAccess is one grant in words.
type SecretAccess struct {
	Target string `json:"target"` // application-web
	Scope  string `json:"scope"`  // relation-db.mysql#db.web... or model-UUID
	Role   string `json:"role"`   // view
}
