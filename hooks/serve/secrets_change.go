package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// secretFlags is the options of secret-add and secret-set.
func secretFlags() []flag {
	return []flag{
		{names: "label", value: "<label>", usage: "A name by which this unit, or its application, finds the secret"},
		{names: "description", value: "<text>", usage: "What the secret is for"},
		{names: "expire", value: "<time>", usage: "When it expires: a duration such as 1h30m, or a time such as 2026-01-31T12:00:00Z", check: isExpiry},
		{names: "rotate", value: "<policy>", usage: "How often it is rotated: never, hourly, daily, weekly, monthly, quarterly or yearly", check: isRotation},
		{names: "file", value: "<path>", usage: "Read keys and values from a YAML file as well"},
	}
}

func always(value string) func(*Session) string { return func(*Session) string { return value } }

func isRotation(_ context.Context, _ *call, value string) (string, error) {
	_, err := state.ParseRotate(value)
	return value, err
}

// isExpiry turns a duration or a time into a time.
func isExpiry(_ context.Context, c *call, value string) (string, error) {
	if d, err := time.ParseDuration(value); err == nil {
		if d < 0 {
			return "", errors.New("negative expire duration")
		}
		return c.began.Add(d).Format(time.RFC3339Nano), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.Format(time.RFC3339Nano), nil
		}
	}
	return "", errors.New("expire time or duration not valid")
}

func isRevision(_ context.Context, _ *call, value string) (string, error) {
	if n, err := strconv.Atoi(value); err != nil || n < 1 {
		return "", errors.New("revision must be a positive integer")
	}
	return value, nil
}

// relationOnly is -r without the relation of the hook in its place.
func relationOnly() flag {
	f := relationFlag()
	f.preset = nil
	return f
}

// secretValue is the value that the arguments give, over that of --file; nil when there is none. Errors do not tell it.
func (c *call) secretValue(args []string) (state.SecretContent, error) {
	pairs := map[string]string{}
	if name := c.text("file"); name != "" {
		text, err := c.input(name)
		if err != nil {
			return nil, err
		}
		if pairs, err = decodePairs(text); err != nil {
			return nil, fmt.Errorf("%s holds no mapping of keys to values", name)
		}
	}
	seen := map[string]bool{}
	for i, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || key == "" {
			return nil, usage("argument %d is not of the form key=value", i+1)
		}
		bare, kind, _ := strings.Cut(key, "#")
		if seen[bare] {
			return nil, usage("key %q specified more than once", bare)
		}
		seen[bare] = true
		delete(pairs, bare)
		delete(pairs, bare+"#base64")
		if kind == "file" {
			data, err := c.input(value)
			if err != nil {
				return nil, err
			}
			key, value = bare, string(data)
		}
		pairs[key] = value
	}
	if len(args) == 0 && c.text("file") == "" {
		return nil, nil
	}
	content, err := state.NewSecretContent(pairs)
	if err != nil {
		return nil, usageError(err.Error())
	}
	return content, nil
}

// changes is what the options say.
func (c *call) secretOptions(change *state.SecretChange) {
	if v, ok := c.given["label"]; ok {
		change.Label = &v
	}
	if v, ok := c.given["description"]; ok {
		change.Description = &v
	}
	if v, ok := c.given["rotate"]; ok {
		r := state.Rotate(v)
		change.Rotate = &r
	}
	if v, ok := c.given["expire"]; ok {
		t, _ := time.Parse(time.RFC3339Nano, v) // isExpiry has written it
		t = t.UTC()
		change.Expire = &t
	}
}

