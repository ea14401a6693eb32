package api

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// storageOf is what storage the model's cloud has.
func (s *Server) storageOf(ctx context.Context, m state.Model) (provider.Storage, error) {
	p, err := s.Providers(ctx, m.Place())
	if err != nil {
		return provider.Storage{}, fmt.Errorf("learn what storage the cloud has: %w", err)
	}
	return provider.StorageOf(p), nil
}

// directives reads what a user wants of a charm's storage.
func directives(text map[string]string) (map[string]state.Directive, error) {
	out := map[string]state.Directive{}
	for _, name := range slices.Sorted(maps.Keys(text)) {
		d, err := state.ParseDirective(text[name])
		if err != nil {
			return nil, fmt.Errorf("storage %q: %w", name, err)
		}
		if d == (state.Directive{}) {
			d.Count = 1
		}
		out[name] = d
	}
	return out, nil
}

// storageID is the storage in the path.
func (q *request) storageID() (state.StorageID, error) {
	id, err := state.ParseStorage(string(state.StorageOfNode(q.PathValue("storage"))))
	if err != nil {
		return "", notFound("storage", q.PathValue("storage"))
	}
	return id, nil
}

func addStorage(ctx context.Context, s *Server, q *request) (any, error) {
	u, want, err := read[userapi.AddStorage](q, q.unit)
	if err != nil {
		return nil, err
	}
	d, err := state.ParseDirective(want.Directive)
	if err != nil {
		return nil, err
	}
	has, err := s.storageOf(ctx, q.model)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	ids, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, []state.StorageID, error) {
		return state.AddStorage(ctx, r, m, by, has, u, want.Name, d)
	})
	return userapi.StorageIDs{Storage: ids}, err
}

func attachStorage(ctx context.Context, s *Server, q *request) (any, error) {
	u, want, err := read[userapi.StorageIDs](q, q.unit)
	if err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.AttachStorage(ctx, r, m, by, u, want.Storage)
	})
}

func detachStorage(ctx context.Context, s *Server, q *request) (any, error) {
	return q.endStorage(ctx, s, "detach", state.DetachStorage)
}

func removeStorage(ctx context.Context, s *Server, q *request) (any, error) {
	release := q.flag("release")
	return q.endStorage(ctx, s, "remove", func(ctx context.Context, r state.Reader, m state.ModelID, by state.By, id state.StorageID, how state.Ending) (state.Txn, error) {
		return state.RemoveStorage(ctx, r, m, by, id, how, release)
	})
}

func (q *request) endStorage(ctx context.Context, s *Server, verb string, end func(context.Context, state.Reader, state.ModelID, state.By, state.StorageID, state.Ending) (state.Txn, error)) (any, error) {
	id, how, err := ending(q, q.storageID)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	_, err = change(ctx, s, q, m, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, any, error) {
		t, err := end(ctx, r, m, by, id, how)
		return t, nil, err
	})
	return userapi.Removal{Effects: []string{fmt.Sprintf("will %s storage %s", verb, id)}}, err
}

func listPools(ctx context.Context, s *Server, q *request) (any, error) {
	has, err := s.storageOf(ctx, q.model)
	if err != nil {
		return nil, err
	}
	return state.AllPools(ctx, s.Store, q.model.UUID, has)
}

// editPool makes one change of the pool in the path.
func (q *request) editPool(ctx context.Context, s *Server, edit func(context.Context, state.Reader, state.ModelID, state.By, provider.Storage, string) (state.Txn, error)) (any, error) {
	has, err := s.storageOf(ctx, q.model)
	if err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return edit(ctx, r, m, by, has, q.PathValue("pool"))
	})
}

func createPool(ctx context.Context, s *Server, q *request) (any, error) {
	var want state.Pool
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	return q.editPool(ctx, s, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By, has provider.Storage, name string) (state.Txn, error) {
		return state.CreatePool(ctx, r, m, by, has, name, want)
	})
}

func updatePool(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.Attributes
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	return q.editPool(ctx, s, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By, has provider.Storage, name string) (state.Txn, error) {
		return state.UpdatePool(ctx, r, m, by, has, name, want.Attributes)
	})
}

func removePool(ctx context.Context, s *Server, q *request) (any, error) {
	return q.editPool(ctx, s, state.RemovePool)
}

// storageEffects says what becomes of the storage of units that go.
func (s *Server) storageEffects(ctx context.Context, m state.ModelID, units []state.UnitName, destroy bool) ([]string, error) {
	all, err := state.AllStorage(ctx, s.Store, m)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, id := range slices.SortedFunc(maps.Keys(all), state.CompareStorage) {
		switch stored := all[id]; {
		case !slices.Contains(units, stored.Unit):
		case stored.Persistent && !destroy:
			out = append(out, "- will detach storage "+string(id))
		default:
			out = append(out, "- will remove storage "+string(id))
		}
	}
	return out, nil
}
