package client

import (
	"context"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// AddStorage gives a unit more of a storage of its charm, and returns the ids.
func (m Model) AddStorage(ctx context.Context, u state.UnitName, a userapi.AddStorage) ([]state.StorageID, error) {
	var out userapi.StorageIDs
	err := m.do(ctx, call{route: userapi.AddStorageRoute, path: []string{u.Node()}, body: a}, &out)
	return out.Storage, err
}

// AttachStorage gives a unit storage that nobody has.
func (m Model) AttachStorage(ctx context.Context, u state.UnitName, ids []state.StorageID) error {
	return m.do(ctx, call{route: userapi.AttachStorageRoute, path: []string{u.Node()}, body: userapi.StorageIDs{Storage: ids}}, nil)
}

// DetachStorage takes storage from the unit that has it.
func (m Model) DetachStorage(ctx context.Context, id state.StorageID, r Removal) error {
	_, err := m.remove(ctx, userapi.DetachStorageRoute, id.Node(), r)
	return err
}

// RemoveStorage removes storage.
func (m Model) RemoveStorage(ctx context.Context, id state.StorageID, r Removal) error {
	_, err := m.remove(ctx, userapi.RemoveStorageRoute, id.Node(), r)
	return err
}

// StoragePools is every pool of the model by name.
func (m Model) StoragePools(ctx context.Context) (map[string]state.Pool, error) {
	var out map[string]state.Pool
	return out, m.do(ctx, call{route: userapi.PoolsRoute}, &out)
}

// CreateStoragePool makes a pool.
func (m Model) CreateStoragePool(ctx context.Context, name string, p state.Pool) error {
	return m.do(ctx, call{route: userapi.CreatePoolRoute, path: []string{name}, body: p}, nil)
}

// UpdateStoragePool changes attributes of a pool.
func (m Model) UpdateStoragePool(ctx context.Context, name string, attributes map[string]string) error {
	return m.do(ctx, call{route: userapi.UpdatePoolRoute, path: []string{name}, body: userapi.Attributes{Attributes: attributes}}, nil)
}

// RemoveStoragePool removes a pool.
func (m Model) RemoveStoragePool(ctx context.Context, name string) error {
	return m.do(ctx, call{route: userapi.RemovePoolRoute, path: []string{name}}, nil)
}
