package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/userapi"
)

func (c *cli) statusLogCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-status-log entity", Short: "Show what the statuses of a unit, machine, application or model have been.",
		Long: `Show what the statuses of a unit, machine, container, application or model have been, the newest last: which hooks its agent ran, what failed,
what its charm has said. The last 64 KiB are kept of each, and of what is gone for 14 days: its name still shows them.
Of a unit there are the types juju-unit, what its agent has done, and workload, what its charm has said; the type unit is both.
Of a machine there are machine, what its provider has said, and juju-machine, whether its agent was there; of a container these are container and
juju-container. Of an application there is application, what the leader of its units has said of it, and until it says something how the unit was that was worst off;
of a model there is model.`,
		Args: argCount(1, 1, "entity name is missing")}
	modelFlag(cmd)
	f := cmd.Flags()
	var filter userapi.StatusLogFilter
	f.StringVar(&filter.Type, "type", "", "of this type: "+strings.Join(userapi.StatusTypes[:], ", ")+" (default all that the entity has)")
	f.IntVarP(&filter.Last, "n", "n", 20, "only so many, the last; 0 for all")
	days := f.Int("days", 0, "those of the last so many days")
	from := f.String("from-date", "", "those since this date, YYYY-MM-DD")
	utc := f.Bool("utc", false, "show times in UTC")
	f.Bool("include-status-updates", false, "accepted for compatibility: update-status hooks are no news")
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	exclusive(cmd, "n", "days", "from-date")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter.Entity = args[0]
		loc, iso := c.location(*utc)
		switch {
		case f.Changed("type") && !slices.Contains(userapi.StatusTypes[:], filter.Type):
			return usagef("unexpected status type %q: use one of %s", filter.Type, strings.Join(userapi.StatusTypes[:], ", "))
		case filter.Last < 0:
			return usagef("-n is %d: it must not be negative", filter.Last)
		case f.Changed("days"):
			if *days < 1 || *days > 36500 {
				return usagef("--days is %d: it must be a number of days from 1 on", *days)
			}
			filter.Last, filter.After = 0, time.Now().AddDate(0, 0, -*days)
		case f.Changed("from-date"):
			date, err := time.ParseInLocation(time.DateOnly, *from, loc)
			if err != nil {
				return usagef("parsing backlog date: %q is not a date: 2026-01-15 is one", *from)
			}
			filter.Last, filter.After = 0, date
		}
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		entries, err := m.StatusLog(cmd.Context(), filter)
		if err != nil {
			return t.explain(err)
		}
		if len(entries) == 0 {
			return errors.New("no status history available")
		}
		return o.write(entries, func(w io.Writer) error {
			rows := [][]string{{"Time", "Type", "Status", "Message"}}
			for _, e := range entries {
				rows = append(rows, []string{status.Moment(e.Since, loc, iso), e.Type, e.Status, oneLine(e.Message)})
			}
			writeTable(w, rows)
			return nil
		})
	}
	return cmd
}

// oneLine is a text with its lines beside one another, as a table has them.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
