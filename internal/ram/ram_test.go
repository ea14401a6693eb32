package ram

import "testing"

func TestTheMemoryOfAContainerIsItsLimit(t *testing.T) {
	const host = 8 << 30
	for _, c := range []struct {
		limits []string
		want   int
	}{
		{nil, 8192},
		{[]string{"max\n"}, 8192},
		{[]string{"9223372036854771712\n"}, 8192}, // no limit, in the first version
		{[]string{"536870912\n"}, 512},
		{[]string{"max\n", "1073741824\n"}, 1024},
		{[]string{"", "0\n", "what"}, 8192},
	} {
		if got := least(host, c.limits); got != c.want {
			t.Errorf("with the limits %q: %d MiB, want %d", c.limits, got, c.want)
		}
	}
}
