package bundle

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
)

// A Model is what there is already.
type Model struct {
	Applications map[string]Deployed
	Machines     map[string]Host
	Relations    []Relation // with the names of both endpoints
}

// A Deployed is an application of a model.
type Deployed struct {
	Charm       string // local:web-3
	Hash        string // SHA-256 of its archive
	Base        string // ubuntu@22.04
	Subordinate bool
	Units       []Placed          // by number
	Options     map[string]string // those that a user has set
	Constraints string
	Expose      bool
	Endpoints   map[string]*ExposedEndpoint // who may reach which endpoints; none: all by everyone
	Trust       bool
	Annotations map[string]string
	Storage     map[string]string // what units get of each of the charm's: "rootfs,1024M,1"
	Resources   map[string]int    // the revision of each
}

// A Host is a machine of a model.
type Host struct {
	Constraints provider.Constraints
	Annotations map[string]string
}

// Placed is a unit and its machine, which is empty while it has none.
type Placed struct{ Unit, Machine string }

// A Charm is what must be known of a charm of a bundle.
type Charm struct {
	Name        string
	Hash        string
	Base        string // the first that it names
	Subordinate bool
}

// A Change is one thing to do. Its text is for the user. The set is closed: the types below.
type Change interface{ String() string }

// A MachineRef is a machine of the model, or one that an AddMachine of the same plan makes: then it is that one's Key.
type MachineRef struct {
	ID  string // of the model
	Key string // of an AddMachine
}

func (m MachineRef) String() string {
	if m.Key != "" {
		return "new machine " + m.Key
	}
	return "machine " + m.ID
}

// The changes, in the order in which a plan has them.
type (
	// Upload uploads the charm of an application.
	Upload struct{ Application, Path string }
	// AddMachine makes a machine. On is the machine to make a container on, if Container is not empty.
	AddMachine struct {
		Key         string // names it in this plan
		Bundle      string // its id in the bundle, if it has one there
		Base        string
		Constraints string
		Container   string
		On          MachineRef
	}
	// Deploy makes an application without units.
	Deploy struct {
		Name  string
		Base  string
		Units int // that will follow
		*Application
	}
	// Refresh gives an application the charm that was uploaded for it.
	Refresh struct{ Name, Path, From string }
	// SetOptions changes settings.
	SetOptions struct {
		Name    string
		Options map[string]string
	}
	// SetConstraints changes what the machines of new units must have.
	SetConstraints struct{ Name, Constraints string }
	// Expose opens an application to the world: all of it, or these endpoints.
	Expose struct {
		Name      string
		Endpoints map[string]*ExposedEndpoint
	}
	// Trust gives an application the cloud's credentials.
	Trust struct{ Name string }
	// Annotate sets annotations of an application, or of a machine.
	Annotate struct {
		Application string // empty for a machine
		Machine     MachineRef
		Annotations map[string]string
	}
	// AddRelation relates two endpoints.
	AddRelation struct{ Relation Relation }
	// AddUnit makes one unit on a machine.
	AddUnit struct {
		Application string
		Number      int // the nth of the bundle's units of the application
		To          MachineRef
		Satisfies   string // what the bundle says of the place
	}
)

