// Package unpack lays charms on disk: the one part of charm that touches files.
package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/charm"
)

// The files that Unpack writes itself, at the top of the charm directory.
const (
	revisionFile  = "revision"        // the revision in decimal, without a newline: old charms read it
	urlFile       = ".juju-charm"     // the charm's URL
	deployingFile = ".juju-deploying" // there while a charm is laid down, with its URL
	partFile      = ".juju-unpacking" // the file being written
)

// Dir opens the charm directory at path for charm.Read and charm.Archive. Links in it are seen as links,
// and nothing outside the directory can be reached through it.
func Dir(path string) (fs.FS, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no charm was found at %q: there is no such directory: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("open charm directory %q: %w", path, err)
	case !info.IsDir():
		return nil, fmt.Errorf("open charm directory %q: it is not a directory", path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open charm directory %q: %w", path, err)
	}
	return root.FS(), nil // closed when it is no longer reachable
}

// Unpack makes dir the charm in the archive. Of the charm that was there before, the files which the
// new one does not have are removed; files that no charm brought, which are those the charm's hooks made, stay unless
// something of the new charm has to be where they are. Hooks under hooks/ are made executable by their owner.
//
// Which files a charm brought is kept in manifest in the directory state beside dir. A call that is
// interrupted at any point leaves .juju-deploying in dir; called again, with this or another charm, it finishes.
// An error that wraps charm.ErrInvalid is the archive's fault and has changed nothing.
func Unpack(dir string, archive io.ReaderAt, size int64, id charm.ID) error {
	return unpack(dir, archive, size, id, func(string) error { return nil })
}

// unpack is Unpack that calls step before each change to the disk, and stops without tidying up when step fails.
func unpack(dir string, archive io.ReaderAt, size int64, id charm.ID, step func(what string) error) error {
	c, err := charm.ReadArchive(archive, size)
	if err != nil {
		return fmt.Errorf("unpack charm %s: %w", id, err)
	}
	entries, err := charm.Entries(archive, size)
	if err != nil {
		return fmt.Errorf("unpack charm %s: %w", id, err)
	}
	u := unpacker{
		id:       id,
		manifest: filepath.Join(filepath.Dir(filepath.Clean(dir)), "state", "manifest"),
		hooks:    charm.HookNames(c.Meta),
		step:     step,
	}
	for _, e := range entries {
		if !reserved(e.Name) {
			u.entries = append(u.entries, e)
		}
	}
	if err := u.run(dir); err != nil {
		return fmt.Errorf("unpack charm %s into %s: %w", id, dir, err)
	}
	return nil
}

// reserved says whether the name is one of the files that Unpack writes itself.
func reserved(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	return slices.Contains([]string{revisionFile, urlFile, deployingFile, partFile}, top)
}

// An unpacker is one call of Unpack. All it does below the charm directory goes through root, so that no link leads it out.
type unpacker struct {
	id       charm.ID
	manifest string
	hooks    []string
	entries  []charm.Entry
	step     func(what string) error
	root     *os.Root
}

// run takes the steps in an order in which each can be the last: before the first file is laid, the manifest has all
// that may be there from then on; only when all is done does it have the new charm alone.
func (u *unpacker) run(dir string) error {
	for _, d := range []string{dir, filepath.Dir(u.manifest)} {
		if err := u.do("make directory", func() error { return os.MkdirAll(d, 0o755) }); err != nil {
			return err
		}
	}
	var err error
	if u.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer u.root.Close()

	before, err := readManifest(u.manifest)
	if err != nil {
		return err
	}
	now := u.names()
	if err := u.writeManifest(union(before, now)); err != nil {
		return err
	}
	if err := u.put(deployingFile, 0o644, strings.NewReader(u.id.URL())); err != nil {
		return err
	}
	if err := u.removeGone(before, now); err != nil {
		return err
	}
	for _, e := range u.entries {
		if err := u.lay(e); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	if err := u.finishDirs(); err != nil {
		return err
	}
	if err := u.put(revisionFile, 0o644, strings.NewReader(strconv.Itoa(u.id.Revision))); err != nil {
		return err
	}
	if err := u.put(urlFile, 0o644, strings.NewReader(u.id.URL())); err != nil {
		return err
	}
	if err := u.do("sync", func() error { return syncTree(u.root) }); err != nil {
		return err
	}
	if err := u.writeManifest(now); err != nil {
		return err
	}
	return u.do("remove "+deployingFile, func() error { return u.root.Remove(deployingFile) })
}

// do is one change to the disk.
func (u *unpacker) do(what string, change func() error) error {
	if err := u.step(what); err != nil {
		return err
	}
	return change()
}

// names are all names the new charm has, sorted, with the directories that are only implied.
func (u *unpacker) names() []string {
	all := map[string]bool{}
	for _, e := range u.entries {
		for name := e.Name; name != "."; name = path.Dir(name) {
			all[name] = true
		}
	}
	return sorted(all)
}

// removeGone removes what the charm before brought and the new one does not. A directory goes when it is empty.
func (u *unpacker) removeGone(before, now []string) error {
	for _, name := range slices.Backward(before) { // what is in a directory sorts after it
		if _, kept := slices.BinarySearch(now, name); kept {
			continue
		}
		if !u.reachable(name) {
			continue
		}
		err := u.do("remove "+name, func() error { return u.root.Remove(name) })
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
			continue
		}
		return err
	}
	return nil
}

// reachable says whether all above name are directories. Through a link that a hook or the new charm has put there
// we would remove what is not the old charm's.
func (u *unpacker) reachable(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := u.root.Lstat(dir); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}
