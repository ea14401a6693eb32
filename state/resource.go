package state

import "time"

// A Resource is one revision of a file that a charm wants beside its archive. Its content is on the controllers' disks, under its
// SHA-256. Revisions count from 0 for each charm and name in a model; a revision never changes.
type Resource struct {
	Charm    string    `json:"charm"` // the charm's name
	Name     string    `json:"name"`
	Revision int       `json:"revision"`
	SHA256   string    `json:"sha256"`
	Size     int64     `json:"size"`
	User     string    `json:"user"`
	Added    time.Time `json:"added"`
}

// A UsedResource is the revision of a resource that an application is to have, as its units see it.
type UsedResource struct {
	Revision int    `json:"revision"`
	SHA256   string `json:"sha256"`
	Size     int64  `json:"size"`
}

// UnitResources is what a unit says of the resources it has fetched, by name. It is written when one has come.
type UnitResources map[string]UsedResource

// A Payload is something that a charm has started and told of: a container, a virtual machine. A unit's are told apart by
// class and ID.
type Payload struct {
	Class  string   `json:"class"`
	Type   string   `json:"type"`
	ID     string   `json:"id"`
	Status string   `json:"status"`
	Labels []string `json:"labels,omitempty"`
}
