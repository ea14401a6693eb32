package serve

import (
	"context"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

// answers is a Reader that asks another one each question once: the tree that a hook sees does not change under it.
// What the session itself has changed at once is forgotten, and asked again. It is not safe for several goroutines.
type answers struct {
	from   hooks.Reader
	known  map[any]any
	minion bool // it has been said that the unit does not lead
}

var _ hooks.Reader = (*answers)(nil)

func newAnswers(from hooks.Reader) *answers { return &answers{from: from, known: map[any]any{}} }

// The questions: each with its arguments is a key of known.
type (
	askConfig         struct{}
	askRelations      struct{}
	askMembers        struct{ r state.RelationID }
	askLeaderSettings struct{}
	askState          struct{}
	askPorts          struct{}
	askAddress        struct{}
	askStatus         struct{}
	askAppStatus      struct{}
	askGoalState      struct{}
	askStorage        struct{}
	askPayloads       struct{}
	askCredential     struct{}
	askResource       struct{ name string }
	askSettings       struct {
		r state.RelationID
		u state.UnitName
	}
	askAppSettings struct {
		r state.RelationID
		a state.ApplicationName
	}
	askSecrets       struct{}
	askTracked       struct{}
	askSecretContent struct {
		id       state.SecretID
		revision int
	}
	askNetwork struct {
		binding string
		r       state.RelationID
	}
)

// once is the answer to a question, asked now or before. Errors are not remembered.
func once[T any](a *answers, question any, ask func() (T, error)) (T, error) {
	if v, ok := a.known[question]; ok {
		return v.(T), nil
	}
	v, err := ask()
	if err == nil {
		a.known[question] = v
	}
	return v, err
}

func (a *answers) forget(question any) { delete(a.known, question) }

func (a *answers) Config(ctx context.Context) (map[string]any, error) {
	return once(a, askConfig{}, func() (map[string]any, error) { return a.from.Config(ctx) })
}

func (a *answers) Relations(ctx context.Context) ([]hooks.Relation, error) {
	return once(a, askRelations{}, func() ([]hooks.Relation, error) { return a.from.Relations(ctx) })
}

func (a *answers) Members(ctx context.Context, r state.RelationID) ([]state.UnitName, error) {
	return once(a, askMembers{r}, func() ([]state.UnitName, error) { return a.from.Members(ctx, r) })
}

func (a *answers) Settings(ctx context.Context, r state.RelationID, u state.UnitName) (relation.Settings, error) {
	return once(a, askSettings{r, u}, func() (relation.Settings, error) { return a.from.Settings(ctx, r, u) })
}

func (a *answers) ApplicationSettings(ctx context.Context, r state.RelationID, app state.ApplicationName) (relation.Settings, error) {
	return once(a, askAppSettings{r, app}, func() (relation.Settings, error) { return a.from.ApplicationSettings(ctx, r, app) })
}

// Leader is asked each time, since yes holds for 30 s only. No holds for the whole hook.
func (a *answers) Leader(ctx context.Context) (bool, error) {
	if a.minion {
		return false, nil
	}
	leads, err := a.from.Leader(ctx)
	a.minion = err == nil && !leads
	return leads, err
}

func (a *answers) LeaderSettings(ctx context.Context) (relation.Settings, error) {
	return once(a, askLeaderSettings{}, func() (relation.Settings, error) { return a.from.LeaderSettings(ctx) })
}

func (a *answers) State(ctx context.Context) (map[string]string, error) {
	return once(a, askState{}, func() (map[string]string, error) { return a.from.State(ctx) })
}

func (a *answers) Ports(ctx context.Context) ([]state.OpenPort, error) {
	return once(a, askPorts{}, func() ([]state.OpenPort, error) { return a.from.Ports(ctx) })
}

func (a *answers) Address(ctx context.Context) (state.UnitAddress, error) {
	return once(a, askAddress{}, func() (state.UnitAddress, error) { return a.from.Address(ctx) })
}

func (a *answers) Network(ctx context.Context, binding string, r state.RelationID) (hooks.Network, error) {
	return once(a, askNetwork{binding, r}, func() (hooks.Network, error) { return a.from.Network(ctx, binding, r) })
}

func (a *answers) Status(ctx context.Context) (state.StatusInfo, error) {
	return once(a, askStatus{}, func() (state.StatusInfo, error) { return a.from.Status(ctx) })
}

func (a *answers) ApplicationStatus(ctx context.Context) (hooks.ApplicationStatus, error) {
	return once(a, askAppStatus{}, func() (hooks.ApplicationStatus, error) { return a.from.ApplicationStatus(ctx) })
}

func (a *answers) GoalState(ctx context.Context) (hooks.GoalState, error) {
	return once(a, askGoalState{}, func() (hooks.GoalState, error) { return a.from.GoalState(ctx) })
}

func (a *answers) Resource(ctx context.Context, name string) (string, error) {
	return once(a, askResource{name}, func() (string, error) { return a.from.Resource(ctx, name) })
}

func (a *answers) Payloads(ctx context.Context) ([]state.Payload, error) {
	return once(a, askPayloads{}, func() ([]state.Payload, error) { return a.from.Payloads(ctx) })
}

func (a *answers) Credential(ctx context.Context) (hooks.CloudSpec, error) {
	return once(a, askCredential{}, func() (hooks.CloudSpec, error) { return a.from.Credential(ctx) })
}

func (a *answers) Storage(ctx context.Context) (hooks.Storage, error) {
	return once(a, askStorage{}, func() (hooks.Storage, error) { return a.from.Storage(ctx) })
}

func (a *answers) Secrets(ctx context.Context) (map[state.SecretID]state.Secret, error) {
	return once(a, askSecrets{}, func() (map[state.SecretID]state.Secret, error) { return a.from.Secrets(ctx) })
}

func (a *answers) Tracked(ctx context.Context) (map[state.SecretID]state.Tracked, error) {
	return once(a, askTracked{}, func() (map[state.SecretID]state.Tracked, error) { return a.from.Tracked(ctx) })
}

func (a *answers) SecretContent(ctx context.Context, id state.SecretID, revision int) (state.SecretContent, int, error) {
	type answer struct {
		value    state.SecretContent
		revision int
	}
	got, err := once(a, askSecretContent{id, revision}, func() (answer, error) {
		value, n, err := a.from.SecretContent(ctx, id, revision)
		return answer{value, n}, err
	})
	return got.value, got.revision, err
}
