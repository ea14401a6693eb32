package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
	"github.com/grigri/grigri/state"
)

func (c *cli) addCredentialCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add-credential cloud", Short: "Add a credential for a cloud, from a file or from answers.", Args: argCount(1, 1, "no cloud specified")}
	sideFlags(cmd)
	file := cmd.Flags().StringP("file", "f", "", "a file in the form of credentials.yaml")
	region := cmd.Flags().String("region", "", "make this the region of the cloud that is used first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.putCredentials(cmd, args[0], "", *file, *region, true)
	}
	return cmd
}

func (c *cli) updateCredentialCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "update-credential cloud [credential]", Aliases: []string{"update-credentials"}, Short: "Change a credential; models that use it are served with it at once.", Args: argCount(1, 2, "no cloud specified")}
	sideFlags(cmd)
	file := cmd.Flags().StringP("file", "f", "", "a file in the form of credentials.yaml; without it the controller gets what this client has")
	region := cmd.Flags().String("region", "", "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := ""
		if len(args) == 2 {
			name = args[1]
		}
		return c.putCredentials(cmd, args[0], name, *file, *region, false)
	}
	return cmd
}

// putCredentials adds credentials or changes them, on the sides that the flags name.
func (c *cli) putCredentials(cmd *cobra.Command, cloud, name, file, region string, add bool) error {
	verb := "update"
	if add {
		verb = "add"
	}
	b, err := c.book()
	if err != nil {
		return err
	}
	known, err := c.knownCloud(cmd, b, cloud)
	if err != nil {
		return err
	}
	fresh := map[string]provider.Credential{}
	switch {
	case file != "":
		e, err := c.credentialsIn(file, cloud)
		if err != nil {
			return err
		}
		for n := range e.Credentials {
			if name == "" || n == name {
				fresh[n] = e.get(n)
			}
		}
		if len(fresh) == 0 {
			return fmt.Errorf("%s has no credential %q for cloud %q", file, name, cloud)
		}
	case add:
		one, err := c.askCredential(known) // checked below, as those of files
		if err != nil {
			return fmt.Errorf("add a credential for cloud %q: %w", cloud, err)
		}
		fresh[one.Name] = one
	default:
		one, err := b.chooseCredential(cloud, name)
		if err != nil {
			return err
		}
		fresh[one.Name] = one
	}
	if region != "" {
		if _, err := state.RegionOf(known, region); err != nil {
			return err
		}
	}
	for n, one := range fresh {
		if fresh[n], err = checkCredential(known, one); err != nil {
			return err
		}
	}
	names := slices.Sorted(maps.Keys(fresh))
	s, err := c.writeSide(cmd, fmt.Sprintf("%s credential %s for cloud %q", verb, joined(names), cloud))
	if err != nil {
		return err
	}
	for n, one := range fresh { // a token is good for one time: it is traded when all else is clear
		if fresh[n], err = all.Finish(cmd.Context(), provider.Spec{Cloud: known, Region: region, Credential: one}); err != nil {
			return fmt.Errorf("credential %q for cloud %q: %w", n, cloud, err)
		}
	}
	if s.client && (add || file != "") {
		err := c.inBook(func(b *book) error {
			e := b.credentialsFor(cloud)
			for _, n := range names {
				if !add && e.Credentials[n] == nil {
					return fmt.Errorf("credential %q for cloud %q not found on this client: add-credential adds it", n, cloud)
				}
				e.put(fresh[n])
			}
			if region != "" {
				e.DefaultRegion = region
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, n := range names {
			c.infof("Credential %q %s for cloud %q on this client.", n, past(add), cloud)
		}
	}
	if s.controller == "" {
		return nil
	}
	return c.onController(s.controller, func(cl *client.Client, t target) error {
		for _, n := range names {
			if err := cl.PutCredential(cmd.Context(), cloud, fresh[n]); err != nil {
				return err
			}
			c.infof("Credential %q %s for cloud %q on controller %q.", n, past(add), cloud, t.controller)
		}
		return nil
	})
}

func past(add bool) string {
	if add {
		return "added"
	}
	return "updated"
}

// knownCloud is the cloud as the client knows it, or else the controller that the flag names.
func (c *cli) knownCloud(cmd *cobra.Command, b book, name string) (provider.Cloud, error) {
	cloud, err := b.clientCloud(name)
	if err == nil {
		return cloud, nil
	}
	controller, _ := cmd.Flags().GetString("controller")
	if controller == "" {
		return cloud, err
	}
	there, cerr := c.controllerClouds(cmd.Context(), controller)
	if cerr != nil {
		return cloud, cerr
	}
	if cloud, ok := there[name]; ok {
		return cloud, nil
	}
	return cloud, err
}

// checkCredential refuses a credential that the cloud's provider would not understand, and reads the files that it names.
func checkCredential(cloud provider.Cloud, c provider.Credential) (provider.Credential, error) {
	ways := all.Auths(cloud.Type)
	if len(ways) == 0 {
		return c, nil // a plugin's
	}
	i := slices.IndexFunc(ways, func(a all.Auth) bool { return a.Type == c.AuthType })
	if i < 0 {
		return c, fmt.Errorf("credential %q: auth-type %q is not one of cloud %q: %s", c.Name, c.AuthType, cloud.Name, joined(all.AuthTypes(cloud.Type)))
	}
	out := provider.Credential{Name: c.Name, AuthType: c.AuthType, Attributes: map[string]string{}}
	for key := range c.Attributes {
		if !slices.ContainsFunc(ways[i].Attributes, func(a all.Attribute) bool { return a.Name == strings.TrimSuffix(key, "-file") || a.Name == key }) {
			return c, fmt.Errorf("credential %q: %q is nothing that auth-type %q knows", c.Name, key, c.AuthType)
		}
	}
	for _, a := range ways[i].Attributes {
		v := c.Attributes[a.Name]
		if file := c.Attributes[a.Name+"-file"]; file != "" {
			v = file
		}
		if a.File && v != "" && !strings.Contains(v, "\n") {
			data, err := os.ReadFile(v)
			if err != nil {
				return c, fmt.Errorf("credential %q: %s: %w", c.Name, a.Name, err)
			}
			v = string(data)
		}
		if v == "" && !a.Optional {
			return c, fmt.Errorf("credential %q has no %s", c.Name, a.Name)
		}
		if v != "" {
			out.Attributes[a.Name] = v
		}
	}
	return out, nil
}

// askCredential asks the user for a credential.
func (c *cli) askCredential(cloud provider.Cloud) (provider.Credential, error) {
	a := c.asker()
	out := provider.Credential{Name: a.needed("", "Name of the credential"), Attributes: map[string]string{}}
	types := cloud.AuthTypes
	if len(types) == 0 {
		types = all.AuthTypes(cloud.Type)
	}
	if len(types) == 0 {
		return out, fmt.Errorf("what a cloud of type %q wants is not known here: give it in a file, with --file", cloud.Type)
	}
	out.AuthType = types[0]
	if len(types) > 1 {
		out.AuthType = a.choice(types, types[0], "Kind")
	}
	for _, way := range all.Auths(cloud.Type) {
		for _, attribute := range way.Attributes {
			if way.Type != out.AuthType || a.err != nil {
				continue
			}
			prompt := attribute.Description
			if attribute.File {
				prompt += ", the name of its file"
			}
			switch {
			case attribute.Optional:
				out.Attributes[attribute.Name] = a.line("", "%s (nothing if there is none)", prompt)
			case attribute.Secret && !attribute.File:
				out.Attributes[attribute.Name] = a.secret("%s", prompt)
			default:
				out.Attributes[attribute.Name] = a.needed("", "%s", prompt)
			}
		}
	}
	maps.DeleteFunc(out.Attributes, func(_, v string) bool { return v == "" })
	if a.err != nil {
		return out, a.err
	}
	return out, state.CheckCredential(out)
}

func (c *cli) removeCredentialCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-credential cloud credential", Short: "Remove a credential.", Args: argCount(2, 2, "no credential specified: a cloud and a credential are needed")}
	sideFlags(cmd)
	force := cmd.Flags().Bool("force", false, "also one that models use: their machines then cannot be changed until they get another one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cloud, name := args[0], args[1]
		s, err := c.writeSide(cmd, fmt.Sprintf("remove credential %q for cloud %q", name, cloud))
		if err != nil {
			return err
		}
		if s.client {
			err := c.inBook(func(b *book) error {
				e := b.credentials.Credentials[cloud]
				if e == nil || e.Credentials[name] == nil {
					return fmt.Errorf("credential %q for cloud %q not found on this client", name, cloud)
				}
				delete(e.Credentials, name)
				if e.DefaultCredential == name {
					e.DefaultCredential = ""
				}
				return nil
			})
			if err != nil {
				return err
			}
			c.infof("Credential %q for cloud %q removed from this client.", name, cloud)
		}
		if s.controller == "" {
			return nil
		}
		return c.onController(s.controller, func(cl *client.Client, t target) error {
			if err := cl.RemoveCredential(cmd.Context(), cloud, name, *force); err != nil {
				return err
			}
			c.infof("Credential %q for cloud %q removed from controller %q.", name, cloud, t.controller)
			return nil
		})
	}
	return cmd
}

func (c *cli) setCredentialCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "set-credential cloud credential", Short: "Change as whom the machines of a model are asked for.", Args: argCount(2, 2, "no credential specified: a cloud and a credential are needed")}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		info, err := m.Info(cmd.Context())
		if err != nil {
			return t.explain(err)
		}
		if info.Cloud != args[0] {
			return fmt.Errorf("model %q is in cloud %q, not in %q", info.Name, info.Cloud, args[0])
		}
		if err := m.SetCredential(cmd.Context(), args[1]); err != nil {
			return t.explain(err)
		}
		c.infof("Changed cloud credential on model %q to %q.", info.Name, args[1])
		return nil
	}
	return cmd
}

