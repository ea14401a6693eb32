package recorder

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the recordings to testdata/golden instead of comparing them")

// golden is everything that the units of one scenario were given, one after the other. Of an invocation it has what differs from the
// unit's invocation before it, a line for each; what is gone begins with "-". So nothing is left out, and what each event changes can
// be read.
func golden(steps []step, recordings map[string][]invocation) string {
	var b strings.Builder
	for _, unit := range slices.Sorted(maps.Keys(recordings)) {
		fmt.Fprintf(&b, "##### %s\n", unit)
		var before invocation
		at := -1
		for _, v := range recordings[unit] {
			if v.step != at {
				at = v.step
				fmt.Fprintf(&b, "\n## %s\n", strings.Join(steps[at].do, " "))
			}
			fmt.Fprintf(&b, "\n=== %s\n", v.name)
			for _, key := range before.keys {
				if _, still := v.facts[key]; !still {
					fmt.Fprintf(&b, "-%s\n", key)
				}
			}
			for _, key := range v.keys {
				if was, known := before.facts[key]; !known || was != v.facts[key] {
					fmt.Fprintf(&b, " %s%s\n", key, indented(v.facts[key]))
				}
			}
			before = v
		}
		b.WriteString("\n")
	}
	return b.String()
}

// indented is a value behind its key: on the same line, if it is one.
func indented(value string) string {
	lines := strings.Split(strings.TrimSuffix(value, "\n"), "\n")
	if len(lines) == 1 {
		return " => " + lines[0]
	}
	return " =>\n    " + strings.Join(lines, "\n    ")
}

// compare holds what was recorded to what is kept of it.
func compare(t *testing.T, scenario, form, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", scenario+"-"+form+".txt")
	if *update {
		write(t, filepath.Dir(path), filepath.Base(path), []byte(got), 0o644)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: go test ./internal/recorder -update writes it", err)
	}
	for _, d := range differences(string(want), got) {
		t.Errorf("%s: %s", path, d)
	}
}

// differences is where two goldens differ: by unit and invocation, at most three, each with its lines of either that the other has not.
func differences(want, got string) []string {
	a, b := sections(want), sections(got)
	var out []string
	for i := range max(len(a), len(b)) {
		var was, is string
		if i < len(a) {
			was = a[i]
		}
		if i < len(b) {
			is = b[i]
		}
		if was == is {
			continue
		}
		if len(out) == 3 {
			return append(out, "and more")
		}
		title, _, _ := strings.Cut(is, "\n")
		if is == "" {
			title, _, _ = strings.Cut(was, "\n")
		}
		text := title + ":"
		for line := range strings.SplitSeq(was, "\n") {
			if !slices.Contains(strings.Split(is, "\n"), line) {
				text += "\n\twant " + line
			}
		}
		for line := range strings.SplitSeq(is, "\n") {
			if !slices.Contains(strings.Split(was, "\n"), line) {
				text += "\n\tgot  " + line
			}
		}
		out = append(out, text)
	}
	return out
}

// sections is the invocations of a golden, each with its unit and its step.
func sections(text string) []string {
	var out []string
	unit, step := "", ""
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, "##### "):
			unit = line[6:]
		case strings.HasPrefix(line, "## "):
			step = line[3:]
		case strings.HasPrefix(line, "=== "):
			out = append(out, unit+", "+step+", "+line[4:])
		case len(out) > 0 && line != "":
			out[len(out)-1] += "\n" + line
		}
	}
	return out
}
