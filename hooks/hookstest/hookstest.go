// Package hookstest holds a unit in memory, for tests of whatever runs hooks or answers their tools.
package hookstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// A Unit answers and records what its hooks ask for. Set its fields before hooks run; Look reads them while hooks run.
type Unit struct {
	Name      state.UnitName
	Options   map[string]any
	In        []hooks.Relation
	Others    map[state.RelationID][]state.UnitName                            // members of the other side
	UnitBags  map[state.RelationID]map[state.UnitName]relation.Settings        // of every unit whose settings can be read
	AppBags   map[state.RelationID]map[state.ApplicationName]relation.Settings // of every application
	Leads     bool
	ForLeader relation.Settings
	Kept      map[string]string
	Open      []state.OpenPort
	Addresses state.UnitAddress
	Networks  map[string]hooks.Network
	Workload  state.StatusInfo
	Everyone  hooks.ApplicationStatus
	Goal      hooks.GoalState
	Stored    hooks.Storage
	Vault     Secrets
	Now       time.Time
	Files     map[string]string // resources: name to path
	Payload   []state.Payload
	Cloud     *hooks.CloudSpec // nil: the application is not trusted

	// What hooks have done at once.
	Version string
	Logs    []Line
	Actions []string // what action-log has said
	Asked   []string // each question that came through
	Err     error    // what every question gets instead of an answer

	mu sync.Mutex
}

// A Line is one message of juju-log.
type Line struct{ Level, Message string }

var (
	_ hooks.Reader = (*Unit)(nil)
	_ hooks.Writer = (*Unit)(nil)
)

// Look calls f while no hook changes the unit.
func (u *Unit) Look(f func(*Unit)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f(u)
}

// Commit does to the unit what a hook that succeeded has asked for.
func (u *Unit) Commit(e hooks.Effects) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for r, delta := range e.Settings {
		u.UnitBags = apply(u.UnitBags, r, u.Name, delta)
	}
	for r, delta := range e.Application {
		u.AppBags = apply(u.AppBags, r, u.Name.Application(), delta)
	}
	u.Open = e.OpenPorts(u.Open)
	for name, n := range e.Storage {
		if u.Stored.Asked == nil {
			u.Stored.Asked = map[string]int{}
		}
		u.Stored.Asked[name] += n
	}
	for k, v := range e.State {
		if v == nil {
			delete(u.Kept, k)
			continue
		}
		if u.Kept == nil {
			u.Kept = map[string]string{}
		}
		u.Kept[k] = *v
	}
	u.commitSecrets(e)
}

func apply[K comparable](bags map[state.RelationID]map[K]relation.Settings, r state.RelationID, who K, delta relation.Settings) map[state.RelationID]map[K]relation.Settings {
	if bags == nil {
		bags = map[state.RelationID]map[K]relation.Settings{}
	}
	if bags[r] == nil {
		bags[r] = map[K]relation.Settings{}
	}
	bags[r][who] = bags[r][who].Apply(delta)
	return bags
}

// ask records a question.
func ask[T any](u *Unit, question string, answer func() (T, error)) (T, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.Asked = append(u.Asked, question)
	if u.Err != nil {
		var none T
		return none, u.Err
	}
	return answer()
}

func (u *Unit) Config(context.Context) (map[string]any, error) {
	return ask(u, "config", func() (map[string]any, error) { return maps.Clone(u.Options), nil })
}

func (u *Unit) Relations(context.Context) ([]hooks.Relation, error) {
	return ask(u, "relations", func() ([]hooks.Relation, error) { return slices.Clone(u.In), nil })
}

func (u *Unit) Members(_ context.Context, r state.RelationID) ([]state.UnitName, error) {
	return ask(u, fmt.Sprintf("members %d", r), func() ([]state.UnitName, error) { return slices.Clone(u.Others[r]), nil })
}

func (u *Unit) Settings(_ context.Context, r state.RelationID, unit state.UnitName) (relation.Settings, error) {
	return ask(u, fmt.Sprintf("settings %d %s", r, unit), func() (relation.Settings, error) {
		if s, ok := u.UnitBags[r][unit]; ok {
			return maps.Clone(s), nil
		}
		return nil, fmt.Errorf("read the settings of %s: %w", unit, hooks.ErrDenied)
	})
}

