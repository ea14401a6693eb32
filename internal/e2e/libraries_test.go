package e2e

import (
	"strings"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/pycharms"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
)

// published deploys a charm of each generation on one machine, with the Python libraries as they are published. Here charmhelpers finds the
// version, which it does not on machines of this host. The machine goes with them.
func (w lxdWorld) published(libraries string) {
	w.Helper()
	w.must("deploy", pycharms.Assemble(w.T, libraries, "opscharm"), "db", "--config", "region=south")
	var machine state.MachineID
	w.until("a machine for them, with the first", func(s status.Status) bool {
		u := s.Applications["db"].Units["db/0"]
		machine = u.Machine
		return u.Workload.Current == "active" && u.Agent.Current == "idle"
	})
	w.must("deploy", pycharms.Assemble(w.T, libraries, "helperscharm"), "site", "--to", string(machine))
	w.must("deploy", pycharms.Assemble(w.T, libraries, "reactivecharm"), "shop", "--to", string(machine))
	for _, sides := range [][]string{{"site:db", "db:db"}, {"shop:db", "db:db"}, {"shop:web", "site:web"}} {
		w.must("integrate", sides[0], sides[1])
	}
	w.until("the charms of the libraries", func(s status.Status) bool {
		for app, message := range map[state.ApplicationName]string{"db": "serving 2", "site": "serving ", "shop": "open for "} {
			u, ok := s.Applications[app].Units[app.Unit(0)]
			if !ok || u.Workload.Current != "active" || !strings.HasPrefix(u.Workload.Message, message) || u.Agent.Current != "idle" {
				return false
			}
		}
		return true
	})
	const ask = `PYTHONPATH=lib python3 -c '
from charmhelpers.core import hookenv as h
print(h.juju_version().split("-")[:2], h.has_juju_version("2.4"), h.network_get("ring")["ingress-addresses"] == [h.unit_get("private-address")])
print(list(h.expected_peer_units()), sorted(h.expected_related_units("db")), h.unit_doomed("site/0"), h.unit_doomed("site/9"))'`
	want := "['" + version.Juju + "', 'debian'] True True\n[] ['db/0'] False True"
	if got := strings.TrimSpace(w.must("exec", "--quiet", "--unit", "site/0", ask)); got != want {
		w.Errorf("charmhelpers knows\n%s\nwant\n%s", got, want)
	}
	w.must("remove-application", "db", "site", "shop", "--no-prompt")
	w.until("no charm of the libraries", func(s status.Status) bool { return len(s.Applications) == 1 && len(s.Machines) == 1 })
}
