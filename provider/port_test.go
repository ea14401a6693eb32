package provider

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]PortRange{
		"80": {TCP, 80, 80}, "80/tcp": {TCP, 80, 80}, "80/TCP": {TCP, 80, 80}, "8000-8010/UDP": {UDP, 8000, 8010}, "0": {TCP, 0, 0},
		"0-65535": {TCP, 0, 65535}, "5-5": {TCP, 5, 5}, "icmp": {ICMP, -1, -1}, "ICMP": {ICMP, -1, -1}, "icmp/x": {ICMP, -1, -1},
	} {
		if got, err := ParsePort(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                       "no port or range specified",
		"/tcp":                   "no port or range specified",
		"80/sctp":                `invalid protocol "sctp", expected "tcp", "udp", or "icmp"`,
		"80/":                    `invalid protocol "", expected "tcp", "udp", or "icmp"`,
		"80/tcp/x":               `invalid protocol "tcp/x", expected "tcp", "udp", or "icmp"`,
		"1-2-3":                  `invalid port range "1-2-3"`,
		"x":                      `invalid port "x": expected a number`,
		"8o/tcp":                 `invalid port "8o": expected a number`,
		"+80":                    `invalid port "+80": expected a number`,
		" 80":                    `invalid port " 80": expected a number`,
		"80-":                    `invalid port "": expected a number`,
		"-1":                     `invalid port "": expected a number`,
		"65536":                  "port range bounds must be between 0 and 65535, got 65536-65536",
		"80-70000/udp":           "port range bounds must be between 0 and 65535, got 80-70000",
		"90-80":                  `invalid port range "90-80": it ends before it begins`,
		"80/icmp":                `invalid port range "80/icmp": icmp has no ports`,
		"99999999999999999999/x": `invalid protocol "x", expected "tcp", "udp", or "icmp"`,
		"99999999999999999999":   `invalid port "99999999999999999999": expected a number from 0 to 65535`,
	} {
		if got, err := ParsePort(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
}

func ranges(t interface{ Fatal(...any) }, texts string) []PortRange {
	var out []PortRange
	for _, text := range strings.Fields(texts) {
		r, err := ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestOverlaps(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"80", "80", true}, {"80", "81", false}, {"80", "80/udp", false}, {"80-90", "90-100", true}, {"80-90", "91", false},
		{"80-90", "85", true}, {"icmp", "icmp", true}, {"icmp", "0-65535", false},
	} {
		a, b := ranges(t, test.a)[0], ranges(t, test.b)[0]
		if a.Overlaps(b) != test.want || b.Overlaps(a) != test.want {
			t.Errorf("%s and %s: not %v", a, b, test.want)
		}
	}
}

func TestSortAndGroupPorts(t *testing.T) {
	given := ranges(t, "icmp 443 53/udp 1555-1557 80 80 100")
	before := slices.Clone(given)
	if got := GroupPorts(given); got != "80,100,443,1555-1557/tcp 53/udp icmp" {
		t.Errorf("got %s", got)
	}
	if !slices.Equal(given, before) {
		t.Error("the argument was changed")
	}
	SortPorts(given)
	if !slices.Equal(given, ranges(t, "80 80 100 443 1555-1557 53/udp icmp")) {
		t.Errorf("got %v", given)
	}
	for text, want := range map[string]string{"": "", "icmp": "icmp", "icmp icmp": "icmp", "1/udp 2/udp": "1,2/udp", "80-81 80": "80,80-81/tcp"} {
		if got := GroupPorts(ranges(t, text)); got != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestPortText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, maxPort).Draw(t, "from")
		r := PortRange{rapid.SampledFrom([]string{TCP, UDP}).Draw(t, "protocol"), from, rapid.IntRange(from, maxPort).Draw(t, "to")}
		if got, err := ParsePort(r.String()); err != nil || got != r {
			t.Fatalf("%s: got %v, %v", r, got, err)
		}
	})
}

func FuzzParsePort(f *testing.F) {
	for _, text := range []string{"80", "80-81/udp", "icmp", "1-2-3", "/", "65536"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParsePort(text)
		if err != nil {
			return
		}
		if again, err := ParsePort(r.String()); err != nil || again != r {
			t.Errorf("%q is %v, which is %v, %v", text, r, again, err)
		}
	})
}
