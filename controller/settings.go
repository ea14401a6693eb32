package controller

import (
	"context"
	"time"

	"github.com/grigri/grigri/state"
)

// heed does what the controller's settings say, until ctx ends.
func (d *daemon) heed(ctx context.Context) error {
	w := d.Store.Watch(ctx)
	w.Data(state.ControllerConfigPath)
	for {
		var again <-chan time.Time
		rec, err := state.ReadIf[state.ControllerConfig](ctx, d.Store, state.ControllerConfigPath)
		if err == nil {
			d.logs.Limit(rec.Value.LogSize())
		} else if ctx.Err() == nil {
			d.Log.Warn("cannot read the controller's settings, will try again", "err", err)
			again = time.After(time.Second)
		}
		select {
		case <-w.C():
			w.Take()
		case <-again:
		case <-ctx.Done():
			return nil
		}
	}
}
