package sim

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// atRest looks whether all is as users want it, when nothing has happened for a while.
func (s *Sim) atRest() {
	if s.err != nil {
		return
	}
	for _, name := range applications {
		app := read[state.Application](s, model.ApplicationPath(name))
		if app.Exists() && app.Value.Life != state.Alive {
			s.fail("at rest: application %s is still going, with the units %v and the relations %+v", name, s.unitsOf(name), app.Value.Relations)
		}
		s.leaderAtRest(name)
	}
	for _, u := range s.allUnits() {
		s.unitAtRest(u)
	}
	s.calledAtRest()
	for _, id := range s.children(model.RelationsPath()) {
		if read[state.Relation](s, model.RelationsPath()+"/"+id).Value.Life != state.Alive {
			s.fail("at rest: relation %s is still going", id)
		}
	}
	if left := s.children(model.ChangesPath()); len(left) > 0 {
		s.fail("at rest: tickets are left: %v", left)
	}
	var machines, instances []string
	for _, id := range s.children(model.MachinesPath()) {
		machines = append(machines, id)
		if len(read[state.Machine](s, model.MachinesPath()+"/"+id).Value.Units) == 0 {
			s.fail("at rest: machine %s has no units", id)
		}
	}
	for _, in := range s.cloud.instances {
		if slices.Contains(machines, in.Machine) { // one without a machine goes with the next audit
			instances = append(instances, in.Machine)
		}
	}
	slices.Sort(instances)
	if !slices.Equal(machines, instances) {
		s.fail("at rest: there are machines %v and instances %v", machines, instances)
	}
}

// leaderAtRest: one unit leads, and it is the one that has been told so.
func (s *Sim) leaderAtRest(name state.ApplicationName) {
	leads, err := coord.Leader(context.Background(), s.admin, model.ElectionPath(name))
	s.must(err)
	for _, u := range s.unitsOf(name) {
		if term := read[state.Ledger](s, model.LedgerPath(u)).Value.Term; (term != "") != (u.Node() == leads) {
			s.fail("at rest: %s leads, and the term of %s is %q", leads, u, term)
		}
	}
}

func (s *Sim) unitAtRest(u state.UnitName) {
	unit := read[state.Unit](s, model.UnitPath(u)).Value
	app := read[state.Application](s, model.ApplicationPath(u.Application())).Value
	l, _, err := resolve.Load(context.Background(), s.admin, model, u)
	s.must(err)
	switch {
	case unit.Life != state.Alive:
		s.fail("at rest: unit %s is still going", u)
		return
	case l.Phase != state.Started || l.Failed != nil || l.CharmRev != app.CharmRev || l.Charm != app.Charm || l.Queued != "":
		s.fail("at rest: the ledger of %s is %+v", u, l.Ledger)
		return
	}
	s.belongingsAtRest(u, unit, l.Ledger)
	for _, m := range app.Relations {
		s.relationAtRest(u, unit, l, m)
	}
	for id := range l.Relations {
		if !slices.ContainsFunc(app.Relations, func(m state.Membership) bool { return m.Relation == id }) {
			s.fail("at rest: %s is still in relation %d, which is no more", u, id)
		}
	}
	if have := read[map[string]string](s, model.StatePath(u)).Value["n"]; have == "" && !s.check.excused[u] {
		s.fail("at rest: %s has run no hooks", u)
	}
}

