package plan

import (
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A Storage is a storage instance as the planner sees it.
type Storage struct {
	state.Storage
	Volume     state.Volume
	Attachment *state.Attachment   // what the unit has of it; nil when there is no such unit, or it has none of it
	Dying      bool                // the unit is
	Held       bool                // the unit has it in its place, or has tried to
	Agent      bool                // the unit's agent is there
	Instance   provider.InstanceID // of the unit's machine, if it runs
	Zone       string
	Container  state.MachineID // that the unit is in, if it is in one
}

// An Ask is what the provider is asked for.
type Ask string

// What a provider can be asked for.
const (
	AskNothing Ask = ""
	AskCreate  Ask = "create"
	AskAttach  Ask = "attach"
	AskDetach  Ask = "detach"
	AskDelete  Ask = "delete"
)

// A StorageFate is what becomes of a storage instance. At most one of its parts is set, but for Why and Again.
type StorageFate struct {
	Drop  bool // its unit has it no more
	Bury  bool // it is removed
	Ask   Ask
	Why   string    // of Drop and Bury: why before everyone had answered; for the history
	Again time.Time // when to look again if nothing changes before
}

// StorageFateOf is what becomes of the storage.
func StorageFateOf(s Storage, now time.Time) StorageFate {
	if s.Unit != "" {
		return ownedStorage(s, now)
	}
	ends := s.Life != state.Alive
	switch {
	case !s.Persistent && ends:
		return StorageFate{Bury: true}
	case !s.Persistent:
		return StorageFate{}
	case ends && !now.Before(s.Deadline) && s.Volume.Problem != "":
		return StorageFate{Bury: true, Why: "its volume may still be there: " + s.Volume.Problem}
	case now.Before(s.Volume.Retry) && ends:
		return StorageFate{Again: earlier(s.Volume.Retry, s.Deadline)}
	case now.Before(s.Volume.Retry):
		return StorageFate{Again: s.Volume.Retry}
	case s.Volume.Instance != "":
		return StorageFate{Ask: AskDetach}
	case ends && s.Release:
		return StorageFate{Bury: true}
	case ends:
		return StorageFate{Ask: AskDelete} // of one of which nothing is known too: it may have been made all the same
	}
	return StorageFate{}
}

// ownedStorage is what becomes of storage that a unit has.
func ownedStorage(s Storage, now time.Time) StorageFate {
	switch {
	case s.Attachment == nil:
		return StorageFate{Drop: true}
	case s.Dying:
		return StorageFate{} // it is freed with the unit
	case s.Attachment.Life != state.Alive:
		late := s.Attachment.Deadline
		if s.Agent {
			late = late.Add(Grace)
		}
		switch {
		case !s.Held:
			return StorageFate{Drop: true}
		case s.Attachment.Force:
			return StorageFate{Drop: true, Why: "forced"}
		case !now.Before(late):
			return StorageFate{Drop: true, Why: "the unit had not let go of it at the deadline"}
		}
		return StorageFate{Again: late}
	case !s.Persistent || s.Instance == "":
		return StorageFate{} // or its machine does not run: it is looked at again when it does
	case s.Volume.Instance == s.Instance && s.Attachment.Ready():
		return StorageFate{}
	case now.Before(s.Volume.Retry):
		return StorageFate{Again: s.Volume.Retry}
	case s.Volume.ID == "":
		return StorageFate{Ask: AskCreate}
	case s.Volume.Instance != "" && s.Volume.Instance != s.Instance:
		return StorageFate{Ask: AskDetach}
	}
	return StorageFate{Ask: AskAttach}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
