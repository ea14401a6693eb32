package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
)

// A controllerInfo is a controller as "controllers" prints it.
type controllerInfo struct {
	CurrentModel string   `json:"current-model,omitempty"`
	User         string   `json:"user,omitempty"`
	Access       string   `json:"access,omitempty"`
	Server       string   `json:"recent-server,omitempty"`
	UUID         string   `json:"uuid"`
	Endpoints    []string `json:"api-endpoints"`
	CA           string   `json:"ca-cert"`
	Cloud        string   `json:"cloud"`
	Region       string   `json:"region,omitempty"`
	Version      string   `json:"agent-version,omitempty"`
	Models       *int     `json:"model-count,omitempty"`
	Machines     *int     `json:"machine-count,omitempty"`
	HA           *haInfo  `json:"controller-machines,omitempty"`
}

type haInfo struct {
	Active int `json:"Active"`
	Total  int `json:"Total"`
}

type controllersInfo struct {
	Controllers map[string]controllerInfo `json:"controllers"`
	Current     string                    `json:"current-controller"`
}

func (c *cli) controllersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "controllers", Aliases: []string{"list-controllers"}, Short: "List the controllers known here.", Args: argCount(0, 0, "")}
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	refresh := cmd.Flags().Bool("refresh", false, "ask each controller for its numbers")
	cmd.Flags().Bool("managed", false, "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := c.openStore()
		if err != nil {
			return err
		}
		b, err := s.read()
		if err != nil {
			return err
		}
		info := controllersInfo{Controllers: map[string]controllerInfo{}, Current: b.controllers.Current}
		for name, e := range b.controllers.Controllers {
			ci := controllerInfo{CurrentModel: b.modelsOf(name).Current, User: b.accounts.Controllers[name].User,
				Access: b.accounts.Controllers[name].Access, UUID: e.UUID, Endpoints: e.Endpoints, CA: e.CA, Cloud: e.Cloud,
				Region: e.Region, Version: e.AgentVersion}
			if len(e.Endpoints) > 0 {
				ci.Server = e.Endpoints[0]
			}
			if *refresh {
				if err := c.refreshController(cmd.Context(), name, &ci); err != nil {
					fmt.Fprintf(c.errw, "WARNING ask controller %s: %v\n", name, err)
				}
			}
			info.Controllers[name] = ci
		}
		if len(info.Controllers) == 0 && o.format == "tabular" {
			fmt.Fprintf(c.errw, "No controllers registered.\n\nCreate one with \"%s bootstrap\".\n", c.name)
			return nil
		}
		return o.write(info, func(w io.Writer) error { return controllersTable(w, info, *refresh) })
	}
	return cmd
}

func (c *cli) refreshController(ctx context.Context, name string, ci *controllerInfo) error {
	t, err := c.openTarget(name)
	if err != nil {
		return err
	}
	cl, err := c.dial(t)
	if err != nil {
		return err
	}
	got, err := cl.Controller(ctx)
	if err != nil {
		return err
	}
	ci.Models, ci.Machines, ci.Version = &got.Models, &got.Machines, got.Version
	ci.HA = &haInfo{Active: 1, Total: 1}
	return nil
}

func controllersTable(w io.Writer, info controllersInfo, refreshed bool) error {
	if !refreshed {
		fmt.Fprint(w, "Use --refresh option with this command to see the latest information.\n\n")
	}
	rows := [][]string{{"Controller", "Model", "User", "Access", "Cloud/Region", "Models", "Nodes", "HA", "Version"}}
	for _, name := range slices.Sorted(maps.Keys(info.Controllers)) {
		ci := info.Controllers[name]
		if name == info.Current {
			name += "*"
		}
		ha := "none"
		if ci.HA != nil && ci.HA.Total > 1 {
			ha = fmt.Sprintf("%d/%d", ci.HA.Active, ci.HA.Total)
		}
		rows = append(rows, []string{name, dash(shortName(ci.CurrentModel)), ci.User, ci.Access, cloudRegion(ci.Cloud, ci.Region), number(ci.Models), number(ci.Machines), ha, ci.Version})
	}
	writeTable(w, rows, 5, 6)
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func number(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

func cloudRegion(cloud, region string) string {
	if region == "" {
		return cloud
	}
	return cloud + "/" + region
}

func (c *cli) showControllerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-controller [name]", Short: "Show a controller.", Args: argCount(0, 1, "")}
	o := c.outputFlags(cmd, "yaml", "json")
	password := cmd.Flags().Bool("show-password", false, "show the password too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := c.openTarget(strings.Join(args, ""))
		if err != nil {
			return err
		}
		account := map[string]string{"user": t.account.User, "access": t.account.Access}
		if *password {
			account["password"] = t.account.Password
		}
		details := map[string]any{"uuid": t.entry.UUID, "api-endpoints": t.entry.Endpoints, "cloud": t.entry.Cloud,
			"agent-version": t.entry.AgentVersion, "ca-cert": t.entry.CA}
		info := map[string]any{"details": details, "account": account}
		b, err := t.store.read()
		if err != nil {
			return err
		}
		if current := b.modelsOf(t.controller).Current; current != "" {
			info["current-model"] = current
		}
		if err := c.addModels(cmd.Context(), t, info); err != nil {
			info["errors"] = []string{err.Error()}
		}
		return o.write(map[string]any{t.controller: info}, nil)
	}
	return cmd
}

func (c *cli) addModels(ctx context.Context, t target, info map[string]any) error {
	cl, err := c.dial(t)
	if err != nil {
		return err
	}
	models, err := cl.Models(ctx)
	if err != nil {
		return err
	}
	shown := map[string]any{}
	for _, m := range models {
		shown[m.Owner+"/"+m.Name] = map[string]any{"uuid": m.UUID, "machine-count": len(m.MachineCores), "unit-count": m.Units}
	}
	info["models"] = shown
	return nil
}

func (c *cli) whoamiCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "whoami", Short: "Print the controller, the model and the user in focus.", Args: argCount(0, 0, "")}
	controllerFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t, err := c.controllerTarget(cmd)
		if err != nil {
			return err
		}
		b, err := t.store.read()
		if err != nil {
			return err
		}
		info := struct {
			Controller string `json:"controller"`
			Model      string `json:"model,omitempty"`
			User       string `json:"user"`
		}{t.controller, shortName(b.modelsOf(t.controller).Current), t.account.User}
		return o.write(info, func(w io.Writer) error {
			writeTable(w, [][]string{{"Controller:", info.Controller}, {"Model:", dash(info.Model)}, {"User:", info.User}})
			return nil
		})
	}
	return cmd
}

