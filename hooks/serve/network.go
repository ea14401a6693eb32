package serve

import (
	"context"
	"errors"
	"fmt"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/yamltext"
)

func networkTools() []tool {
	return []tool{{
		name:    "network-get",
		args:    "<binding>",
		summary: "Print the addresses of a binding: an endpoint, an extra binding or juju-info.",
		details: "With one option only that value is printed, with several those values by name, with none all that is known.",
		flags: []flag{relationFlag(),
			{names: "bind-address", usage: "Print the address to listen on"},
			{names: "ingress-address", usage: "Print the address that others reach the unit at"},
			{names: "egress-subnets", usage: "Print the subnets that the unit's own traffic comes from"},
			{names: "primary-address", usage: "Print the address to listen on; kept for old charms"}},
		format: smart,
		run:    networkGet,
	}}
}

func networkGet(ctx context.Context, c *call) (any, error) {
	binding := c.arg(0)
	if len(c.args) == 0 {
		return nil, usage("no arguments specified")
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	if binding == "" {
		return nil, usage("no binding name specified")
	}
	some := c.on("bind-address") || c.on("ingress-address") || c.on("egress-subnets")
	if c.on("primary-address") && some {
		return nil, usage("--primary-address must be the only flag specified")
	}
	// The hook's own relation says nothing of other endpoints.
	id := hooks.NoRelation
	if _, given := c.given["r"]; given || c.Hook.Endpoint == binding {
		var err error
		if id, err = c.relation(); err != nil {
			return nil, err
		}
	}
	n, err := c.read.Network(ctx, binding, id)
	if errors.Is(err, hooks.ErrNoBinding) {
		return nil, fmt.Errorf("no network config found for binding %q", binding)
	}
	if err != nil {
		return nil, err
	}
	if c.on("primary-address") || some {
		return c.addresses(binding, n)
	}
	return network(n, c.text("format") != "json"), nil
}

// addresses is the values that were asked for: bare when it is one.
func (c *call) addresses(binding string, n hooks.Network) (any, error) {
	values := map[string]any{}
	var one any
	add := func(name string, value any) { values[name], one = value, value }
	if c.on("bind-address") || c.on("primary-address") {
		word := "bind"
		if c.on("primary-address") {
			word = "primary"
		}
		if len(n.Interfaces) == 0 || len(n.Interfaces[0].Addresses) == 0 {
			return nil, fmt.Errorf("no %s address attached to space for binding %q", word, binding)
		}
		add(word+"-address", n.Interfaces[0].Addresses[0].Value)
	}
	if c.on("ingress-address") {
		if len(n.Ingress) == 0 {
			return nil, fmt.Errorf("no ingress address attached to space for binding %q", binding)
		}
		add("ingress-address", n.Ingress[0])
	}
	if c.on("egress-subnets") {
		add("egress-subnets", n.Egress)
	}
	if len(values) == 1 {
		return one, nil
	}
	return values, nil
}

// network is all that is known of a binding. YAML says some of it twice, since charms know it by older names.
func network(n hooks.Network, old bool) yamltext.Fields {
	var interfaces []yamltext.Fields
	for _, i := range n.Interfaces {
		addresses := []yamltext.Fields{}
		for _, a := range i.Addresses {
			f := yamltext.Fields{{Name: "hostname", Value: a.Hostname}, {Name: "value", Value: a.Value}, {Name: "cidr", Value: a.CIDR}}
			if old {
				f = append(f, yamltext.Field{Name: "address", Value: a.Value})
			}
			addresses = append(addresses, f)
		}
		f := yamltext.Fields{{Name: "mac-address", Value: i.MAC}, {Name: "interface-name", Value: i.Name}, {Name: "addresses", Value: addresses}}
		if old {
			f = append(f, yamltext.Field{Name: "macaddress", Value: i.MAC}, yamltext.Field{Name: "interfacename", Value: i.Name})
		}
		interfaces = append(interfaces, f)
	}
	out := yamltext.Fields{}
	if len(interfaces) > 0 {
		out = append(out, yamltext.Field{Name: "bind-addresses", Value: interfaces})
	}
	if len(n.Egress) > 0 {
		out = append(out, yamltext.Field{Name: "egress-subnets", Value: n.Egress})
	}
	if len(n.Ingress) > 0 {
		out = append(out, yamltext.Field{Name: "ingress-addresses", Value: n.Ingress})
	}
	return out
}
