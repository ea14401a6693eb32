package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

func relationTools() []tool {
	return []tool{{
		name:    "relation-get",
		args:    "[<key>|-] [<unit>|<application>]",
		summary: "Print what another unit or application has set in a relation.",
		details: "Without a key, or with -, all settings are printed. Without a unit, the remote unit of the hook is meant, or else its application.",
		flags: []flag{relationFlag(),
			{names: "app", usage: "Read the settings of the application, not of the unit"}},
		format: smart,
		run:    relationGet,
	}, {
		name:     "relation-set",
		args:     "<key>=<value> [...]",
		summary:  "Set this unit's settings in a relation.",
		details:  "An empty value removes the key. The settings take effect when the hook has succeeded.",
		examples: "relation-set port=80 tuning=default\nrelation-set -r server:3 --file settings.yaml",
		flags: []flag{relationFlag(), fileFlag(),
			{names: "app", usage: "Set the settings of the application; only its leader may"}},
		format: formatIsOld,
		run:    relationSet,
	}, {
		name:    "relation-ids",
		args:    "[<endpoint>]",
		summary: "Print the ids of the relations of an endpoint.",
		details: "Without an endpoint, the one of the hook is meant.",
		format:  smart,
		run:     relationIDs,
	}, {
		name:    "relation-list",
		summary: "Print the remote units of a relation.",
		flags: []flag{relationFlag(),
			{names: "app", usage: "Print the remote application instead"}},
		format: smart,
		run:    relationList,
	}, {
		name:    "relation-model-get",
		summary: "Print the model that the other side of a relation is in.",
		flags:   []flag{relationFlag()},
		format:  smart,
		run: func(_ context.Context, c *call) (any, error) {
			if _, err := c.relation(); err != nil {
				return nil, err
			}
			return map[string]string{"uuid": string(c.Model)}, c.atMost(0)
		},
	}}
}

// relationFlag is -r; its value becomes the number of the relation. The relation of the hook is meant without it.
func relationFlag() flag {
	return flag{
		names: "r, relation", value: "<id>", usage: "The relation, by its id",
		preset: func(s *Session) string {
			if s.Hook.Endpoint == "" {
				return ""
			}
			return fmt.Sprintf("%s:%d", s.Hook.Endpoint, s.Hook.Relation)
		},
		check: func(ctx context.Context, c *call, value string) (string, error) {
			id, err := strconv.Atoi(value[strings.LastIndexByte(value, ':')+1:])
			if err != nil {
				return "", errors.New("invalid relation id")
			}
			r, err := c.relationByID(ctx, state.RelationID(id))
			if err != nil {
				return "", inContract(err)
			}
			return fmt.Sprintf("%s:%d", r.Endpoint, r.ID), nil
		},
	}
}

// relation is the relation that the call is about.
func (c *call) relation() (state.RelationID, error) {
	text := c.text("r")
	if text == "" {
		return hooks.NoRelation, usage("no relation id specified")
	}
	id, err := strconv.Atoi(text[strings.LastIndexByte(text, ':')+1:])
	return state.RelationID(id), err
}

func (s *Session) relationByID(ctx context.Context, id state.RelationID) (hooks.Relation, error) {
	all, err := s.read.Relations(ctx)
	if err != nil {
		return hooks.Relation{}, err
	}
	for _, r := range all {
		if r.ID == id {
			return r, nil
		}
	}
	if s.inRelation(id) { // one that is just being left
		return hooks.Relation{ID: id, Endpoint: s.Hook.Endpoint, RemoteApp: s.Hook.RemoteApp,
			Peer: s.Hook.RemoteApp == s.Unit.Application()}, nil
	}
	return hooks.Relation{}, hooks.ErrNoRelation
}

// inRelation says whether the hook is of this relation.
func (s *Session) inRelation(id state.RelationID) bool {
	return s.Hook.Endpoint != "" && s.Hook.Relation == id
}

func relationGet(ctx context.Context, c *call) (any, error) {
	id, err := c.relation()
	if err != nil {
		return nil, err
	}
	unit, app, err := c.subject()
	if err != nil {
		return nil, err
	}
	if err := c.atMost(2); err != nil {
		return nil, err
	}
	var settings relation.Settings
	if unit != "" {
		settings, err = c.settings(ctx, id, unit)
	} else {
		settings, err = c.applicationSettings(ctx, id, app)
	}
	if err != nil {
		return nil, err
	}
	return pick(settings, c.arg(0)), nil
}

// pick is one value, nil when there is none, or all when the key is empty or -.
func pick[M ~map[string]string](all M, key string) any {
	if key == "" || key == "-" {
		if all == nil {
			all = M{}
		}
		return all
	}
	if v, ok := all[key]; ok {
		return v
	}
	return nil
}

