package serve

import (
	"context"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/yamltext"
)

func goalTools() []tool {
	return []tool{{
		name:    "goal-state",
		summary: "Print which units and relations there are to be, and how far they are.",
		format:  structured,
		run:     goalState,
	}}
}

func goalState(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(0); err != nil {
		return nil, err
	}
	g, err := c.read.GoalState(ctx)
	if err != nil {
		return nil, err
	}
	units := map[string]any{}
	for u, goal := range g.Units {
		units[string(u)] = goalFields(goal)
	}
	relations := map[string]any{}
	for endpoint, parties := range g.Relations {
		m := map[string]any{}
		for party, goal := range parties {
			m[party] = goalFields(goal)
		}
		relations[endpoint] = m
	}
	return yamltext.Fields{{Name: "units", Value: units}, {Name: "relations", Value: relations}}, nil
}

func goalFields(g hooks.Goal) yamltext.Fields {
	f := yamltext.Fields{{Name: "status", Value: g.Status}}
	if !g.Since.IsZero() {
		f = append(f, yamltext.Field{Name: "since", Value: g.Since.UTC().Format("2006-01-02 15:04:05Z")})
	}
	return f
}
