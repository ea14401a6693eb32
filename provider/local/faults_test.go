package local_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/providertest"
)

// On a full disk nothing is half made, and a machine starts when there is room again.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	providertest.Faults(t, providertest.FaultConfig{
		Config: providertest.Config{Init: sleeper, Open: func(t *testing.T) provider.Provider { return open(t, filepath.Join(dir, "machines")) }},
		Quota: func(t *testing.T) (string, func()) {
			f, err := os.Create(filepath.Join(dir, "filler"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			return "no space left on device", sync.OnceFunc(func() {
				if err := os.Remove(f.Name()); err != nil {
					t.Error(err)
				}
			})
		},
	})
}
