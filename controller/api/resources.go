package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// uploadResource keeps a file. It is a revision of a resource once an application is given it; until then for an hour.
func uploadResource(_ context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	if !isHash(hash) {
		return nil, invalid(fmt.Sprintf("%q is not a SHA-256 in hex", hash))
	}
	err := s.Resources.Put(hash, steady{q}, state.MaxResource, nil)
	if errors.Is(err, archive.ErrFull) {
		return nil, fmt.Errorf("upload a resource: free some space under the controller's data directory and try again: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("upload a resource: %w", err)
	}
	return nil, nil
}

// steady is the body of a request that may take as long as it comes.
type steady struct{ q *request }

func (s steady) Read(p []byte) (int, error) {
	_ = http.NewResponseController(s.q.writer).SetReadDeadline(time.Now().Add(patience)) // where there are none, none is needed
	return s.q.Body.Read(p)
}

// choices is what the resources are to be; the files of those that are uploads must be here.
func (s *Server) choices(want map[string]userapi.ResourceChoice) (map[string]state.ResourceChoice, error) {
	out := map[string]state.ResourceChoice{}
	for name, w := range want {
		c := state.ResourceChoice{SHA256: w.SHA256, Revision: w.Revision}
		if w.SHA256 != "" {
			f, size, err := s.Resources.Open(w.SHA256)
			if err != nil {
				return nil, fmt.Errorf("resource %q: upload its file first: %w", name, err)
			}
			if err := f.Close(); err != nil {
				return nil, err
			}
			c.Size = size
		}
		out[name] = c
	}
	return out, nil
}

func attachResource(ctx context.Context, s *Server, q *request) (any, error) {
	a, want, err := read[userapi.ResourceChoice](q, q.application)
	if err != nil {
		return nil, err
	}
	name, m := q.PathValue("resource"), q.model.UUID
	choices, err := s.choices(map[string]userapi.ResourceChoice{name: want})
	if err != nil {
		return nil, err
	}
	return once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.UsedResource, error) {
		return state.AttachResource(ctx, r, m, by, a, name, choices[name])
	})
}

func listResources(ctx context.Context, s *Server, q *request) (any, error) {
	name, app, err := s.record(ctx, q)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	c, err := s.charmOf(ctx, s.Store, m, app.Charm.String())
	if err != nil {
		return nil, err
	}
	out := userapi.Resources{Application: name, Resources: []userapi.Resource{}, Units: map[state.UnitName]state.UnitResources{}}
	for _, n := range slices.Sorted(maps.Keys(c.Charm.Meta.Resources)) {
		declared := c.Charm.Meta.Resources[n]
		shown := userapi.Resource{Name: n, Type: declared.Type, Path: declared.Filename, Description: declared.Description}
		if used, ok := app.Resources[n]; ok {
			shown.Given, shown.Revision, shown.SHA256, shown.Size = true, used.Revision, used.SHA256, used.Size
			rec, err := state.ReadIf[state.Resource](ctx, s.Store, m.ResourcePath(app.Charm.Name, n, used.Revision))
			if err != nil {
				return nil, err
			}
			shown.User, shown.Added = rec.Value.User, rec.Value.Added
		}
		out.Resources = append(out.Resources, shown)
	}
	units, err := state.UnitsOf(ctx, s.Store, m, name)
	if err != nil {
		return nil, err
	}
	for _, u := range units {
		rec, err := state.ReadIf[state.UnitResources](ctx, s.Store, m.UnitResourcesPath(u))
		if err != nil {
			return nil, err
		}
		out.Units[u] = rec.Value
	}
	return out, nil
}

func listPayloads(ctx context.Context, s *Server, q *request) (any, error) {
	m := q.model.UUID
	nodes, err := state.ChildrenIf(ctx, s.Store, m.UnitsPath())
	if err != nil {
		return nil, err
	}
	out := []userapi.Payload{}
	for _, node := range nodes {
		u := state.UnitOfNode(node)
		rec, err := state.ReadIf[[]state.Payload](ctx, s.Store, m.PayloadsPath(u))
		if err != nil {
			return nil, err
		}
		if len(rec.Value) == 0 {
			continue
		}
		unit, err := state.ReadIf[state.Unit](ctx, s.Store, m.UnitPath(u))
		if err != nil {
			return nil, err
		}
		for _, p := range rec.Value {
			out = append(out, userapi.Payload{Unit: u, Machine: unit.Value.Machine, Payload: p})
		}
	}
	slices.SortStableFunc(out, func(a, b userapi.Payload) int { return state.CompareUnits(a.Unit, b.Unit) })
	return out, nil
}

// fetchResource is a file for a unit whose application is to have it.
func fetchResource(ctx context.Context, s *Server, q *request) (any, error) {
	u, _, err := s.ownUnit(ctx, q)
	if err != nil {
		return nil, err
	}
	app, err := state.ReadIf[state.Application](ctx, s.Store, q.machineOf.ApplicationPath(u.Application()))
	if err != nil {
		return nil, err
	}
	hash := q.PathValue("hash")
	for _, used := range app.Value.Resources {
		if used.SHA256 == hash {
			f, _, err := s.Resources.Open(hash)
			if err != nil {
				return nil, err
			}
			return file{f, hash}, nil
		}
	}
	return nil, notFound("resource of "+string(u.Application())+" with SHA-256", hash)
}
