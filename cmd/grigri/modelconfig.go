package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
)

func (c *cli) modelConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "model-config [key | key=value...]", Aliases: []string{"get-model-config", "set-model-config"}, Short: "Show or change the settings of a model.", Args: cobra.ArbitraryArgs}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	reset := cmd.Flags().String("reset", "", "the settings to put back to their defaults, separated by commas")
	file := cmd.Flags().String("file", "", "a YAML file of settings; - for stdin")
	cmd.Flags().Bool("ignore-read-only-fields", false, "accepted for compatibility")
	colourFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var keys, words []string
		for _, a := range args {
			if strings.Contains(a, "=") {
				words = append(words, a)
			} else {
				keys = append(keys, a)
			}
		}
		changes := len(words) > 0 || *reset != "" || *file != ""
		if len(keys) > 0 && changes {
			return usagef("cannot show a setting and change settings at once")
		}
		if len(keys) > 1 {
			return usagef("can only show one setting, or all")
		}
		set, err := c.settings(words, *file, "")
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		if changes {
			warnings, err := m.SetConfig(cmd.Context(), userapi.Settings{Set: set, Reset: splitCommas(*reset)})
			for _, w := range warnings {
				fmt.Fprintf(c.errw, "WARNING %s\n", w)
			}
			return err
		}
		config, err := m.Config(cmd.Context())
		if err != nil {
			return err
		}
		if len(keys) == 1 {
			s, ok := config[keys[0]]
			if !ok {
				return fmt.Errorf("%q is not a key of the currently targeted model", keys[0])
			}
			config = map[string]userapi.ModelSetting{keys[0]: s}
		}
		var data any = config
		if o.format == "yaml" {
			lower := map[string]map[string]any{}
			for k, s := range config {
				lower[k] = map[string]any{"value": s.Value, "source": s.Source}
			}
			data = lower
		}
		return o.write(data, func(w io.Writer) error {
			if len(keys) == 1 {
				_, err := fmt.Fprintln(w, config[keys[0]].Value)
				return err
			}
			rows := [][]string{{"Attribute", "From", "Value"}}
			for _, k := range slices.Sorted(maps.Keys(config)) {
				rows = append(rows, []string{k, config[k].Source, fmt.Sprint(config[k].Value)})
			}
			writeTable(w, rows)
			return nil
		})
	}
	return cmd
}
