package bundle

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

// A directive is one word of an application's "to".
type directive struct {
	container string // lxd, or empty
	machine   string // of the bundle
	fresh     bool   // new
	app       string
	unit      int // of app; -1: the next one
}

// parseDirective reads [lxd:](MACHINE|new|APPLICATION|APPLICATION/N).
func parseDirective(text string) (directive, bool) {
	d := directive{unit: -1}
	rest := text
	if kind, after, ok := strings.Cut(text, ":"); ok {
		if kind != "lxd" {
			return d, false
		}
		d.container, rest = kind, after
	}
	switch {
	case rest == "new":
		d.fresh = true
		return d, true
	case isID(rest):
		d.machine = rest
		return d, true
	}
	app, number, ok := strings.Cut(rest, "/")
	if ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return d, false
		}
		d.unit = n
	}
	d.app = app
	return d, charm.ValidApplicationName(app)
}

func isID(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0 && strconv.Itoa(n) == text
}

func (r *reader) verify() {
	b := r.bundle
	if len(b.Applications) == 0 {
		r.fail("at least one application must be specified")
	}
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(b.Applications)) {
		r.verifyApplication(name, b.Applications[name], used)
	}
	for _, id := range slices.Sorted(maps.Keys(b.Machines)) {
		m := b.Machines[id]
		switch {
		case !isID(id):
			r.fail("invalid machine id %q: must be a number", id)
		case !used[id]:
			r.fail("machine %q is not referred to by a placement directive", id)
		}
		if _, err := provider.ParseConstraints(m.Constraints); err != nil {
			r.fail("machine %q: %v", id, err)
		}
		r.verifyBase("machine "+strconv.Quote(id), m.Base)
		if m.Series != "" {
			r.warn("machine %q: series is ignored: write base", id)
		}
	}
	r.verifyBase("default-base", b.DefaultBase)
	for _, rel := range b.Relations {
		for _, side := range rel {
			if name, _, _ := strings.Cut(side, ":"); b.Applications[name] == nil {
				r.fail("relation [%q, %q] refers to application %q not defined in this bundle", rel[0], rel[1], name)
			}
		}
	}
	if cycle := b.cycle(); cycle != nil {
		r.fail("cycle in the placement of applications: %s", strings.Join(cycle, " -> "))
	}
}

func (r *reader) verifyApplication(name string, a *Application, used map[string]bool) {
	say := func(format string, args ...any) { r.fail("application %q: "+format, append([]any{name}, args...)...) }
	if !charm.ValidApplicationName(name) {
		say("invalid application name")
	}
	switch {
	case a.Charm == "":
		say("no charm specified")
	case !strings.HasPrefix(a.Charm, "/") && !strings.HasPrefix(a.Charm, ".") && !strings.Contains(a.Charm, "/") && !strings.HasPrefix(a.Charm, "local:"):
		say("there is no charm store: write the path of the charm's directory or archive, ./%s", strings.TrimPrefix(a.Charm, "ch:"))
	}
	if a.NumUnits != nil && a.Scale != nil {
		say("num_units and scale are the same: write one of them")
	}
	if a.Units() < 0 {
		say("negative number of units")
	}
	if a.Placement != "" {
		say("placement is for Kubernetes: write to")
	}
	if len(a.To) > a.Units() {
		say("too many units specified in unit placement: %d places for %d units", len(a.To), a.Units())
	}
	if a.Expose && len(a.ExposedEndpoints) > 0 {
		say("expose and exposed-endpoints exclude each other")
	}
	if len(a.Offers) > 0 {
		say("offers: relations with applications of other models are not supported")
	}
	if _, err := a.Settings(); err != nil {
		say("%v", err)
	}
	if _, err := provider.ParseConstraints(a.Constraints); err != nil {
		say("%v", err)
	}
	for endpoint, space := range a.Bindings {
		if space != "alpha" {
			say("binding %q: space %q not found: there is only the space alpha", endpoint, space)
		}
	}
	r.verifyBase("application "+strconv.Quote(name), a.Base)
	if a.Series != "" {
		r.warn("application %q: series is ignored: write base", name)
	}
	if a.Channel != "" || a.Revision != nil {
		r.warn("application %q: charms on disk have no channel and no revision", name)
	}
	for _, text := range a.To {
		r.verifyPlace(name, text, used)
	}
}

func (r *reader) verifyPlace(name, text string, used map[string]bool) {
	d, ok := parseDirective(text)
	target := r.bundle.Applications[d.app]
	switch {
	case !ok:
		r.fail("application %q: invalid placement %q: expected [lxd:]MACHINE, new, APPLICATION or APPLICATION/UNIT", name, text)
	case d.machine != "":
		used[d.machine] = true
		if _, there := r.bundle.Machines[d.machine]; !there {
			r.fail("application %q: placement %q refers to a machine not defined in this bundle", name, text)
		}
	case d.app == "":
	case target == nil:
		r.fail("application %q: placement %q refers to an application not defined in this bundle", name, text)
	case d.app == name:
		r.fail("application %q: placement %q refers to the application itself", name, text)
	case d.unit >= target.Units():
		r.fail("application %q: placement %q specifies a unit greater than the %d units of %s", name, text, target.Units(), d.app)
	}
}

func (r *reader) verifyBase(about, base string) {
	if base == "" {
		return
	}
	if name, channel, ok := strings.Cut(base, "@"); !ok || name == "" || channel == "" {
		r.fail("%s: base %q: expected a name and a channel, such as ubuntu@22.04", about, base)
	}
}

// hosts is the applications whose machines a's units go to.
func (a *Application) hosts() []string {
	var out []string
	for _, text := range a.To {
		if d, ok := parseDirective(text); ok && d.app != "" && !slices.Contains(out, d.app) {
			out = append(out, d.app)
		}
	}
	return out
}

// cycle is applications that wait for each other's machines, if there are any.
func (b *Bundle) cycle() []string {
	done := map[string]bool{}
	var visit func(path []string) []string
	visit = func(path []string) []string {
		name := path[len(path)-1]
		a := b.Applications[name]
		if a == nil || done[name] {
			return nil
		}
		for _, host := range a.hosts() {
			if i := slices.Index(path, host); i >= 0 {
				if len(path)-i > 1 { // itself is told otherwise
					return append(slices.Clone(path[i:]), host)
				}
				continue
			}
			if found := visit(append(slices.Clone(path), host)); found != nil {
				return found
			}
		}
		done[name] = true
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(b.Applications)) {
		if found := visit([]string{name}); found != nil {
			return found
		}
	}
	return nil
}
