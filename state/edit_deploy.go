package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/relation"
)

// UnitsPerEdit is how many units one transaction makes or ends at most; MaxUnits how many can be asked for at once.
// Units beyond the first are promised in the same transaction: see Promise.
const (
	UnitsPerEdit = 500
	MaxUnits     = 100_000
)

// AddCharm gives an uploaded charm its revision: one more than any charm of this name in the model has had.
func AddCharm(ctx context.Context, r Reader, m ModelID, by By, c charm.Charm, sha256 string, size int64) (Txn, charm.ID, error) {
	var t Txn
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return t, charm.ID{}, err
	}
	revision, err := count(ctx, r, m, "charm-"+c.Meta.Name, 0)
	if err != nil {
		return t, charm.ID{}, err
	}
	id := charm.ID{Name: c.Meta.Name, Revision: revision.take(), SHA256: sha256}
	value := Charm{ID: id, Size: size, Charm: c, Added: by.Now}
	if n := len(Encode(value)); n > MaxValue {
		return t, id, invalid("charm %q: its metadata, options and actions take %d bytes, at most %d fit", id.Name, n, MaxValue)
	}
	revision.save(&t)
	t.Create(m.CharmPath(id.String()), value)
	by.record(&t, m, "add-charm", id.URL())
	return t, id, nil
}

// A Deployment is an application that a user wants.
type Deployment struct {
	Name        ApplicationName
	Charm       string         // "web-3", as AddCharm named it
	Base        charm.Base     // zero: the model's default-base, else the charm's first
	Config      map[string]any // as it came: text, or values of YAML or JSON
	Trust       bool
	Constraints provider.Constraints
	Units       int              // of a subordinate: 0 or 1, and none is made
	Placements  []string         // at most one a unit
	Force       bool             // a base that the charm does not name
	Has         provider.Storage // what storage the cloud has
	Storage     map[string]Directive
	Attach      []StorageID // storage that is there, for the only unit
	Resources   map[string]ResourceChoice
}

// Deployed is what a Deployment has become.
type Deployed struct {
	Base  charm.Base
	Units NumberRange // all that were asked for: made, or promised
}

// Deploy makes an application with its first units and its peer relations.
func Deploy(ctx context.Context, r Reader, m ModelID, by By, key Key, d Deployment) (Txn, Deployed, error) {
	t, out, err := deploy(ctx, r, m, by, key, d)
	if err != nil {
		return Txn{}, Deployed{}, fmt.Errorf("deploy application %q: %w", d.Name, err)
	}
	return t, out, nil
}

func deploy(ctx context.Context, r Reader, m ModelID, by By, key Key, d Deployment) (t Txn, out Deployed, err error) {
	if !charm.ValidApplicationName(string(d.Name)) {
		return t, out, invalid("invalid application name %q: use lowercase letters, digits and hyphens, and after a hyphen not only digits", d.Name)
	}
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return t, out, err
	}
	if _, err := r.Get(ctx, m.ApplicationPath(d.Name)); err == nil {
		return t, out, &ExistsError{Kind: "application", Name: string(d.Name)}
	} else if !errors.Is(err, ErrNotFound) {
		return t, out, err
	}
	ch, err := Read[Charm](ctx, r, m.CharmPath(d.Charm))
	if err != nil {
		return t, out, missing(err, "charm", "local:"+d.Charm)
	}
	t.Check(ch.Path, ch.Version)
	meta := ch.Value.Charm.Meta
	app := Application{Charm: ch.Value.ID, CharmRev: 1, Trust: d.Trust, Subordinate: meta.Subordinate, Constraints: d.Constraints, Created: by.Now}
	if app.Base, err = pickBase(ctx, r, m, d, ch.Value.Charm); err != nil {
		return t, out, err
	}
	if app.Config, err = checkConfig(ch.Value.Charm.Options, nil, d.Config); err != nil {
		return t, out, err
	}
	if app.Storage, err = completeAll(ctx, r, &t, m, d.Has, meta, d.Storage); err != nil {
		return t, out, err
	}
	stores, err := openStores(ctx, r, m, by, app, meta)
	if err != nil {
		return t, out, err
	}
	if err := checkScale(d, meta.Subordinate, stores); err != nil {
		return t, out, err
	}
	if app.Resources, err = chooseResources(ctx, r, &t, m, by, ch.Value.Charm, nil, d.Resources); err != nil {
		return t, out, err
	}
	numbers, err := count(ctx, r, m, "unit-"+string(d.Name), 0)
	if err != nil {
		return t, out, err
	}
	var peers []charm.Endpoint
	for _, name := range slices.Sorted(maps.Keys(meta.Endpoints)) {
		if ep := meta.Endpoints[name]; ep.Role == charm.Peer {
			peers = append(peers, ep)
		}
	}
	if err := addPeers(ctx, r, &t, m, by, key, d.Name, &app, peers); err != nil {
		return t, out, err
	}
	t.Create(m.ApplicationPath(d.Name), app)
	t.Create(m.ExposedPath(d.Name), Exposed{})
	t.Create(m.ElectionPath(d.Name), nil)
	t.Create(m.LeaderPath(d.Name), relation.Settings{})
	t.Create(m.ApplicationStatusPath(d.Name), StatusInfo{Status: "unset", Since: by.Now})
	out.Base = app.Base
	if !app.Subordinate {
		if err := checkPlacements(ctx, r, &t, m, app, d.Placements); err != nil {
			return t, out, err
		}
		first, err := stores.takeAll(ctx, r, &t, d.Name.Unit(numbers.next), d.Units, d.Attach)
		if err != nil {
			return t, out, err
		}
		out.Units = addUnits(&t, m, by, d.Name, numbers, stores, Record[Promise]{}, d.Units, first, d.Placements)
	}
	numbers.save(&t)
	by.record(&t, m, "deploy", fmt.Sprintf("%s from %s", d.Name, app.Charm.URL()))
	return t, out, nil
}

