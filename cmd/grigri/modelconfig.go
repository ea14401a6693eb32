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
		want, err := c.asked(args, *reset, *file)
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		if want.changes {
			warnings, err := m.SetConfig(cmd.Context(), want.settings)
			c.warn(warnings)
			return err
		}
		config, err := m.Config(cmd.Context())
		if err != nil {
			return err
		}
		if want.key != "" {
			s, ok := config[want.key]
			if !ok {
				return fmt.Errorf("%q is not a key of the currently targeted model", want.key)
			}
			config = map[string]userapi.ModelSetting{want.key: s}
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
			if want.key != "" {
				_, err := fmt.Fprintln(w, config[want.key].Value)
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

// An asking is what a user wants of settings: to see all of them or the one of key, or to change some.
type asking struct {
	key      string
	changes  bool
	settings userapi.Settings
}

// asked reads the words of a command that shows and changes settings: KEY or KEY=VALUE, and what the flags --reset and --file say.
func (c *cli) asked(args []string, reset, file string) (asking, error) {
	var keys, words []string
	for _, a := range args {
		if strings.Contains(a, "=") {
			words = append(words, a)
		} else {
			keys = append(keys, a)
		}
	}
	want := asking{changes: len(words) > 0 || reset != "" || file != ""}
	switch {
	case len(keys) > 0 && want.changes:
		return want, usagef("cannot show a setting and change settings at once")
	case len(keys) > 1:
		return want, usagef("can only show one setting, or all")
	case len(keys) == 1:
		want.key = keys[0]
	}
	set, err := c.settings(words, file, "")
	want.settings = userapi.Settings{Set: set, Reset: splitCommas(reset)}
	return want, err
}

func (c *cli) warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(c.errw, "WARNING %s\n", w)
	}
}
