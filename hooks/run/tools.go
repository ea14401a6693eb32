package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A Link is one more program among the hook tools.
type Link struct{ Name, Target string }

// InstallTools makes dir hold one link to hooktool for each name, those that are given beside, and no other link. A hook that is
// running meanwhile always finds its tools.
func InstallTools(dir, hooktool string, names []string, beside ...Link) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install hook tools: %w", err)
	}
	for _, name := range names {
		if err := link(hooktool, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("install hook tools: %w", err)
		}
	}
	for _, l := range beside {
		if err := link(l.Target, filepath.Join(dir, l.Name)); err != nil {
			return fmt.Errorf("install hook tools: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("install hook tools: %w", err)
	}
	for _, e := range entries {
		wanted := slices.Contains(names, e.Name()) || slices.ContainsFunc(beside, func(l Link) bool { return l.Name == e.Name() })
		if e.Type()&fs.ModeSymlink != 0 && !wanted {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove an old hook tool: %w", err)
			}
		}
	}
	return nil
}

// link makes path a link to target, in one step.
func link(target, path string) error {
	if have, err := os.Readlink(path); err == nil && have == target {
		return nil
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
