package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/install"
	"github.com/grigri/grigri/internal/programs"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
)

func (c *cli) upgradeControllerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "upgrade-controller", Short: "Have a controller run the programs that are beside this one.", Args: argCount(0, 0, ""),
		Long: "Have a controller run the programs grigrid, grigri-agent and hooktool that are beside this one. They are sent to it, and it sees whether they come up\n" +
			"before they take its place; if they do not, it goes on as it is. Agents, and what they run, go on meanwhile; they keep theirs until \"upgrade-model\".\n\n" +
			"A controller that does not answer is reached over its host: by its provider, or over ssh where --ssh says."}
	controllerFlag(cmd)
	dryRun, check := upgradeFlags(cmd)
	u := &controllerUpgrade{c: c, login: c.loginFlags(cmd)}
	cmd.Flags().BoolVar(&u.downgrade, "downgrade", false, "they may be older than those that run")
	cmd.Flags().StringVar(&u.ssh, "ssh", "", "how to log in to its host if it does not answer: [user@]host[:port]")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := check(); err != nil {
			return err
		}
		var err error
		if u.target, err = c.controllerTarget(cmd); err != nil {
			return err
		}
		u.timeout, _ = cmd.Flags().GetDuration("timeout")
		if err := u.run(cmd.Context(), *dryRun); err != nil {
			return fmt.Errorf("upgrade controller %q: %w", u.target.controller, err)
		}
		return nil
	}
	return cmd
}

// startPatience is how long a controller may be silent before somebody looks whether it runs at all: it is silent for some seconds
// when its programs are replaced.
const startPatience = 10 * time.Second

// A controllerUpgrade is one call of the command.
type controllerUpgrade struct {
	c         *cli
	target    target
	login     login
	ssh       string
	downgrade bool
	timeout   time.Duration

	daemon  string // the program grigrid beside this one
	to      userapi.Build
	archive []byte
	hash    string
}

func (u *controllerUpgrade) run(ctx context.Context, dryRun bool) error {
	var err error
	if u.daemon, err = u.c.daemon(); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, u.daemon, "version").Output()
	if err == nil {
		err = json.Unmarshal(out, &u.to)
	}
	if err != nil {
		return fmt.Errorf("ask %s what it is: %w", u.daemon, err)
	}
	cl, err := u.c.dial(u.target)
	if err != nil {
		return err
	}
	defer cl.Close()
	now, err := cl.Controller(ctx)
	answers := err == nil
	var refused *userapi.Error
	switch {
	case errors.As(err, &refused) && refused.Code != userapi.Unavailable, ctx.Err() != nil:
		return err
	case answers && !now.Superuser:
		return fmt.Errorf("permission denied: only a superuser may do this, and %s is none", now.User)
	case answers:
		have := userapi.Build{Release: now.Release, Format: now.Format, Arch: now.Arch, Program: now.Build}
		same, err := userapi.CheckUpgrade(have, u.to, u.downgrade)
		if err != nil {
			return fmt.Errorf("%w; nothing has been changed", err)
		}
		if same {
			u.c.infof("no upgrades available")
			return nil
		}
	default:
		u.c.infof("%v", err)
	}
	u.c.infof("best version:\n    %s (grigri %s, grigrid %.12s)", u.to.Juju, u.to.Release, u.to.Program)
	if dryRun {
		u.c.infof("upgrade to this version by running\n    %s upgrade-controller", u.c.name)
		return nil
	}
	if u.archive, u.hash, err = programs.Pack(programFiles(u.daemon)); err != nil {
		return fmt.Errorf("pack the programs beside grigrid: %w", err)
	}
	p := u.c.progress()
	defer p.end()
	if answers {
		err = u.ask(ctx, cl, p)
	} else {
		err = u.force(ctx, p)
	}
	if err == nil {
		err = u.await(ctx, cl, p)
	}
	if err != nil {
		return err
	}
	p.end()
	u.c.infof("controller %q runs %s; now \"%s upgrade-model\" has a model's machines follow", u.target.controller, u.daemon, u.c.name)
	return u.target.store.update(func(b *book) error {
		if e := b.controllers.Controllers[u.target.controller]; e != nil {
			e.AgentVersion = u.to.Juju
		}
		return nil
	})
}

// ask has the controller replace itself.
func (u *controllerUpgrade) ask(ctx context.Context, cl *client.Client, p *progress) error {
	p.say("sending the programs: %d MiB", len(u.archive)>>20)
	open := func() (io.ReadCloser, error) {
		var r io.Reader = bytes.NewReader(u.archive)
		if p.terminal {
			r = &counted{r: r, size: len(u.archive), p: p}
		}
		return io.NopCloser(r), nil
	}
	if _, err := cl.UploadPrograms(ctx, u.hash, int64(len(u.archive)), open); err != nil {
		return err
	}
	p.say("having the controller see whether they come up")
	_, err := cl.UpgradeController(ctx, userapi.UpgradeController{Programs: u.hash, Downgrade: u.downgrade})
	return err
}

