package unit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// A WantedFile is a file that a resource is to be: under which name, and what is in it.
type WantedFile struct {
	Resource string
	Filename string // as the charm calls it, without a directory
	state.UsedResource
}

// resource is the path of the file of a resource, which is fetched unless it is there. The unit then tells that it has it.
func (a *Agent) resource(ctx context.Context, name string) (string, error) {
	declared, ok := a.charm.Meta.Resources[name]
	if !ok {
		return "", fmt.Errorf("charm %q has no resource %q: %w", a.charm.Meta.Name, name, hooks.ErrNoResource)
	}
	if declared.Type != "file" {
		return "", fmt.Errorf("resource %q is of type %s, which machines have no use for: %w", name, declared.Type, hooks.ErrNoResource)
	}
	for before := (state.UsedResource{}); ; {
		app, err := state.Read[state.Application](ctx, a.Store, a.Model.ApplicationPath(a.Unit.Application()))
		if err != nil {
			return "", err
		}
		used, ok := app.Value.Resources[name]
		if !ok {
			return "", fmt.Errorf("resource %q of application %q has not been given; \"attach-resource %s %s=FILE\" gives it: %w",
				name, a.Unit.Application(), a.Unit.Application(), name, hooks.ErrNoResource)
		}
		path, err := a.do.Resource(ctx, a.API, a.Unit, WantedFile{Resource: name, Filename: declared.Filename, UsedResource: used})
		switch {
		case err == nil:
			return path, a.tellResource(ctx, name, used)
		case errors.Is(err, hooks.ErrNoResource) && before != used: // another one may have been given meanwhile
			before = used
		default:
			return "", fmt.Errorf("resource %q of application %q, revision %d: %w", name, a.Unit.Application(), used.Revision, err)
		}
	}
}

// tellResource tells which revision of a resource the unit has.
func (a *Agent) tellResource(ctx context.Context, name string, used state.UsedResource) error {
	return editNode(ctx, a, a.Model.UnitResourcesPath(a.Unit), func(have state.UnitResources) state.UnitResources {
		now := state.UnitResources{name: used}
		for other, u := range have {
			if _, declared := a.charm.Meta.Resources[other]; declared && other != name {
				now[other] = u
			}
		}
		return now
	})
}

// editNode edits a node of the unit's own at once, if that changes it. The ledger's version keeps out a second agent.
func editNode[T any](ctx context.Context, a *Agent, path string, edit func(T) T) error {
	return state.Edit(ctx, a.Store, func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
		rec, err := state.ReadIf[T](ctx, r, path)
		if err != nil {
			return t, err
		}
		now := edit(rec.Value)
		if string(state.Encode(now)) == string(state.Encode(rec.Value)) {
			return t, nil
		}
		t.Check(a.Model.LedgerPath(a.Unit), a.version)
		state.Put(&t, path, rec, now)
		return t, nil
	})
}

func (r *reader) Resource(ctx context.Context, name string) (string, error) {
	return r.a.resource(ctx, name)
}

func (r *reader) Payloads(ctx context.Context) ([]state.Payload, error) {
	rec, err := state.ReadIf[[]state.Payload](ctx, r.a.Store, r.a.Model.PayloadsPath(r.a.Unit))
	return rec.Value, err
}

func (r *reader) Credential(ctx context.Context) (hooks.CloudSpec, error) {
	if !r.a.view.app.Value.Trust {
		return hooks.CloudSpec{}, hooks.ErrDenied
	}
	return r.a.API.Credential(ctx, r.a.Unit)
}

func (w *writer) SetPayloads(ctx context.Context, all []state.Payload) error {
	return editNode(ctx, w.a, w.a.Model.PayloadsPath(w.a.Unit), func([]state.Payload) []state.Payload { return all })
}

// resources is the directory of the resources' files, one directory each; gotten is where it is noted what they are.
func (p Paths) resources() string             { return filepath.Join(p.Agent, "resources") }
func (p Paths) gotten(resource string) string { return filepath.Join(p.state(), "resource-"+resource) }

// A gottenFile is the note of a file that has been fetched and checked. As long as its size and time are those, it is not
// checked again.
type gottenFile struct {
	SHA256   string `json:"sha256"`
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // Unix time in ns
}

// Resource implements Doer. A file comes into its place whole and checked, or not at all: what was there before stays until then.
func (h *Host) Resource(ctx context.Context, api API, u state.UnitName, want WantedFile) (string, error) {
	dir := filepath.Join(h.resources(), want.Resource)
	path := filepath.Join(dir, want.Filename)
	if h.has(path, want) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(h.state(), "fetched-*")
	if err != nil {
		return "", err
	}
	defer f.Close()
	defer os.Remove(f.Name()) // which has another name by then, if all is well
	if err := h.fetchResource(ctx, api, u, want, f); err != nil {
		return "", err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	note := state.Encode(gottenFile{want.SHA256, want.Filename, info.Size(), info.ModTime().UnixNano()})
	if err := os.WriteFile(h.gotten(want.Resource), note, 0o600); err != nil {
		return "", err
	}
	return path, h.onlyFile(dir, want.Filename)
}

// has says whether the file is there already. A note that cannot be read is none.
func (h *Host) has(path string, want WantedFile) bool {
	var note gottenFile
	text, err := os.ReadFile(h.gotten(want.Resource))
	if err != nil || json.Unmarshal(text, &note) != nil || note.SHA256 != want.SHA256 || note.Filename != want.Filename {
		return false
	}
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == note.Size && info.ModTime().UnixNano() == note.Modified
}

func (h *Host) fetchResource(ctx context.Context, api API, u state.UnitName, want WantedFile, f *os.File) error {
	body, err := api.Resource(ctx, u, want.SHA256)
	if err != nil {
		return err
	}
	defer body.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, want.Size+1))
	if err != nil {
		return fmt.Errorf("after %d bytes of %d: %w", n, want.Size, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != want.Size || got != want.SHA256 {
		return fmt.Errorf("what came is %d bytes with SHA-256 %s, expected %d bytes with %s; it is not used", n, got, want.Size, want.SHA256)
	}
	return errors.Join(f.Chmod(0o644), f.Sync())
}

// onlyFile removes what a charm that called the file otherwise has left.
func (h *Host) onlyFile(dir, name string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != name {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
