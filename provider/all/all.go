// Package all is the list of the providers that a controller has, by the name of the cloud.
package all

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/local"
)

// Config is what providers are given. Each takes what it needs.
type Config struct {
	Dir     string // the controller's files
	Agent   string // the program grigri-agent
	Archive string // the file of the agent's archive
	Log     *slog.Logger
}

// Clouds is the clouds that there are.
func Clouds() []string { return []string{"local"} }

// Open returns the provider of a cloud.
func Open(cloud string, c Config) (provider.Provider, error) {
	switch cloud {
	case "local":
		return local.Open(local.Config{Dir: filepath.Join(c.Dir, "machines"), Reaper: []string{c.Agent, "supervise"}, Archive: c.Archive, Log: c.Log})
	}
	return nil, fmt.Errorf("unknown cloud %q: the clouds are: %s", cloud, strings.Join(Clouds(), ", "))
}
