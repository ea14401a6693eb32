package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (c *cli) addUnitCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add-unit application", Short: "Add units to an application.", Args: argCount(1, 1, "no application specified")}
	modelFlag(cmd)
	n := cmd.Flags().IntP("num-units", "n", 1, "how many")
	to := cmd.Flags().String("to", "", "where: machines (3, 3/lxd/0), new, lxd:3, lxd or zone=a, separated by commas")
	attach := cmd.Flags().String("attach-storage", "", "existing storage to attach")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *n < 1 {
			return usagef("--num-units must be a positive integer")
		}
		stored, err := storageIDs(splitCommas(*attach))
		if err != nil {
			return err
		}
		if len(stored) > 0 && *n > 1 {
			return usagef("--attach-storage cannot be used with -n")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		_, err = m.AddUnits(cmd.Context(), state.ApplicationName(args[0]), userapi.AddUnits{N: *n, To: splitCommas(*to), Attach: stored})
		return err
	}
	return cmd
}

func (c *cli) removeUnitCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-unit unit...", Aliases: []string{"destroy-unit"}, Short: "Remove units.", Args: argCount(1, -1, "no units specified")}
	modelFlag(cmd)
	f := addRemovalFlags(cmd)
	n := cmd.Flags().Int("num-units", 0, "remove so many units of an application, the newest first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("num-units") {
			if args, err = c.newestUnits(cmd, m, args, *n); err != nil {
				return err
			}
		}
		for _, a := range args {
			if _, err := state.ParseUnit(a); err != nil {
				return usageError{err}
			}
		}
		return c.remove(cmd, m, f, "unit", args, func(name string, r client.Removal) ([]string, error) {
			return m.RemoveUnit(cmd.Context(), state.UnitName(name), r)
		})
	}
	return cmd
}

func (c *cli) newestUnits(cmd *cobra.Command, m client.Model, args []string, n int) ([]string, error) {
	if n < 1 {
		return nil, usagef("--num-units must be a positive integer")
	}
	if len(args) != 1 {
		return nil, usagef("--num-units is for one application")
	}
	a, err := m.Application(cmd.Context(), state.ApplicationName(args[0]))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(a.Units, func(x, y state.UnitName) int { return y.Number() - x.Number() })
	if n > len(a.Units) {
		return nil, fmt.Errorf("cannot remove %d units of %s: it has %d", n, args[0], len(a.Units))
	}
	var out []string
	for _, u := range a.Units[:n] {
		out = append(out, string(u))
	}
	return out, nil
}

func (c *cli) resolvedCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "resolved unit...", Aliases: []string{"resolve"}, Short: "Tell units in error to run their failed hook again, or to go on without.", Args: cobra.ArbitraryArgs}
	modelFlag(cmd)
	all := cmd.Flags().Bool("all", false, "all units in error")
	skip := cmd.Flags().Bool("no-retry", false, "go on as if the hook had succeeded")
	cmd.Flags().BoolP("retry", "r", false, "accepted for compatibility: it is the default")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && !*all {
			return usagef("no unit specified")
		}
		if len(args) > 0 && *all {
			return usagef("specify units or --all, not both")
		}
		r := userapi.Resolve{All: *all, Skip: *skip}
		for _, a := range args {
			u, err := state.ParseUnit(a)
			if err != nil {
				return usageError{err}
			}
			r.Units = append(r.Units, u)
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		_, err = m.Resolve(cmd.Context(), r)
		return err
	}
	return cmd
}

// A shownUnit is a unit as show-unit prints it.
type shownUnit struct {
	Version   string                           `json:"workload-version,omitempty"`
	Machine   state.MachineID                  `json:"machine,omitempty"`
	Ports     []string                         `json:"opened-ports"`
	Address   string                           `json:"public-address,omitempty"`
	Charm     string                           `json:"charm"`
	Leader    bool                             `json:"leader"`
	Life      string                           `json:"life,omitempty"`
	Relations []shownRelation                  `json:"relation-info,omitempty"`
	Storage   map[state.StorageID]shownStorage `json:"storage,omitempty"`
	Failure   *shownFailure                    `json:"failed-hook,omitempty"`
}

type shownStorage struct {
	Kind     string `json:"kind"`
	Location string `json:"location,omitempty"`
	Life     string `json:"life"`
}

type shownRelation struct {
	ID          state.RelationID      `json:"relation-id"`
	Endpoint    string                `json:"endpoint"`
	Related     string                `json:"related-endpoint"`
	Application map[string]string     `json:"application-data"`
	Local       *shownData            `json:"local-unit,omitempty"`
	Units       map[string]*shownData `json:"related-units,omitempty"`
}

type shownData struct {
	InScope bool              `json:"in-scope"`
	Data    map[string]string `json:"data"`
}

type shownFailure struct {
	Hook     string   `json:"hook"`
	Attempts int      `json:"attempts"`
	Last     string   `json:"last"`
	Exit     string   `json:"exit,omitempty"`
	Output   []string `json:"output,omitempty"`
}

func (c *cli) showUnitCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-unit unit...", Short: "Show units with the data of their relations.", Args: argCount(1, -1, "a unit name must be supplied")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	endpoint := cmd.Flags().String("endpoint", "", "only relations of this endpoint")
	related := cmd.Flags().String("related-unit", "", "only relations to this unit")
	app := cmd.Flags().Bool("app", false, "only the applications' data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, a := range args {
			if _, err := state.ParseUnit(a); err != nil {
				return usageError{err}
			}
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		out := map[string]shownUnit{}
		for _, a := range args {
			u, err := m.Unit(cmd.Context(), state.UnitName(a))
			if err != nil {
				return err
			}
			out[a] = showUnit(u, *endpoint, *related, *app)
		}
		return o.write(out, nil)
	}
	return cmd
}

func showUnit(u userapi.Unit, endpoint, related string, app bool) shownUnit {
	s := shownUnit{Version: u.WorkloadVersion, Machine: u.Machine, Ports: u.Ports, Address: u.PublicAddress, Charm: u.Charm, Leader: u.Leader, Life: u.Life}
	if s.Ports == nil {
		s.Ports = []string{}
	}
	if f := u.Failure; f != nil {
		s.Failure = &shownFailure{Hook: f.Name, Attempts: f.Attempts, Last: f.At.Format("2006-01-02 15:04:05Z07:00"), Exit: f.Exit, Output: f.Output}
	}
	for _, have := range u.Storage {
		if s.Storage == nil {
			s.Storage = map[state.StorageID]shownStorage{}
		}
		s.Storage[have.ID] = shownStorage{have.Kind, have.Location, have.Life}
	}
	for _, r := range u.Relations {
		if endpoint != "" && r.Endpoint != endpoint {
			continue
		}
		if _, ok := r.Members[state.UnitName(related)]; related != "" && !ok {
			continue
		}
		shown := shownRelation{ID: r.ID, Endpoint: r.Endpoint, Related: r.Related, Application: settings(r.Application)}
		if !app {
			if r.Local != nil {
				shown.Local = &shownData{r.Local.InScope, settings(r.Local.Settings)}
			}
			for name, member := range r.Members {
				if shown.Units == nil {
					shown.Units = map[string]*shownData{}
				}
				if related == "" || related == string(name) {
					shown.Units[string(name)] = &shownData{member.InScope, settings(member.Settings)}
				}
			}
		}
		s.Relations = append(s.Relations, shown)
	}
	return s
}

// settings is s, and never null in JSON.
func settings[M ~map[string]string](s M) map[string]string {
	if s == nil {
		return map[string]string{}
	}
	return s
}