// subject is the unit or the application whose settings are asked for.
func (c *call) subject() (state.UnitName, state.ApplicationName, error) {
	name := c.arg(1)
	if len(c.args) < 2 {
		switch {
		case !c.on("app") && c.Hook.RemoteUnit != "":
			return c.Hook.RemoteUnit, "", nil
		case c.Hook.RemoteApp != "":
			return "", c.Hook.RemoteApp, nil
		}
		return "", "", usage("no unit or application specified")
	}
	unit, err := state.ParseUnit(name)
	switch {
	case err == nil && c.on("app"):
		return "", unit.Application(), nil
	case err == nil:
		return unit, "", nil
	case name == "" || strings.ContainsAny(name, "/ :@"):
		return "", "", usage("invalid unit name %q", name)
	case !c.on("app"):
		return "", "", usage("expected unit name, got application name %q", name)
	}
	return "", state.ApplicationName(name), nil
}

// settings is what a unit has set; of this unit, with what this hook has set.
func (s *Session) settings(ctx context.Context, id state.RelationID, unit state.UnitName) (relation.Settings, error) {
	have, err := s.read.Settings(ctx, id, unit)
	if err != nil || unit != s.Unit {
		return have, err
	}
	return have.Apply(s.effects.Settings[id]), nil
}

// applicationSettings is what an application's leader has set. Units that do not lead see their own only among peers.
func (s *Session) applicationSettings(ctx context.Context, id state.RelationID, app state.ApplicationName) (relation.Settings, error) {
	if app != s.Unit.Application() {
		return s.read.ApplicationSettings(ctx, id, app)
	}
	r, err := s.relationByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if !r.Peer {
		leads, err := s.read.Leader(ctx)
		if err != nil {
			return nil, err
		}
		if !leads {
			return nil, hooks.ErrDenied
		}
	}
	have, err := s.read.ApplicationSettings(ctx, id, app)
	if err != nil {
		return nil, err
	}
	return have.Apply(s.effects.Application[id]), nil
}

func relationSet(ctx context.Context, c *call) (any, error) {
	id, err := c.relation()
	if err != nil {
		return nil, err
	}
	delta, err := c.pairs()
	if err != nil {
		return nil, err
	}
	if c.on("app") {
		return nil, c.setApplication(ctx, id, delta)
	}
	if len(delta) == 0 {
		return nil, nil
	}
	have, err := c.settings(ctx, id, c.Unit)
	if err != nil {
		return nil, err
	}
	key := bag{id, false}
	if err := c.fits(fmt.Sprintf("the settings of %s in relation %s", c.Unit, id), key, have.Apply(delta)); err != nil {
		return nil, err
	}
	if c.effects.Settings == nil {
		c.effects.Settings = map[state.RelationID]relation.Settings{}
	}
	c.effects.Settings[id] = over(c.effects.Settings[id], delta)
	return nil, nil
}

func (c *call) setApplication(ctx context.Context, id state.RelationID, delta relation.Settings) error {
	leads, err := c.read.Leader(ctx)
	if err != nil {
		return err
	}
	if !leads {
		return errors.New("cannot write relation settings")
	}
	if len(delta) == 0 {
		return nil
	}
	app := c.Unit.Application()
	have, err := c.applicationSettings(ctx, id, app)
	if err != nil {
		return err
	}
	if err := c.fits(fmt.Sprintf("the settings of %s in relation %s", app, id), bag{id, true}, have.Apply(delta)); err != nil {
		return err
	}
	if c.effects.Application == nil {
		c.effects.Application = map[state.RelationID]relation.Settings{}
	}
	c.effects.Application[id] = over(c.effects.Application[id], delta)
	return nil
}

// over is delta added to what was asked for before. Unlike Settings.Apply it keeps the keys to remove.
func over(before, delta relation.Settings) relation.Settings {
	out := relation.Settings{}
	maps.Copy(out, before)
	maps.Copy(out, delta)
	return out
}

func relationIDs(ctx context.Context, c *call) (any, error) {
	endpoint := cmp.Or(c.arg(0), c.Hook.Endpoint)
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	if endpoint == "" {
		return nil, usage("no endpoint name specified")
	}
	all, err := c.read.Relations(ctx)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, r := range all {
		broken := r.Broken || c.Hook.Kind == hooks.RelationBroken && c.inRelation(r.ID)
		if r.Endpoint == endpoint && !broken {
			ids = append(ids, fmt.Sprintf("%s:%d", r.Endpoint, r.ID))
		}
	}
	slices.Sort(ids) // as text, as charms know it
	return ids, nil
}

func relationList(ctx context.Context, c *call) (any, error) {
	id, err := c.relation()
	if err != nil {
		return nil, err
	}
	if err := c.atMost(0); err != nil {
		return nil, err
	}
	if c.on("app") {
		r, err := c.relationByID(ctx, id)
		return string(r.RemoteApp), err
	}
	members, err := c.read.Members(ctx, id)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, u := range members {
		if !c.inRelation(id) || c.Hook.Kind != hooks.RelationBroken && (c.Hook.Kind != hooks.RelationDeparted || u != c.Hook.RemoteUnit) {
			names = append(names, string(u))
		}
	}
	// The one that is being heard of is a member before the tree says so.
	if c.inRelation(id) && c.Hook.Kind == hooks.RelationJoined && !slices.Contains(names, string(c.Hook.RemoteUnit)) {
		names = append(names, string(c.Hook.RemoteUnit))
	}
	slices.Sort(names)
	return names, nil
}
