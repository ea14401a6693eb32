package main

import (
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
	cmd := &cobra.Command{Use: "exec --unit unit command...", Short: "Run a command on units, as their hooks run, or on machines.", Args: argCount(1, -1, "no commands specified"),
		Long: "Run a command on units, with the context that their hooks have, or on machines without any unit. One word is shell text;\n" +
			"several words are one command. What a unit's command asks for with hook tools takes effect whatever its exit status is."}
	modelFlag(cmd)
	f := cmd.Flags()
	units := f.StringSliceP("unit", "u", nil, "the units")
	apps := f.StringSliceP("application", "a", nil, "the applications, whose every unit is meant")
	f.StringSliceVar(apps, "app", nil, "the same as --application")
	machines := f.StringSlice("machine", nil, "the machines")
	all := f.Bool("all", false, "every machine of the model")
	p := patienceFlags(cmd, "5m")
	beside := besideFlags(cmd, true)
	utc := f.Bool("utc", false, "show times in UTC")
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.check(); err != nil {
			return err
		}
		if len(*units)+len(*apps)+len(*machines) == 0 && !*all {
			return usagef("You must specify a target, either through --all, --machine, --application or --unit")
		}
		if *all && len(*units)+len(*apps)+len(*machines) > 0 {
			return usagef("You cannot specify --all and individual machines, applications or units")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		want := userapi.Enqueue{Action: state.ExecAction, Params: map[string]any{"command": commandText(args)}, Units: *units, Apps: *apps, Machines: *machines, All: *all, Beside: beside()}
		return c.runTasks(cmd.Context(), m, want, p, o, teller{c, c.clock(*utc), plainCommands})
	}
	return cmd
}

// besideFlags adds the flags that say what a task may run beside; always says whether --parallel counts when it is not given.
func besideFlags(cmd *cobra.Command, always bool) func() state.Beside {
	f := cmd.Flags()
	parallel := f.Bool("parallel", always, "run beside hooks, without the lock of the machine")
	group := f.String("execution-group", "", "run beside hooks, but one after the other with what is in the same group")
	return func() state.Beside {
		b := state.Beside{Group: *group}
		if always || f.Changed("parallel") {
			b.Parallel = parallel
		}
		return b
	}
}
