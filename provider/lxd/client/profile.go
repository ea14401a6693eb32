package client

import (
	"context"
	"net/http"
)

// A Profile is configuration and devices that several instances share.
type Profile struct {
	Name        string                       `json:"name,omitempty"`
	Description string                       `json:"description"`
	Config      map[string]string            `json:"config"`
	Devices     map[string]map[string]string `json:"devices"`
	UsedBy      []string                     `json:"used_by,omitempty"`
}

// GetProfile returns a profile and its ETag.
func (s *InstanceServer) GetProfile(ctx context.Context, name string) (*Profile, string, error) {
	var p Profile
	a, err := s.query(ctx, http.MethodGet, path("profiles", name), nil, "", &p)
	return &p, a.etag, err
}

// GetProfiles returns all profiles.
func (s *InstanceServer) GetProfiles(ctx context.Context) ([]Profile, error) {
	var all []Profile
	_, err := s.query(ctx, http.MethodGet, path("profiles")+"?recursion=1", nil, "", &all)
	return all, err
}

// CreateProfile makes a profile.
func (s *InstanceServer) CreateProfile(ctx context.Context, p Profile) error {
	_, err := s.query(ctx, http.MethodPost, path("profiles"), p, "", nil)
	return err
}

// UpdateProfile changes a profile, if it still is as its ETag says.
func (s *InstanceServer) UpdateProfile(ctx context.Context, name string, p Profile, etag string) error {
	p.Name = ""
	_, err := s.query(ctx, http.MethodPut, path("profiles", name), p, etag, nil)
	return err
}

// DeleteProfile deletes a profile that no instance has.
func (s *InstanceServer) DeleteProfile(ctx context.Context, name string) error {
	_, err := s.query(ctx, http.MethodDelete, path("profiles", name), nil, "", nil)
	return err
}
