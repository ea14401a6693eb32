package version

import "testing"

func TestCompare(t *testing.T) {
	ordered := []string{"0.1.0-rc1", "0.1.0-rc2", "0.1.0", "0.1.1", "0.2.0", "0.10.0", "1.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	if Compare("1.2", "1.2.0") != 0 {
		t.Error("1.2 is not 1.2.0")
	}
}
