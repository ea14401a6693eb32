package client

import (
	"context"
	"net/http"
)

// An Image is one in the server's store.
type Image struct {
	Fingerprint  string            `json:"fingerprint"`
	Type         string            `json:"type"` // container or virtual-machine
	Architecture string            `json:"architecture"`
	Properties   map[string]string `json:"properties"`
	Aliases      []struct {
		Name string `json:"name"`
	} `json:"aliases"`
}

// An ImageAliasesEntry is the name of an image.
type ImageAliasesEntry struct {
	Name   string `json:"name"`
	Target string `json:"target"` // the fingerprint
	Type   string `json:"type"`
}

// GetImage returns an image by its fingerprint, of which the beginning is enough.
func (s *InstanceServer) GetImage(ctx context.Context, fingerprint string) (*Image, string, error) {
	var i Image
	a, err := s.query(ctx, http.MethodGet, path("images", fingerprint), nil, "", &i)
	return &i, a.etag, err
}

// GetImageAlias returns what an alias stands for.
func (s *InstanceServer) GetImageAlias(ctx context.Context, name string) (*ImageAliasesEntry, string, error) {
	var e ImageAliasesEntry
	a, err := s.query(ctx, http.MethodGet, path("images", "aliases", name), nil, "", &e)
	return &e, a.etag, err
}
