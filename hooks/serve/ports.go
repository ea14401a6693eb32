package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func portTools() []tool {
	endpoints := flag{names: "endpoints", value: "<endpoint>[,...]", usage: "Only for these endpoints; otherwise for all"}
	return []tool{{
		name:    "open-port",
		args:    "<port>[/<protocol>] | <from>-<to>[/<protocol>] | icmp",
		summary: "Open a port or a range of ports.",
		details: "The world can reach it once the hook has succeeded and the application is exposed.",
		flags:   []flag{endpoints},
		format:  formatIsOld,
		run:     openPort,
	}, {
		name:    "close-port",
		args:    "<port>[/<protocol>] | <from>-<to>[/<protocol>] | icmp",
		summary: "Close a port or a range of ports.",
		flags:   []flag{endpoints},
		format:  formatIsOld,
		run:     closePort,
	}, {
		name:    "opened-ports",
		summary: "Print the ports that this unit has open.",
		flags:   []flag{{names: "endpoints", usage: "Print for which endpoints, too; * is all"}},
		format:  smart,
		run:     openedPorts,
	}}
}

func openPort(ctx context.Context, c *call) (any, error) {
	want, endpoints, err := c.portAndEndpoints()
	if err != nil {
		return nil, err
	}
	open, err := c.ports(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range open {
		if p.PortRange != want && p.Overlaps(want) {
			return nil, fmt.Errorf("cannot open %s (unit %q): port range conflicts with %s (unit %q)", want, c.Unit, p.PortRange, c.Unit)
		}
	}
	for _, e := range endpoints {
		p := state.OpenPort{PortRange: want, Endpoint: e}
		if !slices.Contains(open, p) && !slices.Contains(open, state.OpenPort{PortRange: want}) {
			c.effects.Ports = append(c.effects.Ports, hooks.PortChange{Port: p})
		}
	}
	return nil, nil
}

func closePort(ctx context.Context, c *call) (any, error) {
	what, endpoints, err := c.portAndEndpoints()
	if err != nil {
		return nil, err
	}
	open, err := c.ports(ctx)
	if err != nil {
		return nil, err
	}
	everywhere := state.OpenPort{PortRange: what}
	if endpoints[0] != "" && slices.Contains(open, everywhere) {
		c.closeIn(everywhere, endpoints)
		return nil, nil
	}
	for _, e := range endpoints {
		p := state.OpenPort{PortRange: what, Endpoint: e}
		if slices.ContainsFunc(open, func(o state.OpenPort) bool { return o == p || e == "" && o.PortRange == what }) {
			c.effects.Ports = append(c.effects.Ports, hooks.PortChange{Port: p, Close: true})
		}
	}
	return nil, nil
}

// closeIn closes for some endpoints what is open for all: it stays open for each of the others.
func (c *call) closeIn(everywhere state.OpenPort, endpoints []string) {
	c.effects.Ports = append(c.effects.Ports, hooks.PortChange{Port: everywhere, Close: true})
	for _, e := range c.endpoints() {
		if !slices.Contains(endpoints, e) {
			p := state.OpenPort{PortRange: everywhere.PortRange, Endpoint: e}
			c.effects.Ports = append(c.effects.Ports, hooks.PortChange{Port: p})
		}
	}
}

// portAndEndpoints reads what the two tools take. The one endpoint "" is all of them.
func (c *call) portAndEndpoints() (provider.PortRange, []string, error) {
	if len(c.args) == 0 {
		return provider.PortRange{}, nil, usage("no port or range specified")
	}
	r, err := provider.ParsePort(c.arg(0))
	if err != nil {
		return r, nil, usage("%s", err)
	}
	if err := c.atMost(1); err != nil {
		return r, nil, err
	}
	var endpoints []string
	for e := range strings.SplitSeq(c.text("endpoints"), ",") {
		if e = strings.TrimSpace(e); e != "" && !slices.Contains(c.endpoints(), e) {
			return r, nil, fmt.Errorf("cannot open or close %s (unit %q): endpoint %q for unit %q not found", r, c.Unit, e, c.Unit)
		}
		if e != "" && !slices.Contains(endpoints, e) {
			endpoints = append(endpoints, e)
		}
	}
	if endpoints == nil {
		endpoints = []string{""}
	}
	return r, endpoints, nil
}

// endpoints is the names that ports can be open for, and networks bound to, sorted.
func (s *Session) endpoints() []string {
	names := append([]string{"juju-info"}, s.Charm.Meta.ExtraBindings...)
	for name := range s.Charm.Meta.Endpoints {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ports is what is open, with what this hook has opened and closed.
func (s *Session) ports(ctx context.Context) ([]state.OpenPort, error) {
	have, err := s.read.Ports(ctx)
	return s.effects.OpenPorts(have), err
}

func openedPorts(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(0); err != nil {
		return nil, err
	}
	open, err := c.ports(ctx)
	if err != nil {
		return nil, err
	}
	lines := []string{}
	for i := 0; i < len(open); {
		r, first := open[i].PortRange, i
		var endpoints []string
		for ; i < len(open) && open[i].PortRange == r; i++ {
			endpoints = append(endpoints, open[i].Endpoint)
		}
		line := r.String()
		if c.on("endpoints") {
			if open[first].Endpoint == "" {
				endpoints = []string{"*"}
			}
			line += " (" + strings.Join(endpoints, ", ") + ")"
		}
		lines = append(lines, line)
	}
	return lines, nil
}
