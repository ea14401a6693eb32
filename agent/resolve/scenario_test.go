package resolve

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

var update = flag.Bool("update", false, "write what the unit does into the scenarios: then read every change of them")

// TestScenarios plays the files in testdata; testdata/README says how to read one.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(data))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("%s plays differently:\n%s", file, diff(string(data), got))
			}
		})
	}
}

// diff is the lines from the first that differs, a few of each.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	from := max(0, i-6)
	return fmt.Sprintf("line %d\nwant:\n%s\n\ngot:\n%s", i+1,
		strings.Join(w[from:min(len(w), i+8)], "\n"), strings.Join(g[from:min(len(g), i+8)], "\n"))
}

// play does the changes of a scenario and returns it with what the unit did after each block of them.
func play(t *testing.T, text string) string {
	var out []string
	var p *player
	changed := false
	flush := func() {
		if changed && p != nil {
			out = append(out, p.run()...)
		}
		changed = false
	}
	for n, line := range strings.Split(text, "\n") {
		fail := func(err error) { t.Fatalf("line %d: %s: %v", n+1, line, err) }
		switch {
		case strings.HasPrefix(line, "    "): // what the unit is expected to do
			continue
		case strings.HasPrefix(line, "== "): // another story
			flush()
			p = newPlayer()
		case line == "":
			flush()
		case !strings.HasPrefix(line, "#"):
			if p == nil {
				p = newPlayer()
			}
			changed = true
			if err := p.change(strings.Fields(line)); err != nil {
				fail(err)
			}
		}
		if p != nil && p.err != nil {
			fail(p.err)
		}
		out = append(out, line)
	}
	flush()
	return strings.Join(out, "\n")
}

// A player is one unit with its ledger in a tree.
type player struct {
	*treeLedger
	r      Remote
	now    time.Time
	faults map[string]string   // hook -> fail, crash, stop: what its next run meets
	during map[string][]string // the first word of an operation -> a change made while it runs next
	charms map[int][]string    // CharmRev -> the charm's endpoints
	stores map[int][]string    // CharmRev -> the charm's storage
	placed map[state.StorageID]bool
	err    error
}

func newPlayer() *player {
	return &player{
		treeLedger: newLedger("web/0"),
		now:        time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		faults:     map[string]string{},
		during:     map[string][]string{},
		charms:     map[int][]string{1: {"db", "cache", "cluster", "info"}},
		stores:     map[int][]string{},
		placed:     map[state.StorageID]bool{},
		r: Remote{
			Unit: "web/0", Charm: charm.ID{Name: "web", Revision: 1}, CharmRev: 1, Config: "c1",
			Term: "n0", LeaderSettings: 1, Boot: "boot1", Relations: map[state.RelationID]Relation{},
			Storage: map[state.StorageID]Storage{},
		},
	}
}

// run steps the unit until it waits or leaves, and returns what it did.
func (p *player) run() []string {
	var out []string
	say := func(s string) { out = append(out, "    "+s) }
	for range 60 {
		r := p.snapshot()
		op := Next(p.local, r, p.now)
		to := p.local
		verb, _, _ := strings.Cut(op.String(), " ")
		if c := p.during[verb]; c != nil {
			delete(p.during, verb)
			if err := p.change(c); err != nil {
				p.err = err
			}
		}
		switch op := op.(type) {
		case Wait:
			if !op.Until.IsZero() && !op.Until.After(p.now) {
				p.err = fmt.Errorf("%s: it is later already", op)
			}
			say(op.String())
			return out
		case Reboot:
			say(op.String())
			return out
		case Run:
			name := op.Hook.Name()
			if op.Hook.RemoteUnit != "" && op.Hook.RemoteApp != op.Hook.RemoteUnit.Application() {
				p.err = fmt.Errorf("%s: its application is %q", Describe(op.Hook), op.Hook.RemoteApp)
			}
			fault := p.faults[name]
			delete(p.faults, name)
			switch fault {
			case "fail":
				say(op.String() + " FAILS")
				to = Failed(p.local, r, op.Hook, p.now, "exit status 1", []string{"output"})
			case "reboots":
				say(op.String() + " REBOOTS")
				to = Rebooting(Done(p.local, r, op), r)
			case "cut":
				say(op.String() + " CUT")
				to = Cut(p.local, r, op.Hook)
			case "crash", "stop":
				say(op.String() + " " + strings.ToUpper(fault))
				to = Interrupted(p.local, op.Hook, fault == "stop", p.now)
			default:
				say(op.String())
				to = Done(p.local, r, op)
				toldSecrets(&p.r, op, p.now)
			}
		case Mount, Unmount:
			if p.faults[verb] != "" {
				delete(p.faults, verb)
				say(op.String() + " FAILS")
				to = Misplaced(p.local, r, op, p.now, "no such device")
				break
			}
			if m, ok := op.(Mount); ok {
				p.placed[m.Storage] = true
			}
			say(op.String())
			to = Done(p.local, r, op)
		default:
			say(op.String())
			to = Done(p.local, r, op)
			toldSecrets(&p.r, op, p.now)
			if t, ok := op.(RunTask); ok {
				p.r.Tasks = slices.DeleteFunc(p.r.Tasks, func(id state.TaskID) bool { return id == t.Task })
			}
			if c, ok := op.(RunCommand); ok {
				p.r.Commands = slices.DeleteFunc(p.r.Commands, func(id int) bool { return id == c.Command })
			}
		}
		if err := p.commit(to); err != nil && p.err == nil {
			p.err = err
		}
		if p.local.Phase == state.Gone {
			return out
		}
	}
	say("... and so on for ever")
	return out
}

