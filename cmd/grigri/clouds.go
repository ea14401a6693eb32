package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
)

// A cloudInfo is a cloud as commands print it.
type cloudInfo struct {
	Defined     string            `json:"defined,omitempty"` // built-in or local: by the user
	Type        string            `json:"type"`
	Description string            `json:"description,omitempty"`
	AuthTypes   []string          `json:"auth-types,omitempty"`
	Endpoint    string            `json:"endpoint,omitempty"`
	Credentials int               `json:"credential-count,omitempty"`
	Regions     orderedRegions    `json:"regions,omitempty"`
	Config      map[string]string `json:"config,omitempty"`
	PluginHash  string            `json:"plugin-hash,omitempty"`
}

// orderedRegions prints regions in their order.
type orderedRegions []provider.Region

// MarshalJSON writes a map whose keys are the names.
func (l orderedRegions) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, r := range l {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(strconv.AppendQuote(out, r.Name), ':', '{')
		if r.Endpoint != "" {
			out = strconv.AppendQuote(append(out, `"endpoint":`...), r.Endpoint)
		}
		out = append(out, '}')
	}
	return append(out, '}'), nil
}

func cloudInfoOf(c provider.Cloud, defined string) cloudInfo {
	return cloudInfo{Defined: defined, Type: c.Type, Description: c.Description, AuthTypes: c.AuthTypes, Endpoint: c.Endpoint,
		Regions: orderedRegions(c.Regions), Config: c.Config, PluginHash: c.PluginHash}
}

// A side is where a command of clouds and credentials looks or writes: on the client, on a controller, or both.
type side struct {
	client     bool
	controller string // empty: none
}

func sideFlags(cmd *cobra.Command) {
	cmd.Flags().Bool("client", false, "what this client knows")
	cmd.Flags().StringP("controller", "c", "", "what this controller knows")
}

// readSide is the sides that the flags name: without flags the client, and the current controller if there is one.
func (c *cli) readSide(cmd *cobra.Command) (side, error) {
	client, _ := cmd.Flags().GetBool("client")
	controller, _ := cmd.Flags().GetString("controller")
	if client || controller != "" {
		return side{client, controller}, nil
	}
	b, err := c.book()
	return side{true, b.controllers.Current}, err
}

// writeSide is the sides that the flags name. Without flags the user is asked, unless there is no controller to ask about.
func (c *cli) writeSide(cmd *cobra.Command, what string) (side, error) {
	client, _ := cmd.Flags().GetBool("client")
	controller, _ := cmd.Flags().GetString("controller")
	if client || controller != "" {
		return side{client, controller}, nil
	}
	b, err := c.book()
	if err != nil || b.controllers.Current == "" {
		return side{client: true}, err
	}
	if !tty(c.in) {
		return side{}, fmt.Errorf("say where to %s: with --client, with --controller %s, or with both", what, b.controllers.Current)
	}
	a := c.asker()
	out := side{client: a.yes("Do you want to %s on this client", what)}
	if a.yes("Do you want to %s on controller %q", what, b.controllers.Current) {
		out.controller = b.controllers.Current
	}
	if !out.client && out.controller == "" {
		return out, fmt.Errorf("%s: nowhere was chosen", what)
	}
	return out, a.err
}

// book is the client's files.
func (c *cli) book() (book, error) {
	s, err := c.openStore()
	if err != nil {
		return book{}, err
	}
	return s.read()
}

// clientClouds is the clouds that this client knows, by name, and which of them the user has added.
func (b *book) clientClouds() (clouds map[string]provider.Cloud, own map[string]bool, err error) {
	clouds, own = map[string]provider.Cloud{}, map[string]bool{}
	for _, c := range all.BuiltIn() {
		clouds[c.Name] = c
	}
	for name, e := range b.clouds.Clouds {
		if clouds[name], err = e.cloud(name); err != nil {
			return nil, nil, fmt.Errorf("clouds.yaml: %w", err)
		}
		own[name] = true
	}
	return clouds, own, nil
}

// clientCloud is one of them.
func (b *book) clientCloud(name string) (provider.Cloud, error) {
	clouds, _, err := b.clientClouds()
	if err != nil {
		return provider.Cloud{}, err
	}
	cloud, ok := clouds[name]
	if !ok {
		return provider.Cloud{}, fmt.Errorf("unknown cloud %q: this client knows %s; \"add-cloud\" adds one", name, joined(slices.Sorted(maps.Keys(clouds))))
	}
	return cloud, nil
}

// controllerClouds is the clouds that the controller knows, by name.
func (c *cli) controllerClouds(ctx context.Context, controller string) (map[string]provider.Cloud, error) {
	t, err := c.openTarget(controller)
	if err != nil {
		return nil, err
	}
	cl, err := c.dial(t)
	if err != nil {
		return nil, err
	}
	list, err := cl.Clouds(ctx)
	out := map[string]provider.Cloud{}
	for _, cloud := range list {
		out[cloud.Name] = cloud
	}
	return out, err
}

