package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/bundle"
	"github.com/grigri/grigri/internal/userapi"
)

const bundleFile = "bundle.yaml"

// findBundle is the bundle that arg names, if it names one: a file *.yaml, or a directory or archive with bundle.yaml in it and no metadata.
func findBundle(arg string) (s bundle.Source, found bool, err error) {
	info, err := os.Stat(arg)
	if err != nil {
		return s, false, nil // whoever looks for a charm next says so
	}
	s = bundle.Source{Name: arg, Dir: filepath.Dir(arg)}
	switch {
	case info.IsDir():
		s = bundle.Source{Name: filepath.Join(arg, bundleFile), Dir: arg}
		if s.Data, err = os.ReadFile(s.Name); errors.Is(err, fs.ErrNotExist) || isCharm(os.DirFS(arg)) {
			return s, false, nil
		}
	case strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml"):
		s.Data, err = os.ReadFile(arg)
	default:
		z, zerr := zip.OpenReader(arg)
		if zerr != nil {
			return s, false, nil
		}
		defer z.Close()
		if s.Data, err = fs.ReadFile(z, bundleFile); err != nil || isCharm(z) {
			return s, false, nil
		}
	}
	if err != nil {
		return s, true, fmt.Errorf("read the bundle: %w", err)
	}
	return s, true, nil
}

func isCharm(fsys fs.FS) bool {
	for _, name := range []string{"metadata.yaml", "charmcraft.yaml"} {
		if _, err := fs.Stat(fsys, name); err == nil {
			return true
		}
	}
	return false
}

// bundleFlags are the flags of deploy and diff-bundle that are for bundles.
type bundleFlags struct {
	overlays    []string
	mapMachines string
}

func addBundleFlags(f *pflag.FlagSet) *bundleFlags {
	b := &bundleFlags{}
	f.StringArrayVar(&b.overlays, "overlay", nil, "a file of changes to the bundle; may be given several times")
	f.StringVar(&b.mapMachines, "map-machines", "", "which machines of the model those of the bundle are: existing, 3=4,5=6, or both")
	return b
}

// read reads the bundle with its overlays and prints the warnings.
func (b *bundleFlags) read(c *cli, base bundle.Source) (*bundle.Bundle, error) {
	var overlays []bundle.Source
	for _, name := range b.overlays {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the overlay: %w", err)
		}
		overlays = append(overlays, bundle.Source{Name: name, Dir: filepath.Dir(name), Data: data})
	}
	out, warnings, err := bundle.Read(base, overlays, os.ReadFile)
	for _, w := range warnings {
		c.infof("WARNING %s", w)
	}
	return out, err
}

func (b *bundleFlags) options() (bundle.Options, error) {
	o := bundle.Options{Machines: map[string]string{}}
	for _, word := range splitCommas(b.mapMachines) {
		from, to, ok := strings.Cut(word, "=")
		switch {
		case word == "existing":
			o.Existing = true
		case ok && digits.MatchString(from) && digits.MatchString(to):
			o.Machines[from] = to
		default:
			return o, usagef("--map-machines: expected \"existing\" or \"BUNDLE-MACHINE=MODEL-MACHINE\", got %q", word)
		}
	}
	return o, nil
}

// bundleCharms reads the charms of the bundle, and gives the options of its applications the form that the charms give them, so that
// what means the same is the same. What it returns is by application. Several applications may have one charm.
func bundleCharms(b *bundle.Bundle) (map[string]bundle.Charm, map[string]localCharm, error) {
	about, local, read := map[string]bundle.Charm{}, map[string]localCharm{}, map[string]localCharm{}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(b.Applications)) {
		a := b.Applications[name]
		if strings.HasPrefix(a.Charm, "local:") {
			files, err := revisions(a.Resources) // the charm itself the model has, or has not
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("application %q: %v", name, err))
			}
			local[name] = localCharm{resources: files}
			continue
		}
		l, done := read[a.Charm]
		if !done {
			var err error
			if l, err = readCharm(a.Charm); err != nil {
				wrong = append(wrong, fmt.Sprintf("application %q: %v", name, err))
				continue
			}
			read[a.Charm] = l
		}
		if err := fitOptions(a, l.charm.Options); err != nil {
			wrong = append(wrong, fmt.Sprintf("application %q: %v", name, err))
		}
		given := map[string]string{}
		for resource, v := range a.Resources {
			given[resource] = fmt.Sprint(v)
		}
		var err error
		if l.resources, err = openResources(given, l.charm.Meta); err != nil {
			wrong = append(wrong, fmt.Sprintf("application %q: %v", name, err))
		}
		c := bundle.Charm{Name: l.charm.Meta.Name, Hash: l.hash, Subordinate: l.charm.Meta.Subordinate}
		if len(l.charm.Bases) > 0 {
			c.Base = l.charm.Bases[0].String()
		}
		about[name], local[name] = c, l
	}
	if len(wrong) > 0 {
		return nil, nil, errors.New("the provided bundle has the following errors:\n" + strings.Join(wrong, "\n"))
	}
	return about, local, nil
}

