package pycharms

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryCharmIsOfSomeLength(t *testing.T) {
	for name := range carried {
		lines := 0
		err := filepath.WalkDir(filepath.Join("testdata", name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !slices.Contains([]string{".py", ".sh", ".template"}, filepath.Ext(path)) {
				return err
			}
			data, err := os.ReadFile(path)
			lines += strings.Count(string(data), "\n")
			return err
		})
		if err != nil || lines < 100 {
			t.Errorf("%s has %d lines of code, %v", name, lines, err)
		}
	}
}

// changed makes the charm another one, by a file.
func changed(t *testing.T, dir string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "NEWS"), []byte("better\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

var errNotYet = errors.New("not yet")
