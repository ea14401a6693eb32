package charm

import (
	"maps"
	"slices"
)

// LocalEndpoints are the endpoints of the charm by name, with the implicit juju-info
// unless the charm itself has an endpoint of that name.
func LocalEndpoints(m Meta) []Endpoint {
	all := map[string]Endpoint{JujuInfo().Name: JujuInfo()}
	maps.Copy(all, m.Endpoints)
	var out []Endpoint
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}

// HookNames are the names of all hooks that the charm may have, sorted: the files below hooks/ with
// these names are made executable when the charm is unpacked.
func HookNames(m Meta) []string {
	out := []string{
		"install", "start", "config-changed", "upgrade-charm", "update-status", "stop", "remove",
		"leader-elected", "leader-settings-changed", "leader-deposed",
		"secret-changed", "secret-rotate", "secret-expired", "secret-remove",
		"collect-metrics", "meter-status-changed", "pre-series-upgrade", "post-series-upgrade",
	}
	for name := range m.Endpoints {
		for _, kind := range []string{"created", "joined", "changed", "departed", "broken"} {
			out = append(out, name+"-relation-"+kind)
		}
	}
	for name := range m.Storage {
		out = append(out, name+"-storage-attached", name+"-storage-detaching")
	}
	slices.Sort(out)
	return out
}