func checkScale(d Deployment, subordinate bool, s *stores) error {
	switch {
	case subordinate && len(d.Attach) > 0:
		return invalid("cannot use --attach-storage with subordinate application")
	case subordinate && (d.Units > 1 || len(d.Placements) > 0):
		return invalid("cannot use --num-units or --to with subordinate application")
	case subordinate && !d.Constraints.IsZero():
		return invalid("cannot use --constraints with subordinate application")
	case d.Units < 0:
		return invalid("number of units must not be negative, got %d", d.Units)
	}
	return checkNumber(d.Units, d.Placements, s)
}

// checkConfig is have with the changes laid over it, each of its option's type; a nil unsets.
func checkConfig(options charm.Options, have, changes map[string]any) (map[string]any, error) {
	typed, err := options.Check(options.Normalize(changes))
	if err != nil {
		return nil, &InvalidError{err.Error()}
	}
	out := options.Fit(have)
	for key, value := range typed {
		if value == nil {
			delete(out, key)
		} else {
			out[key] = value
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// pickBase is the base the user asked for, else the model's default, else the charm's first.
func pickBase(ctx context.Context, r Reader, m ModelID, d Deployment, c charm.Charm) (charm.Base, error) {
	base := d.Base
	if base.Name == "" {
		config, err := ReadIf[ModelConfig](ctx, r, m.ConfigPath())
		if err != nil {
			return base, err
		}
		if text := config.Value["default-base"]; text != "" {
			name, channel, _ := strings.Cut(text, "@")
			channel, _, _ = strings.Cut(channel, "/")
			base = charm.Base{Name: name, Channel: channel}
			if !d.Force && !supports(c.Bases, base) {
				base = charm.Base{}
			}
		}
	}
	if base.Name == "" && len(c.Bases) > 0 {
		base = c.Bases[0]
	}
	base.Architectures = nil
	if !d.Force && base.Name != "" && !supports(c.Bases, base) {
		return base, invalid("base %q is not supported by charm %q; supported: %s", base, c.Meta.Name, baseNames(c.Bases))
	}
	return base, nil
}

// supports says whether a charm with these bases runs on base. A charm that names none runs on all.
func supports(bases []charm.Base, base charm.Base) bool {
	return len(bases) == 0 || slices.ContainsFunc(bases, func(b charm.Base) bool { return sameBase(b, base) })
}

func sameBase(a, b charm.Base) bool { return a.Name == b.Name && a.Channel == b.Channel }

func baseNames(bases []charm.Base) string {
	var out []string
	for _, b := range bases {
		out = append(out, b.String())
	}
	return strings.Join(out, ", ")
}

// checkPlacements says whether units of app may go where the user wants them.
func checkPlacements(ctx context.Context, r Reader, t *Txn, m ModelID, app Application, placements []string) error {
	seen := map[MachineID]bool{}
	for _, text := range placements {
		p, err := ParsePlacement(text)
		switch {
		case err != nil:
			return err
		case p.Container && p.Machine != "":
			if err := mayHaveContainer(ctx, r, t, m, text, p.Machine); err != nil {
				return err
			}
			continue
		case p.Machine == "":
			continue
		}
		machine, err := Read[Machine](ctx, r, m.MachinePath(p.Machine))
		if err != nil {
			return missing(err, "machine", string(p.Machine))
		}
		if machine.Value.Life != Alive {
			return refused("placement %q: machine %s is being removed", text, p.Machine)
		}
		if base := machine.Value.Base; base.Name != "" && app.Base.Name != "" && !sameBase(base, app.Base) {
			return refused("placement %q: machine %s has base %s, the application has %s", text, p.Machine, base, app.Base)
		}
		if !seen[p.Machine] {
			seen[p.Machine] = true
			t.Check(machine.Path, machine.Version)
		}
	}
	return nil
}
