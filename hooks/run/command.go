package run

import (
	"context"
	"fmt"
	"syscall"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// A MachineCommand is shell text that runs on a machine outside of any unit.
type MachineCommand struct {
	Text string
	Dir  string
	Env  []string            // its whole environment
	User *syscall.Credential // nil: our own
	Log  func(module, level, line string)
}

// Command runs shell text outside of any unit, as Run runs a unit's.
func Command(ctx context.Context, m MachineCommand) (Result, error) {
	h := shell(m.Text)
	h.dir, h.env, h.user = m.Dir, m.Env, m.User
	res, err := execute(ctx, Config{Hook: hooks.Hook{Kind: hooks.Action, Action: state.ExecAction}, Log: m.Log}, h)
	if err != nil {
		return Result{}, fmt.Errorf("run commands on the machine: %w", err)
	}
	res.Handler = h.kind
	return res, nil
}