func (u *Unit) ApplicationSettings(_ context.Context, r state.RelationID, a state.ApplicationName) (relation.Settings, error) {
	return ask(u, fmt.Sprintf("settings %d %s", r, a), func() (relation.Settings, error) {
		if s, ok := u.AppBags[r][a]; ok {
			return maps.Clone(s), nil
		}
		return nil, fmt.Errorf("read the settings of %s: %w", a, hooks.ErrDenied)
	})
}

func (u *Unit) Leader(context.Context) (bool, error) {
	return ask(u, "leader", func() (bool, error) { return u.Leads, nil })
}

func (u *Unit) LeaderSettings(context.Context) (relation.Settings, error) {
	return ask(u, "leader settings", func() (relation.Settings, error) { return maps.Clone(u.ForLeader), nil })
}

func (u *Unit) State(context.Context) (map[string]string, error) {
	return ask(u, "state", func() (map[string]string, error) { return maps.Clone(u.Kept), nil })
}

func (u *Unit) Ports(context.Context) ([]state.OpenPort, error) {
	return ask(u, "ports", func() ([]state.OpenPort, error) { return slices.Clone(u.Open), nil })
}

func (u *Unit) Address(context.Context) (state.UnitAddress, error) {
	return ask(u, "address", func() (state.UnitAddress, error) { return u.Addresses, nil })
}

func (u *Unit) Network(_ context.Context, binding string, r state.RelationID) (hooks.Network, error) {
	return ask(u, fmt.Sprintf("network %s %d", binding, r), func() (hooks.Network, error) {
		if n, ok := u.Networks[binding]; ok {
			return n, nil
		}
		return hooks.Network{}, fmt.Errorf("network of %s: %w", binding, hooks.ErrNoBinding)
	})
}

func (u *Unit) Status(context.Context) (state.StatusInfo, error) {
	return ask(u, "status", func() (state.StatusInfo, error) { return u.Workload, nil })
}

func (u *Unit) ApplicationStatus(context.Context) (hooks.ApplicationStatus, error) {
	return ask(u, "application status", func() (hooks.ApplicationStatus, error) { return u.Everyone, nil })
}

func (u *Unit) GoalState(context.Context) (hooks.GoalState, error) {
	return ask(u, "goal state", func() (hooks.GoalState, error) { return u.Goal, nil })
}

func (u *Unit) Storage(context.Context) (hooks.Storage, error) {
	return ask(u, "storage", func() (hooks.Storage, error) { return u.Stored, nil })
}

func (u *Unit) SetStatus(_ context.Context, s state.StatusInfo) error {
	s.Since = u.Now
	u.Look(func(u *Unit) { u.Workload = s })
	return nil
}

func (u *Unit) SetApplicationStatus(_ context.Context, s state.StatusInfo) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.Leads {
		return hooks.ErrNotLeader
	}
	s.Since = u.Now
	u.Everyone.Application = s
	return nil
}

func (u *Unit) SetLeader(_ context.Context, delta relation.Settings) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.Leads {
		return hooks.ErrNotLeader
	}
	u.ForLeader = u.ForLeader.Apply(delta)
	return nil
}

func (u *Unit) SetVersion(_ context.Context, version string) error {
	u.Look(func(u *Unit) { u.Version = version })
	return nil
}

func (u *Unit) Log(_ context.Context, level, message string) error {
	u.Look(func(u *Unit) { u.Logs = append(u.Logs, Line{level, message}) })
	return nil
}

func (u *Unit) LogAction(_ context.Context, message string) error {
	u.Look(func(u *Unit) { u.Actions = append(u.Actions, message) })
	return nil
}

func (u *Unit) Resource(_ context.Context, name string) (string, error) {
	return ask(u, "resource "+name, func() (string, error) {
		if path, ok := u.Files[name]; ok {
			return path, nil
		}
		return "", fmt.Errorf("resource %q: %w", name, hooks.ErrNoResource)
	})
}

func (u *Unit) Payloads(context.Context) ([]state.Payload, error) {
	return ask(u, "payloads", func() ([]state.Payload, error) { return slices.Clone(u.Payload), nil })
}

func (u *Unit) SetPayloads(_ context.Context, all []state.Payload) error {
	u.Look(func(u *Unit) { u.Payload = all })
	return nil
}

func (u *Unit) Credential(context.Context) (hooks.CloudSpec, error) {
	return ask(u, "credential", func() (hooks.CloudSpec, error) {
		if u.Cloud == nil {
			return hooks.CloudSpec{}, hooks.ErrDenied
		}
		return *u.Cloud, nil
	})
}
