package userapi

import (
	"bytes"
	"encoding/json"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// Deploy asks for an application. Its charm has been uploaded.
type Deploy struct {
	Name        state.ApplicationName `json:"name"`
	Charm       string                `json:"charm"`            // the archive's hash, or the charm's URL: local:web-3
	Config      map[string]string     `json:"config,omitempty"` // as text, typed here by the charm's options
	Base        string                `json:"base,omitempty"`
	Constraints provider.Constraints  `json:"constraints"`
	Units       int                   `json:"units"` // ignored for a subordinate
	To          []string              `json:"to,omitempty"`
	Storage     map[string]string     `json:"storage,omitempty"` // of the charm, by name: "ebs,10G,2"
	Attach      []state.StorageID     `json:"attach,omitempty"`  // storage that is there, for the only unit
	Trust       bool                  `json:"trust,omitempty"`
	Force       bool                  `json:"force,omitempty"` // a base that the charm does not name

	Resources map[string]ResourceChoice `json:"resources,omitempty"` // by name
}

// Deployed is what Deploy has made.
type Deployed struct {
	Application state.ApplicationName `json:"application"`
	Charm       charm.ID              `json:"charm"`
	Base        charm.Base            `json:"base"`
	Units       []state.UnitName      `json:"units"`
}

// An Application is what show-application shows.
type Application struct {
	Name        state.ApplicationName            `json:"name"`
	Charm       charm.ID                         `json:"charm"`
	Base        charm.Base                       `json:"base"`
	Constraints provider.Constraints             `json:"constraints"`
	Principal   bool                             `json:"principal"`
	Exposed     bool                             `json:"exposed"`
	Endpoints   map[string]state.ExposedEndpoint `json:"exposedEndpoints,omitempty"`
	Bindings    map[string]string                `json:"bindings"` // every endpoint to its space
	Trust       bool                             `json:"trust"`
	Storage     map[string]string                `json:"storage,omitempty"`   // what new units get of each: "rootfs,1024M,1"
	Resources   map[string]int                   `json:"resources,omitempty"` // the revision of each
	Life        string                           `json:"life"`
	Units       []state.UnitName                 `json:"units"`
}

// A Config is an application's configuration, as "config --format json" prints it.
type Config struct {
	Application state.ApplicationName `json:"application"`
	Charm       string                `json:"charm"`
	Settings    map[string]Option     `json:"settings"`
	Generic     map[string]Option     `json:"application-config"`
}

// An Option is one setting with its meaning. Value is the default where no user has set one.
type Option struct {
	Description string `json:"description"`
	Type        string `json:"type"`
	Source      string `json:"source"` // user, default or unset
	Value       any    `json:"value,omitempty"`
	Default     any    `json:"default,omitempty"`
}

// UnmarshalJSON keeps numbers as they are written: a float64 does not hold every int, and prints large ones with an exponent.
func (o *Option) UnmarshalJSON(data []byte) error {
	type plain Option
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode((*plain)(o))
}

// Refresh asks for another charm. The new one has been uploaded.
type Refresh struct {
	Charm  string            `json:"charm"`
	Config map[string]string `json:"config,omitempty"`
	Base   string            `json:"base,omitempty"`
	Force  bool              `json:"force,omitempty"` // also under units in error, at once

	Resources map[string]ResourceChoice `json:"resources,omitempty"` // by name
	Storage   map[string]string         `json:"storage,omitempty"`   // for units to come
}

// Refreshed says from which charm to which; they are the same when there was nothing to do.
type Refreshed struct {
	From charm.ID `json:"from"`
	To   charm.ID `json:"to"`

	Dropped []string `json:"dropped,omitempty"` // settings that the new charm does not have
}

// Expose opens endpoints to the world. No endpoint means all, to everyone.
type Expose struct {
	Endpoints []string `json:"endpoints,omitempty"`
	CIDRs     []string `json:"cidrs,omitempty"`
}

// Trust gives an application the cloud's credentials, or takes them.
type Trust struct {
	Trust bool `json:"trust"`
}

// AddUnits asks for more units.
type AddUnits struct {
	N      int               `json:"n"`
	To     []string          `json:"to,omitempty"`
	Attach []state.StorageID `json:"attach,omitempty"` // storage that is there, for the only one
}

// A Unit is what show-unit shows.
type Unit struct {
	Name            state.UnitName  `json:"name"`
	WorkloadVersion string          `json:"workloadVersion,omitempty"`
	Machine         state.MachineID `json:"machine,omitempty"`
	Ports           []string        `json:"ports"`
	PublicAddress   string          `json:"publicAddress,omitempty"`
	Charm           string          `json:"charm"` // local:web-3
	Leader          bool            `json:"leader"`
	Life            string          `json:"life"`
	Relations       []UnitRelation  `json:"relations,omitempty"`
	Failure         *state.Failure  `json:"failure,omitempty"` // the hook that has failed and waits for resolved
	Storage         []UnitStorage   `json:"storage,omitempty"`
}

// A UnitStorage is a storage instance of a unit.
type UnitStorage struct {
	ID       state.StorageID `json:"id"`
	Kind     string          `json:"kind"`
	Location string          `json:"location,omitempty"`
	Life     string          `json:"life"`
}

// A UnitRelation is one relation as its unit sees it.
type UnitRelation struct {
	ID          state.RelationID          `json:"id"`
	Endpoint    string                    `json:"endpoint"`
	Related     string                    `json:"related"` // the other side's endpoint
	Application relation.Settings         `json:"application"`
	Local       *Member                   `json:"local,omitempty"`
	Members     map[state.UnitName]Member `json:"members,omitempty"`
}

// A Member is a unit's side of a relation.
type Member struct {
	InScope  bool              `json:"inScope"`
	Settings relation.Settings `json:"settings"`
}

// Resolve answers failed hooks.
type Resolve struct {
	Units []state.UnitName `json:"units,omitempty"`
	All   bool             `json:"all,omitempty"`  // every unit that is in error; none is no error
	Skip  bool             `json:"skip,omitempty"` // do not run the hook again
}

// Resolved names the units that were told.
type Resolved struct {
	Units []state.UnitName `json:"units"`
}

// Integrate asks for a relation between two endpoints: "web" or "web:db".
type Integrate struct {
	Endpoints []string `json:"endpoints"`
	Via       []string `json:"via,omitempty"` // CIDRs that its traffic comes from
}

// A Relation is a relation.
type Relation struct {
	ID state.RelationID `json:"id"`
	state.Relation
}
