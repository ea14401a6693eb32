package state

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/relation"
)

// addPeers makes the peer relations of an application that is new, or whose charm has new ones. It writes app but not its node.
func addPeers(ctx context.Context, r Reader, t *Txn, m ModelID, by By, key Key, name ApplicationName, app *Application, peers []charm.Endpoint) error {
	if len(peers) == 0 {
		return nil
	}
	numbers, err := count(ctx, r, m, "relation", 0)
	if err != nil {
		return err
	}
	for _, ep := range peers {
		id := RelationID(numbers.take())
		end := relation.Endpoint{Application: string(name), Subordinate: app.Subordinate, Endpoint: ep}
		addRelation(t, m, id, Relation{Endpoints: []relation.Endpoint{end}, Scope: ep.Scope, Created: by.Now})
		app.Relations = append(app.Relations, membership(m, key, id, end, end, false))
	}
	numbers.save(t)
	return nil
}

func addRelation(t *Txn, m ModelID, id RelationID, rel Relation) {
	t.Create(m.RelationPath(id), rel)
	for _, ep := range rel.Endpoints {
		side := m.SidePath(id, ApplicationName(ep.Application))
		t.Create(side, relation.Settings{})
		t.Create(side+"/"+GoneName, nil)
	}
}

func membership(m ModelID, key Key, id RelationID, own, remote relation.Endpoint, implicit bool) Membership {
	return Membership{
		Relation: id, Endpoint: own.Name, Role: own.Role, Scope: own.Scope, Remote: remote, Implicit: implicit,
		Secret: key.Credential(m.RelationPrincipal(id)).Secret,
	}
}

// A Related is a relation that has been made.
type Related struct {
	ID        RelationID
	Endpoints []relation.Endpoint // provider first
}

// Relate makes the relation that the user means with a and b, each "web" or "web:db". Its traffic comes from the CIDRs in via, if there are any.
func Relate(ctx context.Context, r Reader, m ModelID, by By, key Key, a, b string, via ...string) (Txn, Related, error) {
	var t Txn
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return Txn{}, Related{}, err
	}
	x, err := readSide(ctx, r, m, a)
	if err != nil {
		return Txn{}, Related{}, err
	}
	y, err := readSide(ctx, r, m, b)
	if err != nil {
		return Txn{}, Related{}, err
	}
	pair, err := relation.Find(a, x.endpoints(), b, y.endpoints())
	if err != nil {
		return Txn{}, Related{}, &InvalidError{err.Error()}
	}
	if pair[0].Role != charm.Provider {
		pair[0], pair[1] = pair[1], pair[0]
		x, y = y, x
	}
	if err := mayRelate(x, y, pair); err != nil {
		return Txn{}, Related{}, fmt.Errorf("cannot add relation %q: %w", relation.Key(pair[:]), err)
	}
	numbers, err := count(ctx, r, m, "relation", 0)
	if err != nil {
		return Txn{}, Related{}, err
	}
	id := RelationID(numbers.take())
	numbers.save(&t)
	addRelation(&t, m, id, Relation{Endpoints: pair[:], Scope: pair[0].Scope, Created: by.Now})
	for i, side := range []side{x, y} {
		own, remote := pair[i], pair[1-i]
		_, declared := side.charm.Meta.Endpoints[own.Name]
		in := membership(m, key, id, own, remote, !declared)
		in.Egress = via
		side.app.Value.Relations = append(side.app.Value.Relations, in)
		t.Set(side.app.Path, side.app.Value, side.app.Version)
	}
	what := relation.Key(pair[:])
	if len(via) > 0 {
		what += " --via " + strings.Join(via, ",")
	}
	by.record(&t, m, "integrate", what)
	return t, Related{id, pair[:]}, nil
}

// A side is an application that is to be related.
type side struct {
	name  ApplicationName
	app   Record[Application]
	charm charm.Charm
}

func (s side) endpoints() []relation.Endpoint {
	return relation.Endpoints(string(s.name), s.charm.Meta)
}

func readSide(ctx context.Context, r Reader, m ModelID, text string) (side, error) {
	name, _, err := relation.ParseEndpoint(text)
	if err != nil {
		return side{}, &InvalidError{err.Error()}
	}
	s := side{name: ApplicationName(name)}
	if s.app, err = aliveApplication(ctx, r, m, s.name); err != nil {
		return s, err
	}
	ch, err := readCharm(ctx, r, m, s.app.Value.Charm)
	s.charm = ch.Charm
	return s, err
}

func readCharm(ctx context.Context, r Reader, m ModelID, id charm.ID) (Charm, error) {
	rec, err := Read[Charm](ctx, r, m.CharmPath(id.String()))
	return rec.Value, missing(err, "charm", id.URL())
}

