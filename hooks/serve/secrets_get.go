package serve

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// tracked is what the unit has done about the secrets of others, this hook included.
func (s *Session) tracked(ctx context.Context) (map[state.SecretID]state.Tracked, error) {
	have, err := s.read.Tracked(ctx)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(have)
	if out == nil {
		out = map[state.SecretID]state.Tracked{}
	}
	for id, t := range s.effects.Tracked {
		if t == nil {
			delete(out, id)
		} else {
			out[id] = *t
		}
	}
	return out, nil
}

func (c *call) track(id state.SecretID, t *state.Tracked) {
	if c.effects.Tracked == nil {
		c.effects.Tracked = map[state.SecretID]*state.Tracked{}
	}
	c.effects.Tracked[id] = t
}

func secretGet(ctx context.Context, c *call) (any, error) {
	label, key := c.text("label"), c.arg(1)
	text := c.arg(0)
	if label != "" && text != "" && len(c.args) == 1 {
		if _, err := state.ParseSecret(text); err != nil { // secret-get --label L KEY
			text, key = "", text
		}
	}
	switch {
	case text == "" && label == "":
		return nil, usage("require either a secret URI or label")
	case c.on("peek") && c.on("refresh"):
		return nil, usage("specify one of --peek or --refresh but not both")
	}
	if err := c.atMost(2); err != nil {
		return nil, err
	}
	id, own, err := c.meant(ctx, text, label)
	if err != nil {
		return nil, err
	}
	if c.effects.Secrets[id].Remove {
		return nil, noSecret(id)
	}
	var value state.SecretContent
	if own {
		if value, err = c.ownValue(ctx, id); err == nil && text != "" && label != "" {
			err = c.relabel(ctx, id, label)
		}
	} else {
		value, err = c.othersValue(ctx, id, text != "", label)
	}
	switch {
	case errors.Is(err, hooks.ErrNoSecret):
		return nil, noSecret(id)
	case err != nil:
		return nil, err
	}
	c.conceal(value)
	return held(id, value, key)
}

// meant is the secret that secret-get is about, and whether the unit reads it as its owner.
func (c *call) meant(ctx context.Context, text, label string) (id state.SecretID, own bool, err error) {
	mine, err := c.visibleSecrets(ctx)
	if err != nil {
		return "", false, err
	}
	if text != "" {
		if id, err = state.ParseSecret(text); err != nil {
			return "", false, usageError(err.Error())
		}
		_, own = mine[id]
		return id, own, nil
	}
	if id, ok := labelled(mine, label); ok {
		return id, true, nil
	}
	tracked, err := c.tracked(ctx)
	if err != nil {
		return "", false, err
	}
	for _, id := range slices.Sorted(maps.Keys(tracked)) {
		if tracked[id].Label == label {
			return id, false, nil
		}
	}
	all, err := c.ownSecrets(ctx) // the application's, for one that does not lead
	if err != nil {
		return "", false, err
	}
	if id, ok := labelled(all, label); ok {
		return id, false, nil
	}
	return "", false, fmt.Errorf("secret with label %q not found", label)
}

// ownValue is what an owner reads: the latest revision, and what this hook has set when it asks for that, or has made the secret.
func (c *call) ownValue(ctx context.Context, id state.SecretID) (state.SecretContent, error) {
	if tracked, err := c.tracked(ctx); err != nil {
		return nil, err
	} else if _, was := tracked[id]; was { // it has read the secret before it led
		c.track(id, nil)
	}
	value, set := c.values[id]
	if set && (c.on("peek") || c.on("refresh") || c.fresh[id] || c.effects.Secrets[id].New != nil) {
		c.fresh[id] = true
		return value, nil
	}
	value, _, err := c.read.SecretContent(ctx, id, 0)
	return value, err
}

// relabel gives a secret of the unit's own another label.
func (c *call) relabel(ctx context.Context, id state.SecretID, label string) error {
	all, err := c.ownSecrets(ctx)
	if err != nil || all[id].Label == label {
		return err
	}
	if err := c.labelIsFree(ctx, id, label); err != nil {
		return err
	}
	c.changeSecret(id, func(change *state.SecretChange) { change.Label = &label })
	return nil
}

// othersValue is what others read: the revision that the unit tracks.
func (c *call) othersValue(ctx context.Context, id state.SecretID, named bool, label string) (state.SecretContent, error) {
	all, err := c.tracked(ctx)
	if err != nil {
		return nil, err
	}
	now, known := all[id]
	want := now.Revision
	if c.on("peek") || c.on("refresh") {
		want = 0
	}
	if named && label != "" {
		if err := c.labelIsFree(ctx, id, label); err != nil {
			return nil, err
		}
		now.Label = label
	}
	value, revision, err := c.read.SecretContent(ctx, id, want)
	if err != nil {
		return nil, err
	}
	if !known || c.on("refresh") {
		now.Revision = revision
		now.Heard = max(now.Heard, revision)
	}
	if now != all[id] {
		c.track(id, &now)
	}
	return value, nil
}

// held is the whole value, or what one key holds.
func held(id state.SecretID, value state.SecretContent, key string) (any, error) {
	if key == "" {
		out := map[string]string{}
		for k, v := range value {
			if !utf8.Valid(v) {
				return nil, fmt.Errorf("what secret %q holds at key %q is not text: read that alone, as %s#base64", id, k, k)
			}
			out[k] = string(v)
		}
		return out, nil
	}
	name, coded := strings.CutSuffix(key, "#base64")
	v, ok := value[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("secret %q key %q not found", id, name)
	case coded:
		return base64.StdEncoding.EncodeToString(v), nil
	case !utf8.Valid(v):
		return nil, fmt.Errorf("what secret %q holds at key %q is not text: read it as %s#base64", id, name, name)
	}
	return string(v), nil
}
