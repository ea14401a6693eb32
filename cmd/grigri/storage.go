package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// storageFlags are the flags of commands that make units of a charm.
type storageFlags struct {
	wants  *[]string
	attach *string
}

func addStorageFlags(cmd *cobra.Command) storageFlags {
	return storageFlags{
		wants:  pairsFlag(cmd, "storage", "storage of the charm: name=[pool,][size,][count]"),
		attach: cmd.Flags().String("attach-storage", "", "storage to attach, separated by commas"),
	}
}

// storageWords turns name=directive, and application:name=directive, into a map.
func storageWords(words []string, application string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		name, text, ok := strings.Cut(w, "=")
		if app, rest, has := strings.Cut(name, ":"); has {
			if app != application {
				return nil, usagef("storage %q is of application %q, and %q is deployed", w, app, application)
			}
			name = rest
		}
		if !ok || name == "" || text == "" {
			return nil, usagef("expected \"name=[pool,][size,][count]\", got %q", w)
		}
		if _, err := state.ParseDirective(text); err != nil {
			return nil, usageError{err}
		}
		if _, twice := out[name]; twice {
			return nil, usagef("storage %q is given twice", name)
		}
		out[name] = text
	}
	return out, nil
}

// storageIDs reads ids of storage.
func storageIDs(words []string) ([]state.StorageID, error) {
	var out []state.StorageID
	for _, w := range words {
		id, err := state.ParseStorage(w)
		if err != nil {
			return nil, usageError{err}
		}
		out = append(out, id)
	}
	return out, nil
}

func (c *cli) storageCommands() []*cobra.Command {
	return []*cobra.Command{c.storageCommand(), c.showStorageCommand(), c.addStorageCommand(), c.attachStorageCommand(), c.detachStorageCommand(),
		c.removeStorageCommand(), c.importFilesystemCommand(), c.storagePoolsCommand(), c.createPoolCommand(), c.updatePoolCommand(), c.removePoolCommand()}
}

func (c *cli) storageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "storage", Aliases: []string{"list-storage"}, Short: "Show the storage of a model.", Args: argCount(0, 0, "")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	filesystem := cmd.Flags().Bool("filesystem", false, "show the file systems")
	volume := cmd.Flags().Bool("volume", false, "show the volumes")
	exclusive(cmd, "filesystem", "volume")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		report, err := m.Status(cmd.Context())
		if err != nil {
			return err
		}
		loc, utc := c.location(false)
		all, what := report.Status.In(loc, utc).Storage, ""
		switch {
		case *filesystem:
			what = "filesystem"
		case *volume:
			what = "volume"
		}
		table := status.StorageTables(all, what)
		if o.format == "tabular" && len(table.Rows) == 0 {
			c.infof("No storage to display.")
			return nil
		}
		switch what {
		case "filesystem":
			all = status.Storage{Filesystems: all.Filesystems}
		case "volume":
			all = status.Storage{Volumes: all.Volumes}
		}
		return o.write(all, func(w io.Writer) error { return status.WriteTables(w, c.colour(cmd), table) })
	}
	return cmd
}

func (c *cli) showStorageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-storage storage...", Short: "Show storage instances.", Args: argCount(1, -1, "must specify storage id(s)")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := storageIDs(args)
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		report, err := m.Status(cmd.Context())
		if err != nil {
			return err
		}
		loc, utc := c.location(false)
		all := report.Status.In(loc, utc).Storage
		out := map[state.StorageID]status.StorageInstance{}
		for _, id := range ids {
			found, ok := all.Instances[id]
			if !ok {
				return fmt.Errorf("storage %q not found", id)
			}
			if found.Life == "" {
				found.Life = state.Alive.Word()
			}
			out[id] = found
		}
		return o.write(out, nil)
	}
	return cmd
}

func (c *cli) addStorageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add-storage unit name[=directive]...", Short: "Give a unit more of its charm's storage.", Args: argCount(2, -1, "add-storage requires a unit and a storage directive"),
		Long: "Give a unit more of its charm's storage. A directive is a pool, a size and a count, each of which can be left out: data=ebs,10G,2."}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		u, err := state.ParseUnit(args[0])
		if err != nil {
			return usageError{err}
		}
		var wants []userapi.AddStorage
		for _, a := range args[1:] {
			name, text, _ := strings.Cut(a, "=")
			if _, err := state.ParseDirective(text); err != nil || name == "" {
				return usagef("expected name[=directive], got %q", a)
			}
			wants = append(wants, userapi.AddStorage{Name: name, Directive: text})
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		failed := false
		for _, want := range wants {
			ids, err := m.AddStorage(cmd.Context(), u, want)
			if err != nil {
				fmt.Fprintf(c.errw, "ERROR %v\n", err)
				failed = true
			}
			for _, id := range ids {
				fmt.Fprintf(c.out, "added storage %s to %s\n", id, u)
			}
		}
		return failedError(failed)
	}
	return cmd
}

