package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
)

func (c *cli) modelDefaultsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "model-defaults [key | key=value...]", Aliases: []string{"get-model-defaults", "set-model-defaults", "model-default"}, Args: cobra.ArbitraryArgs,
		Short: "Show or change the settings that new models have unless they are set for the model.",
		Long: "Show the settings that new models have unless they are set for the model, or one of them; or change some: key=value, or key=@file for the content\nof a file. They are those of the models in one cloud, the controller's own if there is no --cloud, or with --region of those in a region of it,\n" +
			"which go before. Models that are there stay as they are: \"model-config --reset\" gives one of them what the defaults say now."}
	controllerFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	f := cmd.Flags()
	cloud := f.String("cloud", "", "of new models in this cloud")
	region := f.String("region", "", "of new models in this region: region, or cloud/region")
	reset := f.String("reset", "", "the settings to put back to what new models have without, separated by commas")
	file := f.String("file", "", "a YAML file of settings; - for stdin")
	f.Bool("ignore-read-only-fields", false, "accepted for compatibility")
	colourFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if of, name, ok := strings.Cut(*region, "/"); ok {
			if *cloud != "" && *cloud != of {
				return usagef("--cloud %s and --region %s name two clouds", *cloud, *region)
			}
			*cloud, *region = of, name
		}
		if f.Changed("region") && *region == "" || f.Changed("cloud") && *cloud == "" {
			return usagef("--cloud and --region need a name")
		}
		t, err := c.controllerTarget(cmd)
		if err != nil {
			return err
		}
		cl, err := c.dial(t)
		if err != nil {
			return err
		}
		if len(args) > 0 && !f.Changed("cloud") && !f.Changed("region") {
			if args, err = placeFirst(cmd.Context(), cl, args, cloud, region); err != nil {
				return err
			}
		}
		want, err := c.asked(args, *reset, *file)
		if err != nil {
			return err
		}
		if want.changes {
			warnings, err := cl.SetModelDefaults(cmd.Context(), userapi.SetModelDefaults{Cloud: *cloud, Region: *region, Settings: want.settings})
			c.warn(warnings)
			return err
		}
		defaults, err := defaultsOf(cmd.Context(), cl, *cloud, *region, want.key)
		if err != nil {
			return err
		}
		return o.write(defaults, func(w io.Writer) error {
			writeTable(w, defaultRows(defaults))
			return nil
		})
	}
	return cmd
}

// placeFirst takes a cloud, a region or CLOUD/REGION away that the words begin with, as juju 2 had it. What is a setting is no place.
func placeFirst(ctx context.Context, cl *client.Client, args []string, cloud, region *string) ([]string, error) {
	if strings.Contains(args[0], "=") {
		return args, nil
	}
	if of, name, ok := strings.Cut(args[0], "/"); ok { // no setting has a slash in its name
		*cloud, *region = of, name
		return args[1:], nil
	}
	known, err := cl.ModelDefaults(ctx, "")
	if err != nil {
		return nil, err
	}
	if _, setting := known[args[0]]; setting {
		return args, nil
	}
	clouds, err := cl.Clouds(ctx)
	if err != nil {
		return nil, err
	}
	own, err := cl.Controller(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range clouds {
		if c.Name == args[0] {
			*cloud = c.Name
			return args[1:], nil
		}
		for _, r := range c.Regions {
			if args[0] == r.Name && c.Name == own.Cloud {
				*cloud, *region = c.Name, r.Name
				return args[1:], nil
			}
		}
	}
	return args, nil
}

// defaultsOf is the defaults of models in the cloud; with a region those of the others are left out, with a key those of other settings.
func defaultsOf(ctx context.Context, cl *client.Client, cloud, region, key string) (map[string]userapi.ModelDefault, error) {
	defaults, err := cl.ModelDefaults(ctx, cloud)
	if err == nil && region != "" {
		err = inRegion(ctx, cl, defaults, cloud, region)
	}
	if err != nil || key == "" {
		return defaults, err
	}
	d, ok := defaults[key]
	if !ok {
		return nil, fmt.Errorf("there are no default model values for %q", key)
	}
	return map[string]userapi.ModelDefault{key: d}, nil
}

// inRegion leaves of the regions only this one, which must be one of the cloud's.
func inRegion(ctx context.Context, cl *client.Client, defaults map[string]userapi.ModelDefault, cloud, region string) error {
	if cloud == "" {
		own, err := cl.Controller(ctx)
		if err != nil {
			return err
		}
		cloud = own.Cloud
	}
	definition, err := cl.Cloud(ctx, cloud)
	if err != nil {
		return err
	}
	found := slices.ContainsFunc(definition.Regions, func(r provider.Region) bool { return r.Name == region })
	for key, d := range defaults {
		d.Regions = slices.DeleteFunc(d.Regions, func(r userapi.RegionDefault) bool { return r.Name != region })
		found = found || len(d.Regions) > 0
		defaults[key] = d
	}
	if !found {
		return fmt.Errorf("cloud %q has no region %q", cloud, region)
	}
	return nil
}

// defaultRows is the table of defaults. What a region has stands below, where the default of all is.
func defaultRows(defaults map[string]userapi.ModelDefault) [][]string {
	rows := [][]string{{"Attribute", "Default", "Controller"}}
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		d := defaults[key]
		rows = append(rows, []string{key, cell(d.Default), cell(d.Controller)})
		for _, r := range d.Regions {
			rows = append(rows, []string{"  " + r.Name, cell(r.Value), "-"})
		}
	}
	return rows
}

// cell is a value in a table: one that is empty, or that is not there, can be seen.
func cell(v any) string {
	switch v {
	case nil:
		return "-"
	case "":
		return `""`
	}
	return fmt.Sprint(v)
}
