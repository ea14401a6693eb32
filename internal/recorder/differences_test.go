package recorder

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What a reader is told when a recording is another one: which unit, at which step, in which invocation, and what of it.
func TestDifferencesAreReadable(t *testing.T) {
	data, err := os.ReadFile("testdata/golden/life-classic.txt")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if got := differences(text, text); len(got) > 0 {
		t.Errorf("the same is different: %q", got)
	}
	replaced := func(old, new string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("the recording has no %q", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	one := sections(text)
	i := slices.IndexFunc(one, func(s string) bool { return strings.HasSuffix(strings.SplitN(s, "\n", 2)[0], ", leader-elected") })
	elected, _, _ := strings.Cut(one[i], "\n")
	title := func(hook string) string { return strings.TrimSuffix(elected, "leader-elected") + hook }
	for about, c := range map[string]struct{ got, want string }{
		"a variable is gone":     {replaced(" env JUJU_MACHINE_ID => 0\n", ""), title("install") + ":\n\twant  env JUJU_MACHINE_ID => 0"},
		"a key has another name": {replaced(`"ingress-address":`, `"ingress-adress":`), `"ingress-adress":`},
		"another hook runs":      {replaced("=== leader-elected\n", "=== config-changed\n"), title("config-changed") + ":\n\twant " + elected + "\n\tgot  " + title("config-changed")},
	} {
		got := differences(text, c.got)
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s: it says\n%s\nwant\n%s", about, strings.Join(got, "\n"), c.want)
		}
	}
}
