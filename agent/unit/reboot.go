package unit

import (
	"context"
	"errors"
	"fmt"
)

// errNoReboot says that nobody here can start the machine again.
var errNoReboot = errors.New("this machine cannot be started again from within")

// reboot starts the machine again, because a hook has asked for it. The machine's lock is held, so that no other unit begins
// anything, until the end.
func (a *Agent) reboot(ctx context.Context) error {
	if a.Reboot == nil {
		return fmt.Errorf("start machine %s again for %s: %w", a.Machine, a.Unit, errNoReboot)
	}
	a.Log.Info("a hook has asked for the machine to start again: it does now")
	if err := a.Config.Reboot(ctx, string(a.Unit)); err != nil {
		return fmt.Errorf("start machine %s again for %s: %w", a.Machine, a.Unit, err)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}
