package serve_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/hooks/serve"
)

var update = flag.Bool("update", false, "write the generated page instead of comparing it")

// docs/reference/hook-tools.md is what the tools say of themselves.
func TestReference(t *testing.T) {
	w := newWorld(t)
	var b strings.Builder
	b.WriteString(`# Hook tools

Generated from the tools by ` + "`make docs`" + `. They are in the PATH of every hook and action. Options and arguments come in any order, and ` + "`--`" + `
ends the options: text that begins with a dash comes after it. The exit status is 0 for success, 1 for a failure and 2 for a
fault in the command line; errors go to standard error, which is empty otherwise.

What a hook sets takes effect when it has succeeded, all at once, and not at all when it fails. Only ` + "`status-set`, `leader-set`," + `
` + "`application-version-set`, `juju-log` and `action-log`" + ` work at once. What a hook has set it reads back before anyone else does;
what others set while it runs it does not see.

| limit | bytes |
| --- | --- |
| settings of one unit or application in one relation, and the leader's settings, as JSON | 409600 |
| a key and a value of ` + "`state-set`" + ` | 256 and 65536 |
| all that one unit keeps with ` + "`state-set`" + `, as JSON | 409600 |
| results of one action, as JSON | 65536 |
| all that one hook sets, as JSON | 819200 |

What does not fit is refused when it is set, and what was set before stays.
`)
	names := serve.Names()
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s```\n", name, w.must(t, name, "--help"))
	}
	const page = "../../docs/reference/hook-tools.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(page); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the tools say (%v): run make docs", page, err)
	}
}
