package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
)

func (c *cli) debugLogCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "debug-log", Short: "Show the log of a model.", Args: argCount(0, 0, "")}
	modelFlag(cmd)
	f := cmd.Flags()
	var filter userapi.LogFilter
	f.StringArrayVarP(&filter.Include, "include", "i", nil, "only of these: unit-web-0, web/0, web, machine-0")
	f.StringArrayVarP(&filter.Exclude, "exclude", "x", nil, "not of these")
	f.StringArrayVar(&filter.IncludeModule, "include-module", nil, "only of these modules")
	f.StringArrayVar(&filter.ExcludeModule, "exclude-module", nil, "not of these modules")
	level := f.StringP("level", "l", "", "this level and worse: TRACE, DEBUG, INFO, WARNING, ERROR")
	lines := f.IntP("lines", "n", 10, "begin with so many of the last lines")
	limit := f.Int("limit", 0, "show so many of the last lines and end; 0 for all")
	replay := f.BoolP("replay", "r", false, "begin with the first line")
	tail := f.Bool("tail", false, "go on with new lines")
	noTail := f.Bool("no-tail", false, "end after the lines there are")
	utc := f.Bool("utc", false, "show times in UTC")
	date := f.Bool("date", false, "show dates")
	ms := f.Bool("ms", false, "show milliseconds")
	location := f.Bool("location", false, "show where in the source a line was written")
	format := f.String("format", "text", "text or json")
	colourFlags(cmd)
	for _, pair := range [][]string{{"tail", "no-tail"}, {"no-tail", "lines"}, {"tail", "limit"}, {"limit", "lines"}, {"replay", "lines"}} {
		exclusive(cmd, pair...)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if filter.Level = strings.ToUpper(*level); filter.Level == "WARN" {
			filter.Level = "WARNING"
		}
		if !slices.Contains([]string{"", "TRACE", "DEBUG", "INFO", "WARNING", "ERROR"}, filter.Level) {
			return usagef("level value %q is not one of TRACE, DEBUG, INFO, WARNING, ERROR", *level)
		}
		if *format != "text" && *format != "json" {
			return usagef("invalid value %q for option --format: use text or json", *format)
		}
		limited := f.Changed("limit")
		filter.Follow = *tail || !*noTail && !limited && tty(c.out)
		switch {
		case limited && *limit > 0:
			filter.Last = *limit
		case limited, *replay:
			filter.Last = 0
		case f.Changed("lines"), filter.Follow:
			if filter.Last = *lines; *lines == 0 {
				filter.Last = -1
			}
		}
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		loc, _ := c.location(*utc)
		stamp := "15:04:05"
		if *ms {
			stamp += ".000"
		}
		if *date {
			stamp = "2006-01-02 " + stamp
		}
		err = m.Logs(cmd.Context(), filter, func(l agentapi.LogLine) error {
			if *format == "json" {
				return json.NewEncoder(c.out).Encode(l)
			}
			where := ""
			if *location && l.Where != "" {
				where = " " + l.Where
			}
			_, err := fmt.Fprintf(c.out, "%s: %s %s %s%s %s\n", l.Entity, l.Time.In(loc).Format(stamp), l.Level, l.Module, where, l.Message)
			return err
		})
		if cmd.Context().Err() != nil {
			return nil // the user ends a tail: that is no failure
		}
		return t.explain(err)
	}
	return cmd
}
