package statuslog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/state"
)

// Models is the models of which statuses are kept.
func (s *Store) Models() ([]state.ModelID, error) {
	entries, err := os.ReadDir(s.config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []state.ModelID
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, state.ModelID(e.Name()))
		}
	}
	return out, err
}

// Remove forgets the model.
func (s *Store) Remove(m state.ModelID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.dir(m)
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// Tidy forgets what is gone and of which nothing was told for long, and of the rest that is gone the oldest when there is too much of it. There says
// what is not gone, by tag.
func (s *Store) Tidy(m state.ModelID, now time.Time, there func(entity string) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.dir(m)
	if err != nil {
		return err
	}
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget old statuses of model %s: %w", m, err)
	}
	var gone []fs.FileInfo
	for _, name := range names {
		if entity, ok := strings.CutSuffix(name.Name(), suffix); ok && there(entity) {
			continue
		}
		info, err := name.Info()
		if err != nil {
			return fmt.Errorf("forget old statuses of model %s: %w", m, err)
		}
		gone = append(gone, info)
	}
	slices.SortFunc(gone, func(a, b fs.FileInfo) int { // the newest first
		return cmp.Or(b.ModTime().Compare(a.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	size := int64(0)
	for _, info := range gone {
		size += info.Size()
		if size <= s.config.Gone && now.Sub(info.ModTime()) <= s.config.Age {
			continue
		}
		if err := os.Remove(filepath.Join(dir, info.Name())); err != nil {
			return fmt.Errorf("forget old statuses of model %s: %w", m, err)
		}
	}
	return nil
}
