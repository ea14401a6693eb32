package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config application [key | key=value...]", Aliases: []string{"get", "set", "get-config", "set-config"},
		Short: "Show or change the settings of an application.", Args: argCount(1, -1, "no application name specified"),
		Long: "Show all settings of an application, or one; or change some: key=value, or key=@file for the content of a file."}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	reset := cmd.Flags().String("reset", "", "the settings to put back to their defaults, separated by commas")
	file := cmd.Flags().String("file", "", "a YAML file of settings; - for stdin")
	colourFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		application, words := args[0], args[1:]
		reads := 0
		for _, w := range words {
			if !strings.Contains(w, "=") {
				reads++
			}
		}
		changes := reads < len(words) || *reset != "" || *file != ""
		if reads > 0 && changes {
			return usagef("cannot show a setting and change settings at once")
		}
		if reads > 1 {
			return usagef("can only show one setting, or all")
		}
		set, err := c.settings(words[:len(words)-reads], *file, application)
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		if changes {
			return m.SetApplicationConfig(cmd.Context(), state.ApplicationName(application), userapi.Settings{Set: set, Reset: splitCommas(*reset)})
		}
		config, err := m.ApplicationConfig(cmd.Context(), state.ApplicationName(application))
		if err != nil {
			return err
		}
		if reads == 0 {
			return o.write(config, nil)
		}
		option, ok := config.Settings[words[0]]
		if !ok {
			if option, ok = config.Generic[words[0]]; !ok {
				return fmt.Errorf("key %q not found in %q application config or charm settings", words[0], application)
			}
		}
		if option.Value == nil {
			_, err = fmt.Fprintln(c.out)
		} else {
			_, err = fmt.Fprintln(c.out, option.Value)
		}
		return err
	}
	return cmd
}

// settings are those of words such as key=value, and before them those of the file, if there is one.
func (c *cli) settings(words []string, file, application string) (map[string]string, error) {
	set, err := splitPairs(words)
	if err != nil || file == "" {
		return set, err
	}
	fromFile, err := c.readSettingsFile(file, application)
	if err != nil {
		return nil, err
	}
	maps.Copy(fromFile, set)
	return fromFile, nil
}

func (c *cli) readSettingsFile(name, application string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if name == "-" {
		data, err = io.ReadAll(c.in)
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return settingsFile(data, name, application)
}

// colourFlags adds the flags that choose whether the output has colours.
func colourFlags(cmd *cobra.Command) {
	cmd.Flags().Bool("color", false, "use colours even if stdout is no terminal")
	cmd.Flags().Bool("no-color", false, "use no colours")
	exclusive(cmd, "color", "no-color")
}

func (c *cli) exposeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "expose application", Short: "Open the ports of an application to the world.", Args: argCount(1, 1, "no application name specified")}
	modelFlag(cmd)
	endpoints := cmd.Flags().String("endpoints", "", "only the ports that were opened for these endpoints")
	cidrs := cmd.Flags().String("to-cidrs", "", "only to these networks")
	spaces := cmd.Flags().String("to-spaces", "", "only to these spaces")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, s := range splitCommas(*spaces) {
			if s != "alpha" {
				return fmt.Errorf("space %q not found: there is only the space alpha", s)
			}
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.Expose(cmd.Context(), state.ApplicationName(args[0]), userapi.Expose{Endpoints: splitCommas(*endpoints), CIDRs: splitCommas(*cidrs)})
	}
	return cmd
}

func (c *cli) unexposeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "unexpose application", Short: "Close the ports of an application to the world.", Args: argCount(1, 1, "no application name specified")}
	modelFlag(cmd)
	endpoints := cmd.Flags().String("endpoints", "", "only for these endpoints")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.Unexpose(cmd.Context(), state.ApplicationName(args[0]), splitCommas(*endpoints)...)
	}
	return cmd
}

func (c *cli) showApplicationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-application application...", Short: "Show applications.", Args: argCount(1, -1, "an application name must be supplied")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		type shown struct {
			Charm       string                           `json:"charm"`
			Base        string                           `json:"base,omitempty"`
			Constraints provider.Constraints             `json:"constraints"`
			Principal   bool                             `json:"principal"`
			Exposed     bool                             `json:"exposed"`
			Exposure    map[string]state.ExposedEndpoint `json:"exposed-endpoints,omitempty"`
			Remote      bool                             `json:"remote"`
			Life        string                           `json:"life"`
			Bindings    map[string]string                `json:"endpoint-bindings,omitempty"`
		}
		out := map[string]shown{}
		for _, name := range args {
			a, err := m.Application(cmd.Context(), state.ApplicationName(name))
			if err != nil {
				return err
			}
			out[name] = shown{Charm: a.Charm.Name, Base: a.Base.String(), Constraints: a.Constraints, Principal: a.Principal,
				Exposed: a.Exposed, Exposure: a.Endpoints, Life: a.Life, Bindings: a.Bindings}
		}
		return o.write(out, nil)
	}
	return cmd
}

func (c *cli) trustCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "trust application", Short: "Give an application the cloud's credentials.", Args: argCount(1, 1, "no application name specified")}
	modelFlag(cmd)
	remove := cmd.Flags().Bool("remove", false, "take them away again")
	cmd.Flags().String("scope", "", "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.Trust(cmd.Context(), state.ApplicationName(args[0]), !*remove)
	}
	return cmd
}

