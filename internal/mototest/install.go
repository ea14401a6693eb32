package mototest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

//go:embed requirements.txt
var requirements []byte

// install returns a Python that has moto. It is made once, and kept below the project's build directory.
func install() (python string, err error) {
	root, err := projectRoot()
	if err != nil {
		return "", err
	}
	base, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("there is no python3 (Debian: apt install python3-venv): %w", err)
	}
	version, err := exec.Command(base, "-c", "import sys; print(sys.executable, sys.implementation.cache_tag)").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", base, err)
	}
	root = filepath.Join(root, "build/mototest")
	sum := sha256.Sum256(append(version, requirements...))
	dir := filepath.Join(root, hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, "complete")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(root, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("wait for the other that installs moto: %w", err)
	}
	python = filepath.Join(dir, "bin/python")
	if _, err := os.Stat(done); !errors.Is(err, fs.ErrNotExist) {
		return python, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if out, err := exec.Command(base, "-m", "venv", dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("make a virtual environment (Debian: apt install python3-venv): %w\n%s", err, out)
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return "", err
	}
	for try := 1; ; try++ {
		out, err := exec.Command(filepath.Join(dir, "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "-r", list).CombinedOutput()
		if err == nil {
			return python, os.WriteFile(done, nil, 0o644)
		}
		if try == 3 {
			return "", fmt.Errorf("pip install -r internal/mototest/requirements.txt, tried %d times: %w\n%s", try, err, out)
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
