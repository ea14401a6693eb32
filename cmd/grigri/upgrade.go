package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
)

// upgradeFlags adds the flags that both upgrades have, and returns a check of them.
func upgradeFlags(cmd *cobra.Command) (dryRun *bool, check func() error) {
	f := cmd.Flags()
	dryRun = f.Bool("dry-run", false, "only say what would be done")
	wanted := f.String("agent-version", "", "the version to go to: only the one that is here can be had")
	for name, usage := range map[string]string{"ignore-agent-versions": "versions are not compared", "reset-previous-upgrade": "an upgrade need not be reset"} {
		f.Bool(name, false, "accepted for compatibility: "+usage)
		_ = f.MarkHidden(name)
	}
	f.BoolP("yes", "y", false, "do not ask")
	f.Duration("timeout", 10*time.Minute, "accepted for compatibility")
	f.String("agent-stream", "", "accepted for compatibility: there are no streams")
	for _, name := range []string{"yes", "timeout", "agent-stream"} {
		_ = f.MarkHidden(name)
	}
	return dryRun, func() error {
		if *wanted != "" && *wanted != version.Juju {
			return fmt.Errorf("no agents of version %s can be had: there are those of %s", *wanted, version.Juju)
		}
		return nil
	}
}

func (c *cli) upgradeModelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "upgrade-model", Aliases: []string{"upgrade-juju"}, Short: "Have the machines of a model run the controller's agent.", Args: argCount(0, 0, ""),
		Long: "Have the machines of a model run the agent that the controller has. Each machine fetches it by its hash, puts it in place when no hook runs there, and\ngoes on where it was. An agent that does not come up is taken back, and the machine's log says so."}
	modelFlag(cmd)
	dryRun, check := upgradeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := check(); err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		done, err := m.Upgrade(cmd.Context(), userapi.UpgradeModel{DryRun: *dryRun})
		if err != nil {
			return err
		}
		if done.From == done.To {
			c.infof("no upgrades available")
			return nil
		}
		c.infof("best version:\n    %s (agent %.12s)", version.Juju, done.To)
		if *dryRun {
			c.infof("upgrade to this version by running\n    %s upgrade-model", c.name)
			return nil
		}
		c.infof("started upgrade to %s", version.Juju)
		return nil
	}
	return cmd
}
