package client

import (
	"context"
	"net/http"
	"net/url"
)

// Networks and their ACLs are, but for projects with networks of their own, those of the default project: LXD sees to that.

// A Network is a network of LXD's, or an interface of its host.
type Network struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Managed     bool              `json:"managed"`
	Description string            `json:"description"`
	Status      string            `json:"status"`
	Config      map[string]string `json:"config"`
	UsedBy      []string          `json:"used_by"`
}

// NetworksPost asks for a network.
type NetworksPost struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Description string            `json:"description,omitempty"`
	Config      map[string]string `json:"config"`
}

// NetworkPut is what of a network can be changed.
type NetworkPut struct {
	Description string            `json:"description"`
	Config      map[string]string `json:"config"`
}

// A NetworkState is how a network does on the host.
type NetworkState struct {
	Addresses []InstanceStateAddress `json:"addresses"`
}

// A NetworkACL is a list of rules, which count for the networks that name it.
type NetworkACL struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Ingress     []NetworkACLRule  `json:"ingress"`
	Egress      []NetworkACLRule  `json:"egress"`
	Config      map[string]string `json:"config"`
	UsedBy      []string          `json:"used_by,omitempty"`
}

// A NetworkACLRule lets packets through, or does not.
type NetworkACLRule struct {
	Action          string `json:"action"`
	Source          string `json:"source,omitempty"`
	Destination     string `json:"destination,omitempty"`
	Protocol        string `json:"protocol,omitempty"`
	DestinationPort string `json:"destination_port,omitempty"`
	ICMPType        string `json:"icmp_type,omitempty"`
	Description     string `json:"description,omitempty"`
	State           string `json:"state"` // enabled, disabled or logged
}

// GetNetwork returns a network and its ETag.
func (s *InstanceServer) GetNetwork(ctx context.Context, name string) (*Network, string, error) {
	var n Network
	a, err := s.query(ctx, http.MethodGet, path("networks", name), nil, "", &n)
	return &n, a.etag, err
}

// GetNetworks returns all networks and interfaces.
func (s *InstanceServer) GetNetworks(ctx context.Context) ([]Network, error) {
	var all []Network
	_, err := s.query(ctx, http.MethodGet, path("networks")+"?recursion=1", nil, "", &all)
	return all, err
}

// GetNetworkState returns the addresses of a network on the host.
func (s *InstanceServer) GetNetworkState(ctx context.Context, name string) (*NetworkState, error) {
	var n NetworkState
	_, err := s.query(ctx, http.MethodGet, path("networks", name, "state"), nil, "", &n)
	return &n, err
}

// CreateNetwork makes a network. In a cluster it is first made for each member, as the target, and then for all.
func (s *InstanceServer) CreateNetwork(ctx context.Context, post NetworksPost, target string) error {
	_, err := s.query(ctx, http.MethodPost, onTarget(path("networks"), target), post, "", nil)
	return err
}

// UpdateNetwork changes a network, if it still is as its ETag says.
func (s *InstanceServer) UpdateNetwork(ctx context.Context, name string, put NetworkPut, etag string) error {
	_, err := s.query(ctx, http.MethodPut, path("networks", name), put, etag, nil)
	return err
}

// DeleteNetwork deletes a network that nothing uses.
func (s *InstanceServer) DeleteNetwork(ctx context.Context, name string) error {
	_, err := s.query(ctx, http.MethodDelete, path("networks", name), nil, "", nil)
	return err
}

// GetNetworkACL returns an ACL and its ETag.
func (s *InstanceServer) GetNetworkACL(ctx context.Context, name string) (*NetworkACL, string, error) {
	var n NetworkACL
	a, err := s.query(ctx, http.MethodGet, path("network-acls", name), nil, "", &n)
	return &n, a.etag, err
}

// CreateNetworkACL makes an ACL.
func (s *InstanceServer) CreateNetworkACL(ctx context.Context, acl NetworkACL) error {
	_, err := s.query(ctx, http.MethodPost, path("network-acls"), acl, "", nil)
	return err
}

// UpdateNetworkACL changes an ACL, if it still is as its ETag says.
func (s *InstanceServer) UpdateNetworkACL(ctx context.Context, name string, acl NetworkACL, etag string) error {
	_, err := s.query(ctx, http.MethodPut, path("network-acls", name), acl, etag, nil)
	return err
}

// DeleteNetworkACL deletes an ACL that nothing uses.
func (s *InstanceServer) DeleteNetworkACL(ctx context.Context, name string) error {
	_, err := s.query(ctx, http.MethodDelete, path("network-acls", name), nil, "", nil)
	return err
}

func onTarget(path, target string) string {
	if target == "" {
		return path
	}
	return path + "?" + url.Values{"target": {target}}.Encode()
}
