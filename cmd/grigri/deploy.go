package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/charm/unpack"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
)

// A localCharm is a charm on the user's disk that has been read and checked.
type localCharm struct {
	charm   charm.Charm
	archive []byte
	hash    string

	resources map[string]resourceFile // that a bundle gives it
}

// findCharm turns what the user wrote into the path of a charm on this disk.
func (c *cli) findCharm(arg, repository string) (string, error) {
	if name, ok := strings.CutPrefix(arg, "local:"); ok && repository == "" {
		repository = c.env("REPOSITORY")
		arg = name
	} else if ok {
		arg = name
	}
	if repository != "" && !strings.HasPrefix(arg, ".") && !strings.HasPrefix(arg, "/") {
		for _, p := range []string{filepath.Join(repository, arg), filepath.Join(repository, filepath.Base(arg))} {
			if _, err := os.Stat(p); err == nil {
				return p, nil
			}
		}
		return "", fmt.Errorf("no charm was found at %q", filepath.Join(repository, arg))
	}
	if strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") {
		if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("no charm was found at %q", arg)
		}
		return arg, nil
	}
	if _, err := os.Stat(arg); err == nil {
		return "", fmt.Errorf("the charm %q is on this disk and could be in a store as well: write ./%s for the one on this disk", arg, arg)
	}
	return "", fmt.Errorf("cannot deploy %q: there is no charm store; name a charm's directory or archive: ./%s", arg, strings.TrimPrefix(arg, "ch:"))
}

// readCharm reads and checks the charm at path, a directory or an archive, before anything goes over the network.
func readCharm(path string) (localCharm, error) {
	info, err := os.Stat(path)
	if err != nil {
		return localCharm{}, fmt.Errorf("read charm: %w", err)
	}
	var l localCharm
	if info.IsDir() {
		fsys, err := unpack.Dir(path)
		if err != nil {
			return localCharm{}, err
		}
		var b bytes.Buffer
		if l.hash, _, err = charm.Archive(&b, fsys); err != nil {
			return localCharm{}, fmt.Errorf("read charm %s: %w", path, err)
		}
		l.archive = b.Bytes()
	} else {
		if info.Size() > charm.MaxArchive {
			return localCharm{}, fmt.Errorf("charm %s is %d MiB: at most %d are allowed", path, info.Size()>>20, charm.MaxArchive>>20)
		}
		if l.archive, err = os.ReadFile(path); err != nil {
			return localCharm{}, fmt.Errorf("read charm: %w", err)
		}
		l.hash = hexSHA256(l.archive)
	}
	if l.charm, err = charm.ReadArchive(bytes.NewReader(l.archive), int64(len(l.archive))); err != nil {
		return localCharm{}, fmt.Errorf("read charm %s: %w", path, err)
	}
	if reasons := charm.CheckAssumes(l.charm.Meta.Assumes, version.Juju, nil); len(reasons) > 0 {
		return localCharm{}, fmt.Errorf("charm %s cannot run here: it assumes %s", path, strings.Join(reasons, "; "))
	}
	return l, nil
}

// upload makes sure that the controller has the charm.
func (l localCharm) upload(ctx context.Context, m client.Model) (state.Charm, error) {
	return m.UploadCharm(ctx, l.hash, int64(len(l.archive)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(l.archive)), nil
	})
}