func secretAdd(ctx context.Context, c *call) (any, error) {
	owner := c.text("owner")
	if owner != "application" && owner != "unit" {
		return nil, usage("secret owner %q not valid", owner)
	}
	value, err := c.secretValue(c.args)
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, usage("missing secret value or filename")
	}
	own := state.SecretOwner{Unit: c.Unit}
	if owner == "application" {
		own = state.SecretOwner{Application: c.Unit.Application()}
		if err := c.mustLead(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.labelIsFree(ctx, "", c.given["label"]); err != nil {
		return nil, err
	}
	c.conceal(value)
	if err := c.fits("the new secret", c, value); err != nil {
		return nil, err
	}
	id, sealed, err := c.Writer.NewSecret(ctx, owner == "application", value)
	if err != nil {
		return nil, fmt.Errorf("cannot make a secret: %w", err)
	}
	c.sizes[id] = c.sizes[c]
	delete(c.sizes, c)
	c.changeSecret(id, func(change *state.SecretChange) {
		change.New, change.Value = &own, &sealed
		c.secretOptions(change)
	})
	c.values[id] = value
	return id.URI(), nil
}

// labelIsFree refuses a label that another secret has, of those that the unit finds by their labels.
func (c *call) labelIsFree(ctx context.Context, id state.SecretID, label string) error {
	if label == "" {
		return nil
	}
	all, err := c.ownSecrets(ctx)
	if err != nil {
		return err
	}
	tracked, err := c.tracked(ctx)
	if err != nil {
		return err
	}
	other, taken := labelled(all, label)
	for tid, t := range tracked {
		if t.Label != label || tid == id {
			continue
		}
		if _, _, err := c.read.SecretContent(ctx, tid, 0); errors.Is(err, hooks.ErrNoSecret) { // its owner has removed it
			c.track(tid, nil)
			continue
		}
		other, taken = tid, true
	}
	if taken && other != id {
		return fmt.Errorf("secret with label %q already exists", label)
	}
	return nil
}

func secretSet(ctx context.Context, c *call) (any, error) {
	id, _, err := c.ownSecret(ctx, c.arg(0))
	if err != nil {
		return nil, err
	}
	value, err := c.secretValue(c.args[1:])
	if err != nil {
		return nil, err
	}
	if err := c.labelIsFree(ctx, id, c.given["label"]); err != nil {
		return nil, err
	}
	var sealed *state.SealedSecret
	if value != nil {
		c.conceal(value)
		if err := c.fits("secret "+string(id), id, value); err != nil {
			return nil, err
		}
		s, err := c.Writer.SealSecret(ctx, id, value)
		if err != nil {
			return nil, fmt.Errorf("cannot set secret %q: %w", id, err)
		}
		sealed = &s
		c.values[id] = value
	}
	c.changeSecret(id, func(change *state.SecretChange) {
		if sealed != nil {
			change.Value = sealed
		}
		c.secretOptions(change)
	})
	return nil, nil
}

func secretRemove(ctx context.Context, c *call) (any, error) {
	id, secret, err := c.ownSecret(ctx, c.arg(0))
	if err == nil {
		err = c.atMost(1)
	}
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(c.text("revision"))
	if _, ok := secret.Revision(n); n > 0 && !ok {
		return nil, fmt.Errorf("secret %q revision %d not found", id, n)
	}
	c.changeSecret(id, func(change *state.SecretChange) {
		if n == 0 {
			change.Remove = true
		} else {
			change.Revisions = append(change.Revisions, n)
		}
	})
	return nil, nil
}

// grantee checks that a unit, if one is named, is of the application.
func grantee(app state.ApplicationName, text string, relation state.RelationID) (state.Grant, error) {
	g := state.Grant{Application: app, Relation: relation}
	if text == "" {
		return g, nil
	}
	u, err := state.ParseUnit(text)
	if err != nil {
		return g, usageError(err.Error())
	}
	if app != "" && u.Application() != app {
		return g, usage("unit %q is not of application %q", u, app)
	}
	return state.Grant{Unit: u, Relation: relation}, nil
}

func secretGrant(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	if c.arg(0) == "" {
		return nil, usage("missing secret URI")
	}
	if c.text("r") == "" {
		return nil, usage("missing relation id")
	}
	relation, err := c.relation()
	if err != nil {
		return nil, err
	}
	id, secret, err := c.ownSecret(ctx, c.arg(0))
	if err != nil {
		return nil, err
	}
	r, err := c.relationByID(ctx, relation)
	if err != nil {
		return nil, err
	}
	g, err := grantee(r.RemoteApp, c.text("unit"), relation)
	if err != nil {
		return nil, err
	}
	whole := state.Grant{Application: r.RemoteApp, Relation: relation}
	if slices.Contains(secret.Grants, g) || slices.Contains(secret.Grants, whole) {
		return nil, nil
	}
	for _, have := range secret.Grants {
		if g == whole && have.Unit != "" && have.Unit.Application() == g.Application && have.Relation == relation {
			return nil, fmt.Errorf("secret %q is granted to units of application %q: revoke that before you grant it to the application", id, g.Application)
		}
	}
	c.changeSecret(id, func(change *state.SecretChange) { change.Grants = append(change.Grants, state.GrantChange{Grant: g}) })
	return nil, nil
}

func secretRevoke(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	id, _, err := c.ownSecret(ctx, c.arg(0))
	if err != nil {
		return nil, err
	}
	if c.text("r") == "" && c.text("app") == "" && c.text("unit") == "" {
		return nil, usage("missing relation, application or unit")
	}
	relation, app := state.NoScope, state.ApplicationName(c.text("app"))
	if c.text("r") != "" {
		if relation, err = c.relation(); err != nil {
			return nil, err
		}
		r, err := c.relationByID(ctx, relation)
		if err != nil {
			return nil, err
		}
		if app == "" {
			app = r.RemoteApp
		}
	}
	g, err := grantee(app, c.text("unit"), relation)
	if err != nil {
		return nil, err
	}
	c.changeSecret(id, func(change *state.SecretChange) {
		change.Grants = append(change.Grants, state.GrantChange{Grant: g, Revoke: true})
	})
	return nil, nil
}
