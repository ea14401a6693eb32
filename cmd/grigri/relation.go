package main

import (
	"regexp"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
)

func (c *cli) integrateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "integrate application[:endpoint] application[:endpoint]", Aliases: []string{"relate", "add-relation"},
		Short: "Relate two applications.", Args: twoEndpoints}
	modelFlag(cmd)
	via := cmd.Flags().String("via", "", "the networks, as CIDRs, that the relation's traffic comes from: what each side finds in the other's egress-subnets")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("via") && len(splitCommas(*via)) == 0 {
			return usagef("--via needs networks such as 10.0.0.0/8,192.0.2.7/32")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		_, err = m.Integrate(cmd.Context(), args[0], args[1], splitCommas(*via)...)
		return err
	}
	return cmd
}

func twoEndpoints(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("a relation must involve two applications")
	}
	return nil
}

var digits = regexp.MustCompile(`^[0-9]+$`)

func (c *cli) removeRelationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-relation application[:endpoint] application[:endpoint] | id", Aliases: []string{"destroy-relation"}, Short: "Remove a relation."}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && digits.MatchString(args[0]) {
			return nil
		}
		return twoEndpoints(cmd, args)
	}
	modelFlag(cmd)
	force := cmd.Flags().Bool("force", false, "run no hooks and wait for nobody")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		which := args[0]
		if len(args) == 2 {
			which += " " + args[1]
		}
		_, err = m.RemoveRelation(cmd.Context(), which, client.Removal{Force: *force})
		return err
	}
	return cmd
}