// await waits until the controller runs the programs, or says why it does not.
func (u *controllerUpgrade) await(ctx context.Context, cl *client.Client, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	silent, started := time.Now(), false
	for {
		now, err := cl.Controller(ctx)
		switch {
		case err == nil && now.Build == u.to.Program:
			return nil
		case err == nil && now.Upgrade != nil && now.Upgrade.To == u.hash && now.Upgrade.Failed != "":
			return fmt.Errorf("%s\nthe programs that ran before run on", now.Upgrade.Failed)
		case err == nil && (now.Upgrade == nil || now.Upgrade.To != u.hash):
			return errors.New("the controller was started again before the programs had been put in place, and runs as before: try again")
		case err == nil:
			silent = time.Now()
		case !started && time.Since(silent) > startPatience:
			started = true // where no service does, we start it: once, as that tries often enough
			if how, done, err := u.host(ctx); err == nil {
				err = how.Start(ctx)
				done()
				if err != nil {
					u.c.infof("%v", err)
				}
			}
		}
		p.say("waiting for the controller to come back")
		select {
		case <-ctx.Done():
			if err == nil {
				err = errors.New("it still runs as before")
			}
			return fmt.Errorf("it has not come back in %s, and goes on by itself: see its log, and \"%s show-controller\"; %w", u.timeout, u.c.name, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// force replaces the programs of a controller that does not answer, on its host.
func (u *controllerUpgrade) force(ctx context.Context, p *progress) error {
	how, done, err := u.host(ctx)
	if err != nil {
		return err
	}
	defer done()
	how.Archive, how.Hash, how.Downgrade, how.Say = u.archive, u.hash, u.downgrade, func(step string) { p.say("%s", step) }
	return how.Run(ctx)
}

// host is how the controller is reached on its host, until done is called.
func (u *controllerUpgrade) host(ctx context.Context) (how install.Replacement, done func(), err error) {
	b, err := u.target.store.read()
	if err != nil {
		return how, nil, err
	}
	entry := b.bootstrap.Controllers[u.target.controller]
	how = install.Replacement{Data: install.Data, Grigrid: install.Programs + "/grigrid", First: install.Programs}
	r := &remote{c: u.c, entry: entry, login: u.login}
	switch {
	case u.ssh != "":
		r.entry.Target = u.ssh
		err = r.reachManual(ctx, u.c.progress())
	case entry.DataDir != "":
		r.host = thisHost{}
		how.Data, how.Grigrid, how.First, how.Plain = entry.DataDir, u.daemon, "", true
		how.Starter = programs.Controller(entry.DataDir).Sound // ours may be what does not come up
	case entry.Target != "":
		err = r.reachManual(ctx, u.c.progress())
	case entry.UUID == "":
		err = errors.New("it does not answer, and this client has not made it: say with --ssh [user@]host how to log in to its host")
	default:
		err = u.reach(ctx, b, r)
	}
	if err != nil {
		r.close()
		return how, nil, err
	}
	how.Host = r.host
	return how, r.close, nil
}

// reach reaches the controller's instance through its provider.
func (u *controllerUpgrade) reach(ctx context.Context, b book, r *remote) error {
	if err := r.reopen(b, u.target.store); err != nil {
		return err
	}
	hoster, ok := r.provider.(provider.Hoster)
	if !ok {
		return fmt.Errorf("it does not answer, and cloud %q lets nobody into its machines but over ssh: say with --ssh [user@]host how to log in", r.cloud.Name)
	}
	list, err := r.provider.List(ctx, r.entry.UUID)
	if err != nil {
		return fmt.Errorf("list the instances of the controller: %w", err)
	}
	for _, in := range list {
		if !slices.ContainsFunc(u.target.entry.Endpoints, func(endpoint string) bool {
			host, _, _ := net.SplitHostPort(endpoint)
			return slices.Contains(in.Addresses, host)
		}) {
			continue
		}
		if r.host, err = hoster.Host(ctx, in.ID); err != nil {
			return fmt.Errorf("reach instance %s: %w", in.ID, err)
		}
		return nil
	}
	return fmt.Errorf("it does not answer, and cloud %q has no instance at %s", r.cloud.Name, joined(u.target.entry.Endpoints))
}

// programFiles is the files of the programs beside grigrid, by name.
func programFiles(daemon string) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"grigrid", "grigri-agent", "hooktool"} {
		out[name] = filepath.Join(filepath.Dir(daemon), name)
	}
	return out
}

// counted says on a terminal how much of it has been read.
type counted struct {
	r                io.Reader
	size, done, said int
	p                *progress
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += n
	if mib := c.done >> 20; mib != c.said {
		c.said = mib
		c.p.say("sending the programs: %d of %d MiB", mib, c.size>>20)
	}
	return n, err
}
