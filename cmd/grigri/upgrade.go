package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
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

func (c *cli) upgradeControllerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "upgrade-controller", Short: "Have a controller run the programs that are beside this one.", Args: argCount(0, 0, ""),
		Long: "Have a controller on this host run the program grigrid that is beside this one. Agents, and what they run, go on meanwhile; they keep theirs\nuntil \"upgrade-model\". A controller that does not come up is replaced by the one that ran before."}
	controllerFlag(cmd)
	dryRun, check := upgradeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := check(); err != nil {
			return err
		}
		t, err := c.controllerTarget(cmd)
		if err != nil {
			return err
		}
		return c.upgradeController(cmd.Context(), t, *dryRun)
	}
	return cmd
}

func (c *cli) upgradeController(ctx context.Context, t target, dryRun bool) error {
	daemon, err := c.daemon()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(daemon)
	if err != nil {
		return fmt.Errorf("read the program to upgrade to: %w", err)
	}
	cl, err := c.dial(t)
	if err != nil {
		return err
	}
	defer cl.Close()
	now, err := cl.Controller(ctx)
	if err != nil {
		return err
	}
	switch {
	case now.Build == hexSHA256(program):
		c.infof("no upgrades available")
		return nil
	case now.Format != state.FormatNumber:
		return fmt.Errorf("controller %q keeps a tree of format %d, and %s knows format %d: nothing has been changed", t.controller, now.Format, daemon, state.FormatNumber)
	}
	c.infof("best version:\n    %s (grigrid %.12s)", version.Juju, hexSHA256(program))
	if dryRun {
		c.infof("upgrade to this version by running\n    %s upgrade-controller", c.name)
		return nil
	}
	b, err := t.store.read()
	if err != nil {
		return err
	}
	dir := b.bootstrap.Controllers[t.controller].DataDir
	if dir == "" {
		return fmt.Errorf("controller %q is not on this host: run upgrade-controller where it is", t.controller)
	}
	u := bootstrap{c: c, name: t.controller, dir: dir, made: bootstrapped{Addresses: t.entry.Endpoints, CA: t.entry.CA, User: t.account.User, Password: t.account.Password}}
	if err := u.replace(ctx, daemon); err != nil {
		return fmt.Errorf("upgrade controller %q: %w", t.controller, err)
	}
	c.infof("controller %q runs %s; now \"%s upgrade-model\" has a model's machines follow", t.controller, daemon, c.name)
	return nil
}

// replace ends the daemon that runs and starts the program in its place; if that does not come up, the one that ran before.
func (b *bootstrap) replace(ctx context.Context, program string) error {
	p := b.c.progress()
	defer p.end()
	p.say("ending the daemon that runs")
	before, err := b.endDaemon(ctx)
	if err != nil {
		return err
	}
	p.say("starting %s", program)
	err = b.start(program)
	if err == nil {
		err = b.answers(ctx)
	}
	if err == nil {
		return nil
	}
	if _, there := os.Stat(before); there != nil || before == program {
		return fmt.Errorf("%w; the program that ran before is not there any more", err)
	}
	p.say("starting the one before, %s", before)
	ctx = context.WithoutCancel(ctx)
	_, back := b.endDaemon(ctx)
	if back == nil {
		back = b.start(before)
	}
	if back == nil {
		back = b.answers(ctx)
	}
	if back != nil {
		return errors.Join(err, fmt.Errorf("start the program that ran before: %w", back))
	}
	return fmt.Errorf("%w\nthe program that ran before, %s, runs again", err, before)
}

// endDaemon asks the daemon to end, waits until it has, and returns its program. One that does not run has ended.
func (b *bootstrap) endDaemon(ctx context.Context) (program string, err error) {
	data, err := os.ReadFile(filepath.Join(b.dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("find the daemon: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return "", fmt.Errorf("find the daemon: %w", err)
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	line, _ := os.ReadFile(proc + "cmdline")
	if !slices.Contains(strings.Split(string(line), "\x00"), b.dir) {
		return "", nil // the number is of another process by now
	}
	if program, err = os.Readlink(proc + "exe"); err != nil {
		return "", fmt.Errorf("find the daemon's program: %w", err)
	}
	program = strings.TrimSuffix(program, " (deleted)")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return program, fmt.Errorf("end the daemon, process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if line, err := os.ReadFile(proc + "cmdline"); err != nil || len(line) == 0 {
			return program, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return program, fmt.Errorf("the daemon, process %d, has been asked to end and has not: %w", pid, ctx.Err())
		}
	}
}
