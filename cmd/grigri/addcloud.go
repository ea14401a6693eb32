package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
)

// onController runs do with a controller's client.
func (c *cli) onController(name string, do func(*client.Client, target) error) error {
	t, err := c.openTarget(name)
	if err != nil {
		return err
	}
	cl, err := c.dial(t)
	if err != nil {
		return err
	}
	return do(cl, t)
}

// inBook changes the client's files.
func (c *cli) inBook(do func(*book) error) error {
	s, err := c.openStore()
	if err != nil {
		return err
	}
	return s.update(do)
}

// checkType refuses clouds for which there is no provider, and pins the plugin that the client has for its type.
func (c *cli) checkType(cloud provider.Cloud) (provider.Cloud, error) {
	if !slices.Contains(all.Types(), cloud.Type) {
		s, err := c.openStore()
		if err != nil {
			return cloud, err
		}
		if cloud, err = s.pin(cloud); err != nil {
			return cloud, err
		}
		if cloud.PluginHash == "" {
			return cloud, fmt.Errorf("cloud %q is of type %q, for which there is no provider: the types are: %s, and those of the plugins in %s", cloud.Name, cloud.Type, joined(all.Types()), s.plugins())
		}
	}
	if len(cloud.AuthTypes) == 0 {
		cloud.AuthTypes = all.AuthTypes(cloud.Type)
	}
	return cloud, nil
}

func (c *cli) addCloudCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add-cloud [name [file]]", Short: "Add a cloud, as a file or answers describe it.", Args: argCount(0, 2, "")}
	sideFlags(cmd)
	file := cmd.Flags().StringP("file", "f", "", "the definition of the cloud")
	force := cmd.Flags().Bool("force", false, "replace a definition that this client has")
	credential := cmd.Flags().String("credential", "", "the client's credential that the controller gets with the cloud")
	cmd.Flags().String("target-controller", "", "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 && *file == "" {
			*file = args[1]
		}
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		if name == "" && *file != "" {
			return usagef("no cloud specified: a file is only read for the cloud whose name is given")
		}
		cloud, err := c.newCloud(name, *file, cmd)
		if err != nil {
			return err
		}
		s, err := c.writeSide(cmd, fmt.Sprintf("add cloud %q", cloud.Name))
		if err != nil {
			return err
		}
		if s.client {
			err := c.inBook(func(b *book) error {
				if b.clouds.Clouds[cloud.Name] != nil && !*force {
					return fmt.Errorf("cloud %q already exists on this client: change it with update-cloud, or use --force", cloud.Name)
				}
				if _, ok := all.FindBuiltIn(cloud.Name); ok && !*force {
					return fmt.Errorf("cloud %q is built in: use another name, or --force to put this definition before it", cloud.Name)
				}
				b.clouds.Clouds[cloud.Name] = entryOf(cloud)
				return nil
			})
			if err != nil {
				return err
			}
			c.infof("Cloud %q added to this client.", cloud.Name)
		}
		if s.controller == "" {
			return nil
		}
		return c.onController(s.controller, func(cl *client.Client, t target) error {
			if err := c.sendPlugin(cmd.Context(), cl, t, cloud); err != nil {
				return err
			}
			err := cl.AddCloud(cmd.Context(), cloud)
			if client.IsCode(err, userapi.AlreadyExists) && *force {
				err = cl.UpdateCloud(cmd.Context(), cloud)
			}
			if err != nil {
				return err
			}
			c.infof("Cloud %q added to controller %q.", cloud.Name, t.controller)
			return c.giveCredential(cmd.Context(), cl, t, cloud.Name, *credential)
		})
	}
	return cmd
}

// giveCredential gives the controller the client's credential for a cloud: the one of that name, or the only one, or the default; none if
// there is none and none is asked for.
func (c *cli) giveCredential(ctx context.Context, cl *client.Client, t target, cloud, name string) error {
	b, err := c.book()
	if err != nil {
		return err
	}
	e := b.credentials.Credentials[cloud]
	if e == nil && name == "" || e != nil && len(e.Credentials) == 0 {
		return nil
	}
	credential, err := b.chooseCredential(cloud, name)
	if err != nil {
		return err
	}
	if err := cl.PutCredential(ctx, cloud, credential); err != nil {
		return err
	}
	c.infof("Credential %q for cloud %q added to controller %q.", credential.Name, cloud, t.controller)
	return nil
}

