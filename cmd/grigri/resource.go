package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func resourceFlag(cmd *cobra.Command) *[]string {
	return pairsFlag(cmd, "resource", "a resource of the charm: name=file, or name=revision for one that was given before")
}

// resourceWords turns name=file and name=revision into a map.
func resourceWords(words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" || value == "" {
			return nil, usagef("expected \"name=file\" or \"name=revision\", got %q", w)
		}
		if _, twice := out[name]; twice {
			return nil, usagef("resource %q is given twice", name)
		}
		out[name] = value
	}
	return out, nil
}

// A resourceFile is what a resource is to be: a file on the user's disk, or a revision.
type resourceFile struct {
	path   string // empty: the choice is a revision
	size   int64
	choice userapi.ResourceChoice
}

// openResources reads the files through, before anything goes over the network.
func openResources(chosen map[string]string, meta charm.Meta) (map[string]resourceFile, error) {
	out := map[string]resourceFile{}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		declared, ok := meta.Resources[name]
		if !ok {
			return nil, fmt.Errorf("charm %q has no resource %q", meta.Name, name)
		}
		if declared.Type != "file" {
			return nil, fmt.Errorf("resource %q of charm %q is of type %s, which only charms on Kubernetes use", name, meta.Name, declared.Type)
		}
		f, err := openResource(name, chosen[name])
		if err != nil {
			return nil, err
		}
		out[name] = f
	}
	return out, nil
}

func openResource(name, value string) (resourceFile, error) {
	if n, err := strconv.Atoi(value); err == nil && n >= 0 && strconv.Itoa(n) == value {
		return resourceFile{choice: userapi.ResourceChoice{Revision: n}}, nil
	}
	f, err := os.Open(value)
	if err != nil {
		return resourceFile{}, fmt.Errorf("resource %q: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return resourceFile{}, fmt.Errorf("resource %q: %w", name, err)
	case !info.Mode().IsRegular():
		return resourceFile{}, fmt.Errorf("resource %q: %s is no file", name, value)
	case info.Size() > state.MaxResource:
		return resourceFile{}, fmt.Errorf("resource %q: %s is %d MiB, at most %d are allowed", name, value, info.Size()>>20, int64(state.MaxResource)>>20)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return resourceFile{}, fmt.Errorf("resource %q: read %s: %w", name, value, err)
	}
	return resourceFile{path: value, size: n, choice: userapi.ResourceChoice{SHA256: hex.EncodeToString(sum.Sum(nil))}}, nil
}

func choicesOf(files map[string]resourceFile) map[string]userapi.ResourceChoice {
	out := map[string]userapi.ResourceChoice{}
	for name, f := range files {
		out[name] = f.choice
	}
	return out
}

// uploadResources sends the files to the controller.
func (c *cli) uploadResources(ctx context.Context, m client.Model, files map[string]resourceFile) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		if f.path == "" {
			continue
		}
		c.infof("Uploading resource %q from %s, %d bytes", name, f.path, f.size)
		if err := m.UploadResource(ctx, f.choice.SHA256, f.size, func() (io.ReadCloser, error) { return os.Open(f.path) }); err != nil {
			return fmt.Errorf("upload resource %q from %s: %w", name, f.path, err)
		}
	}
	return nil
}

func (c *cli) attachResourceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "attach-resource application name=file", Aliases: []string{"attach"},
		Short: "Give an application a file that its charm wants, or another one.",
		Long: "Give an application a file that its charm wants, or another one in its place. The units then run the hooks upgrade-charm and config-changed.\n" +
			"A number in place of the file is one of the revisions that were given before.",
		Args: argCount(2, -1, "expected an application, and name=file")}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		chosen, err := resourceWords(args[1:])
		if err != nil {
			return err
		}
		return c.attachResources(cmd, args[0], chosen)
	}
	return cmd
}

func (c *cli) attachResources(cmd *cobra.Command, application string, chosen map[string]string) error {
	files := map[string]resourceFile{}
	for name, value := range chosen {
		f, err := openResource(name, value)
		if err != nil {
			return err
		}
		files[name] = f
	}
	_, m, err := c.model(cmd)
	if err != nil {
		return err
	}
	a := state.ApplicationName(application)
	have, err := m.Resources(cmd.Context(), a) // first: nothing is uploaded for a name that is wrong
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !slices.ContainsFunc(have.Resources, func(r userapi.Resource) bool { return r.Name == name }) {
			return fmt.Errorf("cannot attach resource %q to application %q: its charm has no resource of that name", name, application)
		}
	}
	if err := c.uploadResources(cmd.Context(), m, files); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		used, err := m.AttachResource(cmd.Context(), a, name, files[name].choice)
		if err != nil {
			return err
		}
		c.infof("Application %q has revision %d of resource %q", application, used.Revision, name)
	}
	return nil
}