// revisions is resources of a charm that the model has: it has them too, by number.
func revisions(given map[string]any) (map[string]resourceFile, error) {
	out := map[string]resourceFile{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		n, ok := given[name].(int)
		if !ok || n < 0 {
			return nil, fmt.Errorf("resource %q: expected the number of a revision, since the charm is the model's own, got %v", name, given[name])
		}
		out[name] = resourceFile{choice: userapi.ResourceChoice{Revision: n}}
	}
	return out, nil
}

func fitOptions(a *bundle.Application, options charm.Options) error {
	settings, err := a.Settings()
	if err != nil {
		return err
	}
	values := map[string]any{}
	for k, v := range settings {
		values[k] = v
	}
	if values, err = options.Check(values); err != nil {
		return err
	}
	for k, v := range values {
		a.Options[k] = fmt.Sprint(v)
	}
	return nil
}

// A wantedBundle is a bundle with the model that is to become like it.
type wantedBundle struct {
	bundle  *bundle.Bundle
	charms  map[string]bundle.Charm
	local   map[string]localCharm
	options bundle.Options
	model   client.Model
	have    bundle.Model
}

func (c *cli) wanted(cmd *cobra.Command, base bundle.Source, flags *bundleFlags) (w wantedBundle, err error) {
	if w.options, err = flags.options(); err != nil {
		return w, err
	}
	if w.bundle, err = flags.read(c, base); err != nil {
		return w, err
	}
	if w.charms, w.local, err = bundleCharms(w.bundle); err != nil {
		return w, err
	}
	if _, w.model, err = c.model(cmd); err != nil {
		return w, err
	}
	w.have, err = readModel(cmd.Context(), w.model)
	return w, err
}

// deployBundle is deploy for a bundle.
func (c *cli) deployBundle(cmd *cobra.Command, base bundle.Source, flags *bundleFlags, dryRun bool) error {
	var refused []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"num-units", "config", "constraints", "to", "base", "series", "resource", "attach-storage", "bind", "revision", "repository"}, f.Name) {
			refused = append(refused, "--"+f.Name)
		}
	})
	if len(refused) > 0 {
		return fmt.Errorf("options provided but not supported when deploying a bundle: %s", strings.Join(refused, ", "))
	}
	if n := cmd.Flags().NArg(); n > 1 {
		return usagef("an application name cannot be given to a bundle: %q", cmd.Flags().Arg(1))
	}
	w, err := c.wanted(cmd, base, flags)
	if err != nil {
		return err
	}
	storage, _ := cmd.Flags().GetStringArray("storage")
	if err := setStorage(w.bundle, storage); err != nil {
		return err
	}
	trust, _ := cmd.Flags().GetBool("trust")
	if trusted := trustedApplications(w.bundle); len(trusted) > 0 && !trust && !dryRun {
		return fmt.Errorf("bundle %s wants applications to be trusted with the cloud's credentials: %s; repeat the deploy with --trust if that is right", base.Name, strings.Join(trusted, ", "))
	}
	changes, err := bundle.Plan(w.bundle, w.charms, w.have, w.options)
	if err != nil {
		return err
	}
	c.infof("Located bundle %q in %s", bundleName(w.bundle, base), base.Name)
	if len(changes) == 0 {
		c.infof("No changes to apply.")
		return nil
	}
	header := "Executing changes:"
	if dryRun {
		header = "Changes to deploy bundle:"
	}
	fmt.Fprintln(c.out, header)
	force, _ := cmd.Flags().GetBool("force")
	e := bundleRun{c: c, m: w.model, local: w.local, trust: trust, force: force, machines: map[string]string{}}
	for i, change := range changes {
		fmt.Fprintf(c.out, "- %s\n", change)
		if dryRun {
			continue
		}
		if err := e.do(cmd.Context(), change); err != nil {
			return fmt.Errorf("%s: %w\n%d of %d changes are done; when the reason is mended, the same command does the rest", change, err, i, len(changes))
		}
	}
	if !dryRun {
		c.infof("Deploy of bundle completed.")
	}
	return nil
}

