package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the generated pages instead of comparing them")

const referencePage = "../../docs/reference/commands.md"

// The page of all commands is made from the commands themselves: make docs writes it.
func TestReferenceIsUpToDate(t *testing.T) {
	want := reference((&cli{name: "grigri"}).root())
	if *update {
		if err := os.WriteFile(referencePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the commands say: run make docs", referencePage)
	}
}

func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the commands by `make docs`. Every command also takes `-h`, `--quiet`, `--verbose` and `--debug`.\n")
	b.WriteString("Data goes to stdout, everything else to stderr. The exit status is 0 for success, 1 for a failure, 2 for a fault in the command line.\n")
	cmds := slices.Clone(root.Commands())
	slices.SortFunc(cmds, func(x, y *cobra.Command) int { return strings.Compare(x.Name(), y.Name()) })
	for _, cmd := range cmds {
		if cmd.Hidden {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n    %s %s\n\n%s", cmd.Name(), root.Name(), cmd.Use, cmd.Short)
		if cmd.Long != "" {
			fmt.Fprintf(&b, " %s", strings.ReplaceAll(cmd.Long, "\n", " "))
		}
		b.WriteString("\n")
		if len(cmd.Aliases) > 0 {
			fmt.Fprintf(&b, "\nAlso called `%s`.\n", strings.Join(cmd.Aliases, "`, `"))
		}
		rows := ""
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			name := "`--" + f.Name + "`"
			if f.Shorthand != "" {
				name = "`-" + f.Shorthand + "`, " + name
			}
			value := ""
			if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" && d != "0s" {
				value = "`" + d + "`"
			}
			rows += fmt.Sprintf("| %s | %s | %s |\n", name, strings.ReplaceAll(f.Usage, "|", "\\|"), value)
		})
		if rows != "" {
			b.WriteString("\n| flag | meaning | default |\n| --- | --- | --- |\n" + rows)
		}
	}
	return b.String()
}

// The tutorial's and the README's commands are commands that exist, with flags that exist.
func TestDocumentedCommandsExist(t *testing.T) {
	line := regexp.MustCompile(`(?m)^    grigri ([a-z-]+)(.*)$`)
	pages := []string{"../../README.md"}
	for _, dir := range []string{"tutorial", "howto", "explanation"} {
		entries, err := os.ReadDir("../../docs/" + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			pages = append(pages, "../../docs/"+dir+"/"+e.Name())
		}
	}
	found := 0
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(data), -1) {
			found++
			root := (&cli{name: "grigri"}).root()
			cmd, _, err := root.Find([]string{m[1]})
			if err != nil || cmd == root {
				t.Errorf("%s: there is no command %s", page, m[1])
				continue
			}
			words, _, _ := strings.Cut(m[2], " -- ")
			words, _, _ = strings.Cut(words, " #")
			for _, w := range strings.Fields(words) {
				name, _, _ := strings.Cut(strings.TrimPrefix(w, "--"), "=")
				if strings.HasPrefix(w, "--") && cmd.Flags().Lookup(name) == nil {
					t.Errorf("%s: %s has no flag %s", page, m[1], w)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d commands were found in the documents: is the pattern right?", found)
	}
}
