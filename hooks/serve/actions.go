package serve

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/grigri/grigri/hooks"
)

func actionTools() []tool {
	return []tool{{
		name:    "action-get",
		args:    "[<key>[.<key>...]]",
		summary: "Print the parameters of the action.",
		format:  smart,
		run:     actionGet,
	}, {
		name:     "action-set",
		args:     "<key>[.<key>...]=<value> [...]",
		summary:  "Set results of the action.",
		examples: "action-set outfile.size=10G outfile.name=backup.tgz",
		run:      actionSet,
	}, {
		name:    "action-fail",
		args:    "[<message>]",
		summary: "Say that the action has failed.",
		details: "The script goes on; what it sets is kept.",
		run:     actionFail,
	}, {
		name:    "action-log",
		args:    "<message>",
		summary: "Say how far the action is.",
		run:     actionLog,
	}}
}

// noReason is what an action says that fails without a word.
const noReason = "action failed without reason given, check action for errors"

// reserved are the results that every action has by itself.
var reserved = [...]string{"stdout", "stderr", "stdout-encoding", "stderr-encoding"}

var resultKey = regexp.MustCompile(`^[a-z0-9](([a-z0-9-]*[a-z0-9])?)$`)

// inAction refuses what makes sense in an action only.
func (c *call) inAction() error {
	if c.Hook.Kind != hooks.Action {
		return errors.New("not running an action")
	}
	return nil
}

// outcome is what the action says of itself.
func (c *call) outcome() *hooks.ActionOutcome {
	if c.effects.Action == nil {
		c.effects.Action = &hooks.ActionOutcome{}
	}
	return c.effects.Action
}

func actionGet(_ context.Context, c *call) (any, error) {
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	if err := c.inAction(); err != nil {
		return nil, err
	}
	if c.arg(0) == "" {
		if c.Hook.ActionInput == nil {
			return map[string]any{}, nil
		}
		return c.Hook.ActionInput, nil
	}
	var value any = c.Hook.ActionInput
	for part := range strings.SplitSeq(c.arg(0), ".") {
		m, ok := value.(map[string]any)
		if !ok {
			return nil, nil
		}
		value = m[part]
	}
	return value, nil
}

// A result is one value, and the path of keys to it.
type result struct {
	path  []string
	value string
}

func actionSet(_ context.Context, c *call) (any, error) {
	var results []result
	for _, arg := range c.args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, usage("argument %q must be of the form key...=value", arg)
		}
		path := strings.Split(key, ".")
		for _, part := range path {
			if !resultKey.MatchString(part) {
				return nil, usage("key %q must start and end with lowercase alphanumeric, and contain only lowercase alphanumeric and hyphens", part)
			}
		}
		if slices.Contains(reserved[:], key) {
			return nil, usage("cannot set reserved action key %q", key)
		}
		results = append(results, result{path, value})
	}
	if err := c.inAction(); err != nil {
		return nil, err
	}
	have := c.outcome().Results
	for _, r := range results {
		have = merge(have, r)
	}
	if err := c.fits(fmt.Sprintf("the results of action %s", c.Hook.Action), actionBag{}, have); err != nil {
		return nil, err
	}
	c.outcome().Results = have
	return nil, nil
}

// merge is the results with one more. What was there is not changed: a value gives way to a mapping, and the other way round.
func merge(have map[string]any, r result) map[string]any {
	out := map[string]any{}
	for k, v := range have {
		out[k] = v
	}
	if len(r.path) == 1 {
		out[r.path[0]] = r.value
		return out
	}
	below, _ := have[r.path[0]].(map[string]any)
	out[r.path[0]] = merge(below, result{r.path[1:], r.value})
	return out
}

func actionFail(_ context.Context, c *call) (any, error) {
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	if err := c.inAction(); err != nil {
		return nil, err
	}
	c.outcome().Failed = true
	c.outcome().Message = noReason
	if len(c.args) > 0 {
		c.outcome().Message = c.Mask(c.arg(0))
	}
	return nil, nil
}

func actionLog(ctx context.Context, c *call) (any, error) {
	if len(c.args) == 0 {
		return nil, usage("no message specified")
	}
	if err := c.inAction(); err != nil {
		return nil, err
	}
	return nil, c.Writer.LogAction(ctx, c.Mask(strings.Join(c.args, " ")))
}