func (c Upload) String() string { return "upload charm " + c.Path + " for " + c.Application }
func (c AddMachine) String() string {
	if c.Container != "" {
		return fmt.Sprintf("add %s container %s on %s", c.Container, c.Key, c.On)
	}
	if c.Bundle != "" {
		return fmt.Sprintf("add new machine %s (bundle machine %s)", c.Key, c.Bundle)
	}
	return "add new machine " + c.Key
}
func (c Deploy) String() string {
	text := fmt.Sprintf("deploy application %s from local charm %s", c.Name, c.Charm)
	switch {
	case c.Units == 1:
		text += " with 1 unit"
	case c.Units > 1:
		text += fmt.Sprintf(" with %d units", c.Units)
	}
	if c.Base != "" {
		text += " on " + c.Base
	}
	return text
}
func (c Refresh) String() string {
	return fmt.Sprintf("upgrade %s from local charm %s (it has %s)", c.Name, c.Path, c.From)
}
func (c SetOptions) String() string { return "set application options for " + c.Name }
func (c SetConstraints) String() string {
	return fmt.Sprintf("set constraints for %s to %q", c.Name, c.Constraints)
}
func (c Expose) String() string {
	if len(c.Endpoints) == 0 {
		return fmt.Sprintf("expose all endpoints of %s and allow access from CIDRs 0.0.0.0/0 and ::/0", c.Name)
	}
	var parts []string
	for _, ep := range slices.Sorted(maps.Keys(c.Endpoints)) {
		text := "all endpoints"
		if ep != "" {
			text = "endpoint " + ep
		}
		if e := c.Endpoints[ep]; e != nil && len(e.CIDRs) > 0 {
			text += " to CIDRs " + strings.Join(e.CIDRs, ", ")
		}
		parts = append(parts, text)
	}
	return "expose " + strings.Join(parts, " and ") + " of " + c.Name
}
func (c Trust) String() string { return "trust " + c.Name }
func (c Annotate) String() string {
	if c.Application == "" {
		return "set annotations for " + c.Machine.String()
	}
	return "set annotations for " + c.Application
}
func (c AddRelation) String() string { return "add relation " + c.Relation[0] + " - " + c.Relation[1] }
func (c AddUnit) String() string {
	text := fmt.Sprintf("add unit %s/%d to %s", c.Application, c.Number, c.To)
	if c.Satisfies != "" {
		text += " to satisfy [" + c.Satisfies + "]"
	}
	return text
}

// Options is how a plan is made.
type Options struct {
	Existing bool              // a machine of the bundle is the machine of the model that has the same id
	Machines map[string]string // which machine of the model a machine of the bundle is

	Annotations bool // Diff compares them too
}

// Plan is what must be done for the model to be as the bundle wants it, in order. Nothing is ever taken away. Charms is what must be known
// of each application's charm. What the user has said of machines is checked against the model.
func Plan(b *Bundle, charms map[string]Charm, m Model, o Options) ([]Change, error) {
	p := &planner{b: b, charms: charms, m: m, mapping: map[string]MachineRef{}, units: map[string][]MachineRef{}}
	if err := p.mapMachines(o); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(b.Applications))
	for _, name := range names {
		p.application(name)
		if set := changed(b.Applications[name].Annotations, m.Applications[name].Annotations); len(set) > 0 {
			p.settings = append(p.settings, Annotate{Application: name, Annotations: set})
		}
	}
	for _, r := range b.Relations {
		if !slices.ContainsFunc(m.Relations, r.matches) {
			p.relations = append(p.relations, AddRelation{r})
		}
	}
	for _, name := range names {
		p.place(name)
	}
	for _, id := range slices.Sorted(maps.Keys(p.mapping)) {
		if wanted := b.Machines[id]; wanted != nil {
			if set := changed(wanted.Annotations, m.Machines[p.mapping[id].ID].Annotations); len(set) > 0 {
				p.settings = append(p.settings, Annotate{Machine: p.mapping[id], Annotations: set})
			}
		}
	}
	if len(p.wrong) > 0 {
		return nil, errors.New("the provided bundle has the following errors:\n" + strings.Join(p.wrong, "\n"))
	}
	return slices.Concat(p.uploads, p.machines, p.applications, p.settings, p.relations, p.added), nil
}

// matches says whether the relation of a model, whose endpoints are known, is the one that r means.
func (r Relation) matches(have Relation) bool {
	side := func(want, have string) bool {
		app, _, named := strings.Cut(want, ":")
		haveApp, _, _ := strings.Cut(have, ":")
		return want == have || !named && app == haveApp
	}
	return side(r[0], have[0]) && side(r[1], have[1]) || side(r[0], have[1]) && side(r[1], have[0])
}