// setStorage gives applications of the bundle the storage that the user has asked for: application:name=directive.
func setStorage(b *bundle.Bundle, words []string) error {
	of := map[string][]string{}
	for _, w := range words {
		name, _, _ := strings.Cut(w, "=")
		app, _, ok := strings.Cut(name, ":")
		if !ok {
			return usagef("expected \"application:name=[pool,][size,][count]\", got %q", w)
		}
		if b.Applications[app] == nil {
			return fmt.Errorf("storage %q is of application %q, which the bundle does not have", w, app)
		}
		of[app] = append(of[app], w)
	}
	for app, words := range of {
		wants, err := storageWords(words, app)
		if err != nil {
			return err
		}
		a := b.Applications[app]
		if a.Storage == nil {
			a.Storage = map[string]string{}
		}
		maps.Copy(a.Storage, wants)
	}
	return nil
}

func bundleName(b *bundle.Bundle, base bundle.Source) string {
	if b.Name != "" {
		return b.Name
	}
	if filepath.Base(base.Name) == bundleFile {
		if dir, err := filepath.Abs(base.Dir); err == nil {
			return filepath.Base(dir)
		}
	}
	return strings.TrimSuffix(filepath.Base(base.Name), filepath.Ext(base.Name))
}

func trustedApplications(b *bundle.Bundle) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(b.Applications)) {
		if b.Applications[name].Trust {
			out = append(out, name)
		}
	}
	return out
}

func (c *cli) diffBundleCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "diff-bundle bundle", Short: "Show how a bundle and a model differ.", Args: argCount(1, 1, "no bundle specified")}
	modelFlag(cmd)
	flags := addBundleFlags(cmd.Flags())
	annotations := cmd.Flags().Bool("annotations", false, "compare annotations too")
	for _, name := range []string{"arch", "base", "channel"} {
		cmd.Flags().String(name, "", "accepted for compatibility: there is no charm store")
		_ = cmd.Flags().MarkHidden(name)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		base, found, err := findBundle(args[0])
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("no bundle was found at %q", args[0])
		}
		w, err := c.wanted(cmd, base, flags)
		if err != nil {
			return err
		}
		w.options.Annotations = *annotations
		diff, err := bundle.Diff(w.bundle, w.charms, w.have, w.options)
		if err != nil {
			return err
		}
		return writeYAML(c.out, diff)
	}
	return cmd
}

func (c *cli) exportBundleCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "export-bundle", Short: "Make a bundle of a model.", Args: argCount(0, 0, "")}
	modelFlag(cmd)
	file := cmd.Flags().String("filename", "", "the file to write instead of stdout")
	cmd.Flags().Bool("include-charm-defaults", false, "accepted for compatibility")
	_ = cmd.Flags().MarkHidden("include-charm-defaults")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		have, err := readModel(cmd.Context(), m)
		if err != nil {
			return err
		}
		if len(have.Applications) == 0 {
			return fmt.Errorf("nothing to export: model %q has no applications", t.model)
		}
		text, err := bundle.Export(have).Text()
		if err != nil {
			return err
		}
		if *file == "" {
			_, err = bytes.NewReader(text).WriteTo(c.out)
			return err
		}
		if err := os.WriteFile(*file, text, 0o644); err != nil {
			return fmt.Errorf("write the bundle: %w", err)
		}
		_, err = fmt.Fprintf(c.out, "Bundle successfully exported to %s\n", *file)
		return err
	}
	return cmd
}