// A shownResource is a resource as "resources" prints it.
type shownResource struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Path        string `json:"path"`
	Description string `json:"description,omitempty"`
	Revision    string `json:"revision"` // "-": the application has not been given it
	Fingerprint string `json:"fingerprint"`
	Size        int64  `json:"size"`
	Origin      string `json:"origin"`
	Used        bool   `json:"used"`
	Timestamp   string `json:"timestamp,omitempty"`
	Username    string `json:"username"`
}

// A unitResource is what one unit has of one resource, and what it is to have.
type unitResource struct {
	Unit     state.UnitName `json:"unitID"`
	Have     shownResource  `json:"unit"`
	Expected shownResource  `json:"expected"`
}

func (c *cli) resourcesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "resources application|unit", Aliases: []string{"list-resources"}, Short: "Show the resources of an application, or what a unit has of them.",
		Args: argCount(1, 1, "missing application or unit name")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	details := cmd.Flags().Bool("details", false, "show for each unit what it has and what it is to have")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		application, unit := state.ApplicationName(args[0]), state.UnitName("")
		if strings.Contains(args[0], "/") {
			u, err := state.ParseUnit(args[0])
			if err != nil {
				return err
			}
			application, unit = u.Application(), u
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		all, err := m.Resources(cmd.Context(), application)
		if err != nil {
			return err
		}
		if _, ok := all.Units[unit]; unit != "" && !ok {
			return fmt.Errorf("unit %q not found", unit)
		}
		if len(all.Resources) == 0 && o.format == "tabular" {
			c.infof("No resources to display.")
			return nil
		}
		if *details || unit != "" {
			rows := unitRows(all, unit)
			return o.write(map[string]any{"resources": rows}, func(w io.Writer) error { return writeUnitResources(w, rows) })
		}
		var shown []shownResource
		for _, r := range all.Resources {
			shown = append(shown, showResource(all, r))
		}
		return o.write(map[string]any{"resources": shown}, func(w io.Writer) error { return writeResources(w, shown) })
	}
	return cmd
}

// showResource is the resource that the application is to have. It is used when a unit has fetched it.
func showResource(all userapi.Resources, r userapi.Resource) shownResource {
	s := shownResource{Name: r.Name, Type: r.Type, Path: r.Path, Description: r.Description, Revision: "-", Origin: "upload"}
	if r.Given {
		s.Revision, s.Fingerprint, s.Size, s.Username = strconv.Itoa(r.Revision), r.SHA256, r.Size, r.User
		if !r.Added.IsZero() {
			s.Timestamp = r.Added.UTC().Format(time.RFC3339)
		}
	}
	for _, has := range all.Units {
		s.Used = s.Used || r.Given && has[r.Name].SHA256 == r.SHA256
	}
	return s
}

// unitRows is what each unit, or one, has of each resource.
func unitRows(all userapi.Resources, only state.UnitName) []unitResource {
	rows := []unitResource{}
	for _, u := range slices.SortedFunc(maps.Keys(all.Units), state.CompareUnits) {
		if only != "" && u != only {
			continue
		}
		for _, r := range all.Resources {
			expected := showResource(all, r)
			have := shownResource{Name: r.Name, Type: r.Type, Path: r.Path, Revision: "-", Origin: "upload"}
			if used, ok := all.Units[u][r.Name]; ok {
				have.Revision, have.Fingerprint, have.Size, have.Used = strconv.Itoa(used.Revision), used.SHA256, used.Size, true
			}
			rows = append(rows, unitResource{u, have, expected})
		}
	}
	return rows
}

func writeResources(w io.Writer, shown []shownResource) error {
	rows := [][]string{{"Resource", "Supplied by", "Revision", "Size"}}
	for _, s := range shown {
		rows = append(rows, []string{s.Name, s.Username, s.Revision, strconv.FormatInt(s.Size, 10)})
	}
	writeTable(w, rows, 3)
	return nil
}

func writeUnitResources(w io.Writer, units []unitResource) error {
	rows := [][]string{{"Unit", "Resource", "Revision", "Expected"}}
	for _, u := range units {
		rows = append(rows, []string{string(u.Unit), u.Have.Name, u.Have.Revision, u.Expected.Revision})
	}
	writeTable(w, rows)
	return nil
}
