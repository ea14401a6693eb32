package main

import (
	"github.com/spf13/cobra"

	"github.com/grigri/grigri/state"
)

func (c *cli) retryCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "retry-provisioning machine...", Short: "Ask again, without waiting, for machines that the cloud has refused.", Args: argCount(0, -1, "")}
	modelFlag(cmd)
	all := cmd.Flags().Bool("all", false, "every machine that the cloud has refused")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && !*all {
			return usagef("no machine specified")
		}
		if len(args) > 0 && *all {
			return usagef("specify machines or --all but not both")
		}
		var ids []state.MachineID
		for _, a := range args {
			id, err := state.ParseMachine(a)
			if err != nil {
				return usageError{err}
			}
			ids = append(ids, id)
		}
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		again, err := m.RetryProvisioning(cmd.Context(), *all, ids...)
		if err != nil {
			return t.explain(err)
		}
		for _, id := range again {
			c.infof("machine %s is asked for again", id)
		}
		return nil
	}
	return cmd
}