// newCloud is the cloud that the user describes: in a file, in answers, or by the name of one that the client knows.
func (c *cli) newCloud(name, file string, cmd *cobra.Command) (provider.Cloud, error) {
	if file != "" {
		cloud, err := c.cloudIn(file, name)
		if err != nil {
			return cloud, err
		}
		return c.checkType(cloud)
	}
	if controller, _ := cmd.Flags().GetString("controller"); name != "" && controller != "" {
		b, err := c.book()
		if err != nil {
			return provider.Cloud{}, err
		}
		return b.clientCloud(name)
	}
	a := c.asker()
	s, err := c.openStore()
	if err != nil {
		return provider.Cloud{}, err
	}
	cloud := provider.Cloud{Type: a.choice(append(all.Types(), all.PluginTypes(s.plugins())...), "", "Type of the cloud")}
	cloud.Name = a.needed(name, "Name of the cloud")
	cloud.Endpoint = a.line("", "Where it is reached (nothing for the usual place)")
	for cloud.Type != "local" && a.err == nil {
		region := a.line("", "Name of a region (nothing to go on)")
		if region == "" {
			break
		}
		cloud.Regions = append(cloud.Regions, provider.Region{Name: region, Endpoint: a.line("", "Where region %s is reached, if elsewhere", region)})
	}
	if a.err != nil {
		return cloud, fmt.Errorf("add a cloud: %w", a.err)
	}
	if cloud, err = entryOf(cloud).cloud(cloud.Name); err != nil {
		return cloud, err
	}
	return c.checkType(cloud)
}

func (c *cli) updateCloudCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "update-cloud cloud", Short: "Change what this client or the controller knows of a cloud.", Args: argCount(1, 1, "no cloud specified")}
	sideFlags(cmd)
	file := cmd.Flags().StringP("file", "f", "", "the definition of the cloud; without it the controller gets that of this client")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		b, err := c.book()
		if err != nil {
			return err
		}
		var cloud provider.Cloud
		if *file != "" {
			if cloud, err = c.cloudIn(*file, name); err == nil {
				cloud, err = c.checkType(cloud)
			}
		} else {
			cloud, err = b.clientCloud(name)
		}
		if err != nil {
			return err
		}
		s, err := c.writeSide(cmd, fmt.Sprintf("update cloud %q", name))
		if err != nil {
			return err
		}
		if s.client && *file == "" && s.controller == "" {
			return usagef("update-cloud --client needs --file")
		}
		if s.client && *file != "" {
			err := c.inBook(func(b *book) error {
				if b.clouds.Clouds[name] == nil {
					return fmt.Errorf("cloud %q not found on this client: add-cloud adds it", name)
				}
				b.clouds.Clouds[name] = entryOf(cloud)
				return nil
			})
			if err != nil {
				return err
			}
			c.infof("Cloud %q updated on this client.", name)
		}
		if s.controller == "" {
			return nil
		}
		return c.onController(s.controller, func(cl *client.Client, t target) error {
			if err := c.sendPlugin(cmd.Context(), cl, t, cloud); err != nil {
				return err
			}
			if err := cl.UpdateCloud(cmd.Context(), cloud); err != nil {
				return err
			}
			c.infof("Cloud %q updated on controller %q.", name, t.controller)
			return nil
		})
	}
	return cmd
}

func (c *cli) removeCloudCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-cloud cloud", Short: "Make this client or the controller forget a cloud and its credentials.", Args: argCount(1, 1, "no cloud specified")}
	sideFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		s, err := c.writeSide(cmd, fmt.Sprintf("remove cloud %q", name))
		if err != nil {
			return err
		}
		if s.client {
			err := c.inBook(func(b *book) error {
				if b.clouds.Clouds[name] == nil {
					return fmt.Errorf("cloud %q not found on this client", name)
				}
				delete(b.clouds.Clouds, name)
				delete(b.credentials.Credentials, name)
				return nil
			})
			if err != nil {
				return err
			}
			c.infof("Cloud %q removed from this client.", name)
		}
		if s.controller == "" {
			return nil
		}
		return c.onController(s.controller, func(cl *client.Client, t target) error {
			if err := cl.RemoveCloud(cmd.Context(), name); err != nil {
				return err
			}
			c.infof("Cloud %q removed from controller %q.", name, t.controller)
			return nil
		})
	}
	return cmd
}
