package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The manifest is the sorted names of all that charms have brought into the directory, each ended by a NUL.

// readManifest returns no names when there is no manifest: then no charm has been unpacked.
func readManifest(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which files the charm before brought: %w", err)
	}
	names := map[string]bool{}
	for name := range strings.SplitSeq(string(data), "\x00") {
		if fs.ValidPath(name) && name != "." && !reserved(name) {
			names[name] = true
		}
	}
	return sorted(names), nil
}

// writeManifest replaces the manifest by one that survives a power failure.
func (u *unpacker) writeManifest(names []string) error {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + "\x00")
	}
	part := u.manifest + ".new"
	err := u.do("write the manifest", func() error {
		f, err := os.Create(part)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString(b.String()); err != nil {
			return err
		}
		return f.Sync()
	})
	if err != nil {
		return err
	}
	return u.do("replace the manifest", func() error {
		if err := os.Rename(part, u.manifest); err != nil {
			return err
		}
		dir, err := os.Open(filepath.Dir(u.manifest))
		if err != nil {
			return err
		}
		defer dir.Close()
		return dir.Sync()
	})
}

// syncTree makes all that was written to the file system last.
func syncTree(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

func union(a, b []string) []string {
	all := map[string]bool{}
	for _, name := range slices.Concat(a, b) {
		all[name] = true
	}
	return sorted(all)
}

func sorted(names map[string]bool) []string { return slices.Sorted(maps.Keys(names)) }
