package userapi

import (
	"strings"
	"testing"
)

func TestCheckUpgrade(t *testing.T) {
	have := Build{Release: "0.2.0", Format: 1, Arch: "amd64", Program: "a"}
	for name, test := range map[string]struct {
		change    func(*Build)
		downgrade bool
		same      bool
		want      string
	}{
		"the same":              {func(*Build) {}, false, true, ""},
		"another build":         {func(b *Build) { b.Program = "b" }, false, false, ""},
		"a later one":           {func(b *Build) { b.Program, b.Release = "b", "0.3.0" }, false, false, ""},
		"an earlier one":        {func(b *Build) { b.Program, b.Release = "b", "0.1.0" }, false, false, "is older: give --downgrade"},
		"one that is meant":     {func(b *Build) { b.Program, b.Release = "b", "0.1.0" }, true, false, ""},
		"another tree":          {func(b *Build) { b.Program, b.Format = "b", 2 }, true, false, "format 1, and version 0.2.0 knows format 2"},
		"for another processor": {func(b *Build) { b.Program, b.Arch = "b", "arm64" }, true, false, "its machine is amd64 and the programs are for arm64"},
	} {
		to := have
		test.change(&to)
		same, err := CheckUpgrade(have, to, test.downgrade)
		if same != test.same || test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, %v", name, same, err)
		}
	}
}
