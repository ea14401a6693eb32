package controller

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// Plugins is where a controller with its files in dir keeps the programs of providers that it was sent, by their hash. Beside that
// directory are those that somebody has put there by name.
func Plugins(dir string) archive.Dir { return archive.Dir(filepath.Join(dir, "plugins", "by-hash")) }

// pluginsOld is how long a plugin is kept that no cloud asks for: one that is sent before its cloud is added.
const pluginsOld = time.Hour

// trimPlugins removes the programs of providers that no cloud asks for.
func (d *daemon) trimPlugins(ctx context.Context, now time.Time) error {
	names, err := state.ChildrenIf(ctx, d.Store, state.CloudsPath)
	if err != nil {
		return fmt.Errorf("remove old plugins: %w", err)
	}
	used := map[string]bool{}
	for _, name := range names {
		rec, err := state.ReadIf[provider.Cloud](ctx, d.Store, state.CloudPath(name))
		if err != nil {
			return fmt.Errorf("remove old plugins: %w", err)
		}
		used[rec.Value.PluginHash] = true
	}
	return Plugins(d.Dir).Trim(now.Add(-pluginsOld), func(hash string) bool { return used[hash] })
}