func (c *cli) attachStorageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "attach-storage unit storage...", Short: "Give a unit storage that is there.", Args: argCount(2, -1, "attach-storage requires a unit ID and at least one storage ID")}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		u, err := state.ParseUnit(args[0])
		if err != nil {
			return usageError{err}
		}
		ids, err := storageIDs(args[1:])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		if err := m.AttachStorage(cmd.Context(), u, ids); err != nil {
			return err
		}
		for _, id := range ids {
			fmt.Fprintf(c.out, "attaching %s to %s\n", id, u)
		}
		return nil
	}
	return cmd
}

func (c *cli) detachStorageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "detach-storage storage...", Short: "Take storage from the units that have it. It stays.", Args: argCount(1, -1, "detach-storage requires at least one storage ID")}
	modelFlag(cmd)
	force := cmd.Flags().Bool("force", false, "do not wait until the unit lets go of it")
	noWait := cmd.Flags().Bool("no-wait", false, "with --force: accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *noWait && !*force {
			return usagef("--no-wait without --force not valid")
		}
		return c.eachStorage(cmd, args, "detaching", func(m client.Model, id state.StorageID) error {
			return m.DetachStorage(cmd.Context(), id, client.Removal{Force: *force})
		})
	}
	return cmd
}

func (c *cli) removeStorageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-storage storage...", Short: "Remove storage and what is in it.", Args: argCount(1, -1, "remove-storage requires at least one storage ID")}
	modelFlag(cmd)
	force := cmd.Flags().Bool("force", false, "although a unit has it: it is detached first")
	keep := cmd.Flags().Bool("no-destroy", false, "leave the volume where it is")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.eachStorage(cmd, args, "removing", func(m client.Model, id state.StorageID) error {
			return m.RemoveStorage(cmd.Context(), id, client.Removal{Force: *force, Release: *keep})
		})
	}
	return cmd
}

// eachStorage does something with each storage. One that fails keeps none of the others.
func (c *cli) eachStorage(cmd *cobra.Command, args []string, verb string, do func(client.Model, state.StorageID) error) error {
	ids, err := storageIDs(args)
	if err != nil {
		return err
	}
	_, m, err := c.model(cmd)
	if err != nil {
		return err
	}
	failed := false
	for _, id := range ids {
		if err := do(m, id); err != nil {
			fmt.Fprintf(c.errw, "ERROR %s %s failed: %v\n", verb, id, err)
			failed = true
			continue
		}
		fmt.Fprintf(c.out, "%s %s\n", verb, id)
	}
	return failedError(failed)
}

func (c *cli) importFilesystemCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import-filesystem pool provider-id name", Short: "Not supported: storage that grigri has not made cannot become a model's.", Args: cobra.ArbitraryArgs}
	modelFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		return fmt.Errorf("import-filesystem is not supported: a model has the storage that was made in it; copy the content into storage of a unit instead")
	}
	return cmd
}

// A shownPool is a pool as storage-pools prints it.
type shownPool struct {
	Provider string            `json:"provider"`
	Attrs    map[string]string `json:"attrs,omitempty"`
}

func (c *cli) storagePoolsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "storage-pools", Aliases: []string{"list-storage-pools"}, Short: "Show from where a model can have storage.", Args: argCount(0, 0, "")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	names := cmd.Flags().StringSlice("name", nil, "only pools of these names")
	providers := cmd.Flags().StringSlice("provider", nil, "only pools of these storage providers")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		all, err := m.StoragePools(cmd.Context())
		if err != nil {
			return err
		}
		shown := map[string]shownPool{}
		for name, p := range all {
			if (len(*names) == 0 || slices.Contains(*names, name)) && (len(*providers) == 0 || slices.Contains(*providers, p.Type)) {
				shown[name] = shownPool{p.Type, p.Attributes}
			}
		}
		if len(shown) == 0 && o.format == "tabular" {
			c.infof("No storage pools to display.")
			return nil
		}
		return o.write(shown, func(w io.Writer) error {
			rows := [][]string{{"Name", "Provider", "Attributes"}}
			for _, name := range slices.Sorted(maps.Keys(shown)) {
				var attrs []string
				for _, k := range slices.Sorted(maps.Keys(shown[name].Attrs)) {
					attrs = append(attrs, k+"="+shown[name].Attrs[k])
				}
				rows = append(rows, []string{name, shown[name].Provider, strings.Join(attrs, " ")})
			}
			writeTable(w, rows)
			return nil
		})
	}
	return cmd
}

func (c *cli) createPoolCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "create-storage-pool name provider [key=value...]", Short: "Make a pool: storage of a kind, under a name.", Args: argCount(2, -1, "pool creation requires a name and a storage provider")}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		attrs, err := splitPairs(args[2:])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.CreateStoragePool(cmd.Context(), args[0], state.Pool{Type: args[1], Attributes: attrs})
	}
	return cmd
}

func (c *cli) updatePoolCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "update-storage-pool name key=value...", Short: "Change attributes of a pool, for storage to come.", Args: argCount(2, -1, "pool update requires a name and attributes")}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		attrs, err := splitPairs(args[1:])
		if err != nil {
			return err
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.UpdateStoragePool(cmd.Context(), args[0], attrs)
	}
	return cmd
}

func (c *cli) removePoolCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-storage-pool name", Short: "Remove a pool that nothing uses.", Args: argCount(1, 1, "pool removal requires a name")}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.RemoveStoragePool(cmd.Context(), args[0])
	}
	return cmd
}
