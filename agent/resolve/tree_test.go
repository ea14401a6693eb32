package resolve

import (
	"context"
	"fmt"
	"reflect"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

const model state.ModelID = "m"

// A ledger in a tree: every commit of a test goes through Commit and comes back through Load.
type treeLedger struct {
	store state.Store
	unit  state.UnitName
	local Local
	fence state.Version
}

func newLedger(u state.UnitName) *treeLedger {
	l := &treeLedger{store: memory.New().Connect(memory.Controller), unit: u, fence: Unborn}
	var t state.Txn
	for _, p := range []string{state.ModelsPath, model.Path(), model.UnitsPath(), model.UnitPath(u)} {
		t.Create(p, nil)
	}
	if _, err := l.store.Commit(context.Background(), t); err != nil {
		panic(err)
	}
	return l
}

// commit moves the ledger on and reads it back, as an agent that starts anew would.
func (l *treeLedger) commit(to Local) error {
	t := Commit(model, l.unit, l.local, to, l.fence)
	if len(t.Ops) > 3 {
		return fmt.Errorf("a commit of %d ops, more than one hook changes: %+v", len(t.Ops), t.Ops)
	}
	if _, err := l.store.Commit(context.Background(), t); err != nil {
		return err
	}
	got, fence, err := Load(context.Background(), l.store, model, l.unit)
	if err != nil {
		return err
	}
	if want := full(to); !reflect.DeepEqual(got, want) || fence != l.fence+1 {
		return fmt.Errorf("the tree has\n%+v version %d, want\n%+v version %d", got, fence, want, l.fence+1)
	}
	l.local, l.fence = got, fence
	return nil
}

// full is l with empty maps for nil ones, as Load makes it.
func full(l Local) Local {
	out := Local{Ledger: l.Ledger, Relations: map[state.RelationID]Heard{}}
	for id, h := range l.Relations {
		if h.Units == nil {
			h.Units = map[state.UnitName]state.Stamp{}
		}
		out.Relations[id] = h
	}
	return out
}
