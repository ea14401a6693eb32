package userapi

import (
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// The routes of clouds and credentials. {credential} is a name, which stands for the caller's own; a superuser may say user/name.
const (
	CloudsRoute           = "GET /v1/clouds"                                     // -> []provider.Cloud
	PluginRoute           = "GET /v1/plugins/{hash}"                             // whether the program of a provider is there: SHA-256
	UploadPluginRoute     = "PUT /v1/plugins/{hash}"                             // the body is the program
	AddCloudRoute         = "POST /v1/clouds"                                    // provider.Cloud
	CloudRoute            = "GET /v1/clouds/{cloud}"                             // -> provider.Cloud
	UpdateCloudRoute      = "PUT /v1/clouds/{cloud}"                             // provider.Cloud
	RemoveCloudRoute      = "DELETE /v1/clouds/{cloud}"                          // and its credentials
	CredentialsRoute      = "GET /v1/credentials"                                // [cloud, credential, secrets: show them] -> []Credential of the caller
	PutCredentialRoute    = "PUT /v1/clouds/{cloud}/credentials/{credential}"    // provider.Credential
	RemoveCredentialRoute = "DELETE /v1/clouds/{cloud}/credentials/{credential}" // [force]
	SetCredentialRoute    = "PUT /v1/models/{model}/credential"                  // SetCredential
	RetryRoute            = "POST /v1/models/{model}/retry-provisioning"         // RetryProvisioning -> AddedMachines: those that are asked for again
)

// MaxPlugin is how large the program of a provider may be.
const MaxPlugin = 256 << 20

// A Credential is a user's credential for a cloud. What its attributes say is only there if it was asked for.
type Credential struct {
	provider.Credential
	Cloud   string    `json:"cloud"`
	Owner   string    `json:"owner"`
	Models  []string  `json:"models,omitempty"` // that use it: owner/name
	Updated time.Time `json:"updated"`
}

// RetryProvisioning asks again for machines that a provider has refused.
type RetryProvisioning struct {
	Machines []state.MachineID `json:"machines,omitempty"`
	All      bool              `json:"all,omitempty"` // that there are
}

// SetCredential changes as whom the machines of a model are asked for.
type SetCredential struct {
	Credential string `json:"credential"` // name, or user/name
}