func (c *cli) deployCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deploy charm|bundle [name]", Short: "Deploy an application from a charm's directory or archive, or a bundle of applications.", Args: argCount(1, 2, "no charm specified")}
	modelFlag(cmd)
	f := cmd.Flags()
	bundles := addBundleFlags(f)
	dryRun := f.Bool("dry-run", false, "only show what would be changed")
	n := f.IntP("num-units", "n", 1, "how many units")
	config := f.StringArray("config", nil, "a setting, key=value, or a YAML file of settings")
	constraints := f.StringArray("constraints", nil, "what the units' machines must have")
	to := f.String("to", "", "where: machines (3, 3/lxd/0), new, lxd:3, lxd or zone=a, separated by commas")
	base := f.String("base", "", "the operating system: ubuntu@22.04")
	trust := f.Bool("trust", false, "give the application the cloud's credentials")
	force := f.Bool("force", false, "use a base that the charm does not name")
	repository := f.String("repository", "", "the directory to look for the charm in")
	resources := resourceFlag(cmd)
	storage := addStorageFlags(cmd)
	wait := f.Bool("wait", false, "wait until all units are idle")
	series := f.String("series", "", "the name of the base, as before bases")
	_ = f.MarkHidden("series")
	for name, usage := range map[string]string{"channel": "charms on disk have none", "revision": "charms on disk have none", "bind": "only the space alpha"} {
		f.String(name, "", usage)
		_ = f.MarkHidden(name)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := onlyAlpha(f.Lookup("bind").Value.String()); err != nil {
			return err
		}
		if base, found, err := findBundle(args[0]); found || err != nil {
			if err != nil {
				return err
			}
			return c.deployBundle(cmd, base, bundles, *dryRun)
		}
		if f.Changed("overlay") || f.Changed("map-machines") {
			return fmt.Errorf("options provided but not supported when deploying a charm: --overlay, --map-machines")
		}
		if *n < 0 {
			return usagef("--num-units must be a positive integer")
		}
		places := splitCommas(*to)
		if len(places) > *n {
			return usagef("--to names %d places for %d units", len(places), *n)
		}
		wanted, err := constraintsOf(*constraints)
		if err != nil {
			return err
		}
		chosen, err := resourceWords(*resources)
		if err != nil {
			return err
		}
		path, err := c.findCharm(args[0], *repository)
		if err != nil {
			return err
		}
		local, err := readCharm(path)
		if err != nil {
			return err
		}
		files, err := openResources(chosen, local.charm.Meta)
		if err != nil {
			return err
		}
		name := local.charm.Meta.Name
		if len(args) == 2 {
			name = args[1]
		}
		if local.charm.Meta.Subordinate && (f.Changed("num-units") || *to != "") {
			return fmt.Errorf("cannot use --num-units or --to with subordinate application")
		}
		if local.charm.Meta.Subordinate && len(*constraints) > 0 {
			return fmt.Errorf("cannot use --constraints with subordinate application")
		}
		wants, err := storageWords(*storage.wants, name)
		if err != nil {
			return err
		}
		attach, err := storageIDs(splitCommas(*storage.attach))
		if err != nil {
			return err
		}
		if len(attach) > 0 && *n != 1 {
			return usagef("--attach-storage cannot be used with -n")
		}
		values, err := settingsOf(*config, name)
		if err != nil {
			return err
		}
		if *base == "" {
			*base = *series
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		if *dryRun {
			if _, err := m.Application(cmd.Context(), state.ApplicationName(name)); err == nil {
				return fmt.Errorf("application %q already exists", name)
			} else if !client.IsCode(err, userapi.NotFound) {
				return err
			}
			_, err := fmt.Fprintf(c.out, "Changes to deploy charm:\n- deploy application %s from local charm %s with %d units\n", name, path, *n)
			return err
		}
		charm, err := local.upload(cmd.Context(), m)
		if err != nil {
			return err
		}
		c.infof("Located local charm %q, revision %d", charm.ID.Name, charm.ID.Revision)
		if err := c.uploadResources(cmd.Context(), m, files); err != nil {
			return err
		}
		made, err := m.Deploy(cmd.Context(), userapi.Deploy{Name: state.ApplicationName(name), Charm: local.hash, Config: values, Base: *base,
			Constraints: wanted, Units: *n, To: places, Trust: *trust, Force: *force, Resources: choicesOf(files), Storage: wants, Attach: attach})
		if err != nil {
			return err
		}
		on := ""
		if s := made.Base.String(); s != "" {
			on = " on " + s + "/stable"
		}
		c.infof("Deploying %q from local charm %q, revision %d%s", name, charm.ID.Name, charm.ID.Revision, on)
		if *wait {
			return c.waitIdle(cmd.Context(), m, name)
		}
		return nil
	}
	return cmd
}

// waitIdle waits until every unit of the application is idle, and says how far they are. A unit in error ends the wait.
func (c *cli) waitIdle(ctx context.Context, m client.Model, application string) error {
	p := c.progress()
	defer p.end()
	report, revision, err := m.StatusAfter(ctx, "", 0, application)
	for ; err == nil; report, revision, err = m.StatusAfter(ctx, revision, 30*time.Second, application) {
		a := report.Status.Applications[state.ApplicationName(application)]
		idle, busy := 0, ""
		for name, u := range a.Units {
			switch {
			case u.Workload.Current == "error":
				return fmt.Errorf("%s is in error: %s; see \"%s debug-log\"", name, u.Workload.Message, c.name)
			case u.Agent.Current == "idle":
				idle++
			default:
				busy = fmt.Sprintf("%s: %s", name, strings.TrimSpace(u.Agent.Message+" "+u.Workload.Message))
			}
		}
		if idle == len(a.Units) {
			p.say("%d of %d units are ready", idle, len(a.Units))
			return nil
		}
		p.say("%d of %d units are ready; %s", idle, len(a.Units), busy)
	}
	return err
}

