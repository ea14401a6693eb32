// Package charm knows the charm format: what a charm says about itself in metadata.yaml,
// config.yaml, actions.yaml and manifest.yaml, how it is packed, and how its settings are typed.
// It is pure: it takes an fs.FS and returns values. Package charm/unpack writes charms to disk.
package charm

import (
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by every error that means the charm, not the machine, is at fault.
var ErrInvalid = errors.New("charm is not valid")

// An ID names one exact charm: its name, its revision in the model and the SHA-256 (hex) of its archive.
type ID struct {
	Name     string `json:"name"`
	Revision int    `json:"revision"`
	SHA256   string `json:"sha256"`
}

// String is the charm's name with its revision, "web-3": also its node's name in the tree.
func (id ID) String() string { return fmt.Sprintf("%s-%d", id.Name, id.Revision) }

// URL is how users and charms see the charm: "local:web-3".
func (id ID) URL() string { return "local:" + id.String() }

// A Role says which side of a relation an endpoint is on.
type Role string

// The three roles.
const (
	Provider Role = "provider"
	Requirer Role = "requirer"
	Peer     Role = "peer"
)

// A Scope says how far a relation reaches.
type Scope string

// The two scopes.
const (
	Global    Scope = "global"
	Container Scope = "container"
)

// An Endpoint is one relation that a charm declares.
type Endpoint struct {
	Name      string `json:"name"`
	Interface string `json:"interface"`
	Role      Role   `json:"role"`
	Scope     Scope  `json:"scope"`
	Optional  bool   `json:"optional,omitempty"`
	Limit     int    `json:"limit,omitempty"` // zero: no limit
}

// JujuInfo is the endpoint that every charm provides without saying so.
func JujuInfo() Endpoint {
	return Endpoint{Name: "juju-info", Interface: "juju-info", Role: Provider, Scope: Global}
}

// Meta is the content of metadata.yaml.
type Meta struct {
	Name          string              `json:"name"`
	Summary       string              `json:"summary,omitempty"`
	Description   string              `json:"description,omitempty"`
	Subordinate   bool                `json:"subordinate,omitempty"`
	Endpoints     map[string]Endpoint `json:"endpoints,omitempty"` // by name; without the implicit juju-info
	ExtraBindings []string            `json:"extraBindings,omitempty"`
	Storage       map[string]Storage  `json:"storage,omitempty"`
	Resources     map[string]Resource `json:"resources,omitempty"`
	Payloads      map[string]string   `json:"payloads,omitempty"` // name -> type
	Series        []string            `json:"series,omitempty"`
	Assumes       []any               `json:"assumes,omitempty"`
}

// A Storage is one store that a charm declares. Max -1 means no limit.
type Storage struct {
	Type        string `json:"type"` // filesystem or block
	Description string `json:"description,omitempty"`
	Shared      bool   `json:"shared,omitempty"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Min         int    `json:"min"`
	Max         int    `json:"max"`
	MinimumMiB  int    `json:"minimumMiB,omitempty"`
	Location    string `json:"location,omitempty"`
}

// A Resource is one file that a charm wants beside its archive.
type Resource struct {
	Type        string `json:"type"` // file
	Filename    string `json:"filename,omitempty"`
	Description string `json:"description,omitempty"`
}

// A Base is an operating system a charm runs on: Name "ubuntu", Channel "22.04" (without risk).
type Base struct {
	Name          string   `json:"name"`
	Channel       string   `json:"channel"`
	Architectures []string `json:"architectures,omitempty"`
}

// String is the base as users write it: "ubuntu@22.04".
func (b Base) String() string {
	if b.Name == "" {
		return ""
	}
	return b.Name + "@" + b.Channel
}

// The types of an option.
const (
	String  = "string"
	Int     = "int"
	Float   = "float"
	Boolean = "boolean"
	Secret  = "secret"
)

// An Option is one setting that a user may change. Default is nil, string, int64, float64 or bool.
type Option struct {
	Type        string `json:"type"`
	Default     any    `json:"default,omitempty"`
	Description string `json:"description,omitempty"`
}

// Options is the content of config.yaml: options by name.
type Options map[string]Option

// An Action is one entry of actions.yaml. Schema is the JSON schema of its parameters.
type Action struct {
	Description    string         `json:"description,omitempty"`
	Parallel       bool           `json:"parallel,omitempty"`
	ExecutionGroup string         `json:"executionGroup,omitempty"`
	Schema         map[string]any `json:"schema,omitempty"`
}

// A Charm is a charm that has been read and checked.
type Charm struct {
	Meta    Meta              `json:"meta"`
	Options Options           `json:"options,omitempty"`
	Actions map[string]Action `json:"actions,omitempty"`
	Bases   []Base            `json:"bases,omitempty"`   // from manifest.yaml
	Version string            `json:"version,omitempty"` // the first line of the version file
	Profile *Profile          `json:"profile,omitempty"` // lxd-profile.yaml; nil without one, or with an empty one
}

// A Profile is what a charm wants of the container that it runs in. Only LXD has a use for it; its fields are provider.Profile's.
type Profile struct {
	Description string                       `json:"description,omitempty"`
	Config      map[string]string            `json:"config,omitempty"`
	Devices     map[string]map[string]string `json:"devices,omitempty"`
}
