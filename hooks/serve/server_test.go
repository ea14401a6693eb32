package serve

import (
	"path/filepath"
	"testing"
)

// A server that lives for months forgets the hooks that have ended.
func TestForgets(t *testing.T) {
	s, err := Listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Begin(Config{Unit: "web/0"}).End()
	}
	if len(s.sessions) != 0 {
		t.Errorf("%d sessions are kept", len(s.sessions))
	}
}