func (c *cli) defaultCredentialCommand() *cobra.Command {
	return c.defaultCommand("credential", func(b *book, cloud, name string) error {
		if e := b.credentials.Credentials[cloud]; e == nil || e.Credentials[name] == nil {
			return fmt.Errorf("credential %q for cloud %q not found on this client", name, cloud)
		}
		return nil
	}, func(e *cloudCredentials) *string { return &e.DefaultCredential })
}

func (c *cli) defaultRegionCommand() *cobra.Command {
	return c.defaultCommand("region", func(b *book, cloud, name string) error {
		known, err := b.clientCloud(cloud)
		if err == nil {
			_, err = state.RegionOf(known, name)
		}
		return err
	}, func(e *cloudCredentials) *string { return &e.DefaultRegion })
}

// defaultCommand sets, shows or resets what this client uses for a cloud when nothing else is said.
func (c *cli) defaultCommand(what string, check func(b *book, cloud, name string) error, field func(*cloudCredentials) *string) *cobra.Command {
	cmd := &cobra.Command{Use: "default-" + what + " cloud [" + what + "]", Aliases: []string{"set-default-" + what}, Short: "Set or show the " + what + " that is used for a cloud when none is named.", Args: argCount(1, 2, "no cloud specified")}
	reset := cmd.Flags().Bool("reset", false, "have none")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		cloud := args[0]
		if len(args) == 1 && !*reset {
			b, err := c.book()
			if err != nil {
				return err
			}
			if _, err := b.clientCloud(cloud); err != nil {
				return err
			}
			now := *field(b.credentialsFor(cloud))
			if now == "" {
				c.infof("No default %s is set for cloud %q.", what, cloud)
				return nil
			}
			_, err = fmt.Fprintln(c.out, now)
			return err
		}
		if len(args) == 2 && *reset {
			return usagef("cannot both set and reset the default %s", what)
		}
		return c.inBook(func(b *book) error {
			name := ""
			if len(args) == 2 {
				name = args[1]
				if err := check(b, cloud, name); err != nil {
					return err
				}
			}
			*field(b.credentialsFor(cloud)) = name
			return nil
		})
	}
	return cmd
}
