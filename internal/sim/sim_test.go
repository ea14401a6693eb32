package sim

import (
	"flag"
	"slices"
	"testing"
)

var (
	seedFlag = flag.Uint64("sim.seed", 0, "live this seed alone, and show all that happens")
	seeds    = flag.Int("sim.seeds", 25, "how many seeds to live")
	acts     = flag.Int("sim.acts", 600, "how much happens in each")
)

// TestSeeds: no seed finds anything wrong. One that does is lived again with -sim.seed=N -v.
func TestSeeds(t *testing.T) {
	if *seedFlag != 0 {
		s, err := Run(*seedFlag, *acts)
		for _, line := range s.Trace() {
			t.Log(line)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	all := map[string]int{}
	for seed := range uint64(*seeds) {
		s, err := Run(seed+1, *acts)
		if err != nil {
			t.Error(err)
			if t.Failed() {
				return
			}
		}
		for what, n := range s.Seen {
			all[what] += n
		}
	}
	t.Log(all)
}

// TestReplay: a seed is one life and no other.
func TestReplay(t *testing.T) {
	for seed := range uint64(3) {
		first, _ := Run(seed+1, *acts)
		for range 2 {
			again, _ := Run(seed+1, *acts)
			if i := differs(first.Trace(), again.Trace()); i >= 0 {
				t.Fatalf("seed %d goes another way after %q: %v %v", seed+1, first.Trace()[max(0, i-1)], first.Trace()[i:min(i+3, len(first.Trace()))], again.Trace()[i:min(i+3, len(again.Trace()))])
			}
		}
	}
}

func differs(a, b []string) int {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	if slices.Equal(a, b) {
		return -1
	}
	return len(a)
}
