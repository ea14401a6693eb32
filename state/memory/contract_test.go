package memory_test

import (
	"testing"

	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
	"github.com/grigri/grigri/state/storetest"
)

func TestContract(t *testing.T) { storetest.Run(t, harness) }

func harness(testing.TB) storetest.Harness {
	tree := memory.New()
	tree.Key = state.Key("key")
	return storetest.Harness{
		Key:        tree.Key,
		Controller: func(testing.TB) state.Store { return tree.Connect(memory.Controller) },
		Machine: func(_ testing.TB, m state.ModelID, id state.MachineID) state.Store {
			return tree.Connect(m.MachinePrincipal(id))
		},
		Disconnect: func(_ testing.TB, s state.Store) {
			s.(*memory.Client).Cut()
			s.(*memory.Client).Heal()
		},
		Expire: func(_ testing.TB, s state.Store) { s.(*memory.Client).Expire() },
	}
}
