package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/grigri/grigri/state"
)

func payloadTools() []tool {
	return []tool{{
		name:     "payload-register",
		args:     "<type> <class> <id> [<tag> ...]",
		summary:  "Say that the charm has started a payload.",
		details:  "The class and its type are those of the payloads in metadata.yaml. It takes effect at once.",
		examples: "payload-register docker monitor 0f2a5c production",
		run:      payloadRegister,
	}, {
		name:    "payload-status-set",
		args:    "<class> <id> <status>",
		summary: "Say how a payload is.",
		details: "The status is one of starting, started, running, stopping and stopped. It takes effect at once.",
		run:     payloadStatusSet,
	}, {
		name:    "payload-unregister",
		args:    "<class> <id>",
		summary: "Say that a payload is no more.",
		details: "It takes effect at once.",
		run:     payloadUnregister,
	}}
}

// payloadStatuses is what a payload may be; a new one runs.
func payloadStatuses() []string {
	return []string{"starting", "started", "running", "stopping", "stopped"}
}

func payloadRegister(ctx context.Context, c *call) (any, error) {
	if len(c.args) < 3 {
		return nil, usage("missing arguments: expected <type> <class> <id>, got %q", c.args)
	}
	p := state.Payload{Type: c.arg(0), Class: c.arg(1), ID: c.arg(2), Status: "running", Labels: c.args[3:]}
	if p.ID == "" {
		return nil, usage("the id of a payload must not be empty")
	}
	kind, ok := c.Charm.Meta.Payloads[p.Class]
	switch {
	case !ok:
		return nil, fmt.Errorf("payload %q not found in metadata.yaml", p.Class)
	case kind != p.Type:
		return nil, fmt.Errorf("incorrect type %q for payload %q, expected %q", p.Type, p.Class, kind)
	}
	return nil, c.editPayloads(ctx, func(all []state.Payload) ([]state.Payload, error) {
		if i := findPayload(all, p.Class, p.ID); i >= 0 {
			all[i] = p
			return all, nil
		}
		return append(all, p), nil
	})
}

func payloadStatusSet(ctx context.Context, c *call) (any, error) {
	if len(c.args) < 3 {
		return nil, usage("missing arguments: expected <class> <id> <status>, got %q", c.args)
	}
	if err := c.atMost(3); err != nil {
		return nil, err
	}
	if !slices.Contains(payloadStatuses(), c.arg(2)) {
		return nil, usage("status %q not supported, expected one of %q", c.arg(2), payloadStatuses())
	}
	return nil, c.editPayload(ctx, func(all []state.Payload, i int) []state.Payload {
		all[i].Status = c.arg(2)
		return all
	})
}

func payloadUnregister(ctx context.Context, c *call) (any, error) {
	if len(c.args) < 2 {
		return nil, usage("missing arguments: expected <class> <id>, got %q", c.args)
	}
	if err := c.atMost(2); err != nil {
		return nil, err
	}
	return nil, c.editPayload(ctx, func(all []state.Payload, i int) []state.Payload { return slices.Delete(all, i, i+1) })
}

// editPayload edits the payload that the first two arguments name.
func (c *call) editPayload(ctx context.Context, edit func([]state.Payload, int) []state.Payload) error {
	return c.editPayloads(ctx, func(all []state.Payload) ([]state.Payload, error) {
		i := findPayload(all, c.arg(0), c.arg(1))
		if i < 0 {
			return nil, fmt.Errorf("payload %q of class %q not found: register it first", c.arg(1), c.arg(0))
		}
		return edit(all, i), nil
	})
}

func (c *call) editPayloads(ctx context.Context, edit func([]state.Payload) ([]state.Payload, error)) error {
	have, err := c.read.Payloads(ctx)
	if err != nil {
		return err
	}
	all, err := edit(slices.Clone(have))
	if err != nil {
		return err
	}
	if err := fitsNode(fmt.Sprintf("the payloads of %s", c.Unit), all, maxBag); err != nil {
		return err
	}
	if err := c.Writer.SetPayloads(ctx, all); err != nil {
		return err
	}
	c.read.known[askPayloads{}] = all
	return nil
}

func findPayload(all []state.Payload, class, id string) int {
	return slices.IndexFunc(all, func(p state.Payload) bool { return p.Class == class && p.ID == id })
}

// metricTools refuse: metrics are gathered by a hook that never runs here.
func metricTools() []tool {
	return []tool{{
		name:    "add-metric",
		args:    "<key>=<value> [...]",
		summary: "Add a metric. There is no collect-metrics hook here, so it always fails.",
		flags:   []flag{{names: "l, labels", value: "<key>=<value>[,...]", usage: "Labels of the metric"}},
		run: func(_ context.Context, c *call) (any, error) {
			if len(c.args) == 0 {
				return nil, usage("no metrics specified")
			}
			return nil, errors.New("cannot record metric: metrics are gathered in the hook collect-metrics only, which does not run here")
		},
	}}
}
