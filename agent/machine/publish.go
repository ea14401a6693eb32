package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// published is the programs that charms and their cron jobs call by their full names.
func published() []string { return []string{"juju-exec", "juju-run", "juju_machine_lock"} }

// publish makes links to the machine's own programs in Bin. What is there and is not ours stays as it is.
func (m *machine) publish() error {
	if m.Bin == "" {
		return nil
	}
	for _, name := range published() {
		path, want := filepath.Join(m.Bin, name), filepath.Join(filepath.Dir(m.HookTool), name)
		have, ours, err := m.linked(path)
		switch {
		case err != nil:
			return fmt.Errorf("make %s: %w", path, err)
		case have != "" && !ours:
			m.log.Warn("a program of the same name is not ours and stays as it is", "path", path)
			continue
		case have == want:
			continue
		case ours:
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("make %s: %w", path, err)
			}
		}
		if err := os.Symlink(want, path); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
	}
	return nil
}

// unpublish removes those links.
func (m *machine) unpublish() error {
	if m.Bin == "" {
		return nil
	}
	var failed []error
	for _, name := range published() {
		path := filepath.Join(m.Bin, name)
		_, ours, err := m.linked(path)
		if err == nil && ours {
			err = os.Remove(path)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// linked is where the link at path leads, or path itself if it is none; empty when nothing is there. It is ours if it leads below our
// directory.
func (m *machine) linked(path string) (to string, ours bool, err error) {
	to, err = os.Readlink(path)
	switch {
	case err == nil:
		return to, strings.HasPrefix(to, m.DataDir+"/"), nil
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	}
	if _, err := os.Lstat(path); err != nil {
		return "", false, err
	}
	return path, false, nil
}
