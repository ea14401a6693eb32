package serve

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// help is the tool's own help. Frameworks read it to learn what a tool can do: charmhelpers looks for --file, and ops for
// the value that an option has by itself, in parentheses after the option at the start of a line.
func (c *call) help() string {
	var b strings.Builder
	t := c.tool
	b.WriteString("Usage: " + t.name)
	if len(t.flags) > 0 {
		b.WriteString(" [options]")
	}
	if t.args != "" {
		b.WriteString(" " + t.args)
	}
	b.WriteString("\n\nSummary:\n" + t.summary + "\n")
	flags := slices.Clone(t.flags)
	slices.SortFunc(flags, func(a, b flag) int { return strings.Compare(a.names, b.names) })
	for i, f := range flags {
		if i == 0 {
			b.WriteString("\nOptions:\n")
		}
		fmt.Fprintf(&b, "%s  (= %s)\n    %s\n", f.shown(), c.preset(f), f.usage)
	}
	section(&b, "Details", t.details)
	section(&b, "Examples", t.examples)
	return b.String()
}

func section(b *strings.Builder, title, text string) {
	if text != "" {
		b.WriteString("\n" + title + ":\n" + strings.Trim(text, "\n") + "\n")
	}
}

// shown is all names of the option: "-r, --relation".
func (f flag) shown() string {
	var names []string
	for n := range strings.SplitSeq(f.names, ", ") {
		names = append(names, dashed(n))
	}
	slices.SortStableFunc(names, func(a, b string) int { return utf8.RuneCountInString(a) - utf8.RuneCountInString(b) })
	return strings.Join(names, ", ")
}

// preset is what the option is when it is not given.
func (c *call) preset(f flag) string {
	switch {
	case f.preset != nil:
		return f.preset(c.Session)
	case f.value == "":
		return "false"
	}
	return `""`
}
