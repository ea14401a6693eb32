// Package all is the list of the providers that there are, by the type of the cloud.
package all

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
	"github.com/grigri/grigri/provider/local"
	"github.com/grigri/grigri/provider/lxd"
	"github.com/grigri/grigri/provider/manual"
)

// Config is what providers are given besides what users say of a cloud. Each takes what it needs.
type Config struct {
	Dir     string // for files of the providers' own
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
	return nil, fmt.Errorf("cloud %q is of type %q, for which there is no provider: the types are: %s", spec.Cloud.Name, spec.Cloud.Type, strings.Join(Types(), ", "))
}

// Finish makes a credential that has to be traded for another one, such as a token, into that one. Any other it returns as it is.
// It may work once only: who calls it keeps the result.
func Finish(ctx context.Context, spec provider.Spec) (provider.Credential, error) {
	if spec.Cloud.Type == "lxd" {
		return lxd.Finish(ctx, spec)
	}
	return spec.Credential, nil
}
