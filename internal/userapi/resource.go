package userapi

import (
	"time"

	"github.com/grigri/grigri/state"
)

// A ResourceChoice is what a resource is to be: a file that has been uploaded, or one of its revisions.
type ResourceChoice struct {
	SHA256   string `json:"sha256,omitempty"` // of the file; empty: Revision is meant
	Revision int    `json:"revision"`
}

// A Resource is one resource that an application's charm declares.
type Resource struct {
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Path        string    `json:"path"` // the file's name, as the charm calls it
	Description string    `json:"description,omitempty"`
	Given       bool      `json:"given"` // the rest is of the revision that the application is to have, if it has been given one
	Revision    int       `json:"revision"`
	SHA256      string    `json:"sha256,omitempty"`
	Size        int64     `json:"size"`
	User        string    `json:"user,omitempty"`
	Added       time.Time `json:"added,omitzero"`
}

// Resources is the resources of an application, sorted by name, and what its units have fetched of them.
type Resources struct {
	Application state.ApplicationName                  `json:"application"`
	Resources   []Resource                             `json:"resources"`
	Units       map[state.UnitName]state.UnitResources `json:"units"`
}

// A Payload is one payload of a unit.
type Payload struct {
	Unit    state.UnitName  `json:"unit"`
	Machine state.MachineID `json:"machine"`
	state.Payload
}
