package leader

import (
	"context"

	"github.com/grigri/grigri/state"
)

func (l *Leader) lookSecret(ctx context.Context, it item) error {
	return l.steps(ctx, it, func() (state.Txn, bool, error) {
		return state.SettleSecret(ctx, l.Store, it.model, l.Now(), state.SecretID(it.Name))
	})
}

// recheckSecrets looks at all secrets of the models in which the end of a relation, a unit or an application may have changed who uses
// them. Many may end at once; the secrets are listed once for all of them.
func (l *Leader) recheckSecrets(ctx context.Context) error {
	for m := range l.recheck {
		ids, err := state.ChildrenIf(ctx, l.Store, m.SecretPlacesPath())
		if err != nil {
			return err
		}
		delete(l.recheck, m)
		for _, id := range ids {
			l.enqueue(m, state.TicketSecret, id)
		}
	}
	return nil
}
