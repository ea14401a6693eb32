package userapi

import "github.com/grigri/grigri/state"

// The routes of storage. {storage} is data-0. What storage there is, is part of the status.
const (
	AddStorageRoute    = "POST /v1/models/{model}/units/{unit}/storage"           // AddStorage -> StorageIDs
	AttachStorageRoute = "PUT /v1/models/{model}/units/{unit}/storage"            // StorageIDs
	DetachStorageRoute = "DELETE /v1/models/{model}/storage/{storage}/attachment" // [force, timeout, dry-run]
	RemoveStorageRoute = "DELETE /v1/models/{model}/storage/{storage}"            // [force, release, timeout, dry-run]
	PoolsRoute         = "GET /v1/models/{model}/storage-pools"                   // -> map[string]state.Pool
	CreatePoolRoute    = "POST /v1/models/{model}/storage-pools/{pool}"           // state.Pool
	UpdatePoolRoute    = "PATCH /v1/models/{model}/storage-pools/{pool}"          // Attributes
	RemovePoolRoute    = "DELETE /v1/models/{model}/storage-pools/{pool}"
)

// AddStorage asks for more of a storage of a unit's charm.
type AddStorage struct {
	Name      string `json:"name"`
	Directive string `json:"directive,omitempty"` // "ebs,10G,2"
}

// StorageIDs names storage instances.
type StorageIDs struct {
	Storage []state.StorageID `json:"storage"`
}

// Attributes are those of a pool that change.
type Attributes struct {
	Attributes map[string]string `json:"attributes"`
}
