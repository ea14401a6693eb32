package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/agent/nest"
	"github.com/grigri/grigri/state"
)

// containersFile, in the machine's directory, says that it has, or had, containers to look after.
const containersFile = "containers"

// contain looks after the machine's containers from when it first has one. One of several machines on a host has none.
func (m *machine) contain(ctx context.Context, want []state.MachineID) error {
	if m.nesting || m.Address != "" {
		return nil
	}
	name := filepath.Join(enroll.Dir(m.DataDir, m.id), containersFile)
	_, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(want) == 0:
		return nil
	case errors.Is(err, fs.ErrNotExist): // first: of what is not remembered nothing is ever removed
		err = os.WriteFile(name, nil, 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember that machine %s has containers: %w", m.id, err)
	}
	m.nesting = true
	m.group.Go(func() error { return nest.Run(ctx, m.nest()) })
	return nil
}

func (m *machine) nest() nest.Config {
	return nest.Config{Model: m.model, Machine: m.id, Store: m.Store, Base: base(), Log: m.log, Now: m.Now,
		Settings: func() state.ModelConfig { return m.world.get().Settings },
		Reach: func() []string {
			a := m.world.get().Addresses
			return append(a.API[:len(a.API):len(a.API)], a.ZooKeeper...)
		},
		Lock: func(ctx context.Context, what string) (func(), error) {
			release, _, err := m.lock.Acquire(ctx, what)
			return release, err
		}}
}

// uncontain ends what is left of containers on a host that the agent leaves.
func (m *machine) uncontain(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(enroll.Dir(m.DataDir, m.id), containersFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return nest.Clear(ctx, m.nest())
}
