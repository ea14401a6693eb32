package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/yamltext"
	"github.com/grigri/grigri/state"
)

func secretTools() []tool {
	return slices.Concat(secretReadTools(), []tool{{
		name:    "secret-add",
		args:    "[<key>[#base64|#file]=<value> ...]",
		summary: "Make a secret, and print its URI.",
		details: "The secret belongs to the application unless --owner unit is given; only the leader makes one of the application.\n" +
			"A value with #base64 is base64 already; one with #file is the path of a file that holds it.\n" +
			"The secret is there for others once the hook has succeeded; the hook itself can read it at once.",
		examples: "secret-add token=34ae35facd4\nsecret-add --rotate monthly --label db-password password#file=/tmp/pw\nsecret-add --owner unit token#base64=QUE=",
		flags:    append(secretFlags(), flag{names: "owner", value: "<owner>", usage: "Whose it is: application or unit", preset: always("application")}),
		format:   line,
		run:      secretAdd,
	}, {
		name:    "secret-set",
		args:    "<ID> [<key>[#base64|#file]=<value> ...]",
		summary: "Change a secret: a new value is a new revision.",
		details: "Without a value only what the options say changes. The value that the latest revision holds makes no new one.\n" +
			"All changes of one hook make one revision.",
		examples: "secret-set secret:9m4e2mr0ui3e8a215n4g token=34ae35facd4\nsecret-set secret:9m4e2mr0ui3e8a215n4g --rotate hourly",
		flags:    append(secretFlags(), flag{names: "owner", value: "<owner>", usage: "Does nothing: a secret keeps its owner"}),
		run:      secretSet,
	}, {
		name:    "secret-remove",
		args:    "<ID>",
		summary: "Remove a secret, or one of its revisions.",
		flags:   []flag{{names: "revision", value: "<number>", usage: "Remove only this revision", check: isRevision}},
		run:     secretRemove,
	}, {
		name:    "secret-grant",
		args:    "<ID>",
		summary: "Let the other side of a relation read a secret, while the relation lives.",
		flags: []flag{relationFlag(),
			{names: "unit", value: "<unit>", usage: "Let only this unit of the other side"}},
		run: secretGrant,
	}, {
		name:    "secret-revoke",
		args:    "<ID>",
		summary: "Let those who were let read a secret read it no more.",
		flags: []flag{relationOnly(),
			{names: "app, application", value: "<application>", usage: "The units of this application"},
			{names: "unit", value: "<unit>", usage: "This unit"}},
		run: secretRevoke,
	}})
}

func secretReadTools() []tool {
	return []tool{{
		name:    "secret-get",
		args:    "[<ID>] [<key>[#base64]]",
		summary: "Print the value of a secret.",
		details: "One who does not own the secret keeps reading the revision that it has read first, until --refresh.\n" +
			"With an ID and --label, the secret can be read by that label from then on.\n" +
			"A key with #base64 is printed as base64.",
		examples: "secret-get secret:9m4e2mr0ui3e8a215n4g\nsecret-get secret:9m4e2mr0ui3e8a215n4g token --label db-password\nsecret-get --label db-password --refresh",
		flags: []flag{{names: "label", value: "<label>", usage: "The label of the secret, or one to give it"},
			{names: "peek", usage: "Print the latest revision, and go on reading the one before"},
			{names: "refresh", usage: "Print the latest revision, and read it from now on"}},
		format: structured,
		run:    secretGet,
	}, {
		name:    "secret-info-get",
		args:    "[<ID>]",
		summary: "Print what is known of a secret that this unit owns.",
		flags:   []flag{{names: "label", value: "<label>", usage: "The label of the secret"}},
		format:  structured,
		run:     secretInfo,
	}, {
		name:    "secret-ids",
		summary: "Print the ids of the secrets that this unit owns.",
		format:  smart,
		run:     secretIDs,
	}}
}

// ownSecrets is the secrets of the unit and its application, as this hook has changed them.
func (s *Session) ownSecrets(ctx context.Context) (map[state.SecretID]state.Secret, error) {
	have, err := s.read.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(have)
	if out == nil {
		out = map[state.SecretID]state.Secret{}
	}
	for id, c := range s.effects.Secrets {
		if _, known := out[id]; known || c.New != nil {
			out[id] = out[id].Apply(c, s.began)
		}
		if out[id].Removed {
			delete(out, id)
		}
	}
	return out, nil
}

