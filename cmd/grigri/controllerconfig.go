package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (c *cli) controllerConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "controller-config [key | key=value...]", Short: "Show or change the settings of a controller.", Args: cobra.ArbitraryArgs,
		Long: "Show the settings of a controller, or one of them; or change some: key=value. model-logs-size, how much of each model's log is kept, such as\n64M, can be changed at any time, and bootstrap takes it too. The others are what they are from the making of the controller on."}
	controllerFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	file := cmd.Flags().String("file", "", "a YAML file of settings; - for stdin")
	cmd.Flags().Bool("ignore-read-only-fields", false, "accepted for compatibility")
	colourFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		want, err := c.asked(args, "", *file)
		if err != nil {
			return err
		}
		t, err := c.controllerTarget(cmd)
		if err != nil {
			return err
		}
		cl, err := c.dial(t)
		if err != nil {
			return err
		}
		if want.changes {
			return cl.SetControllerConfig(cmd.Context(), want.settings.Set)
		}
		config, err := cl.ControllerConfig(cmd.Context())
		if err != nil {
			return err
		}
		if want.key != "" {
			v, ok := config[want.key]
			if !ok {
				return fmt.Errorf("key %q not found in controller %q", want.key, t.controller)
			}
			return o.write(v, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, v)
				return err
			})
		}
		return o.write(config, func(w io.Writer) error {
			rows := [][]string{{"Attribute", "Value"}}
			for _, key := range slices.Sorted(maps.Keys(config)) {
				for line := range strings.SplitSeq(strings.TrimSpace(fmt.Sprint(config[key])), "\n") { // the certificate has many
					rows = append(rows, []string{key, line})
					key = ""
				}
			}
			writeTable(w, rows)
			return nil
		})
	}
	return cmd
}
