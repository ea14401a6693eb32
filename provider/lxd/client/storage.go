package client

import (
	"context"
	"net/http"
)

// A StoragePool is where disks are.
type StoragePool struct {
	Name   string            `json:"name"`
	Driver string            `json:"driver"`
	Status string            `json:"status"`
	Config map[string]string `json:"config"`
}

// StoragePoolResources is the room of a pool, in bytes.
type StoragePoolResources struct {
	Space struct {
		Used  uint64 `json:"used"`
		Total uint64 `json:"total"`
	} `json:"space"`
}

// A StorageVolume is a disk, or a directory, apart from instances.
type StorageVolume struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`         // custom
	ContentType string            `json:"content_type"` // filesystem or block
	Description string            `json:"description"`
	Config      map[string]string `json:"config"`
	UsedBy      []string          `json:"used_by,omitempty"`
	Location    string            `json:"location,omitempty"`
}

// GetStoragePools returns the pools.
func (s *InstanceServer) GetStoragePools(ctx context.Context) ([]StoragePool, error) {
	var all []StoragePool
	_, err := s.query(ctx, http.MethodGet, path("storage-pools")+"?recursion=1", nil, "", &all)
	return all, err
}

// GetStoragePool returns one pool and its ETag.
func (s *InstanceServer) GetStoragePool(ctx context.Context, name string) (*StoragePool, string, error) {
	var p StoragePool
	a, err := s.query(ctx, http.MethodGet, path("storage-pools", name), nil, "", &p)
	return &p, a.etag, err
}

// CreateStoragePool makes a pool.
func (s *InstanceServer) CreateStoragePool(ctx context.Context, pool StoragePool) error {
	_, err := s.query(ctx, http.MethodPost, path("storage-pools"), map[string]any{"name": pool.Name, "driver": pool.Driver, "config": pool.Config}, "", nil)
	return err
}

// GetStoragePoolResources returns the room of a pool.
func (s *InstanceServer) GetStoragePoolResources(ctx context.Context, name string) (*StoragePoolResources, error) {
	var r StoragePoolResources
	_, err := s.query(ctx, http.MethodGet, path("storage-pools", name, "resources"), nil, "", &r)
	return &r, err
}

// GetStoragePoolVolume returns a volume of the kind custom, and its ETag.
func (s *InstanceServer) GetStoragePoolVolume(ctx context.Context, pool, name string) (*StorageVolume, string, error) {
	var v StorageVolume
	a, err := s.query(ctx, http.MethodGet, path("storage-pools", pool, "volumes", "custom", name), nil, "", &v)
	return &v, a.etag, err
}

// GetStoragePoolVolumes returns all volumes of a pool, of all kinds.
func (s *InstanceServer) GetStoragePoolVolumes(ctx context.Context, pool string) ([]StorageVolume, error) {
	var all []StorageVolume
	_, err := s.query(ctx, http.MethodGet, path("storage-pools", pool, "volumes")+"?recursion=1", nil, "", &all)
	return all, err
}

// CreateStoragePoolVolume makes a volume of the kind custom.
func (s *InstanceServer) CreateStoragePoolVolume(ctx context.Context, pool string, v StorageVolume, target string) error {
	v.Type = "custom"
	_, err := s.query(ctx, http.MethodPost, onTarget(path("storage-pools", pool, "volumes", "custom"), target), v, "", nil)
	return err
}

// DeleteStoragePoolVolume deletes a volume that nothing uses.
func (s *InstanceServer) DeleteStoragePoolVolume(ctx context.Context, pool, name string) error {
	_, err := s.query(ctx, http.MethodDelete, path("storage-pools", pool, "volumes", "custom", name), nil, "", nil)
	return err
}
