package unpack

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/grigri/grigri/charm"
)

// lay puts one entry in its place, whatever is there now.
func (u *unpacker) lay(e charm.Entry) error {
	if err := u.makeDirs(path.Dir(e.Name)); err != nil {
		return err
	}
	switch e.Mode.Type() {
	case fs.ModeDir:
		return u.makeDirs(e.Name)
	case fs.ModeSymlink:
		return u.putLink(e)
	}
	f, err := e.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	return u.put(e.Name, u.mode(e), f)
}

// mode is the entry's mode; known hooks are executable by their owner, whatever the archive says.
func (u *unpacker) mode(e charm.Entry) fs.FileMode {
	mode := e.Mode.Perm()
	dir, name := path.Split(e.Name)
	if _, known := slices.BinarySearch(u.hooks, name); known && dir == "hooks/" {
		mode |= 0o100
	}
	return mode
}

// makeDirs makes a directory and those above it. What is there and is no directory makes room.
func (u *unpacker) makeDirs(name string) error {
	if name == "." {
		return nil
	}
	if err := u.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	info, err := u.root.Lstat(name)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		if err := u.do("make room at "+name, func() error { return u.root.Remove(name) }); err != nil {
			return err
		}
	}
	return u.do("make directory "+name, func() error { return u.root.Mkdir(name, 0o755) })
}

// finishDirs gives the directories their modes, at last, since one may forbid to write in it. The owner keeps all
// rights, or the next charm could not be laid. A directory that the archive does not list is an ordinary one.
func (u *unpacker) finishDirs() error {
	modes := map[string]fs.FileMode{}
	for _, e := range u.entries {
		for dir := path.Dir(e.Name); dir != "." && modes[dir] == 0; dir = path.Dir(dir) {
			modes[dir] = 0o755
		}
	}
	for _, e := range u.entries {
		if e.Mode.IsDir() {
			modes[e.Name] = e.Mode.Perm() | 0o700
		}
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(modes))) {
		if err := u.do("mode of "+name, func() error { return u.root.Chmod(name, modes[name]) }); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file beside and renames it into place, so that no one ever sees half of it.
func (u *unpacker) put(name string, mode fs.FileMode, content io.Reader) error {
	if err := u.do("remove an old part", func() error { return u.root.RemoveAll(partFile) }); err != nil {
		return err
	}
	if err := u.do("write "+name, func() error { return u.writePart(mode, content) }); err != nil {
		return err
	}
	return u.move(name)
}

func (u *unpacker) writePart(mode fs.FileMode, content io.Reader) error {
	f, err := u.root.Create(partFile)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil { // whatever the umask
		return err
	}
	return f.Close()
}

func (u *unpacker) putLink(e charm.Entry) error {
	if err := u.do("remove an old part", func() error { return u.root.RemoveAll(partFile) }); err != nil {
		return err
	}
	if err := u.do("link "+e.Name, func() error { return u.root.Symlink(e.Link, partFile) }); err != nil {
		return err
	}
	return u.move(e.Name)
}

// move gives the part its name. A directory in its place has to go first, with all that is in it.
func (u *unpacker) move(name string) error {
	if info, err := u.root.Lstat(name); err == nil && info.IsDir() {
		if err := u.do("make room at "+name, func() error { return u.root.RemoveAll(name) }); err != nil {
			return err
		}
	}
	return u.do("rename to "+name, func() error { return u.root.Rename(partFile, name) })
}
