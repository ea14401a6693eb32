package serve

import (
	"fmt"

	"github.com/grigri/grigri/state"
)

const (
	// maxBag is the size of one node that a hook writes, well below state.MaxValue.
	maxBag = 400 << 10
	// maxEffects is the size of all of them together: they are one transaction, with the ledger beside them.
	maxEffects = state.MaxTxn - 100<<10
	// maxResults is the size of what an action sets: its output goes into the same node.
	maxResults = 64 << 10
	// Of state-set.
	maxStateKey   = 256
	maxStateValue = 64 << 10
)

// bag names one side of a relation as a node.
type bag struct {
	relation    state.RelationID
	application bool
}

// stateBag names the unit's own store as a node, and actionBag the results of the action.
type (
	stateBag  struct{}
	actionBag struct{}
)

// fits refuses what could not be committed, before it is asked for: the hook still has all that it had set.
// What is named in the message, key names the node, value is what it will hold.
func (s *Session) fits(what string, key, value any) error {
	most := maxBag
	if key == any(actionBag{}) {
		most = maxResults
	}
	if err := fitsNode(what, value, most); err != nil {
		return err
	}
	size := len(state.Encode(value))
	total := size
	for k, n := range s.sizes {
		if k != key {
			total += n
		}
	}
	if total > maxEffects {
		return fmt.Errorf("cannot set: with %s this hook would write %d bytes, and at most %d are allowed; nothing was changed", what, total, maxEffects)
	}
	s.sizes[key] = size
	return nil
}

// fitsNode refuses what is larger than most as a node.
func fitsNode(what string, value any, most int) error {
	if size := len(state.Encode(value)); size > most {
		return fmt.Errorf("cannot set: %s would take %d bytes, and at most %d are allowed; nothing was changed", what, size, most)
	}
	return nil
}
