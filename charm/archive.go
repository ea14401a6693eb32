package charm

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Archive writes the charm at the root of fsys as a zip archive, and returns its SHA-256 in hex and its size in bytes.
// The same tree gives the same bytes. Modes, empty directories and symbolic links are kept; links need
// fsys to be a fs.ReadLinkFS. What charmcraft would have written is written, as Read reads it. Left out are
// build, revision, *.charm and everything that begins with a dot at the top, and version control and compiled Python anywhere.
// Archive does not check what Read checks: read the charm first.
func Archive(w io.Writer, fsys fs.FS) (sha string, size int64, err error) {
	made, err := project(fsys)
	if err != nil {
		return "", 0, err
	}
	entries, err := collect(fsys, made)
	if err != nil {
		return "", 0, err
	}
	if err := checkEntries(entries); err != nil {
		return "", 0, err
	}
	sum := sha256.New()
	out := &counter{w: io.MultiWriter(w, sum)}
	z := zip.NewWriter(out)
	for _, e := range entries {
		if err := add(z, fsys, made, e); err != nil {
			return "", 0, fmt.Errorf("pack %s: %w", e.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return "", 0, fmt.Errorf("pack the charm: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), out.n, nil
}

// collect lists what goes into the archive, sorted by name.
func collect(fsys fs.FS, made map[string]madeFile) ([]Entry, error) {
	var entries []Entry
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if excluded(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if _, replaced := made[name]; replaced {
			return nil
		}
		e, err := entryOf(fsys, name, d)
		entries = append(entries, e)
		if len(entries) > MaxEntries {
			return invalid("more than %d files", MaxEntries)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the charm's files: %w", err)
	}
	for name, m := range made {
		entries = append(entries, Entry{Name: name, Mode: 0o644, Size: int64(len(m.data))})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

func entryOf(fsys fs.FS, name string, d fs.DirEntry) (Entry, error) {
	info, err := d.Info()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Name: name, Mode: info.Mode().Type() | info.Mode().Perm()}
	switch e.Mode.Type() {
	case 0:
		e.Size = info.Size()
	case fs.ModeSymlink:
		e.Mode = fs.ModeSymlink | 0o777 // Linux knows no other
		e.Link, err = fs.ReadLink(fsys, name)
	}
	return e, err
}

// excluded says what a source tree has that is not the charm.
func excluded(name string) bool {
	base := path.Base(name)
	switch base {
	case ".git", ".bzr", ".hg", ".svn", "__pycache__":
		return true
	}
	if strings.HasSuffix(base, ".pyc") {
		return true
	}
	return name == base && (base[0] == '.' || base == "build" || base == "revision" || strings.HasSuffix(base, ".charm"))
}

func add(z *zip.Writer, fsys fs.FS, made map[string]madeFile, e Entry) error {
	h := &zip.FileHeader{Name: e.Name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(e.Mode)
	if e.Mode.IsDir() {
		h.Name += "/"
		h.Method = zip.Store
	}
	w, err := z.CreateHeader(h)
	if err != nil || e.Mode.IsDir() {
		return err
	}
	var r io.Reader = strings.NewReader(e.Link)
	if e.Mode.IsRegular() {
		if m, ok := made[e.Name]; ok {
			r = bytes.NewReader(m.data)
		} else {
			f, err := fsys.Open(e.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			r = io.LimitReader(f, e.Size+1)
		}
	}
	n, err := io.Copy(w, r)
	if err == nil && e.Mode.IsRegular() && n != e.Size {
		err = errors.New("the file changes while it is read")
	}
	return err
}

// A counter counts what is written, and refuses more than an archive may have.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	if c.n+int64(len(p)) > MaxArchive {
		return 0, invalid("the archive is larger than %d MiB", MaxArchive>>20)
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
