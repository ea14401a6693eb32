package state

import (
	"encoding/json"
	"time"

	"github.com/grigri/grigri/charm"
)

// A Phase is how far a unit has come in its life.
type Phase string

// The phases, in their order.
const (
	New       Phase = ""
	Unpacked  Phase = "unpacked" // the charm's files are in place
	Installed Phase = "installed"
	Started   Phase = "started"
	Stopped   Phase = "stopped"
	Removed   Phase = "removed" // the remove hook has run
	Gone      Phase = "gone"    // nothing of the unit is left on its machine: controllers may bury it
)

// A Ledger is the head of what a unit has done. It is written by every commit of a hook, in the same transaction
// as the hook's effects, and its node's version is the fence against a second agent for the same unit.
// What has been heard in relations lies in nodes of its own below it.
type Ledger struct {
	Commit       string             `json:"commit"` // names the last commit, so that one whose reply was lost can be known
	Phase        Phase              `json:"phase"`
	Charm        charm.ID           `json:"charm"`                // whose files are in place
	CharmRev     int                `json:"charmRev,omitempty"`   // Application.CharmRev of them
	Upgraded     bool               `json:"upgraded,omitempty"`   // files are new and upgrade-charm has not run
	Queued       string             `json:"queued,omitempty"`     // the hook that nothing may come before: config-changed or start
	Config       string             `json:"config,omitempty"`     // hash of what the last config-changed saw; "" when one is due
	Answer       int                `json:"answer,omitempty"`     // Answer.Rev heeded
	Term         string             `json:"term,omitempty"`       // the term of its own that leader-elected has run in; "" while it follows
	LeaderSeen   Stamp              `json:"leaderSeen,omitempty"` // of the leader settings heard as a follower; 0 when leader-settings-changed is due
	Boot         string             `json:"boot,omitempty"`       // the machine's boot id that start has run in
	Failed       *Failure           `json:"failed,omitempty"`
	Storage      map[StorageID]Held `json:"storage,omitempty"`      // what the unit has in its place
	StorageAsked map[string]int     `json:"storageAsked,omitempty"` // how many of each storage its hooks have asked for, ever
	Reboot       string             `json:"reboot,omitempty"`       // the machine's boot id in which a hook has asked for another one
	Again        *Again             `json:"again,omitempty"`        // the hook that was killed for that, and is due after it before all else
	LeftBehind   []string           `json:"leftBehind,omitempty"`   // hooks that still failed when the deadline of the unit's removal had passed
	When         time.Time          `json:"when"`                   // of the commit
}

// An Again is a hook that has begun and is to run once more, as it was.
type Again struct {
	Hook json.RawMessage `json:"hook"` // hooks.Hook
}

// A Failure is a hook that failed and has not been resolved.
type Failure struct {
	Hook     json.RawMessage `json:"hook"` // hooks.Hook
	Name     string          `json:"name"` // as status shows it
	Attempts int             `json:"attempts"`
	At       time.Time       `json:"at"`
	Exit     string          `json:"exit,omitempty"`   // "exit status 1"
	Output   []string        `json:"output,omitempty"` // the last lines
}

// A Heard is what a unit has done about one relation. It exists while the unit is in the relation's scope.
// Below it is one node for each related unit that has joined and not departed: the Stamp of its settings last heard.
type Heard struct {
	Endpoint    string          `json:"endpoint"` // the unit's own
	Remote      ApplicationName `json:"remote"`
	Peer        bool            `json:"peer,omitempty"`
	Created     bool            `json:"created,omitempty"`     // relation-created has run
	Application Stamp           `json:"application,omitempty"` // of the other side's application settings last heard
	Pending     UnitName        `json:"pending,omitempty"`     // joined has run for it and changed has not
}