// constraintsCommands are the four that show and set constraints.
func (c *cli) constraintsCommands() []*cobra.Command {
	get := &cobra.Command{Use: "constraints application", Aliases: []string{"get-constraints"}, Short: "Show what machines of an application must have.", Args: argCount(1, 1, "no application name specified")}
	getModel := &cobra.Command{Use: "model-constraints", Aliases: []string{"get-model-constraints"}, Short: "Show what machines of a model must have.", Args: argCount(0, 0, "")}
	for _, cmd := range []*cobra.Command{get, getModel} {
		modelFlag(cmd)
		o := c.outputFlags(cmd, "constraints", "json", "yaml")
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			_, m, err := c.model(cmd)
			if err != nil {
				return err
			}
			var found provider.Constraints
			if len(args) == 1 {
				found, err = m.ApplicationConstraints(cmd.Context(), state.ApplicationName(args[0]))
			} else {
				found, err = m.Constraints(cmd.Context())
			}
			if err != nil {
				return err
			}
			return o.write(found, func(w io.Writer) error {
				if s := found.String(); s != "" {
					fmt.Fprintln(w, s)
				}
				return nil
			})
		}
	}
	set := &cobra.Command{Use: "set-constraints application key=value...", Short: "Set what machines of an application must have.", Args: argCount(1, -1, "no application name specified")}
	setModel := &cobra.Command{Use: "set-model-constraints key=value...", Short: "Set what machines of a model must have.", Args: cobra.ArbitraryArgs}
	modelFlag(set)
	modelFlag(setModel)
	set.RunE = func(cmd *cobra.Command, args []string) error {
		wanted, err := constraintsOf(args[1:])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.SetApplicationConstraints(cmd.Context(), state.ApplicationName(args[0]), wanted)
	}
	setModel.RunE = func(cmd *cobra.Command, args []string) error {
		wanted, err := constraintsOf(args)
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.SetConstraints(cmd.Context(), wanted)
	}
	return []*cobra.Command{get, set, getModel, setModel}
}

func constraintsOf(words []string) (provider.Constraints, error) {
	found, err := provider.ParseConstraints(strings.Join(words, " "))
	if err != nil {
		return found, usageError{err}
	}
	return found, nil
}

// endingFlags are the flags of all commands that remove or destroy.
type endingFlags struct{ noPrompt, force, noWait, destroyStorage bool }

// add adds them to cmd; storage says what becomes of that with --destroy-storage.
func (f *endingFlags) add(cmd *cobra.Command, storage string) {
	cmd.Flags().BoolVar(&f.noPrompt, "no-prompt", false, "do not ask")
	cmd.Flags().BoolVar(&f.force, "force", false, "run no hooks and wait for nobody")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "with --force: accepted for compatibility")
	cmd.Flags().BoolVar(&f.destroyStorage, "destroy-storage", false, storage)
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	_ = cmd.Flags().MarkHidden("yes")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		f.noPrompt = f.noPrompt || *yes
		if f.noWait && !f.force {
			return usagef("--no-wait without --force not valid")
		}
		return nil
	}
}

// removalFlags are the flags of commands that remove things.
type removalFlags struct {
	endingFlags
	dryRun bool
}

func addRemovalFlags(cmd *cobra.Command) *removalFlags {
	f := &removalFlags{}
	f.add(cmd, "remove attached storage as well")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be removed")
	return f
}

// remove says what each removal would do, asks, and does them. One that fails keeps none of the others.
func (c *cli) remove(cmd *cobra.Command, m client.Model, f *removalFlags, what string, names []string, one func(name string, r client.Removal) ([]string, error)) error {
	failed := false
	var good []string
	for _, name := range names {
		effects, err := one(name, client.Removal{DryRun: true, Force: f.force, Destroy: f.destroyStorage})
		if err != nil {
			fmt.Fprintf(c.errw, "ERROR removing %s %s failed: %v\n", what, name, err)
			failed = true
			continue
		}
		good = append(good, name)
		for _, line := range effects {
			fmt.Fprintln(c.out, line)
		}
	}
	if f.dryRun || len(good) == 0 {
		return failedError(failed)
	}
	ask, err := c.mustAsk(cmd, m, f)
	if err != nil {
		return err
	}
	if ask && !c.confirm() {
		return fmt.Errorf("%s removal: aborted", what)
	}
	for _, name := range good {
		if _, err := one(name, client.Removal{Force: f.force, Destroy: f.destroyStorage}); err != nil {
			fmt.Fprintf(c.errw, "ERROR removing %s %s failed: %v\n", what, name, err)
			failed = true
		}
	}
	return failedError(failed)
}

func failedError(failed bool) error {
	if failed {
		return exitError{1}
	}
	return nil
}

// mustAsk says whether the model wants the user to confirm removals.
func (c *cli) mustAsk(cmd *cobra.Command, m client.Model, f *removalFlags) (bool, error) {
	if f.noPrompt {
		return false, nil
	}
	config, err := m.Config(cmd.Context())
	if err != nil {
		return false, err
	}
	mode := fmt.Sprint(config["mode"].Value)
	return slices.Contains(splitCommas(mode), "requires-prompts"), nil
}

// confirm asks the user to go on.
func (c *cli) confirm() bool {
	fmt.Fprint(c.errw, "\nContinue [y/N]? ")
	var answer string
	_, _ = fmt.Fscanln(c.in, &answer) // the end of input is a no
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes")
}

func (c *cli) removeApplicationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-application application...", Aliases: []string{"destroy-application", "destroy-service", "remove-service"},
		Short: "Remove applications with their units and relations.", Args: argCount(1, -1, "no application specified")}
	modelFlag(cmd)
	f := addRemovalFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return c.remove(cmd, m, f, "application", args, func(name string, r client.Removal) ([]string, error) {
			return m.RemoveApplication(cmd.Context(), state.ApplicationName(name), r)
		})
	}
	return cmd
}
