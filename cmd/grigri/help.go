package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/version"
)

func (c *cli) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version.", Args: argCount(0, 0, "")}
	o := c.outputFlags(cmd, "smart", "json", "yaml")
	all := cmd.Flags().Bool("all", false, "print all there is to know of the build")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !*all {
			return o.write(versionString(), func(w io.Writer) error {
				_, err := fmt.Fprintln(w, versionString())
				return err
			})
		}
		v := map[string]string{"version": versionString(), "compiler": "gc", "git-commit": "grigri-" + version.Grigri, "grade": "stable"}
		return o.write(v, func(w io.Writer) error { return writeYAML(w, v) })
	}
	return cmd
}

// versionString is the version in juju's form: 3.6.28-debian-amd64.
func versionString() string { return version.Juju + "-" + "debian-" + runtime.GOARCH }

func (c *cli) printVersion(*cobra.Command) error {
	_, err := fmt.Fprintln(c.out, versionString())
	return err
}

func (c *cli) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [command | commands]", Short: "Explain a command, or list them all.", Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return root.Help()
			case args[0] == "commands":
				return listCommands(c.out, root)
			}
			for _, cmd := range root.Commands() {
				if cmd.Name() == args[0] || cmd.HasAlias(args[0]) {
					return cmd.Help()
				}
			}
			return fmt.Errorf("unknown command or topic for %s; see \"%s help commands\"", args[0], c.name)
		}}
}

func listCommands(w io.Writer, root *cobra.Command) error {
	var rows [][]string
	for _, cmd := range root.Commands() {
		if !cmd.Hidden && cmd.Name() != "no-help" {
			rows = append(rows, []string{cmd.Name(), cmd.Short})
		}
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	writeTable(w, rows)
	return nil
}

func (c *cli) completionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "completion bash|zsh|fish", Short: "Print the completion script for a shell.", Args: argCount(1, 1, "name the shell: bash, zsh or fish"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(c.out, true)
			case "zsh":
				return root.GenZshCompletion(c.out)
			case "fish":
				return root.GenFishCompletion(c.out, true)
			}
			return usagef("no completion for %q: use bash, zsh or fish", args[0])
		}}
}