// snapshot is what the agent reads.
func (p *player) snapshot() Remote {
	r := p.r
	r.Relations = map[state.RelationID]Relation{}
	for id, rel := range p.r.Relations {
		members := map[state.UnitName]state.Stamp{}
		for u, s := range rel.Members {
			members[u] = s
		}
		rel.Members = members
		r.Relations[id] = rel
	}
	r.Tasks, r.Commands = slices.Clone(p.r.Tasks), slices.Clone(p.r.Commands)
	r.Endpoints = p.charms[p.local.CharmRev]
	r.Stores = p.stores[p.local.CharmRev]
	r.Storage = map[state.StorageID]Storage{}
	for id, s := range p.r.Storage {
		s.Mounted = p.placed[id]
		r.Storage[id] = s
	}
	return r
}

// change does one line of a scenario.
func (p *player) change(w []string) error {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	num := func(i int) int { n, _ := strconv.Atoi(arg(i)); return n }
	at := func(i int) time.Time {
		t, err := time.Parse(time.TimeOnly, arg(i))
		if err != nil {
			return time.Time{}
		}
		return time.Date(2026, 1, 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	}
	id := state.RelationID(num(1))
	rel := p.r.Relations[id]
	switch w[0] {
	case "unit":
		p.r.Unit = state.UnitName(arg(1))
		p.treeLedger = newLedger(p.r.Unit)
	case "charm", "force-charm", "resource":
		if w[0] != "resource" {
			p.r.Charm.Revision = num(1)
		}
		p.charms[p.r.CharmRev+1] = p.charms[p.r.CharmRev]
		p.stores[p.r.CharmRev+1] = p.stores[p.r.CharmRev]
		p.r.CharmRev++
		if len(w) > 2 {
			p.charms[p.r.CharmRev] = w[2:]
		}
		p.r.ForceCharm = w[0] == "force-charm"
	case "endpoints":
		p.charms[p.r.CharmRev] = w[1:]
	case "stores":
		p.stores[p.r.CharmRev] = w[1:]
	case "storage":
		p.r.Storage[state.StorageID(arg(1))] = Storage{Kind: state.Filesystem, Location: "/srv/" + arg(1), Ready: arg(2) != "not-ready"}
	case "detach":
		s := p.r.Storage[state.StorageID(arg(1))]
		s.Life, s.Deadline = state.Dying, at(2)
		p.r.Storage[state.StorageID(arg(1))] = s
	case "no-storage":
		delete(p.r.Storage, state.StorageID(arg(1)))
	case "config":
		p.r.Config = arg(1)
	case "leader":
		p.r.Leader, p.r.Term = true, arg(1)
	case "follower":
		p.r.Leader = false
	case "no-election":
		p.r.Term = ""
	case "leader-set":
		p.r.LeaderSettings = state.Stamp(num(1))
	case "relation":
		rel := Relation{Endpoint: arg(2), Role: charm.Role(arg(3)), Remote: state.ApplicationName(arg(4)), Members: map[state.UnitName]state.Stamp{}}
		rel.Implicit = arg(5) == "implicit"
		p.r.Relations[id] = rel
	case "member":
		rel.Members[state.UnitName(arg(2))] = state.Stamp(num(3))
	case "no-member":
		delete(rel.Members, state.UnitName(arg(2)))
	case "application":
		rel.Application = state.Stamp(num(2))
		p.r.Relations[id] = rel
	case "remove-relation":
		rel.Life = state.Dying
		p.r.Relations[id] = rel
	case "no-relation":
		delete(p.r.Relations, id)
	case "remove-unit":
		p.r.Life, p.r.Deadline = state.Dying, at(1)
	case "force":
		p.r.Life, p.r.Force = state.Dying, true
	case "dead":
		p.r.Life = state.Dead
	case "remove-application":
		p.r.Application = state.Dying
	case "subordinate":
		p.r.Subordinates = append(p.r.Subordinates, state.UnitName(arg(1)))
	case "no-subordinate":
		p.r.Subordinates = nil
	case "task":
		p.r.Tasks = append(p.r.Tasks, state.TaskID(num(1)))
	case "command":
		p.r.Commands = append(p.r.Commands, num(1))
	case "resolved":
		p.r.Answer = state.Answer{Rev: p.r.Answer.Rev + 1, Skip: arg(1) == "--no-retry"}
	case "no-retry":
		p.r.NoRetry = true
	case "fail", "crash", "stop", "reboots", "cut":
		p.faults[arg(1)] = w[0]
	case "during":
		p.during[arg(1)] = w[2:]
	case "reboot":
		p.r.Boot = arg(1)
	case "update-status":
		p.r.UpdateStatus = at(1)
	case "time":
		p.now = at(1)
	case "agent-restart": // every commit has been read back from the tree already
		clear(p.placed)
	case "deployed": // a unit that has come this far without incident
		return p.deployed()
	default:
		return p.changeSecret(w, at)
	}
	return nil
}

func (p *player) deployed() error {
	for _, line := range p.run() {
		if strings.Contains(line, "FAILS") {
			return fmt.Errorf("%s", line)
		}
	}
	if p.local.Phase != state.Started {
		return fmt.Errorf("the unit is %s", p.local.Phase)
	}
	return p.err
}
