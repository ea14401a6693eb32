package nest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd"
	"github.com/grigri/grigri/state"
)

var (
	//go:embed install.sh
	installScript string
	//go:embed image.sh
	imageScript string
)

// open opens LXD's provider as the model's settings want it.
func (n *nest) open() error {
	config := map[string]string{}
	settings := n.Settings()
	if server := settings["container-image-metadata-url"]; server != "" {
		config["image-server"] = server
	} else if off, _ := strconv.ParseBool(settings["container-image-metadata-defaults-disabled"]); off {
		config["image-server"] = ""
	}
	as := fmt.Sprint(config, n.Reach())
	if n.lxd != nil && n.opened == as {
		return nil
	}
	fresh, err := lxd.Open(lxd.Config{Spec: provider.Spec{Cloud: provider.Cloud{Name: "machine " + string(n.Machine), Type: "lxd", Config: config}},
		Log: n.Log, Where: string(n.Model) + " " + string(n.Machine), Avoid: n.Reach()})
	if err != nil {
		return err
	}
	if n.lxd != nil {
		n.lxd.Close()
	}
	n.lxd, n.opened, n.images = fresh, as, map[string]bool{}
	return nil
}

// makeAll makes the containers, as soon as LXD can.
func (n *nest) makeAll(ctx context.Context, ids []state.MachineID) error {
	fail := func(ids []state.MachineID, err error) error {
		var errs []error
		for _, id := range ids {
			errs = append(errs, n.fail(ctx, id, n.told[id], err))
		}
		return errors.Join(errs...)
	}
	say := func(what string) {
		for _, id := range ids {
			r := n.was(id)
			r.State, r.Message, r.Error, r.Retry, r.Since = provider.Pending, what+" on machine "+string(n.Machine), "", time.Time{}, n.Now()
			if err := n.report(ctx, id, r); err != nil {
				n.Log.Warn("cannot say how far a container is", "machine", id, "err", err)
			}
		}
	}
	if err := n.prepare(ctx, say); err != nil {
		return fail(ids, fmt.Errorf("have LXD on machine %s: %w", n.Machine, err))
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(n.workers())
	for _, id := range ids {
		told := n.told[id]
		if told.Start.Base == "" {
			told.Start.Base = n.Base.String()
		}
		if err := n.image(ctx, told.Start.Base, say); err != nil {
			if err := fail([]state.MachineID{id}, fmt.Errorf("have an image on machine %s: %w", n.Machine, err)); err != nil {
				return err
			}
			continue
		}
		g.Go(func() error {
			in, err := n.lxd.Start(gctx, told.Start)
			if err != nil {
				n.doubt()
				return n.fail(gctx, id, told, err)
			}
			n.Log.Info("a container runs", "machine", id, "instance", in.ID)
			return n.report(gctx, id, found(n.was(id), told, in, n.Now()))
		})
	}
	return g.Wait()
}

// doubt has it looked again whether LXD can make containers.
func (n *nest) doubt() {
	n.mu.Lock()
	n.prepared = false
	n.mu.Unlock()
}

// prepare sees to it that LXD can make containers. It is installed if it is missing.
func (n *nest) prepare(ctx context.Context, say func(string)) error {
	if n.prepared && n.lxd.Reach(ctx) == nil {
		return nil
	}
	if err := n.lxd.Reach(ctx); err != nil {
		if _, missing := exec.LookPath("lxd"); missing != nil {
			say("installing LXD")
		}
		if err := n.locked(ctx, "install LXD", installScript, n.Base.Name, n.Base.Channel); err != nil {
			return err
		}
	}
	if changed, err := fitIDs("/proc/self/uid_map", "/etc/subuid", "/etc/subgid"); err != nil {
		return err
	} else if changed {
		if err := n.script(ctx, "start LXD again", "systemctl restart lxd && lxd waitready --timeout=60"); err != nil {
			return err
		}
	}
	if err := n.lxd.Prepare(ctx, n.proxies()); err != nil {
		return err
	}
	problems, err := n.lxd.Ready(ctx)
	if err == nil {
		err = trouble(problems)
	}
	n.prepared = err == nil
	return err
}

// proxies is how LXD is to reach image servers, where the model says so.
func (n *nest) proxies() map[string]string {
	out := map[string]string{}
	for key, setting := range map[string]string{"core.proxy_http": "http-proxy", "core.proxy_https": "https-proxy", "core.proxy_ignore_hosts": "no-proxy"} {
		if v := n.Settings()[setting]; v != "" {
			out[key] = v
		}
	}
	return out
}

// image sees to it that there is an image of the base: LXD has it, or can get it, or it is made here.
func (n *nest) image(ctx context.Context, base string, say func(string)) error {
	if n.images[base] {
		return nil
	}
	problems, err := n.lxd.HasImage(ctx, base)
	if err != nil {
		return err
	}
	if err := trouble(problems); err != nil {
		if n.Base.Name != "debian" || base != n.Base.String() {
			return err
		}
		n.Log.Info("an image is made on the machine: no other is to be had", "base", base, "why", err)
		say("making an image of " + base)
		if _, missing := exec.LookPath("debootstrap"); missing != nil {
			if err := n.locked(ctx, "install debootstrap", installDebootstrap); err != nil {
				return err
			}
		}
		if err := n.script(ctx, "make an image of "+base, imageScript, base); err != nil {
			return err
		}
	}
	n.images[base] = true
	return nil
}

// trouble is the problems as an error, each with its remedy.
func trouble(problems []provider.Problem) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("%s (to mend it: %s)", p.What, p.Remedy))
	}
	return errors.Join(errs...)
}

// tail is how much of what a script has printed is in its error.
const tail = 400

const installDebootstrap = "apt=\"apt-get -q -y -o DPkg::Lock::Timeout=600\"; $apt update && $apt --no-install-recommends install debootstrap"

// locked is script while no hook runs: both may want apt.
func (n *nest) locked(ctx context.Context, what, text string, args ...string) error {
	release, err := n.Lock(ctx, what)
	if err != nil {
		return err
	}
	defer release()
	return n.script(ctx, what, text, args...)
}

// script runs a script of sh. It runs to its end even when we do not, and may be run again then.
func (n *nest) script(ctx context.Context, what, text string, args ...string) error {
	n.Log.Info("a script runs to "+what, "machine", n.Machine)
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", text, "sh"}, args...)...)
	cmd.Cancel = func() error { return os.ErrProcessDone }
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin", "HOME=/root")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(string(out))
	if len(said) > tail {
		said = "..." + said[len(said)-tail:]
	}
	return fmt.Errorf("%s: %w: %s", what, err, strings.ReplaceAll(said, "\n", "; "))
}
