package main

import (
	"context"
	"encoding/json"
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

func (c *cli) scpCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "scp [-- scp options] <source>... <destination>", Short: "Copy files to and from where units are.",
		Args: argCount(2, -1, "at least two arguments required"),
		Long: `Copy files between this host and the machines of units. A place there is [user@]unit|machine:path; a path that is not absolute
begins where "ssh" does. Options of scp, such as -r, stand after "--".`}
	cmd.Flags().SetInterspersed(false)
	unchecked := shellFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if args[0] == "--" {
			args = args[1:]
		}
		n := optionsEnd(args, "cDFiJloPSX")
		options, files := args[:n], args[n:]
		if len(files) < 2 {
			return usagef("at least two arguments required")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		places := map[string]reached{}
		for i, file := range files {
			if files[i], err = c.placeFile(cmd, m, file, *unchecked, places); err != nil {
				return err
			}
		}
		return c.copyFiles(cmd.Context(), options, files, places)
	}
	return cmd
}

// A reached is where scp gets to through this program.
type reached struct {
	userapi.Shell
	Unchecked bool `json:"unchecked"`
}

// placeFile makes of [user@]unit|machine:path what scp can name, and notes how to get there. A file here stays as it is.
func (c *cli) placeFile(cmd *cobra.Command, m client.Model, file string, unchecked bool, places map[string]reached) (string, error) {
	target, path, ok := strings.Cut(file, ":")
	if !ok {
		return file, nil
	}
	user, name, err := targetOf(target)
	if err != nil {
		return "", err
	}
	if _, err := state.ParseMachine(name); err != nil && !isUnit(name) {
		if strings.Contains(target, "/") {
			return file, nil
		}
		return "", usagef("%q is neither a unit nor a machine; a file here with a colon in its name is ./%s", name, file)
	}
	shell, err := c.shellOf(cmd, m, name, unchecked)
	if err != nil {
		return "", err
	}
	host := strings.ReplaceAll(name, "/", "-")
	places[host] = reached{Shell: shell, Unchecked: unchecked}
	if user != "" {
		host = user + "@" + host
	}
	return host + ":" + path, nil
}

// carry is the variable of the environment that makes this program the one by which scp gets to a machine.
const carry = "GRIGRI_SCP_SHELLS"

// copyFiles runs scp, which gets to each of the places through this program: not all of them are reached with ssh.
func (c *cli) copyFiles(ctx context.Context, options, files []string, places map[string]reached) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, with which scp gets to a machine: %w", err)
	}
	known, err := json.Marshal(places)
	if err != nil {
		return err
	}
	argv := []string{"-S", self}
	for _, p := range places {
		if !p.SSH || len(p.Inside) > 0 { // there may be no sshd
			argv = append(argv, "-O")
			break
		}
	}
	cmd := exec.CommandContext(ctx, "scp", slices.Concat(argv, options, []string{"--"}, files)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.errw
	cmd.Env = append(os.Environ(), carry+"="+string(known))
	return ended(cmd.Run(), "run scp (Debian: apt install openssh-client)")
}

// carryFor is this program as scp calls it: [ssh options] -- place command.
func (c *cli) carryFor(ctx context.Context, known string, args []string) error {
	var places map[string]reached
	if err := json.Unmarshal([]byte(known), &places); err != nil {
		return fmt.Errorf("read %s, which is for scp alone: %w", carry, err)
	}
	options, rest := commandOf(args)
	if len(rest) < 2 {
		return usagef("%s is set, which makes this program a part of scp: unset it", carry)
	}
	p, ok := places[rest[0]]
	if !ok {
		return fmt.Errorf("%s is no place of the files to copy", rest[0])
	}
	os.Unsetenv(carry)
	return c.openShell(ctx, shellOn{Shell: p.Shell, name: rest[0], options: options, unchecked: p.Unchecked}, rest[1:], false)
}
