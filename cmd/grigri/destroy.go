package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/install"
	"github.com/grigri/grigri/internal/userapi"
)

// destroyFlags are the flags of the commands that end models.
type destroyFlags struct {
	endingFlags
	releaseStorage bool
	timeout        time.Duration
}

func addDestroyFlags(cmd *cobra.Command) *destroyFlags {
	f := &destroyFlags{}
	f.add(cmd, "destroy all storage")
	cmd.Flags().BoolVar(&f.releaseStorage, "release-storage", false, "let go of all storage")
	cmd.Flags().DurationVarP(&f.timeout, "timeout", "t", 0, "with --force: how long the whole may take")
	exclusive(cmd, "destroy-storage", "release-storage")
	return f
}

// confirmName asks the user to type the name of what is lost.
func (c *cli) confirmName(what, name string, effects []string) error {
	fmt.Fprintf(c.errw, "WARNING! This command will destroy the %q %s and all there is in it.\n", name, what)
	for _, e := range effects {
		fmt.Fprintf(c.errw, "%s\n", e)
	}
	fmt.Fprintf(c.errw, "\nTo continue, enter the name of the %s to be destroyed: ", what)
	line, _ := bufio.NewReader(c.in).ReadString('\n') // the end of input is a no
	if strings.TrimSpace(line) != name {
		fmt.Fprintln(c.errw)
		return fmt.Errorf("%s destruction: aborted", what)
	}
	return nil
}

func (c *cli) destroyModelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "destroy-model model", Short: "Destroy a model with all its applications and machines.", Args: argCount(1, 1, "no model specified")}
	f := addDestroyFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.timeout != 0 && !f.force {
			return usagef("--timeout without --force not valid")
		}
		t, err := c.openModel(args[0])
		if err != nil {
			return err
		}
		if shortName(t.model) == "controller" {
			return fmt.Errorf("%q is a controller; use '%s destroy-controller' to destroy it", shortName(t.model), c.name)
		}
		cl, err := c.dial(t)
		if err != nil {
			return err
		}
		m := cl.Model(t.ref())
		how := client.Removal{Force: f.force, Timeout: f.timeout, Destroy: f.destroyStorage, Release: f.releaseStorage}
		if !f.noPrompt {
			effects, err := m.Destroy(cmd.Context(), client.Removal{DryRun: true, Destroy: f.destroyStorage, Release: f.releaseStorage})
			if err != nil {
				return t.explain(err)
			}
			if err := c.confirmName("model", shortName(t.model), effects); err != nil {
				return err
			}
		}
		c.infof("Destroying model")
		if _, err := m.Destroy(cmd.Context(), how); err != nil {
			return t.explain(err)
		}
		if err := c.waitGone(cmd.Context(), m); err != nil {
			return err
		}
		c.infof("Model destroyed.")
		return t.store.update(func(b *book) error {
			e := b.modelsOf(t.controller)
			delete(e.Models, t.model)
			if e.Current == t.model {
				e.Current = ""
			}
			return nil
		})
	}
	return cmd
}

// waitGone waits until the model is no more, and says what is left of it.
func (c *cli) waitGone(ctx context.Context, m client.Model) error {
	p := c.progress()
	defer p.end()
	for {
		info, err := m.Info(ctx)
		if client.IsCode(err, userapi.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		text := fmt.Sprintf("Waiting for model to be removed, %d machine(s), %d application(s), %d unit(s)", len(info.MachineCores), info.Applications, info.Units)
		if info.Message != "" {
			text += ": " + info.Message
		}
		p.say("%s", text)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *cli) destroyControllerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "destroy-controller controller", Aliases: []string{"destroy-environment"}, Short: "Destroy a controller.", Args: argCount(1, 1, "no controller specified")}
	f := addDestroyFlags(cmd)
	all := cmd.Flags().Bool("destroy-all-models", false, "destroy its models too")
	keys := c.loginFlags(cmd)
	modelTimeout := cmd.Flags().Duration("model-timeout", 0, "with --force: how long each model may take")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := c.openTarget(args[0])
		if err != nil {
			return err
		}
		cl, err := c.dial(t)
		if err != nil {
			return err
		}
		models, err := hostedModels(cmd.Context(), cl)
		if err != nil {
			return fmt.Errorf("%w; \"%s kill-controller %s\" works without it", err, c.name, t.controller)
		}
		if len(models) > 0 && !*all {
			var names []string
			for _, m := range models {
				names = append(names, m.Owner+"/"+m.Name)
			}
			return fmt.Errorf("cannot destroy controller %q: it has models: %s; destroy them first, or with it by --destroy-all-models", t.controller, strings.Join(names, ", "))
		}
		how := client.Removal{AllModels: *all, Force: f.force, Destroy: f.destroyStorage, Release: f.releaseStorage, Timeout: max(f.timeout, *modelTimeout)}
		if !f.noPrompt {
			dry := how
			dry.DryRun = true
			effects, err := cl.DestroyController(cmd.Context(), dry)
			if err != nil {
				return err
			}
			if err := c.confirmName("controller", t.controller, effects); err != nil {
				return err
			}
		}
		c.infof("Destroying controller")
		if _, err := cl.DestroyController(cmd.Context(), how); err != nil {
			return err
		}
		for _, m := range models {
			if err := c.waitGone(cmd.Context(), cl.Model(string(m.UUID))); err != nil {
				return err
			}
		}
		if err := cl.StopController(cmd.Context(), f.force); err != nil {
			return err
		}
		if err := c.removeController(cmd.Context(), t, keys); err != nil {
			return err
		}
		c.infof("Controller destroyed.")
		return nil
	}
	return cmd
}

