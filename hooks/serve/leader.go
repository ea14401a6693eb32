package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/grigri/grigri/hooks"
)

func leaderTools() []tool {
	return []tool{{
		name:    "is-leader",
		summary: "Print whether this unit leads its application.",
		details: "If it does, it will for 30 seconds more.",
		format:  smart,
		run: func(ctx context.Context, c *call) (any, error) {
			if err := c.atMost(0); err != nil {
				return nil, err
			}
			leads, err := c.read.Leader(ctx)
			return leads, err
		},
	}, {
		name:    "leader-get",
		args:    "[<key>|-]",
		summary: "Print what the application's leader has set for its units.",
		format:  smart,
		run:     leaderGet,
	}, {
		name:    "leader-set",
		args:    "<key>=<value> [...]",
		summary: "Set something for all units of the application; only its leader may.",
		details: "It takes effect at once, whatever becomes of the hook. An empty value removes the key.",
		run:     leaderSet,
	}}
}

func leaderGet(ctx context.Context, c *call) (any, error) {
	key := c.arg(0)
	if strings.Contains(key, "=") {
		return nil, usage("invalid key %q", key)
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	all, err := c.read.LeaderSettings(ctx)
	if err != nil {
		return nil, err
	}
	return pick(all, key), nil
}

func leaderSet(ctx context.Context, c *call) (any, error) {
	delta, err := c.pairs()
	if err != nil || len(delta) == 0 {
		return nil, err
	}
	leads, err := c.read.Leader(ctx)
	if err != nil {
		return nil, err
	}
	if !leads {
		return nil, errNotLeaderSet()
	}
	have, err := c.read.LeaderSettings(ctx)
	if err != nil {
		return nil, err
	}
	next := have.Apply(delta)
	if err := fitsNode(fmt.Sprintf("the leader settings of %s", c.Unit.Application()), next, maxBag); err != nil {
		return nil, err
	}
	err = c.Writer.SetLeader(ctx, delta)
	if errors.Is(err, hooks.ErrNotLeader) {
		return nil, errNotLeaderSet()
	}
	if err == nil {
		c.read.known[askLeaderSettings{}] = next
	}
	return nil, err
}

func errNotLeaderSet() error {
	return errors.New("cannot write leadership settings: cannot write settings: not the leader")
}
