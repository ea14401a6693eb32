package lxd

import (
	"strings"
	"testing"
	"time"
)

// What cannot be had on a real LXD in a test: a clock that is wrong, a pool that is full.
func TestClocksAndRoom(t *testing.T) {
	for name, test := range map[string]struct {
		look         func(*checks)
		what, remedy string
	}{
		"the same time":              {func(c *checks) { c.skew(30 * time.Second) }, "", ""},
		"a clock that is late":       {func(c *checks) { c.skew(time.Hour) }, "the clock of LXD's host is 1h0m0s away from ours", "time server"},
		"a clock that is early":      {func(c *checks) { c.skew(-2 * time.Minute) }, "the clock of LXD's host is 2m0s away", "time server"},
		"room":                       {func(c *checks) { c.free("big", 100<<30, 10<<30) }, "", ""},
		"a full pool":                {func(c *checks) { c.free("small", 10<<30, 9<<30) }, "storage pool small of LXD has 1024 MiB left, and a machine needs 2048 MiB", "make room there"},
		"one that is more than full": {func(c *checks) { c.free("small", 10<<30, 11<<30) }, "has 0 MiB left", "make room there"},
		"one that does not say":      {func(c *checks) { c.free("odd", 0, 0) }, "", ""},
	} {
		c := &checks{}
		test.look(c)
		switch {
		case test.what == "" && len(c.found) > 0:
			t.Errorf("%s: %v", name, c.found)
		case test.what != "" && (len(c.found) != 1 || !strings.Contains(c.found[0].What, test.what) || !strings.Contains(c.found[0].Remedy, test.remedy)):
			t.Errorf("%s: %v", name, c.found)
		}
	}
}
