package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/state"
)

// leave ends the units of a machine that is removed. A host that is ours alone is then made what it was before, and the leader, which waits
// for that when the host stays, is told.
func (m *machine) leave(ctx context.Context) error {
	if !m.left {
		if err := m.endUnits(ctx, nil); err != nil {
			return err
		}
		if m.ours() {
			m.log.Info("the machine has been removed: its agent leaves the host")
			if err := m.uncontain(ctx); err != nil {
				return fmt.Errorf("end the containers on the host: %w", err)
			}
			m.welcome(ctx, m.login, nil)
			cmd := exec.CommandContext(ctx, "/bin/sh", "-s")
			cmd.Stdin = bytes.NewReader(initscript.Removal(m.id.Node()))
			cmd.Env = append(os.Environ(), "GRIGRI_LEAVING=1", "GRIGRI_DATA_DIR="+m.DataDir)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("take the agent off the host: %w: %s", err, strings.TrimSpace(string(out)))
			}
		}
		m.left = true
	}
	if err := m.prove(ctx); err != nil { // an agent that has just been started has not yet
		return err
	}
	err := state.Edit(ctx, m.Store, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.LeaveMachine(ctx, r, m.model, m.id, m.Now())
	})
	if err != nil && !errors.Is(err, state.ErrNotFound) { // it was removed by force
		return fmt.Errorf("say that machine %s has left: %w", m.id, err)
	}
	return nil
}

// ours says that nobody shares the host with the machine: all that the init script has put there goes with it.
func (m *machine) ours() bool {
	if m.Bin != "" {
		return true
	}
	_, err := os.Stat(filepath.Join(enroll.Dir(m.DataDir, m.id), initscript.RemoveFile))
	return err == nil
}
