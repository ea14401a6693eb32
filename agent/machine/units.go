package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

// A hosted is a unit whose agent has been started.
type hosted struct {
	stop  context.CancelFunc
	ended chan struct{} // closed when the agent has ended
	wake  chan struct{}
}

// host starts the agents of units that are new, and ends those of units that have gone, with all that is theirs.
func (m *machine) host(ctx context.Context, want []state.UnitName) error {
	if err := m.endUnits(ctx, want); err != nil {
		return err
	}
	if err := m.remember(want); err != nil { // first: what is not remembered is never removed
		return err
	}
	for _, u := range want {
		if m.hosted[u] == nil {
			m.startUnit(ctx, u)
		}
	}
	return nil
}

func (m *machine) startUnit(ctx context.Context, u state.UnitName) {
	ctx, stop := context.WithCancel(ctx)
	h := &hosted{stop: stop, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	m.hosted[u] = h
	m.group.Go(func() error {
		defer close(h.ended)
		m.keepUnit(ctx, u, h)
		return nil
	})
}

// keepUnit runs the unit's agent until the unit is gone or ctx ends. Whatever happens to it, the others go on.
func (m *machine) keepUnit(ctx context.Context, u state.UnitName, h *hosted) {
	log := m.Logs.Logger(u.Tag(), "grigri.unit").With("unit", u)
	log.Info("the unit's agent starts")
	for delay := minRetry; ; delay = min(2*delay, maxRetry) {
		began := m.Now()
		err := m.runUnit(ctx, u, unit.Config{
			Model: m.model, Unit: u, Machine: m.id, Store: m.Store, API: m.api, Lock: m.lock,
			World: m.world.get, Wake: h.wake, Run: m.runOf(u), Boot: m.Boot, Now: m.Now, ID: m.ID,
			Log: log, Lines: m.Logs.Line, Statuses: m.statuses.Add, Reboot: m.reboot,
		})
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			log.Info("the unit is gone")
			return
		case m.Now().Sub(began) > maxRetry:
			delay = minRetry
		}
		log.Error("the unit's agent is started again", "err", err, "delay", delay)
		sleep(ctx, delay)
	}
}

// runUnit turns a panic, which is a bug in what one unit's agent does, into an error.
func (m *machine) runUnit(ctx context.Context, u state.UnitName, c unit.Config) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a bug: %v\n%s", p, debug.Stack())
		}
	}()
	return unit.Run(ctx, c, m.paths(u))
}

// runOf is the presence of the unit's agent: it is as old as the machine's.
func (m *machine) runOf(u state.UnitName) state.Presence {
	p := m.Run
	p.Boot = m.Run.Boot + "-" + u.Node()
	p.Since = m.Now()
	return p
}

func (m *machine) paths(u state.UnitName) unit.Paths {
	p := unit.PathsBelow(m.DataDir, u, m.HookTool)
	if m.Address != "" { // one of several on its host: all that is its own is below its directory
		p.Storage.Root, p.Storage.Shared = filepath.Join(m.DataDir, "storage", ".root"), true
		for _, name := range []string{"juju-exec", "juju-run"} {
			p.Beside = append(p.Beside, run.Link{Name: name, Target: filepath.Join(filepath.Dir(m.HookTool), name)})
		}
	}
	return p
}

// endUnits ends the agents of all units but those that are wanted, and removes what is theirs.
func (m *machine) endUnits(ctx context.Context, want []state.UnitName) error {
	for u, h := range m.hosted {
		if !slices.Contains(want, u) {
			h.stop()
		}
	}
	have, err := m.remembered()
	if err != nil {
		return err
	}
	for _, u := range have {
		if slices.Contains(want, u) {
			continue
		}
		if h := m.hosted[u]; h != nil {
			select {
			case <-h.ended:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			delete(m.hosted, u)
		}
		if err := m.paths(u).Remove(); err != nil {
			return fmt.Errorf("remove what is left of %s: %w", u, err)
		}
		m.log.Info("the unit's directories are removed", "unit", u)
	}
	return m.remember(slices.DeleteFunc(have, func(u state.UnitName) bool { return !slices.Contains(want, u) }))
}

// unitsFile, in the machine's directory, names the units whose directories are ours to remove.
const unitsFile = "units.json"

func (m *machine) remembered() ([]state.UnitName, error) {
	name := filepath.Join(enroll.Dir(m.DataDir, m.id), unitsFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var units []state.UnitName
	if err := json.Unmarshal(data, &units); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return units, nil
}

func (m *machine) remember(units []state.UnitName) error {
	have, err := m.remembered()
	if err != nil {
		return err
	}
	units = slices.Clone(units)
	slices.Sort(units)
	if slices.Equal(units, have) {
		return nil
	}
	data, err := json.Marshal(units)
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(enroll.Dir(m.DataDir, m.id), unitsFile), data)
}
