package serve

import (
	"context"
	"errors"

	"github.com/grigri/grigri/hooks"
)

func rebootTools() []tool {
	return []tool{{
		name:    "juju-reboot",
		summary: "Start the machine again.",
		details: "The machine starts again when the hook has succeeded and what it asked for is committed. With --now the hook is\n" +
			"killed at once, and runs again after the start.",
		flags: []flag{{names: "now", usage: "do not wait for the end of the hook: kill it and run it again"}},
		run:   reboot,
	}}
}

func reboot(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(0); err != nil {
		return nil, err
	}
	if c.Hook.Kind == hooks.Action {
		return nil, errors.New("juju-reboot is not supported when running an action.")
	}
	if c.given["now"] != "true" {
		c.effects.Reboot = true
		return nil, nil
	}
	if c.RebootNow == nil {
		return nil, errors.New("this machine cannot start again by itself")
	}
	c.RebootNow()
	<-ctx.Done() // nothing that follows in the hook may run
	return nil, context.Cause(ctx)
}
