package serve_test

import (
	"regexp"
	"testing"

	"github.com/grigri/grigri/hooks"
)

// Older ops learns from the help of storage-get which storage its hook is about.
func TestStorageHelp(t *testing.T) {
	w := newWorld(t)
	w.begin(hooks.Hook{Kind: hooks.StorageAttached, Storage: "data/0"})
	found := regexp.MustCompile(`(?m)^-s\s+\(=\s+(\S+)\)`).FindStringSubmatch(w.must(t, "storage-get", "--help"))
	if len(found) != 2 || found[1] != "data/0" {
		t.Errorf("ops finds %q in\n%s", found, w.must(t, "storage-get", "--help"))
	}
}
