package jubilant

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/pyenv"
)

// patience is how long one of the files of tests may take on a machine with much to do.
const patience = 8 * time.Minute

// Each file of testdata/tests is run with pytest, with a model of its own; one controller serves them all, which the library has made.
func TestTheLibraryDrivesUs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	wanted, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	e := newEnvironment(t, pyenv.Need(t, "jubilant", "python3", wanted))
	files, err := filepath.Glob("testdata/tests/test_*.py")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no tests: %v", err)
	}
	var ran atomic.Int32
	t.Run("tests", func(t *testing.T) {
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".py"), func(t *testing.T) {
				t.Parallel()
				ran.Add(1)
				e.python(t, "testdata", "-m", "pytest", strings.TrimPrefix(file, "testdata/"))
			})
		}
		t.Run("howto", func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "test_shop.py")
			if err := os.WriteFile(file, script(t), 0o644); err != nil {
				t.Fatal(err)
			}
			e.python(t, "../..", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", filepath.Dir(file), file)
		})
	})
	if int(ran.Load()) < len(files) { // some were chosen
		return
	}
	called, _ := os.ReadFile(e.called)
	public, err := os.ReadFile(e.called + ".all")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range strings.Fields(string(public)) {
		if !slices.Contains(strings.Fields(string(called)), method) {
			t.Errorf("no test calls the library's method %s", method)
		}
	}
}

// script is the program of the page for users.
func script(t *testing.T) []byte {
	t.Helper()
	page, err := os.ReadFile("../../docs/howto/use-jubilant.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```python\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("the page has no program")
	}
	return []byte(text)
}

// An environment is a controller named jub and the programs' places.
type environment struct {
	env    []string
	called string // the file with the methods that were called
}

func newEnvironment(t *testing.T, py pyenv.Env) environment {
	t.Helper()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "../../cmd/grigri", "../../cmd/grigrid", "../../cmd/grigri-agent", "../../cmd/hooktool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	if err := os.Symlink("grigri", filepath.Join(bin, "juju")); err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp("", "ggj") // short: unix sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	e := environment{called: filepath.Join(bin, "called")}
	e.env = append(os.Environ(), "PATH="+bin+":"+filepath.Dir(py.Python)+":"+os.Getenv("PATH"), "JUJU_DATA="+data, "GRIGRI_DATA=", "GRIGRI_MODEL=",
		"GRIGRI_CONTROLLER=", "JUJU_MODEL=", "JUJU_CONTROLLER=", "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=error", "CALLED="+e.called)
	t.Cleanup(func() {
		e.python(t, "testdata", "-c", `import subprocess; subprocess.run(["juju", "kill-controller", "jub", "--no-prompt", "--timeout", "60s"], check=True)`)
		os.RemoveAll(data)
	})
	e.python(t, "testdata", "-c", `
import jubilant, sys
sys.path.insert(0, "tests")
import conftest
juju = jubilant.Juju(cli_binary="juju")
juju.bootstrap("local", "jub", constraints={"arch": "amd64"}, model_defaults={"test-mode": False}, force=True)
juju.cli("switch", "jub", include_model=False)
`)
	return e
}

// python runs the interpreter in the directory.
func (e environment) python(t *testing.T, dir string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "env", append([]string{"python"}, args...)...)
	cmd.Dir, cmd.Env = dir, e.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("python %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
