package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/grigri/grigri/internal/userapi"
)

func (c *cli) debugHooksCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "debug-hooks unit [hook|action...]", Aliases: []string{"debug-hook"}, Short: "Run hooks and actions of a unit by hand.",
		Long: "Open a tmux on the machine of a unit, in which each hook or action that is named, or every one, opens a window with a shell in its\n" +
			"place: with its environment and its tools. Leaving the shell ends it, with the shell's exit status. Leaving tmux ends the session."}
	return c.debugCommand(cmd, func() string { return "" })
}

func (c *cli) debugCodeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "debug-code unit [hook|action...]", Short: "Run hooks and actions of a unit at a terminal, with breakpoints.",
		Long: "Open a tmux on the machine of a unit, in which each hook or action that is named, or every one, runs in a window of its own. The charm\n" +
			"is told in JUJU_DEBUG_AT where it may stop for a debugger. Leaving tmux ends the session."}
	at := cmd.Flags().String("at", "all", "where the charm may stop, with commas between")
	return c.debugCommand(cmd, func() string { return cmp.Or(*at, "all") })
}

func (c *cli) debugCommand(cmd *cobra.Command, at func() string) *cobra.Command {
	cmd.Args = argCount(1, -1, "no unit name specified")
	cmd.Flags().SetInterspersed(false)
	modelFlag(cmd)
	unchecked := cmd.Flags().Bool("no-host-key-checks", false, "take any key of the host's")
	cmd.Flags().Bool("proxy", false, "accepted for compatibility")
	cmd.Flags().Bool("pty", false, "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !isUnit(args[0]) {
			return usagef("%q is not a valid unit name", args[0])
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		unit, err := m.UnitDebug(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if err := knownNames(unit, args[1:]); err != nil {
			return err
		}
		if in, ok := c.in.(*os.File); !ok || !term.IsTerminal(int(in.Fd())) {
			return fmt.Errorf("debug %s: this is no terminal, and that is where its hooks would run", unit.Unit)
		}
		if !*unchecked {
			if unit.Shell, err = c.shellOf(cmd, m, args[0], false); err != nil {
				return err
			}
		}
		return c.openShell(cmd.Context(), shellOn{Shell: unit.Shell, name: args[0], unchecked: *unchecked}, []string{debugWords(unit, at(), args[1:])}, true)
	}
	return cmd
}

// knownNames refuses what is no hook and no action of the unit.
func knownNames(unit userapi.Debug, names []string) error {
	for _, name := range names {
		if name != "*" && !slices.Contains(unit.Hooks, name) && !slices.Contains(unit.Actions, name) {
			valid := slices.Sorted(slices.Values(append(slices.Clone(unit.Hooks), unit.Actions...)))
			return fmt.Errorf("unit %q contains neither hook nor action %q, valid names are [%s]", unit.Unit, name, strings.Join(slices.Compact(valid), " "))
		}
	}
	return nil
}

// debugWords is the command on the unit's machine. The shell of a machine of this host says where that keeps its programs.
func debugWords(unit userapi.Debug, at string, names []string) string {
	words := []string{"--unit", string(unit.Unit)}
	if at != "" {
		words = append(words, "--at", at)
	}
	words = append(append(words, "--"), names...)
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return fmt.Sprintf(`sudo=; [ "$(id -u)" = 0 ] || sudo=sudo; exec $sudo env TERM=%s "${GRIGRI_DATA_DIR:-/var/lib/juju}"/tools/%s/grigri-agent debug %s`,
		shellWord(cmp.Or(os.Getenv("TERM"), "xterm")), unit.Machine.Tag(), strings.Join(words, " "))
}
