package charm

import (
	"archive/zip"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// ReadArchive checks every entry of an archive, with its checksum, and reads the charm in it.
// Unlike a source tree an archive has to have its own metadata.yaml.
func ReadArchive(r io.ReaderAt, size int64) (Charm, error) {
	entries, err := Entries(r, size)
	if err != nil {
		return Charm{}, err
	}
	for _, e := range entries {
		if err := e.verify(); err != nil {
			return Charm{}, err
		}
	}
	return source{fsys: newArchiveFS(entries)}.charm()
}

// Entries lists an archive, sorted by name, so that a directory comes before what is in it. It refuses what must not be
// unpacked: names and links that lead out of the charm or are absolute, devices, doubles, and what is
// too large. Directories that only the names of files imply are not in the list.
func Entries(r io.ReaderAt, size int64) ([]Entry, error) {
	if size > MaxArchive {
		return nil, invalid("the archive is larger than %d MiB", MaxArchive>>20)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, invalid("the archive cannot be read: %w", err)
	}
	var entries []Entry
	for _, f := range z.File {
		e, err := entryFrom(f)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, checkEntries(entries)
}

func entryFrom(f *zip.File) (Entry, error) {
	e := Entry{Name: f.Name, Mode: f.Mode().Type() | f.Mode().Perm(), Size: int64(f.UncompressedSize64), file: f}
	if name, isDir := strings.CutSuffix(f.Name, "/"); isDir {
		e.Name, e.Mode = name, fs.ModeDir|e.Mode.Perm()
	}
	if e.Mode.Perm() == 0 { // written by what knows no modes
		e.Mode |= 0o644
		if e.Mode.IsDir() {
			e.Mode |= 0o755
		}
	}
	switch {
	case e.Mode.IsDir():
		e.Size = 0
	case e.Mode.Type() == fs.ModeSymlink:
		return e.readLink()
	}
	return e, nil
}

func (e Entry) readLink() (Entry, error) {
	f, err := e.Open()
	if err != nil {
		return e, err
	}
	defer f.Close()
	target, err := io.ReadAll(io.LimitReader(f, maxName+1))
	if err != nil {
		return e, invalid("%s: the archive cannot be read: %w", e.Name, err)
	}
	e.Link, e.Size, e.Mode = string(target), 0, fs.ModeSymlink|0o777
	return e, nil
}

// verify reads the whole file, which checks its size and its checksum.
func (e Entry) verify() error {
	if !e.Mode.IsRegular() {
		return nil
	}
	f, err := e.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		return invalid("%s: the archive cannot be read: %w", e.Name, err)
	}
	return nil
}

// An archiveFS opens the files of an archive and follows its links. It is only good for Read.
type archiveFS struct {
	entries map[string]Entry
	links   map[string]string
}

func newArchiveFS(entries []Entry) archiveFS {
	a := archiveFS{map[string]Entry{}, map[string]string{}}
	for _, e := range entries {
		a.entries[e.Name] = e
		if e.Mode.Type() == fs.ModeSymlink {
			a.links[e.Name] = e.Link
		}
	}
	return a
}

func (a archiveFS) Open(name string) (fs.File, error) {
	to, err := follow(a.links, name)
	if err != nil {
		return nil, err
	}
	e, ok := a.entries[to]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if !e.Mode.IsRegular() {
		return nil, invalid("%s: expected a file, got %s", name, kindOf(e.Mode))
	}
	f, err := e.Open()
	if err != nil {
		return nil, err
	}
	return archiveFile{f, e}, nil
}

type archiveFile struct {
	io.ReadCloser
	entry Entry
}

func (f archiveFile) Stat() (fs.FileInfo, error) { return f.entry.file.FileInfo(), nil }
