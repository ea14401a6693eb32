package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

func stateTools() []tool {
	return []tool{{
		name:    "state-get",
		args:    "[<key>|-]",
		summary: "Print what this unit has kept with state-set.",
		flags:   []flag{{names: "strict", usage: "Fail when there is no such key"}},
		format:  smart,
		run:     stateGet,
	}, {
		name:    "state-set",
		args:    "<key>=<value> [...]",
		summary: "Keep something for later hooks of this unit.",
		details: "It is kept once the hook has succeeded.",
		flags:   []flag{fileFlag()},
		run:     stateSet,
	}, {
		name:    "state-delete",
		args:    "<key>",
		summary: "Forget something that was kept with state-set.",
		run:     stateDelete,
	}}
}

func stateGet(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	all, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	key := c.arg(0)
	if key == "" || key == "-" {
		return all, nil
	}
	value, ok := all[key]
	if !ok && c.on("strict") {
		return nil, fmt.Errorf("%q not found", key)
	}
	return value, nil
}

// state is what the unit keeps, with what this hook has asked for.
func (s *Session) state(ctx context.Context) (map[string]string, error) {
	have, err := s.read.State(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	maps.Copy(out, have)
	for k, v := range s.effects.State {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = *v
		}
	}
	return out, nil
}

func stateSet(ctx context.Context, c *call) (any, error) {
	set, err := c.pairs()
	if err != nil || len(set) == 0 {
		return nil, err
	}
	for _, k := range slices.Sorted(maps.Keys(set)) {
		if len(k) > maxStateKey {
			return nil, fmt.Errorf("cannot set state: the key %.20q... has %d bytes, and at most %d are allowed; nothing was changed", k, len(k), maxStateKey)
		}
		if len(set[k]) > maxStateValue {
			return nil, fmt.Errorf("cannot set state: the value of %q has %d bytes, and at most %d are allowed; nothing was changed", k, len(set[k]), maxStateValue)
		}
	}
	next, err := c.state(ctx)
	if err != nil {
		return nil, err
	}
	maps.Copy(next, set)
	if err := c.fits(fmt.Sprintf("the state of %s", c.Unit), stateBag{}, next); err != nil {
		return nil, err
	}
	for k, v := range set {
		c.changeState(k, &v)
	}
	return nil, nil
}

func stateDelete(_ context.Context, c *call) (any, error) {
	if c.arg(0) == "" {
		return nil, usage("no key specified")
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	c.changeState(c.arg(0), nil)
	return nil, nil
}

func (c *call) changeState(key string, value *string) {
	if c.effects.State == nil {
		c.effects.State = map[string]*string{}
	}
	c.effects.State[key] = value
}
