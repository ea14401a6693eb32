package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// shellQuote is the word so that a shell takes it for itself.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// commandText is the words as shell text: one word is text already, several are quoted and joined.
func commandText(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellQuote(w)
	}
	return strings.Join(quoted, " ")
}

func (c *cli) execCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "exec --unit unit command...", Short: "Run a command in the context of units' hooks.", Args: argCount(1, -1, "no commands specified")}
	modelFlag(cmd)
	f := cmd.Flags()
	units := f.StringSliceP("unit", "u", nil, "the units")
	apps := f.StringSliceP("application", "a", nil, "the applications, whose every unit is meant")
	f.StringSliceVar(apps, "app", nil, "the same as --application")
	machines := f.StringSlice("machine", nil, "the machines")
	all := f.Bool("all", false, "every unit of the model")
	p := patienceFlags(cmd, "5m")
	f.Bool("parallel", true, "accepted for compatibility")
	f.String("execution-group", "", "accepted for compatibility")
	utc := f.Bool("utc", false, "show times in UTC")
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.check(); err != nil {
			return err
		}
		if len(*units)+len(*apps)+len(*machines) == 0 && !*all {
			return usagef("You must specify a target, either through --all, --machine, --application or --unit")
		}
		if len(*machines) > 0 {
			return fmt.Errorf("cannot run commands on machines without a unit's context: use \"%s ssh %s\"", c.name, (*machines)[0])
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		want := userapi.Enqueue{Action: state.ExecAction, Params: map[string]any{"command": commandText(args)}, Units: *units, Apps: *apps, All: *all}
		return c.runTasks(cmd.Context(), m, want, p, o, teller{c, c.clock(*utc), plainCommands})
	}
	return cmd
}
