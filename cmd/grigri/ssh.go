package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (c *cli) sshCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ssh [user@]unit|machine [command...]", Short: "Open a shell, or run a command, where a unit is.",
		Args: argCount(1, -1, "no target name specified"),
		Long: "Open a shell on the machine of a unit, or run a command there. What follows the target is the command."}
	cmd.Flags().SetInterspersed(false)
	modelFlag(cmd)
	cmd.Flags().Bool("no-host-key-checks", false, "do not check the host's key")
	cmd.Flags().Bool("proxy", false, "accepted for compatibility")
	cmd.Flags().Bool("pty", false, "accepted for compatibility")
	cmd.Flags().String("container", "", "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if _, after, ok := strings.Cut(name, "@"); ok {
			name = after
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		var shell userapi.Shell
		if id, machine := state.ParseMachine(name); machine == nil {
			shell, err = m.MachineShell(cmd.Context(), id)
		} else {
			shell, err = m.UnitShell(cmd.Context(), name)
		}
		if err != nil {
			return err
		}
		words := args[1:]
		if len(words) > 0 && words[0] == "--" {
			words = words[1:]
		}
		return c.openShell(cmd.Context(), name, shell, words, len(words) == 0)
	}
	return cmd
}

func (c *cli) openShell(ctx context.Context, name string, shell userapi.Shell, words []string, interactive bool) error {
	argv := shell.Command
	if len(shell.Inside) > 0 {
		words = []string{insideCommand(shell, words)}
	}
	if shell.SSH {
		if len(shell.Addresses) == 0 {
			return fmt.Errorf("%s has no address yet", name)
		}
		address := shell.Addresses[0]
		if t, err := sshhost.ParseTarget(address); err == nil && t.Port != 0 {
			address = "ssh://" + address
		}
		argv = []string{"ssh", address}
		if len(words) > 0 && interactive { // without words ssh does so by itself
			argv = []string{"ssh", "-t", address}
		}
		argv = append(argv, words...)
	} else if len(words) > 0 {
		argv = append(slices.Clone(argv), "-c", strings.Join(words, " "))
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = c.in, c.out, c.errw, shell.Dir
	cmd.Env = append(os.Environ(), shell.Env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exitError{exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("open a shell for %s on this host: %w", name, err)
	}
	return nil
}

// insideCommand is what is run on the host of a container to run the words in it, or a shell.
func insideCommand(shell userapi.Shell, words []string) string {
	argv := slices.Clone(shell.Inside)
	if len(words) > 0 {
		argv = append(argv, "-c", strings.Join(words, " "))
	}
	for i, a := range argv {
		argv[i] = shellWord(a)
	}
	return `sudo=; [ "$(id -u)" = 0 ] || sudo=sudo; exec $sudo ` + strings.Join(argv, " ")
}

// shellWord is the text as one word of a shell.
func shellWord(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