func (c *cli) switchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "switch [controller | model | controller:model | -]", Short: "Choose the controller and the model that commands are for.", Args: argCount(0, 1, "")}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := c.openStore()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			b, err := s.read()
			if err != nil {
				return err
			}
			if b.controllers.Current == "" {
				return fmt.Errorf(noCurrent, c.name)
			}
			_, err = fmt.Fprintln(c.out, b.focus())
			return err
		}
		for _, name := range []string{"MODEL", "CONTROLLER"} {
			if v := c.env(name); v != "" {
				return fmt.Errorf("cannot switch while the environment chooses: the %s variable is %q; unset it first", strings.ToLower(name), v)
			}
		}
		var from, to string
		known := c.learnModels(cmd.Context(), args[0])
		err = s.update(func(b *book) error {
			from = b.focus()
			if err := b.switchTo(args[0]); err != nil {
				return err
			}
			to = b.focus()
			return nil
		})
		if err != nil {
			return errors.Join(err, known)
		}
		if from == to {
			c.infof("%s (no change)", to)
		} else {
			c.infof("%s -> %s", from, to)
		}
		return nil
	}
	return cmd
}

// focus is the controller and model in focus, as switch prints it.
func (b *book) focus() string {
	if b.controllers.Current == "" {
		return ""
	}
	if m := b.modelsOf(b.controllers.Current).Current; m != "" {
		return b.controllers.Current + ":" + m
	}
	return b.controllers.Current + " (controller)"
}

func (b *book) switchTo(name string) error {
	notFound := fmt.Errorf("%q is not the name of a model or controller", name)
	controller, model, colon := strings.Cut(name, ":")
	switch {
	case name == "-":
		m := b.modelsOf(b.controllers.Current)
		switch {
		case b.controllers.Previous != "":
			controller, model = b.controllers.Previous, ""
		case m.Previous != "":
			controller, model = b.controllers.Current, m.Previous
		default:
			return errors.New("there is nothing to switch back to")
		}
	case !colon && b.controllers.Controllers[name] != nil:
		model = ""
	case !colon:
		controller, model = b.controllers.Current, name
	case controller == "":
		controller = b.controllers.Current
	}
	if b.controllers.Controllers[controller] == nil {
		return notFound
	}
	models := b.modelsOf(controller)
	if model != "" {
		if !strings.Contains(model, "/") {
			model = b.accounts.Controllers[controller].User + "/" + model
		}
		if _, ok := models.Models[model]; !ok {
			return notFound
		}
		if models.Current != model {
			models.Previous, models.Current = models.Current, model
			b.controllers.Previous = ""
		}
	}
	if b.controllers.Current != controller {
		b.controllers.Previous, b.controllers.Current = b.controllers.Current, controller
	}
	return nil
}

// learnModels asks the controller that name is about for its models, when the name is not known here.
func (c *cli) learnModels(ctx context.Context, name string) error {
	controller, _, colon := strings.Cut(name, ":")
	if !colon {
		controller = ""
	}
	t, err := c.openTarget(controller)
	if err != nil {
		return nil // switchTo says what is wrong
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = c.listModels(ctx, t)
	return err
}

// listModels asks for the models of a controller and remembers their names.
func (c *cli) listModels(ctx context.Context, t target) ([]userapi.Model, error) {
	cl, err := c.dial(t)
	if err != nil {
		return nil, err
	}
	models, err := cl.Models(ctx)
	if err != nil {
		return nil, err
	}
	return models, t.store.update(func(b *book) error {
		e := b.modelsOf(t.controller)
		e.Models = map[string]modelEntry{}
		for _, m := range models {
			e.Models[m.Owner+"/"+m.Name] = modelEntry{UUID: string(m.UUID), Type: "iaas"}
		}
		if _, ok := e.Models[e.Current]; !ok {
			e.Current = ""
		}
		return nil
	})
}
