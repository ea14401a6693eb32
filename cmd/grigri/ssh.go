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

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (c *cli) sshCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ssh [user@]unit|machine [ssh options] [command...]", Short: "Open a shell, or run a command, where a unit is.",
		Args: argCount(1, -1, "no target name specified"),
		Long: "Open a shell on the machine of a unit, or run a command there. What follows the target is the command, with options of ssh before it.\n" +
			"Over ssh the machine must have one of the host keys that its agent has told the controller, or by which its host was known when it was added."}
	cmd.Flags().SetInterspersed(false)
	unchecked := shellFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		user, name, err := targetOf(args[0])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		shell, err := c.shellOf(cmd, m, name, *unchecked)
		if err != nil {
			return err
		}
		options, words := commandOf(args[1:])
		return c.openShell(cmd.Context(), shellOn{Shell: shell, name: name, user: user, options: options, unchecked: *unchecked}, words, len(words) == 0)
	}
	return cmd
}

// shellFlags adds the flags of what goes to a machine.
func shellFlags(cmd *cobra.Command) (unchecked *bool) {
	modelFlag(cmd)
	cmd.Flags().Bool("proxy", false, "accepted for compatibility")
	cmd.Flags().Bool("pty", false, "accepted for compatibility")
	cmd.Flags().String("container", "", "accepted for compatibility")
	return cmd.Flags().Bool("no-host-key-checks", false, "take any key of the host's")
}

// targetOf reads [user@]unit or [user@]machine.
func targetOf(text string) (user, name string, err error) {
	user, name, ok := strings.Cut(text, "@")
	if !ok {
		return "", text, nil
	}
	if user == "" || strings.HasPrefix(user, "-") {
		return "", "", usagef("%q is not a target: expected [user@]unit or [user@]machine", text)
	}
	return user, name, nil
}

// commandOf parts the options of ssh from the command that follows them, as ssh does.
func commandOf(words []string) (options, command []string) {
	n := optionsEnd(words, "BbcDEeFIiJLlmOoPpQRSWw")
	if n < len(words) && words[n] == "--" {
		return words[:n], words[n+1:]
	}
	return words[:n], words[n:]
}

// optionsEnd is where options end, some of which, of one letter each, have a value.
func optionsEnd(words []string, valued string) int {
	for i := 0; i < len(words); i++ {
		if len(words[i]) < 2 || words[i][0] != '-' || words[i] == "--" {
			return i
		}
		if strings.IndexAny(words[i], valued) == len(words[i])-1 { // its value is the next word
			i++
		}
	}
	return len(words)
}

// shellOf is how to reach a unit or a machine, once it is known by which keys, unless any will do.
func (c *cli) shellOf(cmd *cobra.Command, m client.Model, name string, unchecked bool) (userapi.Shell, error) {
	ask := func(ctx context.Context) (userapi.Shell, error) { return m.UnitShell(ctx, name) }
	if id, err := state.ParseMachine(name); err == nil {
		ask = func(ctx context.Context) (userapi.Shell, error) { return m.MachineShell(ctx, id) }
	}
	if unchecked {
		return ask(cmd.Context())
	}
	return c.known(cmd.Context(), ask)
}

// A shellOn is a shell that is to be opened.
type shellOn struct {
	userapi.Shell
	name      string   // of what the user has asked for
	user      string   // as whom, where ssh goes there
	options   []string // the user's own, for ssh
	unchecked bool     // whatever key the host has
}

func (c *cli) openShell(ctx context.Context, shell shellOn, words []string, interactive bool) error {
	argv := shell.Command
	if len(shell.Inside) > 0 {
		words = []string{insideCommand(shell.Shell, words)}
	}
	if shell.SSH {
		r, err := routeTo(shell.name, shell.user, shell.Shell)
		if err != nil {
			return err
		}
		options := anyKey()
		if !shell.unchecked {
			var forget func()
			if options, forget, err = trusting(r); err != nil {
				return err
			}
			defer forget()
		}
		argv = slices.Concat([]string{"ssh"}, options, shell.options)
		if len(words) > 0 && interactive { // without words ssh does so by itself
			argv = append(argv, "-t")
		}
		argv = append(append(argv, r.words()...), words...)
	} else if len(words) > 0 {
		argv = append(slices.Clone(argv), "-c", strings.Join(words, " "))
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = c.in, c.out, c.errw, shell.Dir
	cmd.Env = append(os.Environ(), shell.Env...)
	return ended(cmd.Run(), "open a shell for "+shell.name)
}

// ended passes on the status that a program has ended with.
func ended(err error, doing string) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exitError{exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
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
