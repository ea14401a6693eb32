package pycharms

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/internal/pyenv"
)

// testdata is seen from here and from the packages beside this one.
const testdata = "../pycharms/testdata"

// Which of the installed packages each charm carries, and where: as the tools that build such charms put them.
var carried = map[string]struct{ dir, packages string }{
	"opscharm":      {"lib", "ops opentelemetry websocket yaml _yaml typing_extensions.py opentelemetry_api-*"},
	"secretcharm":   {"lib", "ops opentelemetry websocket yaml _yaml typing_extensions.py opentelemetry_api-*"},
	"helperscharm":  {"lib", "charmhelpers jinja2 markupsafe netaddr yaml _yaml"},
	"reactivecharm": {"wheelhouse", "charmhelpers jinja2 markupsafe netaddr yaml _yaml pyaml"},
}

// Assemble makes the directory of a charm of testdata: our sources, and those of libraries, which Libraries has made.
func Assemble(t *testing.T, libraries, name string) string {
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
	add(filepath.Join(testdata, name), dir)
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

// Libraries is a directory with the packages of testdata/requirements.txt.
func Libraries(t *testing.T) string {
	t.Helper()
	python, err := pythonOfHooks()
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := os.ReadFile(filepath.Join(testdata, "requirements.txt"))
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
