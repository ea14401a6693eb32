package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/controller/status"
)

func (c *cli) statusCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "status [application | unit | machine...]", Aliases: []string{"show-status"}, Short: "Show how a model is.", Args: cobra.ArbitraryArgs}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml", "line", "oneline", "short", "summary")
	relations := cmd.Flags().Bool("relations", false, "show the relations too")
	integrations := cmd.Flags().Bool("integrations", false, "the same as --relations")
	storage := cmd.Flags().Bool("storage", false, "show the storage too")
	utc := cmd.Flags().Bool("utc", false, "show times in UTC")
	watch := cmd.Flags().Duration("watch", 0, "show it again when it changes, but not more often than this")
	cmd.Flags().Int("retry-count", 3, "accepted for compatibility")
	cmd.Flags().Duration("retry-delay", 0, "accepted for compatibility")
	colourFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (*relations || *integrations) && o.format != "tabular" {
			fmt.Fprintf(c.errw, "the format %s always shows relations: the flag is not needed\n", o.format)
		}
		if *storage && o.format != "tabular" {
			fmt.Fprintf(c.errw, "the format %s always shows storage: the flag is not needed\n", o.format)
		}
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		loc, inUTC := c.location(*utc)
		show := func(r status.Report) error {
			r.Status = r.Status.In(loc, inUTC)
			return c.showStatus(cmd, o, t, r, status.TabularOptions{Relations: *relations || *integrations, Storage: *storage})
		}
		if *watch > 0 {
			return c.watchStatus(cmd.Context(), m, *watch, args, show)
		}
		report, err := m.Status(cmd.Context(), args...)
		if err != nil {
			if o.format == "json" || o.format == "yaml" {
				fmt.Fprintln(c.out, "{}")
			}
			return t.explain(err)
		}
		return show(report)
	}
	return cmd
}

func (c *cli) showStatus(cmd *cobra.Command, o *output, t target, r status.Report, show status.TabularOptions) error {
	if r.Unmatched {
		fmt.Fprintln(c.errw, "Nothing matched specified filter(s).")
		if o.format != "json" && o.format != "yaml" {
			return nil
		}
	}
	err := o.write(r.Status, func(w io.Writer) error {
		switch o.format {
		case "tabular":
			show.Color = c.colour(cmd)
			return status.WriteTabular(w, r, show)
		case "summary":
			return status.WriteSummary(w, r.Status)
		}
		return status.WriteOneline(w, r.Status)
	})
	if err == nil && r.Empty && o.format == "tabular" {
		fmt.Fprintf(c.errw, "\nModel %q is empty.\n", shortName(t.model))
	}
	return err
}

// watchStatus shows the status whenever it changes, until the user ends it.
func (c *cli) watchStatus(ctx context.Context, m client.Model, pause time.Duration, selectors []string, show func(status.Report) error) error {
	report, revision, err := m.StatusAfter(ctx, "", 0, selectors...)
	for err == nil {
		if tty(c.out) {
			fmt.Fprint(c.out, "\x1b[H\x1b[2J")
		}
		if err = show(report); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		report, revision, err = m.StatusAfter(ctx, revision, time.Minute, selectors...)
	}
	if ctx.Err() != nil {
		return nil // the user ends a watch: that is no failure
	}
	return err
}

// location is the user's time zone, or UTC.
func (c *cli) location(utc bool) (*time.Location, bool) {
	if utc || os.Getenv("JUJU_STATUS_ISO_TIME") == "true" {
		return time.UTC, true
	}
	return time.Local, false
}

// colour says whether the output is to have colours.
func (c *cli) colour(cmd *cobra.Command) bool {
	if on, _ := cmd.Flags().GetBool("color"); on {
		return true
	}
	off, _ := cmd.Flags().GetBool("no-color")
	return !off && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && tty(c.out)
}
