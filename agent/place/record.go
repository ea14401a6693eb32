package place

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/grigri/grigri/state"
)

// A record is what is there, or may be, of one storage instance: what is noted before it is made.
type record struct {
	ID        state.StorageID `json:"id"`
	At        string          `json:"at"`                  // its place
	Directory string          `json:"directory,omitempty"` // goes with all that is in it
	Link      string          `json:"link,omitempty"`      // goes
	Mount     string          `json:"mount,omitempty"`     // is unmounted
	Image     string          `json:"image,omitempty"`     // the file of a loop device: that ends, and then the file
	Made      string          `json:"made,omitempty"`      // a directory that was made for a mount: goes when it is empty
}

func (p Place) recordFile(id state.StorageID) string {
	return filepath.Join(p.Records, id.Node()+".json")
}

// note writes the record so that it outlives a crash.
func (p Place) note(r record) error {
	if err := os.MkdirAll(p.Records, 0o755); err != nil {
		return fmt.Errorf("note where storage %s is: %w", r.ID, err)
	}
	name := p.recordFile(r.ID)
	if err := os.WriteFile(name+".new", state.Encode(r), 0o600); err != nil {
		return fmt.Errorf("note where storage %s is: %w", r.ID, err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("note where storage %s is: %w", r.ID, err)
	}
	return nil
}

// noted is the record; nil if there is none.
func (p Place) noted(id state.StorageID) (*record, error) { return readRecord(p.recordFile(id)) }

func readRecord(name string) (*record, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove the file when you have removed the storage", name, err)
	}
	return &r, nil
}

func (p Place) forget(id state.StorageID) error {
	err := os.Remove(p.recordFile(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// all is every record of the unit.
func (p Place) all() ([]record, error) {
	names, err := filepath.Glob(filepath.Join(p.Records, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []record
	for _, name := range names {
		r, err := readRecord(name)
		if err != nil {
			return nil, err
		}
		if r != nil {
			out = append(out, *r)
		}
	}
	return out, nil
}

// taken is the storage, other than id, that a unit of this machine has at the place.
func (p Place) taken(id state.StorageID, at string) state.StorageID {
	// Records is <agents>/<unit>/state/storage: those of all units are side by side.
	agents := filepath.Dir(filepath.Dir(filepath.Dir(p.Records)))
	names, _ := filepath.Glob(filepath.Join(agents, "*", "state", "storage", "*.json"))
	for _, name := range names {
		r, err := readRecord(name)
		if err == nil && r != nil && r.ID != id && (r.At == at || strings.HasPrefix(at, r.At+"/") || strings.HasPrefix(r.At, at+"/")) {
			return r.ID
		}
	}
	return ""
}