// mayRelate says whether two applications may be related by endpoints that fit.
func mayRelate(x, y side, pair [2]relation.Endpoint) error {
	for _, have := range x.app.Value.Relations {
		if have.Endpoint == pair[0].Name && have.Remote.Application == pair[1].Application && have.Remote.Name == pair[1].Name {
			if have.Life != Alive {
				return refused("relation %q is being removed, try again when it is gone", relation.Key(pair[:]))
			}
			return &ExistsError{Kind: "relation", Name: relation.Key(pair[:])}
		}
	}
	for i, s := range []side{x, y} {
		n := 0
		for _, have := range s.app.Value.Relations {
			if have.Endpoint == pair[i].Name {
				n++
			}
		}
		if limit := pair[i].Limit; limit > 0 && n >= limit {
			return refused("establishing a new relation for %s would exceed its maximum relation limit of %d", pair[i], limit)
		}
	}
	bx, by := x.app.Value.Base, y.app.Value.Base
	if pair[0].Scope == charm.Container && bx.Name != "" && by.Name != "" && !sameBase(bx, by) {
		return refused("principal and subordinate applications' bases must match: %s has %s, %s has %s", x.name, bx, y.name, by)
	}
	return nil
}

// RemoveRelation begins the end of the relation between a and b, each "web" or "web:db".
func RemoveRelation(ctx context.Context, r Reader, m ModelID, by By, a, b string, how Ending) (Txn, RelationID, error) {
	found, err := findRelation(ctx, r, m, a, b)
	if err != nil {
		return Txn{}, 0, err
	}
	return RemoveRelationID(ctx, r, m, by, found, how)
}

func findRelation(ctx context.Context, r Reader, m ModelID, a, b string) (RelationID, error) {
	var apps, names [2]string
	for i, text := range []string{a, b} {
		var err error
		if apps[i], names[i], err = relation.ParseEndpoint(text); err != nil {
			return 0, &InvalidError{err.Error()}
		}
	}
	app, err := application(ctx, r, m, ApplicationName(apps[0]))
	if err != nil {
		return 0, err
	}
	if _, err := application(ctx, r, m, ApplicationName(apps[1])); err != nil {
		return 0, err
	}
	var found []Membership
	for _, have := range app.Value.Relations {
		if have.Remote.Application == apps[1] && (names[0] == "" || have.Endpoint == names[0]) &&
			(names[1] == "" || have.Remote.Name == names[1]) {
			found = append(found, have)
		}
	}
	switch len(found) {
	case 0:
		return 0, &NotFoundError{"relation", a + " " + b}
	case 1:
		return found[0].Relation, nil
	}
	text := fmt.Sprintf("ambiguous relation: %q could refer to ", a+" "+b)
	for i, have := range found {
		if i > 0 {
			text += "; "
		}
		own := relation.Endpoint{Application: apps[0], Endpoint: charm.Endpoint{Name: have.Endpoint, Role: have.Role}}
		text += fmt.Sprintf("%q", relation.Key([]relation.Endpoint{own, have.Remote}))
	}
	return 0, &InvalidError{text}
}

// RemoveRelationID begins the end of the relation with this id.
func RemoveRelationID(ctx context.Context, r Reader, m ModelID, by By, id RelationID, how Ending) (Txn, RelationID, error) {
	var t Txn
	rec, err := Read[Relation](ctx, r, m.RelationPath(id))
	if err != nil {
		return t, id, missing(err, "relation", id.String())
	}
	key := relation.Key(rec.Value.Endpoints)
	if len(rec.Value.Endpoints) == 1 {
		return t, id, refused("cannot remove relation %q: it is a peer relation and lives as long as its application", key)
	}
	apps := applications{}
	if err := endRelation(ctx, r, &t, m, apps, rec, how.end(by, End{})); err != nil {
		return Txn{}, id, fmt.Errorf("remove relation %q: %w", key, err)
	}
	apps.save(&t)
	if len(t.Ops) > 0 {
		by.record(&t, m, "remove-relation", key)
	}
	return t, id, nil
}

// applications gathers changes of applications, so that each is written once in a transaction.
type applications map[ApplicationName]*edited

type edited struct {
	Record[Application]
	changed bool
}

func (a applications) read(ctx context.Context, r Reader, m ModelID, name ApplicationName) (*edited, error) {
	if e, ok := a[name]; ok {
		return e, nil
	}
	rec, err := application(ctx, r, m, name)
	if err != nil {
		return nil, err
	}
	a[name] = &edited{Record: rec}
	return a[name], nil
}

func (a applications) save(t *Txn) {
	var names []ApplicationName
	for name, e := range a {
		if e.changed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		t.Set(a[name].Path, a[name].Value, a[name].Version)
	}
}

// endRelation begins the end of a relation in its own node and in both applications, whose units it wakes.
func endRelation(ctx context.Context, r Reader, t *Txn, m ModelID, apps applications, rec Record[Relation], end End) error {
	was := rec.Value.End
	rec.Value.End = was.Sooner(end)
	if rec.Value.End.same(was) {
		return nil
	}
	id := RelationIDOf(rec.Path)
	t.Set(rec.Path, rec.Value, rec.Version)
	t.Tell(m, TicketRelation, id.String())
	for _, ep := range rec.Value.Endpoints {
		app, err := apps.read(ctx, r, m, ApplicationName(ep.Application))
		if err != nil {
			return err
		}
		for i := range app.Value.Relations {
			if have := &app.Value.Relations[i]; have.Relation == id && have.Life == Alive {
				have.Life, app.changed = Dying, true
			}
		}
	}
	return nil
}
