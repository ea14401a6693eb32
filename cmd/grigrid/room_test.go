package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRoom(t *testing.T) {
	if err := enough("/d", needMiB); err != nil {
		t.Error(err)
	}
	if err := enough("/d", 20); err == nil || !strings.Contains(err.Error(), "the disk of /d has 20 MiB free") {
		t.Errorf("with 20 MiB: %v", err)
	}
	if err := checkRoom("/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a directory that is not there: %v", err)
	}
}

// A bootstrap on a disk that is all but full says so, and leaves nothing on it.
func TestBootstrapWithoutRoom(t *testing.T) {
	h := newHost(t)
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("test", h.dir, "tmpfs", 0, "size=20m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("nothing can be mounted here: ", err)
		}
		t.Skip("nothing can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(h.dir, 0); err != nil {
			t.Error(err)
		}
	})
	h.fails(1, "MiB free, and a controller needs 256: make room there", "bootstrap", "--data-dir", h.dir, "--name", "c1", "--result", h.dir+"/result")
	if left, err := os.ReadDir(h.dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
