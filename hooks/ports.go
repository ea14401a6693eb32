package hooks

import (
	"cmp"
	"slices"

	"github.com/grigri/grigri/state"
)

// OpenPorts is the ports that are open once e has been committed over have, in the order of opened-ports.
// Closing a range for all endpoints closes it for each.
func (e Effects) OpenPorts(have []state.OpenPort) []state.OpenPort {
	out := slices.Clone(have)
	for _, c := range e.Ports {
		out = slices.DeleteFunc(out, func(p state.OpenPort) bool {
			return p == c.Port || c.Close && c.Port.Endpoint == "" && p.PortRange == c.Port.PortRange
		})
		if !c.Close {
			out = append(out, c.Port)
		}
	}
	slices.SortFunc(out, func(a, b state.OpenPort) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.From-b.From, a.To-b.To, cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return out
}
