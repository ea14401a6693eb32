package serve

import (
	"context"
	"maps"
)

func configTools() []tool {
	return []tool{{
		name:    "config-get",
		args:    "[<key>]",
		summary: "Print the application's settings.",
		details: "With a key, only its value is printed; nothing when it has none.",
		flags:   []flag{{names: "a, all", usage: "Print the keys that have no value as well"}},
		format:  smart,
		run:     configGet,
	}, {
		name:    "unit-get",
		args:    "<private-address|public-address>",
		summary: "Print an address of this unit.",
		format:  smart,
		run:     unitGet,
	}, {
		name:    "application-version-set",
		args:    "<version>",
		summary: "Say which version of its software the application runs.",
		run: func(ctx context.Context, c *call) (any, error) {
			if len(c.args) == 0 {
				return nil, usage("no version specified")
			}
			if err := c.atMost(1); err != nil {
				return nil, err
			}
			return nil, c.Writer.SetVersion(ctx, c.Mask(c.arg(0)))
		},
	}}
}

func configGet(ctx context.Context, c *call) (any, error) {
	key := c.arg(0)
	if key != "" && c.on("a") {
		return nil, usage("cannot use argument --all together with key %q", key)
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	all, err := c.read.Config(ctx)
	if err != nil {
		return nil, err
	}
	if key != "" {
		return all[key], nil
	}
	out := map[string]any{}
	maps.Copy(out, all)
	if !c.on("a") {
		maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	}
	return out, nil
}

func unitGet(ctx context.Context, c *call) (any, error) {
	what := c.arg(0)
	if len(c.args) == 0 {
		return nil, usage("no setting specified")
	}
	if what != "private-address" && what != "public-address" {
		return nil, usage("unknown setting %q", what)
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	a, err := c.read.Address(ctx)
	if what == "public-address" {
		return a.Public, err
	}
	return a.Private, err
}
