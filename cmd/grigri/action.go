package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (c *cli) runCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "run unit... action [key[.key...]=value...]", Aliases: []string{"run-action"}, Short: "Run an action of a charm on units.",
		Args: argCount(1, -1, "no unit specified"),
		Long: "Run an action of a charm on units; app/leader means the unit that leads. The values of parameters are read as YAML; a parameter inside\n" +
			"another one is named with dots. What is given on the command line replaces what the file of --params says."}
	modelFlag(cmd)
	f := cmd.Flags()
	file := f.String("params", "", "a YAML file of parameters; - is stdin")
	asStrings := f.Bool("string-args", false, "take the values of parameters as they are")
	p := patienceFlags(cmd, "60s")
	beside := besideFlags(cmd, false)
	utc := f.Bool("utc", false, "show times in UTC")
	f.Bool("color", false, "accepted for compatibility")
	f.Bool("no-color", false, "accepted for compatibility")
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.check(); err != nil {
			return err
		}
		want, words, err := splitRun(args)
		if err != nil {
			return err
		}
		if want.Params, err = c.paramsFile(*file); err != nil {
			return err
		}
		want.Beside = beside()
		for _, w := range words {
			if err := setParam(want.Params, w, *asStrings); err != nil {
				return err
			}
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return c.runTasks(cmd.Context(), m, want, p, o, teller{c, c.clock(*utc), plainActions})
	}
	return cmd
}

// splitRun is the units, the action and the parameters of a command line.
func splitRun(args []string) (userapi.Enqueue, []string, error) {
	var want userapi.Enqueue
	for len(args) > 0 && isUnit(args[0]) {
		want.Units = append(want.Units, args[0])
		args = args[1:]
	}
	switch {
	case len(args) > 0 && !charm.ValidActionName(args[0]):
		return want, nil, usagef("invalid unit or action name %q", args[0])
	case len(want.Units) == 0:
		return want, nil, usagef("no unit specified")
	case len(args) == 0:
		return want, nil, usagef("no action specified")
	}
	want.Action = args[0]
	return want, args[1:], nil
}

func isUnit(text string) bool {
	if app, ok := strings.CutSuffix(text, "/leader"); ok {
		return charm.ValidApplicationName(app)
	}
	u, err := state.ParseUnit(text)
	return err == nil && charm.ValidApplicationName(string(u.Application()))
}

// paramsFile is the parameters in the file; without a name there are none.
func (c *cli) paramsFile(name string) (map[string]any, error) {
	var data []byte
	var err error
	switch name {
	case "":
	case "-":
		data, err = io.ReadAll(c.in)
	default:
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the parameters: %w", err)
	}
	params, err := charm.ParseParams(name, data)
	if params == nil {
		params = map[string]any{}
	}
	return params, err
}

// setParam sets one parameter from a word key.key=value, in the place of what was there.
func setParam(params map[string]any, word string, asString bool) error {
	path, text, ok := strings.Cut(word, "=")
	keys := strings.Split(path, ".")
	if !ok || slices.Contains(keys, "") {
		return usagef("argument %q must be of the form key.key.key...=value", word)
	}
	var value any = text
	if !asString {
		var err error
		if value, err = charm.ParseParam(path, text); err != nil {
			return usagef("read the value of parameter %w; with --string-args it is taken as it is", err)
		}
	}
	last := len(keys) - 1
	for _, key := range keys[:last] {
		below, ok := params[key].(map[string]any)
		if !ok {
			below = map[string]any{}
			params[key] = below
		}
		params = below
	}
	params[keys[last]] = value
	return nil
}

func (c *cli) actionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "actions application", Aliases: []string{"list-actions"}, Short: "List the actions that an application's charm has.",
		Args: argCount(1, 1, "no application name specified")}
	modelFlag(cmd)
	schema := cmd.Flags().Bool("schema", false, "show the JSON schema of each action's parameters")
	o := c.outputFlags(cmd, "default", "tabular", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *schema && o.format == "tabular" {
			return usagef("full schema not compatible with tabular output")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		all, err := m.Actions(cmd.Context(), state.ApplicationName(args[0]))
		if err != nil {
			return err
		}
		if *schema {
			if o.format == "default" {
				o.format = "yaml"
			}
			schemas := map[string]any{}
			for name, a := range all {
				schemas[name] = a.Schema
			}
			return o.write(schemas, nil)
		}
		if len(all) == 0 && o.format != "json" && o.format != "yaml" {
			fmt.Fprintf(c.errw, "No actions defined for %s.\n", args[0])
			return nil
		}
		shown := map[string]string{}
		rows := [][]string{{"Action", "Description"}}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			shown[name] = all[name].Description
			first, _, _ := strings.Cut(strings.TrimSpace(all[name].Description), "\n")
			rows = append(rows, []string{name, first})
		}
		return o.write(shown, func(w io.Writer) error { writeTable(w, rows); return nil })
	}
	return cmd
}

func (c *cli) showActionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-action application action", Short: "Show what an action does and the parameters that it takes.",
		Args: argCount(2, 2, "an application and an action are needed")}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		all, err := m.Actions(cmd.Context(), state.ApplicationName(args[0]))
		if err != nil {
			return err
		}
		a, ok := all[args[1]]
		if !ok {
			return fmt.Errorf("unknown action %q: %s has %s", args[1], args[0], strings.Join(slices.Sorted(maps.Keys(all)), ", "))
		}
		fmt.Fprintln(c.out, strings.TrimSpace(a.Description))
		properties, _ := a.Schema["properties"].(map[string]any)
		if len(properties) == 0 {
			return nil
		}
		fmt.Fprint(c.out, "\nArguments\n")
		return writeYAML(c.out, properties)
	}
	return cmd
}
