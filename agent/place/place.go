// Package place puts the storage of one unit where its charm finds it, and takes it from there: directories, mounts, loop devices
// and links. Everything may be done again after a crash. What it has made it has noted before, so that it can be found and removed.
package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/grigri/grigri/state"
)

// Config is where the storage of one unit is.
type Config struct {
	Dir     string // of all storage of the machine: /var/lib/juju/storage
	Records string // of this unit's notes
	Root    string // before the locations that charms name; empty where the machine is ours alone, so that they are exactly those
	Shared  bool   // the machine shares its host: nothing is mounted
}

// A Place is where the storage of one unit is.
type Place struct{ Config }

// Open is the Place of the Config. It makes nothing yet.
func Open(c Config) Place { return Place{c} }

// Location is where the storage is when it is in its place: a directory or a block device.
func (p Place) Location(s state.Attachment) string {
	switch {
	case s.Kind == state.Block && s.Type == state.Loop:
		return filepath.Join(p.Dir, "dev", s.ID.Node())
	case s.Kind == state.Block:
		return s.Device
	case s.Location != "":
		return filepath.Join(p.Root, filepath.Clean("/"+s.Location))
	}
	return filepath.Join(p.Dir, s.ID.Name(), strconv.Itoa(s.ID.Number()))
}

// Mount puts the storage in its place. It is no error when it is there.
func (p Place) Mount(ctx context.Context, s state.Attachment) error {
	at := p.Location(s)
	if s.Location != "" && !filepath.IsLocal(filepath.Clean("."+filepath.Clean("/"+s.Location))) {
		return fmt.Errorf("the charm's location %q is no place for storage", s.Location)
	}
	if s.Kind == state.Filesystem {
		if other := p.taken(s.ID, at); other != "" {
			return fmt.Errorf("%s is the place of storage %s of another unit on this machine", at, other)
		}
	}
	switch {
	case s.Type == state.RootFS:
		return p.directory(s, at)
	case s.Dir != "":
		return p.link(s, at, s.Dir)
	case p.Shared:
		return fmt.Errorf("storage of type %s needs a machine of its own: this one shares its host", s.Type)
	case s.Type == state.TmpFS:
		return p.memory(ctx, s, at)
	case s.Type == state.Loop:
		return p.loop(ctx, s, at)
	case s.Kind == state.Block:
		return exists(s.Device)
	}
	return p.device(ctx, s, s.Device, at)
}

// exists says why a device is not there.
func exists(device string) error {
	_, err := os.Stat(device)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("device %s has not appeared yet", device)
	}
	return err
}

// directory is storage on the machine's own disk.
func (p Place) directory(s state.Attachment, at string) error {
	made, err := p.noted(s.ID)
	if err != nil {
		return err
	}
	if made == nil {
		if err := empty(at); err != nil {
			return err
		}
		if err := p.note(record{ID: s.ID, At: at, Directory: at}); err != nil {
			return err
		}
	}
	return os.MkdirAll(at, 0o755)
}

// empty says why a directory cannot be one of ours.
func empty(at string) error {
	names, err := os.ReadDir(at)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(names) > 0:
		return fmt.Errorf("%s is there already and is not empty: move away what is in it", at)
	}
	return nil
}

// link makes a directory that the machine sees elsewhere appear in its place.
func (p Place) link(s state.Attachment, at, dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("the volume has not appeared yet: %w", err)
	}
	if have, err := os.Readlink(at); err == nil && have == dir {
		return nil
	}
	if err := p.note(record{ID: s.ID, At: at, Link: at}); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	fi, err := os.Lstat(at)
	switch {
	case err == nil && fi.Mode()&os.ModeSymlink != 0:
		err = os.Remove(at) // of an earlier volume
	case err == nil: // a directory, as packages make them
		if err = empty(at); err == nil {
			err = os.Remove(at)
		}
	case errors.Is(err, os.ErrNotExist):
		err = nil
	}
	if err != nil {
		return err
	}
	return os.Symlink(dir, at)
}

// Unmount takes the storage from its place, with what is in it unless it is persistent. Storage that is nowhere is no error.
// With force it lets whoever still uses it go on with what they have open.
func (p Place) Unmount(ctx context.Context, id state.StorageID, force bool) error {
	r, err := p.noted(id)
	if err != nil || r == nil {
		return err
	}
	if r.Mount != "" {
		if err := unmount(r.Mount, force); err != nil {
			return err
		}
	}
	if r.Image != "" {
		if err := p.endLoop(ctx, r); err != nil {
			return err
		}
	}
	if r.Link != "" {
		if fi, err := os.Lstat(r.Link); err == nil && fi.Mode()&os.ModeSymlink != 0 {
			if err := os.Remove(r.Link); err != nil {
				return err
			}
		}
	}
	if r.Directory != "" {
		if in, err := mountsBelow(r.Directory); err != nil || in != "" {
			return errors.Join(err, fmt.Errorf("%s is mounted in it and must be unmounted first", in))
		}
		if err := os.RemoveAll(r.Directory); err != nil {
			return err
		}
	}
	if r.Made != "" {
		_ = os.Remove(r.Made) // whoever has put something there keeps it
	}
	return p.forget(id)
}

// All is the storage that is in its place, or may be.
func (p Place) All() ([]state.StorageID, error) {
	all, err := p.all()
	var ids []state.StorageID
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	return ids, err
}

// Clear takes all storage of the unit from its place, by force.
func (p Place) Clear(ctx context.Context) error {
	all, err := p.all()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range all {
		if err := p.Unmount(ctx, r.ID, true); err != nil {
			errs = append(errs, fmt.Errorf("remove storage %s: %w", r.ID, err))
		}
	}
	return errors.Join(errs...)
}
