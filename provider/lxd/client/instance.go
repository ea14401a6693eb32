package client

import (
	"context"
	"net/http"
)

// An Instance is a container or a virtual machine.
type Instance struct {
	Name            string                       `json:"name"`
	Type            string                       `json:"type"` // Container or VM
	Status          string                       `json:"status"`
	StatusCode      int                          `json:"status_code"`
	Architecture    string                       `json:"architecture"`
	Description     string                       `json:"description"`
	Ephemeral       bool                         `json:"ephemeral"`
	Profiles        []string                     `json:"profiles"`
	Config          map[string]string            `json:"config"`
	Devices         map[string]map[string]string `json:"devices"`
	ExpandedConfig  map[string]string            `json:"expanded_config"`
	ExpandedDevices map[string]map[string]string `json:"expanded_devices"`
	Location        string                       `json:"location"` // the cluster's member
	Project         string                       `json:"project"`
}

// The types of instances.
const (
	Container = "container"
	VM        = "virtual-machine"
)

// Status codes of instances.
const (
	Running  = 103
	Stopped  = 102
	Stopping = 104
	Starting = 106
	Aborting = 107
	Freezing = 109
	Frozen   = 110
	Error    = 112
	Ready    = 113
)

// An InstanceFull is an instance and how it does.
type InstanceFull struct {
	Instance
	State *InstanceState `json:"state"`
}

// An InstanceState is how an instance does. It has no network while it does not run.
type InstanceState struct {
	Status     string                           `json:"status"`
	StatusCode int                              `json:"status_code"`
	Network    map[string]InstanceStateNetwork  `json:"network"`
	Disk       map[string]struct{ Usage int64 } `json:"disk"`
	Memory     struct{ Usage int64 }            `json:"memory"`
}

// An InstanceStateNetwork is one of its network interfaces.
type InstanceStateNetwork struct {
	Addresses []InstanceStateAddress `json:"addresses"`
	Hwaddr    string                 `json:"hwaddr"`
	HostName  string                 `json:"host_name"`
	State     string                 `json:"state"`
	Type      string                 `json:"type"`
}

// An InstanceStateAddress is an address of an interface.
type InstanceStateAddress struct {
	Family  string `json:"family"` // inet or inet6
	Address string `json:"address"`
	Netmask string `json:"netmask"` // the number of bits
	Scope   string `json:"scope"`   // global, link or local
}

// InstancesPost asks for an instance.
type InstancesPost struct {
	Name         string                       `json:"name"`
	Type         string                       `json:"type"`
	Architecture string                       `json:"architecture,omitempty"`
	Description  string                       `json:"description,omitempty"`
	Profiles     []string                     `json:"profiles"` // an empty list is none; null would be the default one
	Config       map[string]string            `json:"config"`
	Devices      map[string]map[string]string `json:"devices"`
	Source       InstanceSource               `json:"source"`
}

// An InstanceSource says which image an instance is made from.
type InstanceSource struct {
	Type        string `json:"type"` // image
	Alias       string `json:"alias,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Server      string `json:"server,omitempty"` // "" is the server's own store
	Protocol    string `json:"protocol,omitempty"`
	Mode        string `json:"mode,omitempty"`
	Certificate string `json:"certificate,omitempty"`
}

// InstancePut is all of an instance that can be changed.
type InstancePut struct {
	Architecture string                       `json:"architecture"`
	Description  string                       `json:"description"`
	Ephemeral    bool                         `json:"ephemeral"`
	Profiles     []string                     `json:"profiles"`
	Config       map[string]string            `json:"config"`
	Devices      map[string]map[string]string `json:"devices"`
}

// Writable is what of the instance can be changed, as it is.
func (i Instance) Writable() InstancePut {
	return InstancePut{Architecture: i.Architecture, Description: i.Description, Ephemeral: i.Ephemeral, Profiles: i.Profiles, Config: i.Config, Devices: i.Devices}
}

// InstanceStatePut asks for another state.
type InstanceStatePut struct {
	Action  string `json:"action"` // start, stop or restart
	Timeout int    `json:"timeout"`
	Force   bool   `json:"force"`
}

// GetInstance returns an instance and its ETag.
func (s *InstanceServer) GetInstance(ctx context.Context, name string) (*Instance, string, error) {
	var i Instance
	a, err := s.query(ctx, http.MethodGet, path("instances", name), nil, "", &i)
	return &i, a.etag, err
}

// GetInstanceFull returns an instance and how it does, and the ETag.
func (s *InstanceServer) GetInstanceFull(ctx context.Context, name string) (*InstanceFull, string, error) {
	var i InstanceFull
	a, err := s.query(ctx, http.MethodGet, path("instances", name)+"?recursion=1", nil, "", &i)
	return &i, a.etag, err
}

// GetInstances returns all instances.
func (s *InstanceServer) GetInstances(ctx context.Context) ([]Instance, error) {
	var all []Instance
	_, err := s.query(ctx, http.MethodGet, path("instances")+"?recursion=1", nil, "", &all)
	return all, err
}

// GetInstancesFull returns all instances and how they do.
func (s *InstanceServer) GetInstancesFull(ctx context.Context) ([]InstanceFull, error) {
	var all []InstanceFull
	_, err := s.query(ctx, http.MethodGet, path("instances")+"?recursion=2", nil, "", &all)
	return all, err
}

// CreateInstance makes an instance, which does not run. The target is a member of the cluster, or "" for any.
func (s *InstanceServer) CreateInstance(ctx context.Context, post InstancesPost, target string) (*Operation, error) {
	return s.start(ctx, http.MethodPost, onTarget(path("instances"), target), post, "")
}

// UpdateInstance changes an instance, if it still is as its ETag says.
func (s *InstanceServer) UpdateInstance(ctx context.Context, name string, put InstancePut, etag string) (*Operation, error) {
	return s.start(ctx, http.MethodPut, path("instances", name), put, etag)
}

// UpdateInstanceState starts or stops an instance.
func (s *InstanceServer) UpdateInstanceState(ctx context.Context, name string, put InstanceStatePut) (*Operation, error) {
	return s.start(ctx, http.MethodPut, path("instances", name, "state"), put, "")
}

// DeleteInstance deletes an instance that does not run.
func (s *InstanceServer) DeleteInstance(ctx context.Context, name string) (*Operation, error) {
	return s.start(ctx, http.MethodDelete, path("instances", name), nil, "")
}
