// Package resolve decides what a unit does next. Next is a function of what the unit has done (Local), what is wanted
// of it (Remote) and the time; Done and Failed say what the unit has done afterwards; Commit is the transaction that
// records it. So every order, retry and recovery of hooks can be read, tested and replayed here. The package is pure.
package resolve

import (
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// Local is what the unit has done: its ledger. It is a value: none of this package's functions changes its argument.
type Local struct {
	state.Ledger
	Relations map[state.RelationID]Heard // those whose scope the unit is in
}

// Heard is what the unit has done about one relation.
type Heard struct {
	state.Heard
	Units map[state.UnitName]state.Stamp // those that have joined and not departed -> their settings last heard
}

// Remote is what is wanted of the unit, as last read. All of it must have been read before the first Next:
// an absent relation is one that is no more, and its hooks run accordingly.
type Remote struct {
	Unit state.UnitName
	state.End
	Application state.Life // the unit's application's
	Answer      state.Answer
	NoRetry     bool // failed hooks wait for an Answer: the model's automatically-retry-hooks is off

	Charm      charm.ID
	CharmRev   int
	ForceCharm bool
	Endpoints  []string // what the charm whose files are in place declares: Local.Charm, not Charm
	Config     string   // a hash of all that config-changed is for: settings, trust, addresses. Never empty

	// Term names the unit's candidacy: its node in the election. It is empty while the unit is no candidate.
	// LeaderSettings is the stamp of the leader settings' node.
	Leader         bool
	Term           string
	LeaderSettings state.Stamp

	Boot         string // the machine's boot id; empty: not known
	Relations    map[state.RelationID]Relation
	Stores       []string // the storage that the charm whose files are in place declares
	Storage      map[state.StorageID]Storage
	Subordinates []state.UnitName // of this principal, that are still there
	Tasks        []state.TaskID   // without a result, in order
	Own          map[state.SecretID]OwnSecret
	Others       map[state.SecretID]OthersSecret
	Commands     []int     // that somebody on the machine waits for, in order
	UpdateStatus time.Time // when update-status is due, counted from the last commit (Local.When); zero: never
}

// A Relation is one relation of the unit's application, as last read.
type Relation struct {
	Endpoint string // the unit's own
	Role     charm.Role
	Scope    charm.Scope
	Implicit bool // the unit's side is the implicit juju-info: it enters, and runs no hooks
	Life     state.Life
	Remote   state.ApplicationName // the other side's; the unit's own in a peer relation

	// Members are the units of the other side in scope (in a container scope: on the same principal; of peers: without
	// the unit itself), with the stamps of their settings. Application is the stamp of that side's application
	// settings: zero while they have never been written.
	Members     map[state.UnitName]state.Stamp
	Application state.Stamp
}

// An Op is the next thing to do. The set is closed: Unpack, Run, Enter, Exit, Mount, Unmount, Skip, RunTask, RunCommand, Reboot,
// Wait and Leave.
type Op interface {
	isOp()
	String() string
}

// The operations. All but Wait and Reboot are followed by Done, or Run by Failed and Mount and Unmount by Misplaced, and by a Commit.
type (
	// Unpack puts the charm's files in place.
	Unpack struct {
		Charm    charm.ID
		CharmRev int
	}
	// Run runs a hook.
	Run struct{ Hook hooks.Hook }
	// Enter puts the unit's own settings in the relation, in one commit with the ledger: the other side sees it join.
	Enter struct {
		Relation state.RelationID
		Endpoint string
	}
	// Exit takes the unit's settings out of the relation, in one commit with the ledger. No hook says so: the others see it
	// depart. Broken hooks do the same in their own commit: see Exits.
	Exit struct {
		Relation state.RelationID
		Endpoint string
	}
	// Skip leaves a failed hook behind without running it, as if it had succeeded.
	Skip struct {
		Hook hooks.Hook
		Why  Why
	}
	// RunTask runs an action or a command. Its result is committed with the ledger.
	RunTask struct{ Task state.TaskID }
	// RunCommand runs what somebody on the machine has called with juju-exec.
	RunCommand struct{ Command int }
	// Reboot starts the machine again: it comes until r.Boot is another one. It has no Done.
	Reboot struct{}
	// Wait does nothing until something of Remote changes or Until comes, if it is not zero. Hooks that failed are
	// due exactly at Until: whoever wants jitter comes later. Reason is for status.
	Wait struct {
		Until  time.Time
		Reason string
	}
	// Leave reports that nothing is left to do, for ever. It comes again when it has been done: the agent ends at state.Gone.
	Leave struct{}
)

func (Unpack) isOp()     {}
func (Run) isOp()        {}
func (Enter) isOp()      {}
func (Exit) isOp()       {}
func (Skip) isOp()       {}
func (RunTask) isOp()    {}
func (RunCommand) isOp() {}
func (Reboot) isOp()     {}
func (Wait) isOp()       {}
func (Leave) isOp()      {}

// Why is why a failed hook is left behind.
type Why string

// The reasons of a Skip.
const (
	Resolved Why = "resolved without running it again"
	Moot     Why = "what it was to tell is no more"
	Late     Why = "the deadline of the unit's removal has passed"
)

// Idle is the Reason of a unit that has nothing to do.
const Idle = "nothing to do"

// Exits says which relation's scope the unit leaves in the commit of op, if any: by Exit, and by relation-broken
// whether it was run or skipped. The relation may be no more: then nothing of it is left to take out.
func Exits(op Op) (state.RelationID, bool) {
	var h hooks.Hook
	switch op := op.(type) {
	case Exit:
		return op.Relation, true
	case Run:
		h = op.Hook
	case Skip:
		h = op.Hook
	}
	return h.Relation, h.Kind == hooks.RelationBroken
}
