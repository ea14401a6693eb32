package e2e

import (
	"strings"
	"testing"
)

// TestDiary shows that the diary finds what it is there to find.
func TestDiary(t *testing.T) {
	run := func(n int, hook string) hookRun {
		return hookRun{n: n, hook: hook, relation: "-", remote: "-", heard: "0", ended: true}
	}
	cut := run(1, "config-changed")
	cut.ended = false
	for _, c := range []struct {
		name  string
		d     diary
		n     int
		kills int
		want  string
	}{
		{"good", diary{run(0, "install"), run(1, "config-changed"), run(2, "start")}, 3, 0, ""},
		{"a hook that was killed and ran again", diary{run(0, "install"), cut, run(1, "config-changed"), run(2, "start")}, 3, 1, ""},
		{"a hook that ran again without a kill", diary{run(0, "install"), run(1, "config-changed"), run(1, "config-changed")}, 2, 0, "ran again"},
		{"a lost effect", diary{run(0, "install"), run(1, "config-changed"), run(0, "start")}, 1, 9, "finds the number 0 after 1"},
		{"an effect without a run", diary{run(0, "install"), run(2, "start")}, 3, 0, "finds the number 2 after 0"},
		{"a last effect that is lost", diary{run(0, "install"), run(1, "start")}, 1, 0, "the tree says 1"},
		{"a hook committed twice", diary{run(0, "install"), run(1, "config-changed"), run(2, "config-changed")}, 3, 0, "config-changed - - 0 was committed 2 times"},
		{"a hook committed although it was killed", diary{run(0, "install"), cut, run(2, "start")}, 3, 1, "did not end"},
	} {
		got := strings.Join(c.d.check(c.n, c.kills), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
