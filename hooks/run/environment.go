package run

import (
	"fmt"
	"strings"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
)

// Facts is what a hook is told of where it runs.
type Facts struct {
	Unit         state.UnitName
	Principal    state.UnitName // of a subordinate
	Machine      state.MachineID
	Zone         string // where the provider has zones
	Model        state.ModelID
	ModelName    string
	APIAddresses []string // host:port
	CharmProxy   Proxy    // of the settings juju-http-proxy and so on: for charms that heed it
	Proxy        Proxy    // of the settings http-proxy and so on: for every program
}

// A Proxy is where each kind of traffic leaves, and what needs none.
type Proxy struct{ HTTP, HTTPS, FTP, None string }

// SearchPath is where hooks find programs, after the hook tools.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"

// Environment is the whole environment of a hook: it inherits nothing.
func Environment(c Config) []string {
	f, h := c.Facts, c.Hook
	env := []string{
		"APT_LISTCHANGES_FRONTEND=none",
		"DEBIAN_FRONTEND=noninteractive",
		"LANG=C.UTF-8",
		"TERM=tmux-256color",
		"PATH=" + c.ToolsDir + ":" + SearchPath,
		"CHARM_DIR=" + c.CharmDir,
		"JUJU_CHARM_DIR=" + c.CharmDir,
		"JUJU_CONTEXT_ID=" + c.Token,
		"JUJU_HOOK_NAME=" + h.Name(),
		"JUJU_AGENT_SOCKET_ADDRESS=" + c.Socket,
		"JUJU_AGENT_SOCKET_NETWORK=unix",
		"JUJU_UNIT_NAME=" + string(f.Unit),
		"JUJU_MODEL_NAME=" + f.ModelName,
		"JUJU_MODEL_UUID=" + string(f.Model),
		"JUJU_API_ADDRESSES=" + strings.Join(f.APIAddresses, " "),
		"JUJU_MACHINE_ID=" + string(f.Machine),
		"JUJU_PRINCIPAL_UNIT=" + string(f.Principal),
		"JUJU_AVAILABILITY_ZONE=" + f.Zone,
		"JUJU_VERSION=" + version.Juju,
		"CLOUD_API_VERSION=",
		"JUJU_CHARM_HTTP_PROXY=" + f.CharmProxy.HTTP,
		"JUJU_CHARM_HTTPS_PROXY=" + f.CharmProxy.HTTPS,
		"JUJU_CHARM_FTP_PROXY=" + f.CharmProxy.FTP,
		"JUJU_CHARM_NO_PROXY=" + f.CharmProxy.None,
	}
	env = append(env, proxyVariables(f.Proxy)...)
	if path := dispatchPath(h); path != "" {
		env = append(env, "JUJU_DISPATCH_PATH="+path)
	}
	env = append(env, relationVariables(h)...)
	if h.Storage != "" {
		env = append(env, "JUJU_STORAGE_ID="+string(h.Storage), "JUJU_STORAGE_LOCATION="+h.Location, "JUJU_STORAGE_KIND="+h.StorageKind)
	}
	env = append(env, secretVariables(h)...)
	if h.Kind == hooks.Action && !h.Shell() {
		env = append(env,
			"JUJU_ACTION_NAME="+h.Action,
			fmt.Sprintf("JUJU_ACTION_UUID=%d", h.Task),
			fmt.Sprintf("JUJU_ACTION_TAG=action-%d", h.Task))
	}
	return env
}

// proxyVariables are only those that are set, since an empty one still changes what some programs do.
func proxyVariables(p Proxy) []string {
	var env []string
	for _, v := range []struct{ name, value string }{{"http", p.HTTP}, {"https", p.HTTPS}, {"ftp", p.FTP}, {"no", p.None}} {
		if v.value != "" {
			name := v.name + "_proxy"
			env = append(env, name+"="+v.value, strings.ToUpper(name)+"="+v.value)
		}
	}
	return env
}

// relationVariables are there for every hook, and command, of a relation. The unit may be empty but is always there.
func relationVariables(h hooks.Hook) []string {
	if h.Endpoint == "" {
		return nil
	}
	env := []string{
		"JUJU_RELATION=" + h.Endpoint,
		fmt.Sprintf("JUJU_RELATION_ID=%s:%d", h.Endpoint, h.Relation),
		"JUJU_REMOTE_APP=" + string(h.RemoteApp),
		"JUJU_REMOTE_UNIT=" + string(h.RemoteUnit),
	}
	if h.Kind == hooks.RelationDeparted {
		env = append(env, "JUJU_DEPARTING_UNIT="+string(h.Departing))
	}
	return env
}

// secretVariables are there for every hook of a secret. The revision is there where the hook is about one revision alone.
func secretVariables(h hooks.Hook) []string {
	if h.Secret == "" {
		return nil
	}
	env := []string{"JUJU_SECRET_ID=" + h.Secret.URI(), "JUJU_SECRET_LABEL=" + h.SecretLabel}
	if h.Kind == hooks.SecretExpired || h.Kind == hooks.SecretRemove {
		env = append(env, fmt.Sprintf("JUJU_SECRET_REVISION=%d", h.SecretRevision))
	}
	return env
}