// ownSecret is a secret that the unit may change: its own, or, while it leads, its application's.
func (c *call) ownSecret(ctx context.Context, text string) (state.SecretID, state.Secret, error) {
	var none state.Secret
	if text == "" {
		return "", none, usage("missing secret URI")
	}
	id, err := state.ParseSecret(text)
	if err != nil {
		return "", none, usageError(err.Error())
	}
	all, err := c.ownSecrets(ctx)
	if err != nil {
		return id, none, err
	}
	secret, ok := all[id]
	if !ok {
		return id, none, noSecret(id)
	}
	if secret.Owner.Application != "" {
		if err := c.mustLead(ctx); err != nil {
			return id, none, err
		}
	}
	return id, secret, nil
}

func (c *call) mustLead(ctx context.Context) error {
	leads, err := c.read.Leader(ctx)
	if err == nil && !leads {
		err = hooks.ErrNotLeader
	}
	return err
}

func noSecret(id state.SecretID) error { return fmt.Errorf("secret %q not found", id) }

// changeSecret adds to what the hook has asked for about the secret.
func (c *call) changeSecret(id state.SecretID, edit func(*state.SecretChange)) {
	if c.effects.Secrets == nil {
		c.effects.Secrets = map[state.SecretID]state.SecretChange{}
	}
	change := c.effects.Secrets[id]
	edit(&change)
	c.effects.Secrets[id] = change
}

func secretIDs(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(0); err != nil {
		return nil, err
	}
	visible, err := c.visibleSecrets(ctx)
	ids := []string{}
	for _, id := range slices.Sorted(maps.Keys(visible)) {
		ids = append(ids, string(id))
	}
	return ids, err
}

// visibleSecrets is those that the unit may change.
func (c *call) visibleSecrets(ctx context.Context) (map[state.SecretID]state.Secret, error) {
	all, err := c.ownSecrets(ctx)
	if err != nil {
		return nil, err
	}
	leads, err := c.read.Leader(ctx)
	maps.DeleteFunc(all, func(_ state.SecretID, s state.Secret) bool { return s.Owner.Application != "" && !leads })
	return all, err
}

func secretInfo(ctx context.Context, c *call) (any, error) {
	label := c.text("label")
	switch {
	case c.arg(0) == "" && label == "":
		return nil, usage("require either a secret URI or label")
	case c.arg(0) != "" && label != "":
		return nil, usage("specify either a secret URI or label but not both")
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	all, err := c.visibleSecrets(ctx)
	if err != nil {
		return nil, err
	}
	if label != "" {
		id, ok := labelled(all, label)
		if !ok {
			return nil, fmt.Errorf("secret %q not found", label)
		}
		return c.info(ctx, id, all[id])
	}
	id, err := state.ParseSecret(c.arg(0))
	if err != nil {
		return nil, usageError(err.Error())
	}
	secret, ok := all[id]
	if !ok {
		return nil, noSecret(id)
	}
	return c.info(ctx, id, secret)
}

func labelled(all map[state.SecretID]state.Secret, label string) (state.SecretID, bool) {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if all[id].Label == label {
			return id, true
		}
	}
	return "", false
}

// info is the secret as secret-info-get prints it. When it is rotated next is known once the hook has succeeded.
func (c *call) info(ctx context.Context, id state.SecretID, s state.Secret) (any, error) {
	owner, rotation := "application", s.Rotate
	if s.Owner.Unit != "" {
		owner = "unit"
	}
	if rotation == "" {
		rotation = "never"
	}
	latest, _ := s.Latest()
	f := yamltext.Fields{{Name: "revision", Value: latest.Number}, {Name: "label", Value: s.Label}, {Name: "owner", Value: owner}}
	if s.Description != "" {
		f = append(f, yamltext.Field{Name: "description", Value: s.Description})
	}
	f = append(f, yamltext.Field{Name: "rotation", Value: string(rotation)})
	if !latest.Expire.IsZero() {
		f = append(f, yamltext.Field{Name: "expiry", Value: stamp(latest.Expire)})
	}
	if pending := c.effects.Secrets[id]; !s.NextRotate.IsZero() && pending.Rotate == nil {
		f = append(f, yamltext.Field{Name: "rotates", Value: stamp(s.NextRotate)})
	}
	if access, err := c.access(ctx, s); err != nil {
		return nil, err
	} else if len(access) > 0 {
		f = append(f, yamltext.Field{Name: "access", Value: access})
	}
	return yamltext.Fields{{Name: string(id), Value: f}}, nil
}

// access is the grants whose relation is still there.
func (c *call) access(ctx context.Context, s state.Secret) ([]yamltext.Fields, error) {
	var out []yamltext.Fields
	for _, g := range s.Grants {
		r, err := c.relationByID(ctx, g.Relation)
		if errors.Is(err, hooks.ErrNoRelation) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, yamltext.Fields{{Name: "target", Value: g.Target()},
			{Name: "scope", Value: "relation-" + r.Endpoint + ":" + strconv.Itoa(int(r.ID))}, {Name: "role", Value: "view"}})
	}
	return out, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