// onlyAlpha refuses --bind, "space" or "endpoint=space endpoint=space", with spaces that are not there.
func onlyAlpha(bind string) error {
	for _, word := range strings.Fields(bind) {
		if _, space, ok := strings.Cut(word, "="); ok {
			word = space
		}
		if word != "alpha" {
			return fmt.Errorf("--bind: space %q not found: there is only the space alpha", word)
		}
	}
	return nil
}

func (c *cli) refreshCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "refresh application", Aliases: []string{"upgrade-charm"}, Short: "Give an application a newer charm.", Args: argCount(1, 1, "no application specified")}
	modelFlag(cmd)
	f := cmd.Flags()
	path := f.String("path", "", "the charm's directory or archive")
	swap := f.String("switch", "", "another charm's directory or archive")
	config := f.StringArray("config", nil, "a setting, key=value, or a YAML file of settings")
	base := f.String("base", "", "the operating system of new units")
	force := f.Bool("force", false, "change the files of units in error too, at once")
	forceUnits := f.Bool("force-units", false, "the same as --force")
	repository := f.String("repository", "", "the directory to look for the charm in")
	trust := f.Bool("trust", false, "give the application the cloud's credentials")
	resources := resourceFlag(cmd)
	storage := pairsFlag(cmd, "storage", "storage of units to come: name=[pool,][size,][count]")
	f.Bool("force-base", false, "use a base that the charm does not name")
	for _, name := range []string{"channel", "revision"} {
		f.String(name, "", "charms on disk have none")
		_ = f.MarkHidden(name)
	}
	f.String("bind", "", "only the space alpha")
	_ = f.MarkHidden("bind")
	exclusive(cmd, "path", "switch")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.Changed("channel") || f.Changed("revision") {
			return fmt.Errorf("%s has a charm from a disk, which has no channels, nor revisions to choose from: name the newer charm with --path", args[0])
		}
		if err := onlyAlpha(f.Lookup("bind").Value.String()); err != nil {
			return err
		}
		wants, err := storageWords(*storage, args[0])
		if err != nil {
			return err
		}
		chosen, err := resourceWords(*resources)
		if err != nil {
			return err
		}
		where := *path + *swap
		if where == "" && *repository != "" {
			where = args[0]
		}
		if where == "" && len(chosen) > 0 && *config == nil && *base == "" && !*trust {
			return c.attachResources(cmd, args[0], chosen)
		}
		if where == "" {
			return fmt.Errorf("%s has a charm from a disk: name the newer charm with --path", args[0])
		}
		if *repository == "" && !strings.HasPrefix(where, "/") && !strings.HasPrefix(where, ".") {
			where = "./" + where
		}
		found, err := c.findCharm(where, *repository)
		if err != nil {
			return err
		}
		local, err := readCharm(found)
		if err != nil {
			return err
		}
		files, err := openResources(chosen, local.charm.Meta)
		if err != nil {
			return err
		}
		values, err := settingsOf(*config, args[0])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		application := state.ApplicationName(args[0])
		if _, err := m.Application(cmd.Context(), application); err != nil {
			return err
		}
		charm, err := local.upload(cmd.Context(), m)
		if err != nil {
			return err
		}
		if err := c.uploadResources(cmd.Context(), m, files); err != nil {
			return err
		}
		done, err := m.Refresh(cmd.Context(), application, userapi.Refresh{Charm: local.hash, Config: values, Base: *base, Force: *force || *forceUnits, Resources: choicesOf(files), Storage: wants})
		if err != nil {
			return err
		}
		if *trust {
			if err := m.Trust(cmd.Context(), application, true); err != nil {
				return err
			}
		}
		if done.From == done.To && len(files) == 0 {
			c.infof("charm %q: already up to date", done.To.URL())
			return nil
		}
		c.infof("Added local charm %q, revision %d, to the model", charm.ID.Name, charm.ID.Revision)
		return nil
	}
	return cmd
}