type planner struct {
	b      *Bundle
	charms map[string]Charm
	m      Model
	wrong  []string

	uploads, machines, applications, settings, relations, added []Change

	mapping map[string]MachineRef   // by the bundle's id
	units   map[string][]MachineRef // of applications that have been placed: where each unit is
	keys    int
}

func (p *planner) mapMachines(o Options) error {
	for id := range p.b.Machines {
		if _, there := p.m.Machines[id]; there && o.Existing {
			p.mapping[id] = MachineRef{ID: id}
		}
	}
	for id, real := range o.Machines {
		if _, there := p.b.Machines[id]; !there {
			return fmt.Errorf("--map-machines: the bundle has no machine %q", id)
		}
		if _, there := p.m.Machines[real]; !there {
			return fmt.Errorf("--map-machines: the model has no machine %q", real)
		}
		p.mapping[id] = MachineRef{ID: real}
	}
	// Where a unit that the bundle puts on one of its machines is already, there that machine is.
	for _, name := range slices.Sorted(maps.Keys(p.b.Applications)) {
		for i, u := range p.m.Applications[name].Units {
			to := p.b.Applications[name].To
			if i >= len(to) || u.Machine == "" {
				continue
			}
			d, _ := parseDirective(to[i])
			host, _, inside := strings.Cut(u.Machine, "/")
			if _, known := p.mapping[d.machine]; d.machine != "" && inside == (d.container != "") && !known {
				p.mapping[d.machine] = MachineRef{ID: host}
			}
		}
	}
	return nil
}

func (p *planner) base(name string) string {
	for _, base := range []string{p.b.Applications[name].Base, p.b.DefaultBase, p.charms[name].Base} {
		if base != "" {
			base, _, _ = strings.Cut(base, "/")
			return base
		}
	}
	return ""
}

func (p *planner) application(name string) {
	a, charm := p.b.Applications[name], p.charms[name]
	have, there := p.m.Applications[name]
	if charm.Subordinate && a.Units() > 0 {
		p.wrong = append(p.wrong, fmt.Sprintf("application %q: its charm is subordinate: it has no units of its own", name))
	}
	settings, _ := a.Settings()
	if !there {
		if !a.uploaded() {
			p.uploads = append(p.uploads, Upload{name, a.Charm})
		}
		p.applications = append(p.applications, Deploy{name, p.base(name), a.Units(), a})
		if a.Expose || len(a.ExposedEndpoints) > 0 {
			p.settings = append(p.settings, Expose{name, a.ExposedEndpoints})
		}
		return
	}
	if a.differs(charm, have) {
		if !a.uploaded() {
			p.uploads = append(p.uploads, Upload{name, a.Charm})
		}
		p.applications = append(p.applications, Refresh{name, a.Charm, have.Charm})
	}
	if changed := changed(settings, have.Options); len(changed) > 0 {
		p.settings = append(p.settings, SetOptions{name, changed})
	}
	if a.Constraints != "" && !sameConstraints(a.Constraints, have.Constraints) {
		p.settings = append(p.settings, SetConstraints{name, a.Constraints})
	}
	switch {
	case len(a.ExposedEndpoints) > 0 && !(have.Expose && reflect.DeepEqual(a.ExposedEndpoints, have.Endpoints)),
		a.Expose && !(have.Expose && len(have.Endpoints) == 0):
		p.settings = append(p.settings, Expose{name, a.ExposedEndpoints})
	}
	if a.Trust && !have.Trust {
		p.settings = append(p.settings, Trust{name})
	}
}

// changed is what of want is not so.
func changed(want, have map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range want {
		if old, set := have[k]; !set || old != v {
			out[k] = v
		}
	}
	return out
}