func (c *cli) cloudsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "clouds", Aliases: []string{"list-clouds"}, Short: "List the clouds that this client and the controller know.", Args: argCount(0, 0, "")}
	sideFlags(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	cmd.Flags().Bool("all", false, "accepted for compatibility: all are listed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := c.readSide(cmd)
		if err != nil {
			return err
		}
		b, err := c.book()
		if err != nil {
			return err
		}
		info := map[string]cloudInfo{}
		var text []func(io.Writer)
		if s.controller != "" {
			clouds, err := c.controllerClouds(cmd.Context(), s.controller)
			if err != nil && cmd.Flags().Changed("controller") {
				return err
			}
			if err != nil {
				fmt.Fprintf(c.errw, "WARNING ask controller %s: %v\n", s.controller, err)
			} else {
				text = append(text, cloudsTable("Clouds available on the controller:", clouds, info, func(string) (string, int) { return "", 0 }))
			}
		}
		if s.client {
			clouds, own, err := b.clientClouds()
			if err != nil {
				return err
			}
			text = append(text, cloudsTable("Clouds available on the client:", clouds, info, func(name string) (string, int) {
				defined, n := "built-in", 0
				if own[name] {
					defined = "local"
				}
				if e := b.credentials.Credentials[name]; e != nil {
					n = len(e.Credentials)
				}
				return defined, n
			}))
		}
		return o.write(info, func(w io.Writer) error {
			for i, write := range text {
				if i > 0 {
					fmt.Fprintln(w)
				}
				write(w)
			}
			return nil
		})
	}
	return cmd
}

// cloudsTable puts the clouds into info and returns who writes them. About is how a cloud is defined, and how many credentials it has.
func cloudsTable(head string, clouds map[string]provider.Cloud, info map[string]cloudInfo, about func(name string) (string, int)) func(io.Writer) {
	rows := [][]string{{"Cloud", "Regions", "Default", "Type", "Credentials", "Source", "Description"}}
	for _, name := range slices.Sorted(maps.Keys(clouds)) {
		cloud := clouds[name]
		defined, n := about(name)
		i := cloudInfoOf(cloud, defined)
		i.Credentials = n
		info[name] = i
		first := ""
		if len(cloud.Regions) > 0 {
			first = cloud.Regions[0].Name
		}
		count := strconv.Itoa(n)
		if defined == "" {
			count, defined = "-", "controller"
		}
		rows = append(rows, []string{name, strconv.Itoa(len(cloud.Regions)), first, cloud.Type, count, defined, cloud.Description})
	}
	return func(w io.Writer) {
		fmt.Fprintln(w, head)
		writeTable(w, rows)
	}
}

func (c *cli) showCloudCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-cloud cloud", Short: "Show a cloud.", Args: argCount(1, 1, "no cloud specified")}
	sideFlags(cmd)
	o := c.outputFlags(cmd, "display", "json", "yaml")
	config := cmd.Flags().Bool("include-config", false, "also its configuration")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		found, err := c.findCloud(cmd, args[0])
		if err != nil {
			return err
		}
		out := map[string]cloudInfo{}
		for i := range found {
			if !*config {
				found[i].info.Config = nil
			}
			out[found[i].where] = found[i].info
		}
		var v any = out
		if len(found) == 1 {
			v = found[0].info
		}
		return o.write(v, func(w io.Writer) error {
			for i, f := range found {
				if i > 0 {
					fmt.Fprintln(w)
				}
				fmt.Fprintf(w, "%s:\n\n", f.head)
				if err := writeYAML(w, f.info); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// A foundCloud is a cloud as one side knows it.
type foundCloud struct {
	where, head string
	cloud       provider.Cloud
	info        cloudInfo
}

// findCloud is the cloud on the sides that the flags name.
func (c *cli) findCloud(cmd *cobra.Command, name string) ([]foundCloud, error) {
	s, err := c.readSide(cmd)
	if err != nil {
		return nil, err
	}
	b, err := c.book()
	if err != nil {
		return nil, err
	}
	var out []foundCloud
	if s.controller != "" {
		clouds, err := c.controllerClouds(cmd.Context(), s.controller)
		if err != nil && cmd.Flags().Changed("controller") {
			return nil, err
		}
		if cloud, ok := clouds[name]; ok {
			out = append(out, foundCloud{"controller", fmt.Sprintf("Cloud %q from controller %q", name, s.controller), cloud, cloudInfoOf(cloud, "public")})
		}
	}
	if s.client {
		clouds, own, err := b.clientClouds()
		if err != nil {
			return nil, err
		}
		if cloud, ok := clouds[name]; ok {
			defined := "built-in"
			if own[name] {
				defined = "local"
			}
			out = append(out, foundCloud{"client", fmt.Sprintf("Client cloud %q", name), cloud, cloudInfoOf(cloud, defined)})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cloud %q not found", name)
	}
	return out, nil
}

func (c *cli) regionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "regions cloud", Aliases: []string{"list-regions"}, Short: "List the regions of a cloud.", Args: argCount(1, 1, "no cloud specified")}
	sideFlags(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		found, err := c.findCloud(cmd, args[0])
		if err != nil {
			return err
		}
		out := map[string]orderedRegions{}
		for _, f := range found {
			out[f.where] = f.info.Regions
		}
		return o.write(out, func(w io.Writer) error {
			for i, f := range found {
				if i > 0 {
					fmt.Fprintln(w)
				}
				fmt.Fprintf(w, "%s:\n", f.head)
				for _, r := range f.cloud.Regions {
					fmt.Fprintln(w, r.Name)
				}
			}
			return nil
		})
	}
	return cmd
}
