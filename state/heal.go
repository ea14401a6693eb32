package state

import (
	"context"
	"fmt"
	"time"

	"github.com/grigri/grigri/provider"
)

// RestartStoppedAfter is the model's setting that says how long the agent of a machine may be away until the provider is asked whether
// the machine has stopped, and then it is started again; or RestartNever.
const (
	RestartStoppedAfter = "restart-stopped-after"
	RestartNever        = "never"
)

// DefaultHealing is that of models that do not say.
const DefaultHealing = 15 * time.Second

// A Healing is what is to become of machines that have stopped by themselves.
type Healing struct {
	After time.Duration // their agents may be away so long without anybody asking
	Never bool          // they stay as they are
}

// Healing is how the model's machines are healed.
func (c ModelConfig) Healing() Healing {
	text := c[RestartStoppedAfter]
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return Healing{After: d}
	}
	return Healing{After: DefaultHealing, Never: text == RestartNever}
}

// How long is waited before an instance is started again, if it has not run for calm since it was last started again.
const (
	firstRestart = 10 * time.Second
	mostRestart  = 10 * time.Minute
	calm         = 10 * time.Minute
)

// NextRestart is which try in a row the next start of an instance is that has stopped, and when it may come.
func (i Instance) NextRestart() (try int, at time.Time) {
	if i.Restarts == 0 || i.Since.Sub(i.Restarted) >= calm && i.Failures == 0 {
		return 1, i.Retry
	}
	at = i.Restarted.Add(min(firstRestart<<min(i.Restarts-1, 16), mostRestart))
	if i.Retry.After(at) {
		at = i.Retry
	}
	return i.Restarts + 1, at
}

// RestartInstance says that the provider has started the machine's instance again, the try-th time in a row.
func RestartInstance(ctx context.Context, r Reader, m ModelID, id MachineID, in provider.Instance, try int, now time.Time) (Txn, error) {
	return editInstance(ctx, r, m, id, func(i *Instance) {
		*i = Instance{Instance: in, Since: now, Restarts: try, Restarted: now}
	})
}

// retryRestart forgets how often the instance has been started again, if it has stopped. A model whose machines stay as they are refuses.
func retryRestart(ctx context.Context, r Reader, m ModelID, id MachineID, i *Instance) (stopped bool, err error) {
	if i.ID == "" || i.State != provider.Stopped {
		return false, nil
	}
	config, err := ReadIf[ModelConfig](ctx, r, m.ConfigPath())
	if err != nil {
		return true, fmt.Errorf("retry the start of machine %s: %w", id, err)
	}
	if config.Value.Healing().Never {
		return true, refused("machine %s has stopped, and stays so: the model's setting %s is %s; set it to a duration, such as %s", id, RestartStoppedAfter, RestartNever, DefaultHealing)
	}
	i.Restarts, i.Restarted = 0, time.Time{}
	return true, nil
}
