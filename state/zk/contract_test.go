package zk

import (
	"flag"
	"testing"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
	"github.com/grigri/grigri/state/storetest"
)

func TestContract(t *testing.T) { storetest.Run(t, harness) }

// The model in memory is what simulations and most tests believe in.
func TestModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("25"); err != nil { // a real server is slow
			t.Fatal(err)
		}
	}
	storetest.Same(t, func(testing.TB) storetest.Harness {
		tree := memory.New()
		tree.Key = key
		return storetest.Harness{
			Key:        key,
			Controller: func(testing.TB) state.Store { return tree.Connect(memory.Controller) },
			Machine: func(_ testing.TB, m state.ModelID, id state.MachineID) state.Store {
				return tree.Connect(m.MachinePrincipal(id))
			},
			Expire: func(_ testing.TB, s state.Store) { s.(*memory.Client).Expire() },
		}
	}, harness)
}
