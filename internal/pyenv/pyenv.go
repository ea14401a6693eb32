// Package pyenv makes virtual environments of Python with packages of PyPI, for tests. Each is made once, below the project's
// build directory.
package pyenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// An Env is a virtual environment.
type Env struct {
	Python   string // the interpreter's path
	Packages string // the directory with the packages
}

// Need makes an environment, as Make does. Where it cannot be had, the test fails in CI, and is skipped elsewhere.
func Need(t *testing.T, name, base string, requirements []byte) Env {
	t.Helper()
	env, err := Make(name, base, requirements)
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("the environment %s of Python cannot be had here: %v", name, err)
	}
	if err != nil {
		t.Fatalf("the environment %s of Python cannot be had here: %v", name, err)
	}
	return env
}

// tries is how often pip is run: what it fetches comes from far away.
const tries = 3

// Make makes the environment of this name, unless it is there, with what requirements, the text of a requirements.txt, asks for.
// Base is the python3 to make it with: a path, or a name that PATH leads to. Other requirements, or another base, make another one.
func Make(name, base string, requirements []byte) (Env, error) {
	root, err := projectRoot()
	if err != nil {
		return Env{}, err
	}
	version, err := exec.Command(base, "-c", "import sys; print(sys.executable, sys.implementation.cache_tag)").Output()
	if err != nil {
		return Env{}, fmt.Errorf("ask %s for its version (Debian: apt install python3-venv): %w", base, err)
	}
	root = filepath.Join(root, "build/python")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return Env{}, err
	}
	sum := sha256.Sum256(append(version, requirements...))
	dir := filepath.Join(root, name+"-"+hex.EncodeToString(sum[:6]))
	unlock, err := lock(filepath.Join(root, name+".lock"))
	if err != nil {
		return Env{}, fmt.Errorf("wait for the other that makes the environment %s of Python: %w", name, err)
	}
	defer unlock()
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); errors.Is(err, fs.ErrNotExist) {
		if err := fill(dir, base, requirements); err != nil {
			return Env{}, err
		}
		if err := os.WriteFile(done, nil, 0o644); err != nil {
			return Env{}, err
		}
	} else if err != nil {
		return Env{}, err
	}
	packages, err := filepath.Glob(filepath.Join(dir, "lib/python3*/site-packages"))
	if err != nil || len(packages) != 1 {
		return Env{}, fmt.Errorf("find the packages in %s: remove it, and it is made again: %w", dir, err)
	}
	return Env{filepath.Join(dir, "bin/python"), packages[0]}, nil
}

// lock waits until no other process holds the lock. It ends with the process.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// fill makes the environment in dir, and removes first what is there of one that was cut off.
func fill(dir, base string, requirements []byte) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if out, err := exec.Command(base, "-m", "venv", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("make a virtual environment (Debian: apt install python3-venv): %w\n%s", err, out)
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return err
	}
	for try := 1; ; try++ {
		out, err := exec.Command(filepath.Join(dir, "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--no-compile", "-r", list).CombinedOutput()
		if err == nil {
			return nil
		}
		if try == tries {
			return fmt.Errorf("pip install %s, tried %d times: %w\n%s", strings.Join(strings.Fields(string(requirements)), " "), try, err, out)
		}
	}
}

// projectRoot is the directory with go.mod above the one that the test runs in.
func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("there is no go.mod above the working directory")
}
