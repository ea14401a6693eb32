package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (c *cli) addMachineCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add-machine [placement]", Short: "Start a machine without a unit, or add a host over ssh.", Args: argCount(0, 1, ""),
		Long: "Start a machine without a unit. With lxd:MACHINE it is a container on that machine, and with lxd one on a new machine.\nWith ssh:[user@]host[:port] a host that you have becomes a machine: it is logged in to from here, its\nhardware is looked at, and an agent is installed. Your key or password stays here."}
	modelFlag(cmd)
	n := cmd.Flags().IntP("num-machines", "n", 1, "how many")
	base := cmd.Flags().String("base", "", "the operating system: ubuntu@22.04")
	constraints := cmd.Flags().StringArray("constraints", nil, "what the machine must have")
	disks := cmd.Flags().String("disks", "", "not supported: storage belongs to units")
	login := c.loginFlags(cmd)
	public := cmd.Flags().String("public-key", "", "with ssh: the file of a public key whose owner is to be let in from now on")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *n < 1 {
			return usagef("-n must be a positive integer")
		}
		if *disks != "" {
			return usagef("--disks is not supported: storage belongs to units; ask for it with \"%s deploy --storage\"", c.name)
		}
		if len(args) == 1 && *n > 1 {
			return usagef("cannot use -n when specifying a placement")
		}
		if len(args) == 1 && strings.HasPrefix(args[0], "ssh:") {
			if *base != "" || len(*constraints) > 0 {
				return usagef("a host that is added with ssh is as it is: --base and --constraints are for machines that a cloud makes")
			}
			target, err := sshhost.ParseTarget(strings.TrimPrefix(args[0], "ssh:"))
			if err != nil {
				return usageError{err}
			}
			t, m, err := c.model(cmd)
			if err != nil {
				return err
			}
			a := addHost{c: c, model: m, controller: t, target: target, public: *public}
			return a.run(cmd.Context(), login)
		}
		if login.given() || *public != "" {
			return usagef("--private-key, --public-key and --host-key are for a placement that begins with ssh:")
		}
		wanted, err := constraintsOf(*constraints)
		if err != nil {
			return err
		}
		add := userapi.AddMachines{N: *n, Base: *base, Constraints: wanted}
		if len(args) == 1 {
			add.Placement = args[0]
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		made, err := m.AddMachines(cmd.Context(), add)
		for _, id := range made {
			what := "machine"
			if id.IsContainer() {
				what = "container"
			}
			c.infof("created %s %s", what, id)
		}
		return err
	}
	return cmd
}

func (c *cli) removeMachineCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-machine machine...", Aliases: []string{"terminate-machine", "destroy-machine"}, Short: "Remove machines.", Args: argCount(1, -1, "no machines specified")}
	modelFlag(cmd)
	f := addRemovalFlags(cmd)
	keep := cmd.Flags().Bool("keep-instance", false, "let the instance run on")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, a := range args {
			if _, err := state.ParseMachine(a); err != nil {
				return usageError{err}
			}
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return c.remove(cmd, m, f, "machine", args, func(name string, r client.Removal) ([]string, error) {
			r.KeepInstance = *keep
			return m.RemoveMachine(cmd.Context(), state.MachineID(name), r)
		})
	}
	return cmd
}

func (c *cli) machinesCommand(show bool) *cobra.Command {
	cmd := &cobra.Command{Use: "machines", Aliases: []string{"list-machines"}, Short: "List the machines of a model.", Args: argCount(0, 0, "")}
	formats := []string{"tabular", "json", "yaml"}
	if show {
		cmd = &cobra.Command{Use: "show-machine machine...", Short: "Show machines.", Args: argCount(1, -1, "no machine specified")}
		formats = []string{"yaml", "json", "tabular"}
	}
	modelFlag(cmd)
	o := c.outputFlags(cmd, formats...)
	utc := cmd.Flags().Bool("utc", false, "show times in UTC")
	colourFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		report, err := m.Status(cmd.Context(), args...)
		if err != nil {
			return t.explain(err)
		}
		st := report.Status.In(c.location(*utc))
		machines := st.Machines
		if show {
			machines = map[state.MachineID]status.Machine{}
			for _, a := range args {
				found, ok := st.Machine(state.MachineID(a))
				if !ok {
					return fmt.Errorf("machine %s not found", a)
				}
				machines[state.MachineID(a)] = found
			}
		}
		out := map[string]any{"model": st.Model.Name, "machines": machines}
		return o.write(out, func(w io.Writer) error {
			st.Machines = machines
			return status.WriteMachines(w, st, c.colour(cmd))
		})
	}
	return cmd
}
