package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/yamltext"
	"github.com/grigri/grigri/state"
)

// statuses is what a charm may say of its workload.
var statuses = [...]string{"maintenance", "blocked", "waiting", "active"}

func statusTools() []tool {
	app := flag{names: "application", usage: "Of the whole application, not of this unit; only its leader may"}
	return []tool{{
		name:    "status-set",
		args:    "<maintenance|blocked|waiting|active> [<message>]",
		summary: "Say how this unit is.",
		details: "It is seen at once, whatever becomes of the hook.",
		flags:   []flag{app},
		run:     statusSet,
	}, {
		name:    "status-get",
		summary: "Print what was last said with status-set.",
		flags:   []flag{app, {names: "include-data", usage: "Print the message and data as well"}},
		format:  smart,
		run:     statusGet,
	}}
}

func statusSet(ctx context.Context, c *call) (any, error) {
	word := c.arg(0)
	switch {
	case len(c.args) == 0:
		return nil, usage("invalid args, require <status> [message]")
	case !slices.Contains(statuses[:], word):
		return nil, usage("invalid status %q, expected one of %v", word, statuses)
	}
	if err := c.atMost(2); err != nil {
		return nil, err
	}
	s := state.StatusInfo{Status: word, Message: c.Mask(c.arg(1))}
	if c.on("application") {
		c.read.forget(askAppStatus{})
		return nil, c.Writer.SetApplicationStatus(ctx, s)
	}
	c.read.forget(askStatus{})
	c.read.forget(askAppStatus{})
	return nil, c.Writer.SetStatus(ctx, s)
}

func statusGet(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(0); err != nil {
		return nil, err
	}
	if c.on("application") {
		return applicationStatus(ctx, c)
	}
	s, err := c.read.Status(ctx)
	if err != nil {
		return nil, err
	}
	if !c.on("include-data") {
		return status(s)[0].Value, nil
	}
	return sorted(status(s)), nil
}

func applicationStatus(ctx context.Context, c *call) (any, error) {
	leads, err := c.read.Leader(ctx)
	if err != nil {
		return nil, err
	}
	a, err := hooks.ApplicationStatus{}, hooks.ErrNotLeader
	if leads {
		a, err = c.read.ApplicationStatus(ctx)
	}
	if errors.Is(err, hooks.ErrNotLeader) {
		return nil, fmt.Errorf("finding application status: %s", hooks.ErrNotLeader)
	}
	if err != nil {
		return nil, err
	}
	if !c.on("include-data") {
		return status(a.Application)[0].Value, nil
	}
	units := map[string]any{}
	for u, s := range a.Units {
		units[string(u)] = sorted(status(s))
	}
	all := append(status(a.Application), yamltext.Field{Name: "units", Value: units})
	return map[string]any{"application-status": sorted(all)}, nil
}

func status(s state.StatusInfo) yamltext.Fields {
	data := s.Data
	if data == nil {
		data = map[string]string{}
	}
	word := s.Status
	if word == "" {
		word = "unknown"
	}
	return yamltext.Fields{{Name: "status", Value: word}, {Name: "message", Value: s.Message}, {Name: "status-data", Value: data}}
}

func sorted(f yamltext.Fields) map[string]any {
	m := map[string]any{}
	for _, field := range f {
		m[field.Name] = field.Value
	}
	return m
}