// uploaded says that the charm is one that the model has already: local:web-3.
func (a *Application) uploaded() bool { return strings.HasPrefix(a.Charm, "local:") }

// differs says whether the application of the model has another charm.
func (a *Application) differs(c Charm, have Deployed) bool {
	if a.uploaded() {
		return a.Charm != have.Charm
	}
	return c.Hash != have.Hash
}

func sameConstraints(a, b string) bool {
	x, errX := provider.ParseConstraints(a)
	y, errY := provider.ParseConstraints(b)
	return errX == nil && errY == nil && x.String() == y.String()
}

// place gives machines to the units of the application that are not there yet, and to those of the applications it goes to first.
func (p *planner) place(name string) []MachineRef {
	if refs, done := p.units[name]; done {
		return refs
	}
	a := p.b.Applications[name]
	p.units[name] = nil // ends a circle, which has been told of
	var refs []MachineRef
	for _, u := range p.m.Applications[name].Units {
		refs = append(refs, MachineRef{ID: u.Machine})
	}
	next := map[string]int{} // the next unit of each application that this one goes to
	for i := range a.Units() {
		text := ""
		switch {
		case i < len(a.To):
			text = a.To[i]
		case len(a.To) > 0: // the last goes on if it is not one place
			last := a.To[len(a.To)-1]
			if d, _ := parseDirective(last); d.fresh || d.app != "" && d.unit < 0 {
				text = last
			}
		}
		d, _ := parseDirective(text)
		if d.app != "" && d.unit < 0 {
			d.unit = next[d.app]
			next[d.app]++
		}
		if i < len(refs) {
			continue // it is there already
		}
		ref := p.machine(name, a, d)
		refs = append(refs, ref)
		p.added = append(p.added, AddUnit{name, i, ref, text})
	}
	p.units[name] = refs
	return refs
}

// machine is where a unit goes.
func (p *planner) machine(name string, a *Application, d directive) MachineRef {
	var host MachineRef
	switch {
	case d.machine != "":
		host = p.bundleMachine(d.machine, p.base(name))
	case d.app != "":
		hosts := p.place(d.app)
		if d.unit >= len(hosts) { // as many units again as there are: a machine of its own
			return p.fresh(AddMachine{Base: p.base(name), Constraints: a.Constraints, Container: d.container})
		}
		host = hosts[d.unit]
	default:
		return p.fresh(AddMachine{Base: p.base(name), Constraints: a.Constraints, Container: d.container})
	}
	if d.container == "" {
		return host
	}
	return p.fresh(AddMachine{Base: p.base(name), Constraints: a.Constraints, Container: d.container, On: p.host(host)})
}

// host is the machine, or if it is a container, the one that it is on: containers have none.
func (p *planner) host(ref MachineRef) MachineRef {
	ref.ID, _, _ = strings.Cut(ref.ID, "/")
	for _, c := range p.machines {
		if m, ok := c.(AddMachine); ok && m.Key == ref.Key && m.Container != "" {
			return m.On
		}
	}
	return ref
}

func (p *planner) bundleMachine(id, base string) MachineRef {
	if ref, ok := p.mapping[id]; ok {
		return ref
	}
	m := p.b.Machines[id]
	if m == nil {
		m = &Machine{}
	}
	if m.Base != "" {
		base, _, _ = strings.Cut(m.Base, "/")
	}
	p.mapping[id] = p.fresh(AddMachine{Bundle: id, Base: base, Constraints: m.Constraints})
	return p.mapping[id]
}

// fresh adds a machine, and first the one that a container is on.
func (p *planner) fresh(m AddMachine) MachineRef {
	if m.Container != "" && m.On == (MachineRef{}) {
		m.On = p.fresh(AddMachine{Base: m.Base})
	}
	m.Key = fmt.Sprint(p.keys)
	p.keys++
	p.machines = append(p.machines, m)
	return MachineRef{Key: m.Key}
}
