// Package all is the list of the providers that there are, by the type of the cloud.
package all

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
	"github.com/grigri/grigri/provider/local"
	"github.com/grigri/grigri/provider/lxd"
	"github.com/grigri/grigri/provider/manual"
	"github.com/grigri/grigri/provider/plugin"
)

// Config is what providers are given besides what users say of a cloud. Each takes what it needs.
type Config struct {
	Dir     string // for files of the providers' own
	Plugins string // the directory of plugins by name; if empty, "plugins" in Dir
	Kept    string // the directory of plugins by their SHA-256, which come first; may be empty
	Agent   string // the program grigri-agent
	Archive string // the file of the agent's archive
	Log     *slog.Logger
}

// Types is the types of cloud that there are.
func Types() []string { return []string{"local", "manual", "ec2", "lxd"} }

// BuiltIn is the clouds that nobody has to add.
func BuiltIn() []provider.Cloud {
	return []provider.Cloud{
		{Name: "local", Type: "local", Description: "This host: every machine is a directory and a loopback address", AuthTypes: []string{provider.AuthEmpty}},
		{Name: "manual", Type: "manual", Description: "Hosts that you have, added over ssh", AuthTypes: []string{provider.AuthEmpty}},
		ec2.Cloud(),
		lxd.Cloud(),
	}
}

// FindBuiltIn is the built-in cloud of this name.
func FindBuiltIn(name string) (provider.Cloud, bool) {
	if name == "lxd" { // which is what many call it
		return lxd.Cloud(), true
	}
	clouds := BuiltIn()
	i := slices.IndexFunc(clouds, func(c provider.Cloud) bool { return c.Name == name })
	if i < 0 {
		return provider.Cloud{}, false
	}
	return clouds[i], true
}

// Open returns the provider of a cloud's region. It reaches no one: what is wrong with what users have said is found at the first
// call that needs it. A provider that must be closed is an io.Closer.
func Open(spec provider.Spec, c Config) (provider.Provider, error) {
	switch spec.Cloud.Type {
	case "ec2":
		return ec2.Open(ec2.Config{Spec: spec, Log: c.Log})
	case "local":
		return local.Open(local.Config{Dir: filepath.Join(c.Dir, "machines"), Reaper: []string{c.Agent, "supervise"}, Archive: c.Archive, Log: c.Log})
	case "manual":
		return manual.Provider{}, nil
	case "lxd":
		return lxd.Open(lxd.Config{Spec: spec, Log: c.Log})
	}
	if !validType(spec.Cloud.Type) {
		return nil, noProvider(spec.Cloud)
	}
	hash := strings.ToLower(spec.Cloud.PluginHash)
	named := plugin.File(cmp.Or(c.Plugins, filepath.Join(c.Dir, "plugins")), spec.Cloud.Type)
	for _, file := range []string{filepath.Join(c.Kept, filepath.Base(hash)), named} {
		if _, err := os.Stat(file); err == nil && (file == named || c.Kept != "" && hash != "") {
			return plugin.Open(plugin.Config{File: file, Spec: spec, Log: c.Log})
		}
	}
	if hash != "" {
		return nil, fmt.Errorf("cloud %q needs the plugin with the SHA-256 %s: send it with update-cloud, from a client that has it, or put it there, executable: %s", spec.Cloud.Name, hash, named)
	}
	return nil, noProvider(spec.Cloud)
}

func noProvider(c provider.Cloud) error {
	return fmt.Errorf("cloud %q is of type %q, for which there is no provider: the types are: %s", c.Name, c.Type, strings.Join(Types(), ", "))
}

// validType says whether a type can be in the name of a plugin's program.
func validType(t string) bool {
	return t != "" && strings.Trim(t, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && !slices.Contains(Types(), t)
}

// FindPlugin is the plugin for a type of cloud in a directory of plugins, and its hash; "" if there is none.
func FindPlugin(plugins, cloudType string) (file, hash string, err error) {
	if !validType(cloudType) {
		return "", "", nil
	}
	file = plugin.File(plugins, cloudType)
	hash, err = plugin.Hash(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	return file, hash, err
}

// PluginTypes is the types of cloud for which there are plugins in a directory of plugins.
func PluginTypes(plugins string) []string {
	files, _ := filepath.Glob(plugin.File(plugins, "*")) // the pattern is right
	var out []string
	for _, file := range files {
		if t := strings.TrimPrefix(filepath.Base(file), plugin.Prefix); validType(t) {
			out = append(out, t)
		}
	}
	return out
}

// Finish makes a credential that has to be traded for another one, such as a token, into that one. Any other it returns as it is.
// It may work once only: who calls it keeps the result.
func Finish(ctx context.Context, spec provider.Spec) (provider.Credential, error) {
	if spec.Cloud.Type == "lxd" {
		return lxd.Finish(ctx, spec)
	}
	return spec.Credential, nil
}
