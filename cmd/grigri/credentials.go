package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
)

// credentialsInfo is credentials as commands print them.
type credentialsInfo struct {
	Client     map[string]cloudCredentialsInfo `json:"client-credentials,omitempty"`
	Controller map[string]cloudCredentialsInfo `json:"controller-credentials,omitempty"`
}

type cloudCredentialsInfo struct {
	DefaultCredential string                    `json:"default-credential,omitempty"`
	DefaultRegion     string                    `json:"default-region,omitempty"`
	Credentials       map[string]credentialInfo `json:"cloud-credentials,omitempty"`
}

type credentialInfo struct {
	AuthType string            `json:"auth-type"`
	Details  map[string]string `json:"details,omitempty"`
	Models   []string          `json:"models,omitempty"`
}

// details is what may be shown of a credential.
func details(kind string, c provider.Credential, secrets bool) credentialInfo {
	if secrets {
		return credentialInfo{AuthType: c.AuthType, Details: c.Attributes}
	}
	return credentialInfo{AuthType: c.AuthType, Details: all.Public(kind, c)}
}

// credentials is all credentials on the sides that the flags name, or those for one cloud, or of one name.
func (c *cli) credentials(cmd *cobra.Command, cloud, name string, secrets bool) (credentialsInfo, error) {
	var out credentialsInfo
	s, err := c.readSide(cmd)
	if err != nil {
		return out, err
	}
	b, err := c.book()
	if err != nil {
		return out, err
	}
	clouds, _, err := b.clientClouds()
	if err != nil {
		return out, err
	}
	if s.client {
		out.Client = map[string]cloudCredentialsInfo{}
		for of, e := range b.credentials.Credentials {
			if cloud != "" && of != cloud {
				continue
			}
			i := cloudCredentialsInfo{DefaultCredential: e.DefaultCredential, DefaultRegion: e.DefaultRegion, Credentials: map[string]credentialInfo{}}
			for n := range e.Credentials {
				if name == "" || n == name {
					i.Credentials[n] = details(clouds[of].Type, e.get(n), secrets)
				}
			}
			if len(i.Credentials) > 0 {
				out.Client[of] = i
			}
		}
	}
	if s.controller == "" {
		return out, nil
	}
	err = c.onController(s.controller, func(cl *client.Client, _ target) error {
		list, err := cl.Credentials(cmd.Context(), cloud, name, true)
		if err != nil {
			return err
		}
		there, err := cl.Clouds(cmd.Context())
		if err != nil {
			return err
		}
		kinds := map[string]string{}
		for _, cloud := range there {
			kinds[cloud.Name] = cloud.Type
		}
		out.Controller = map[string]cloudCredentialsInfo{}
		for _, got := range list {
			i := details(kinds[got.Cloud], got.Credential, secrets)
			i.Models = got.Models
			e := out.Controller[got.Cloud]
			if e.Credentials == nil {
				e.Credentials = map[string]credentialInfo{}
			}
			e.Credentials[got.Name] = i
			out.Controller[got.Cloud] = e
		}
		return nil
	})
	if err != nil && !cmd.Flags().Changed("controller") {
		fmt.Fprintf(c.errw, "WARNING ask controller %s: %v\n", s.controller, err)
		err = nil
	}
	return out, err
}

func (c *cli) credentialsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "credentials [cloud]", Aliases: []string{"list-credentials"}, Short: "List the credentials that this client and the controller have.", Args: argCount(0, 1, "")}
	sideFlags(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	secrets := cmd.Flags().Bool("show-secrets", false, "also what is secret")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cloud := ""
		if len(args) == 1 {
			cloud = args[0]
		}
		info, err := c.credentials(cmd, cloud, "", *secrets && o.format != "tabular")
		if err != nil {
			return err
		}
		return o.write(info, func(w io.Writer) error {
			first := true
			for _, part := range []struct {
				head string
				of   map[string]cloudCredentialsInfo
			}{{"Controller credentials:", info.Controller}, {"Client credentials:", info.Client}} {
				if len(part.of) == 0 {
					continue
				}
				if !first {
					fmt.Fprintln(w)
				}
				first = false
				fmt.Fprintln(w, part.head)
				rows := [][]string{{"Cloud", "Credentials"}}
				for _, cloud := range slices.Sorted(maps.Keys(part.of)) {
					var names []string
					for _, name := range slices.Sorted(maps.Keys(part.of[cloud].Credentials)) {
						if name == part.of[cloud].DefaultCredential {
							name += "*"
						}
						names = append(names, name)
					}
					rows = append(rows, []string{cloud, joined(names)})
				}
				writeTable(w, rows)
			}
			if first {
				fmt.Fprintf(c.errw, "No credentials from this client or from a controller to display.\n")
			}
			return nil
		})
	}
	return cmd
}

func (c *cli) showCredentialCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-credential [cloud credential]", Aliases: []string{"show-credentials"}, Short: "Show a credential.", Args: argCount(0, 2, "")}
	sideFlags(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	secrets := cmd.Flags().Bool("show-secrets", false, "also what is secret")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return usagef("no credential specified: both a cloud and a credential, or neither")
		}
		cloud, name := "", ""
		if len(args) == 2 {
			cloud, name = args[0], args[1]
		}
		info, err := c.credentials(cmd, cloud, name, *secrets)
		if err != nil {
			return err
		}
		if name != "" && len(info.Client)+len(info.Controller) == 0 {
			return fmt.Errorf("credential %q for cloud %q not found", name, cloud)
		}
		return o.write(info, nil)
	}
	return cmd
}

// chooseCredential is the client's credential for a cloud: that of the name, or the only one, or the default. A cloud that needs none
// has an empty one.
func (b *book) chooseCredential(cloud, name string) (provider.Credential, error) {
	e := b.credentials.Credentials[cloud]
	if e == nil {
		e = &cloudCredentials{}
	}
	names := slices.Sorted(maps.Keys(e.Credentials))
	switch {
	case name == "" && e.DefaultCredential != "":
		name = e.DefaultCredential
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "" && len(names) > 1:
		return provider.Credential{}, fmt.Errorf("more than one credential is there for cloud %q: choose one with --credential: %s", cloud, joined(names))
	case name == "":
		c, err := b.clientCloud(cloud)
		if err == nil && len(c.AuthTypes) > 0 && !slices.Contains(c.AuthTypes, provider.AuthEmpty) {
			err = fmt.Errorf("cloud %q needs a credential: add one with \"add-credential %s\" or \"autoload-credentials\"", cloud, cloud)
		}
		return provider.Credential{AuthType: provider.AuthEmpty}, err
	}
	if e.Credentials[name] == nil {
		return provider.Credential{}, fmt.Errorf("credential %q for cloud %q not found on this client", name, cloud)
	}
	return e.get(name), nil
}