func hostedModels(ctx context.Context, cl *client.Client) ([]userapi.Model, error) {
	models, err := cl.Models(ctx)
	var hosted []userapi.Model
	for _, m := range models {
		if m.Name != "controller" {
			hosted = append(hosted, m)
		}
	}
	return hosted, err
}

// removeController removes what is left of a controller on this host, and forgets it.
func (c *cli) removeController(ctx context.Context, t target, how login) error {
	b, err := t.store.read()
	if err != nil {
		return err
	}
	entry := b.bootstrap.Controllers[t.controller]
	if dir := entry.DataDir; dir != "" {
		if err := c.killLocal(ctx, dir); err != nil {
			return err
		}
	}
	if entry.UUID != "" {
		if err := c.killRemote(ctx, b, t.store, entry, how); err != nil {
			return fmt.Errorf("remove controller %q: %w", t.controller, err)
		}
	}
	return t.store.update(func(b *book) error { b.forget(t.controller); return nil })
}

// killRemote ends everything that there is of a controller elsewhere: with this client's credential, whether or not the controller answers.
func (c *cli) killRemote(ctx context.Context, b book, s clientStore, entry bootstrapEntry, how login) error {
	r := &remote{c: c, entry: entry, login: how}
	defer r.close()
	if entry.Target != "" {
		if err := r.reachManual(ctx, c.progress()); err != nil {
			return err
		}
		return install.Remove(ctx, r.host, entry.UUID)
	}
	if err := r.reopen(b, s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	return errors.Join(r.stopAll(ctx), r.tellVolumes(ctx))
}

// killLocal ends everything that runs for the controller whose directory this is, and removes the directory.
func (c *cli) killLocal(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	daemon, err := c.daemon()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, daemon, "destroy", "--data-dir", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what interrupts us is not for it
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("remove the controller in %s: %w: %s", dir, err, lastLines(string(out), 20))
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the controller in %s: %w", dir, err)
	}
	_ = os.Remove(filepath.Dir(dir)) // it stays while it holds other controllers
	return nil
}

func (c *cli) killControllerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "kill-controller controller", Short: "Destroy a controller even if it does not answer.", Args: argCount(1, 1, "no controller specified"),
		Long: "Destroy a controller with all its models. If it does not answer, or does not end in time, its machines are ended without it."}
	keys := c.loginFlags(cmd)
	noPrompt := cmd.Flags().Bool("no-prompt", false, "do not ask")
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	timeout := cmd.Flags().DurationP("timeout", "t", 5*time.Minute, "how long it may take to end by itself")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := c.openStore()
		if err != nil {
			return err
		}
		b, err := s.read()
		if err != nil {
			return err
		}
		if b.controllers.Controllers[args[0]] == nil && b.bootstrap.Controllers[args[0]].Cloud == "" {
			return fmt.Errorf("controller %s not found", args[0])
		}
		if !*noPrompt && !*yes {
			if err := c.confirmName("controller", args[0], nil); err != nil {
				return err
			}
		}
		if t, err := c.openTarget(args[0]); err == nil {
			if err := c.destroyKindly(cmd.Context(), t, *timeout); err != nil {
				c.infof("%v: its machines are ended without it", err)
			}
		}
		if err := c.removeController(cmd.Context(), target{store: s, controller: args[0]}, keys); err != nil {
			return err
		}
		c.infof("Controller killed.")
		return nil
	}
	return cmd
}

// destroyKindly lets a controller destroy its own models, for as long as timeout.
func (c *cli) destroyKindly(ctx context.Context, t target, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cl, err := c.dial(t)
	if err != nil {
		return err
	}
	models, err := hostedModels(ctx, cl)
	if err != nil {
		return err
	}
	if _, err := cl.DestroyController(ctx, client.Removal{AllModels: true, Force: true, Destroy: true}); err != nil {
		return err
	}
	for _, m := range models {
		if err := c.waitGone(ctx, cl.Model(string(m.UUID))); err != nil {
			return fmt.Errorf("it has not ended within %s: %w", timeout, err)
		}
	}
	return cl.StopController(ctx, true)
}

func (c *cli) unregisterCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "unregister controller", Short: "Forget a controller without destroying it.", Args: argCount(1, 1, "no controller specified")}
	noPrompt := cmd.Flags().Bool("no-prompt", false, "do not ask")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		t, err := c.openTarget(args[0])
		if err != nil {
			return err
		}
		if !*noPrompt {
			fmt.Fprintf(c.errw, "This forgets controller %q: it runs on, and only who has its address and password can come back to it.\n", t.controller)
			if !c.confirm() {
				return errors.New("unregistering controller: aborted")
			}
		}
		return t.store.update(func(b *book) error { b.forget(t.controller); return nil })
	}
	return cmd
}
