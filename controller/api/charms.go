package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
)

// A charmIndex remembers which charm has which archive. Charms never change, so that each node is read once.
type charmIndex struct {
	mu    sync.Mutex          // guards known
	known map[string]charm.ID // by path
}

// maxKnown is how many charms are remembered.
const maxKnown = 10000

// find is the model's newest charm with this archive; its path is empty when there is none.
func (x *charmIndex) find(ctx context.Context, r state.Reader, m state.ModelID, hash string) (path string, err error) {
	names, err := state.ChildrenIf(ctx, r, m.CharmsPath())
	if err != nil {
		return "", fmt.Errorf("list charms: %w", err)
	}
	best := -1
	for _, name := range names {
		p := m.CharmPath(name)
		x.mu.Lock()
		id, ok := x.known[p]
		x.mu.Unlock()
		if !ok {
			rec, err := state.ReadIf[state.Charm](ctx, r, p)
			if err != nil {
				return "", fmt.Errorf("list charms: %w", err)
			}
			id = rec.Value.ID
			x.mu.Lock()
			if x.known == nil || len(x.known) >= maxKnown {
				x.known = map[string]charm.ID{}
			}
			x.known[p] = id
			x.mu.Unlock()
		}
		if id.SHA256 == hash && id.Revision > best {
			path, best = p, id.Revision
		}
	}
	return path, nil
}

// charmOf is the charm that a user names by its archive's hash, by its URL or by its name and revision.
func (s *Server) charmOf(ctx context.Context, r state.Reader, m state.ModelID, text string) (state.Charm, error) {
	name := strings.TrimPrefix(text, "local:")
	path := m.CharmPath(name)
	if strings.ContainsAny(name, "/\x00") || name == "" {
		return state.Charm{}, notFound("charm", text)
	}
	if isHash(text) {
		var err error
		if path, err = s.charms.find(ctx, r, m, text); err != nil {
			return state.Charm{}, err
		}
		if path == "" {
			return state.Charm{}, notFound("charm with the archive", text)
		}
	}
	rec, err := state.ReadIf[state.Charm](ctx, r, path)
	if err == nil && !rec.Exists() {
		err = notFound("charm", text)
	}
	return rec.Value, err
}

// runnable is the charm that a user names, if it can run here.
func (s *Server) runnable(ctx context.Context, r state.Reader, m state.ModelID, text string) (state.Charm, error) {
	c, err := s.charmOf(ctx, r, m, text)
	if err != nil {
		return c, err
	}
	if reasons := charm.CheckAssumes(c.Charm.Meta.Assumes, version.Juju, nil); len(reasons) > 0 {
		return c, invalid(fmt.Sprintf("charm %q cannot run here: %s", c.ID.URL(), strings.Join(reasons, "; ")))
	}
	return c, nil
}

func isHash(text string) bool { return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" }

func showCharm(ctx context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	if !isHash(hash) {
		return nil, notFound("charm", hash)
	}
	c, err := s.charmOf(ctx, s.Store, q.model.UUID, hash)
	if err != nil {
		return nil, err
	}
	f, _, err := s.Charms.Open(hash) // one whose archive was lost must be uploaded again
	if err != nil {
		return nil, err
	}
	return c, f.Close()
}

// uploadCharm keeps an archive that holds a good charm, and gives the charm its revision if it is new to the model.
func uploadCharm(ctx context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	if !isHash(hash) {
		return nil, invalid(fmt.Sprintf("%q is not a SHA-256 in hex", hash))
	}
	var c charm.Charm
	var size int64
	err := s.Charms.Put(hash, q.Body, charm.MaxArchive, func(r io.ReaderAt, n int64) (err error) {
		size = n
		c, err = charm.ReadArchive(r, n)
		return err
	})
	if errors.Is(err, archive.ErrFull) {
		return nil, fmt.Errorf("upload a charm: free some space under the controller's data directory and try again: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("upload a charm: %w", err)
	}
	m := q.model.UUID
	id, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, charm.ID, error) {
		path, err := s.charms.find(ctx, r, m, hash)
		if err != nil {
			return state.Txn{}, charm.ID{}, err
		}
		if path != "" {
			rec, err := state.Read[state.Charm](ctx, r, path)
			return state.Txn{}, rec.Value.ID, err
		}
		return state.AddCharm(ctx, r, m, by, c, hash, size)
	})
	if err != nil {
		return nil, err
	}
	return s.charmOf(ctx, s.Store, m, id.String())
}