// relationAtRest: the unit is in the relation, and has heard all that the other side says.
func (s *Sim) relationAtRest(u state.UnitName, unit state.Unit, l resolve.Local, m state.Membership) {
	principal := state.Scoped(m.Scope, u, unit)
	container := m.Scope == charm.Container
	if container && unit.Principal != "" && unit.Principal.Application() != state.ApplicationName(m.Remote.Application) {
		return // the subordinate of another
	}
	mine, in := l.Relations[m.Relation]
	own := read[relation.Settings](s, model.MemberPath(m.Relation, principal, u))
	if !in || !own.Exists() {
		s.fail("at rest: %s is not in relation %d", u, m.Relation)
		return
	}
	if at := s.hosts[unit.Machine].network(); own.Value["ingress-address"] != at.Private || own.Value["egress-subnets"] != at.Egress[0] {
		s.fail("at rest: %s is at %s, and says %v in relation %d", u, at.Private, own.Value, m.Relation)
	}
	if container && unit.Principal == "" && m.Remote.Subordinate &&
		!slices.ContainsFunc(unit.Subordinates, func(v state.UnitName) bool { return string(v.Application()) == m.Remote.Application }) {
		s.fail("at rest: %s has no subordinate of %s", u, m.Remote.Application)
	}
	if m.Implicit {
		return
	}
	side, err := s.admin.Get(context.Background(), model.SidePath(m.Relation, state.ApplicationName(m.Remote.Application)))
	s.must(err)
	if side.Version > 0 && mine.Application != side.Stamp {
		s.fail("at rest: %s has heard %d of the application in relation %d, and it is at %d", u, mine.Application, m.Relation, side.Stamp)
	}
	dir := model.MembersPath(m.Relation, state.ApplicationName(m.Remote.Application), principal)
	want := map[state.UnitName]state.Stamp{}
	for _, node := range s.children(dir) {
		of := state.UnitOfNode(node)
		if node == state.GoneName || of == u {
			continue
		}
		n, err := s.admin.Get(context.Background(), dir+"/"+node)
		s.must(err)
		want[of] = n.Stamp
		settings := read[relation.Settings](s, dir+"/"+node).Value
		if at := (seen{u, m.Relation, of}); strconv.Itoa(s.check.seen[at]) != cmp0(settings["n"]) && !s.check.excused[u] {
			s.fail("at rest: %s has seen %s of relation %d at %d, and it is at %s", u, of, m.Relation, s.check.seen[at], settings["n"])
		}
	}
	if !maps.Equal(mine.Units, want) {
		s.fail("at rest: %s has heard %v in relation %d, want %v", u, mine.Units, m.Relation, want)
	}
}

func cmp0(n string) string {
	if n == "" {
		return "0"
	}
	return n
}

// end removes everything. In some environments not all can be reached any more, or its hooks fail for ever; then it takes
// until the deadline, and no longer.
func (s *Sim) end() {
	if s.err != nil {
		return
	}
	how, wait := state.Ending{Timeout: time.Duration(1+s.rng.IntN(5)) * time.Minute}, 30*time.Second
	s.log("== the end, within %s", how.Timeout)
	if s.chance(2) {
		wait = how.Timeout + grace
		for _, u := range s.allUnits() {
			s.check.hopeless[u] = s.chance(3)
		}
		for _, h := range s.allHosts() {
			if s.chance(3) {
				h.hangs = true
				h.kill("for ever", s.now)
			}
		}
	}
	if s.chance(2) {
		s.removeRelations(how)
		s.until(s.now.Add(wait))
	}
	whole := s.chance(2)
	if !whole {
		for _, name := range applications {
			s.remove(name, how)
		}
		s.until(s.now.Add(wait))
		for _, path := range []string{model.UnitsPath(), model.ApplicationsPath(), model.RelationsPath(), model.MachinesPath()} {
			if left := s.children(path); len(left) > 0 {
				s.fail("at the end: left are %s %v", path, left)
			}
		}
		wait = 30 * time.Second
	}
	by := s.by()
	how.Release = true
	t, _, err := state.DestroyModel(context.Background(), s.admin, model, by, how, false)
	s.must(err)
	_, err = s.admin.Commit(context.Background(), t)
	s.must(err)
	s.until(s.now.Add(wait))
	for _, path := range s.tree.Paths() {
		if strings.HasPrefix(path, model.Path()) {
			s.fail("at the end: left is %s", path)
		}
	}
	if len(s.cloud.instances) > 0 {
		s.until(s.now.Add(11 * time.Minute)) // an audit
	}
	if len(s.cloud.instances) > 0 {
		s.fail("at the end: left are instances %+v", s.cloud.instances)
	}
}

// removeRelations removes all relations but those of peers, and their applications stay.
func (s *Sim) removeRelations(how state.Ending) {
	for _, id := range s.children(model.RelationsPath()) {
		if by := s.by(); len(read[state.Relation](s, model.RelationsPath()+"/"+id).Value.Endpoints) > 1 {
			s.do("remove relation "+id, func(ctx context.Context, r state.Reader) (state.Txn, error) {
				t, _, err := state.RemoveRelationID(ctx, r, model, by, state.RelationIDOf("/"+id), how)
				return t, err
			})
		}
	}
}
