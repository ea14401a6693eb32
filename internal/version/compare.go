package version

import (
	"cmp"
	"strconv"
	"strings"
)

// Compare is negative when version a is before b, positive when it is after, and zero when they are the same. Numbers between dots
// count; what follows a hyphen makes a version one before the release: 1.2.0-rc1 is before 1.2.0.
func Compare(a, b string) int {
	a, preA, isPreA := strings.Cut(a, "-")
	b, preB, isPreB := strings.Cut(b, "-")
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		if c := cmp.Compare(number(x, i), number(y, i)); c != 0 {
			return c
		}
	}
	if isPreA != isPreB {
		if isPreA {
			return -1
		}
		return 1
	}
	return cmp.Compare(preA, preB)
}

// number is the number at a place; what is none, or is not there, is zero.
func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}
