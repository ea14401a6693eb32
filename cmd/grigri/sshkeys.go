package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
)

func (c *cli) sshKeysCommands() []*cobra.Command {
	list := &cobra.Command{Use: "ssh-keys", Aliases: []string{"list-ssh-keys"}, Short: "List whose keys the machines of a model let in over ssh.", Args: argCount(0, 0, "")}
	modelFlag(list)
	full := list.Flags().Bool("full", false, "show the keys, not their fingerprints")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		keys, err := m.SSHKeys(cmd.Context())
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			c.infof("No keys to display.")
			return nil
		}
		fmt.Fprintf(c.out, "Keys used in model: %s\n", t.model)
		for _, k := range keys {
			line := k.Fingerprint
			if k.Comment != "" {
				line += " (" + k.Comment + ")"
			}
			if *full {
				line = k.Key
			}
			fmt.Fprintln(c.out, line)
		}
		return nil
	}
	add := &cobra.Command{Use: "add-ssh-key key...", Short: "Let somebody in over ssh on the machines of a model.", Args: argCount(1, -1, "no ssh key specified"),
		Long: "Let the owners of the keys log in over ssh on all machines of a model, those to come as well. A key is a line of a file such as ~/.ssh/id_ed25519.pub.\n" +
			"They log in as the user ubuntu, or as root where there is no such user; on a host that was added with ssh:user@host as that user."}
	remove := &cobra.Command{Use: "remove-ssh-key fingerprint|comment|key...", Short: "Let somebody in no longer over ssh on the machines of a model.", Args: argCount(1, -1, "no ssh key specified")}
	c.changeKeys(add, func(args []string) userapi.ChangeSSHKeys { return userapi.ChangeSSHKeys{Add: args} })
	c.changeKeys(remove, func(args []string) userapi.ChangeSSHKeys { return userapi.ChangeSSHKeys{Remove: args} })
	return []*cobra.Command{list, add, remove}
}

// changeKeys is what both commands do. What cannot be done with one key is told, and is no failure: so juju has it.
func (c *cli) changeKeys(cmd *cobra.Command, change func([]string) userapi.ChangeSSHKeys) {
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		problems, err := m.ChangeSSHKeys(cmd.Context(), change(args))
		for _, p := range problems {
			fmt.Fprintln(c.errw, p)
		}
		return err
	}
}
