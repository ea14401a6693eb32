package leader

import (
	"context"
	"strings"

	"github.com/grigri/grigri/state"
)

// inherit gives the model what the defaults of its cloud say, and watches them. Whoever changes the defaults has changed most models
// already: what is left is those that did not fit into his transaction, and those that were made meanwhile.
func (l *Leader) inherit(ctx context.Context, m state.Model) error {
	l.watch.Data(state.DefaultsPath(m.Cloud))
	t, err := state.Inherit(ctx, l.Store, m)
	if err != nil {
		return err
	}
	return l.write(ctx, t)
}

// enqueueHeirs looks at the models of the cloud whose defaults are at path, if they are.
func (l *Leader) enqueueHeirs(path string) {
	if !strings.HasPrefix(path, state.CloudsPath+"/") {
		return
	}
	for m, place := range l.places {
		if path == state.DefaultsPath(place.Cloud) {
			l.enqueue(m, state.TicketModel, "")
		}
	}
}
