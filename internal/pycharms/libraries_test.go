package pycharms

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/internal/pyenv"
)

// Which of the installed packages each charm carries, and where: as the tools that build such charms put them.
var carried = map[string]struct{ dir, packages string }{
	"opscharm":      {"lib", "ops opentelemetry websocket yaml _yaml typing_extensions.py opentelemetry_api-*"},
	"secretcharm":   {"lib", "ops opentelemetry websocket yaml _yaml typing_extensions.py opentelemetry_api-*"},
	"helperscharm":  {"lib", "charmhelpers jinja2 markupsafe netaddr yaml _yaml"},
	"reactivecharm": {"wheelhouse", "charmhelpers jinja2 markupsafe netaddr yaml _yaml pyaml"},
}

// assemble makes the charm's directory: our sources, and the libraries.
func assemble(t *testing.T, libraries, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	add := func(from, to string) {
		t.Helper()
		info, err := os.Stat(from)
		if err == nil && info.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else if err == nil {
			var data []byte
			if data, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(to, data, 0o644)
			}
		}
		if err != nil {
			t.Fatalf("assemble %s: %v", name, err)
		}
	}
	add(filepath.Join("testdata", name), dir)
	c := carried[name]
	if err := os.MkdirAll(filepath.Join(dir, c.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range strings.Fields(c.packages) {
		matches, err := filepath.Glob(filepath.Join(libraries, pattern))
		if err != nil || len(matches) == 0 {
			t.Fatalf("assemble %s: %s is not in %s", name, pattern, libraries)
		}
		for _, m := range matches {
			add(m, filepath.Join(dir, c.dir, filepath.Base(m)))
		}
	}
	if name == "reactivecharm" { // its package has the same parent as the charm's layers
		add(filepath.Join(libraries, "charms"), filepath.Join(dir, "lib/charms"))
	}
	return dir
}

// libraries is a directory with the packages of testdata/requirements.txt.
func libraries(t *testing.T) string {
	t.Helper()
	python, err := pythonOfHooks()
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	return pyenv.Need(t, "pycharms", python, wanted).Packages
}

// pythonOfHooks is the python3 that a hook finds.
func pythonOfHooks() (string, error) {
	for _, dir := range strings.Split(run.SearchPath, ":") {
		if path, err := exec.LookPath(filepath.Join(dir, "python3")); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no python3 where hooks find programs (Debian: apt install python3)")
}

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
