// Package unit is the unit agent: it reads what is wanted of its unit, asks resolve what to do next, does it, and commits
// what has been done and what came of it in one transaction.
package unit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/coord"
)

// Config is what an Agent needs. Log, Lines and Wake may be nil.
type Config struct {
	Model   state.ModelID
	Unit    state.UnitName
	Machine state.MachineID
	Store   state.Store // it has proved the unit, its application and the model's agents
	API     API
	Lock    *Lock            // of the machine: one hook runs at a time
	World   func() World     // what the machine knows now
	Wake    <-chan struct{}  // gets a value when World has changed
	Run     state.Presence   // this run of the agent
	Boot    string           // the machine's boot id
	Now     func() time.Time //
	ID      func() string    // a name for a commit that was never given before
	Log     *slog.Logger     // of what the agent does
	Lines   func(Line)       // takes what the charm says

	Statuses func(agentapi.Status) // takes the statuses of the unit, one after the other; nil: nobody keeps them

	Commands *Commands // what callers on the machine want to run; nil: nobody can call
	// Reboot starts the machine again and returns when that cannot be, or when ctx ends, which it does then. Nil: it never can be.
	Reboot func(ctx context.Context, why string) error
}

// A Line is one line that a charm has said. Its entity is the unit.
type Line = agentapi.LogLine

// An API is what the controllers answer.
type API interface {
	// Charm is the archive with this SHA-256. Its content is not to be believed.
	Charm(ctx context.Context, sha256 string) (io.ReadCloser, error)
	GoalState(ctx context.Context, u state.UnitName) (hooks.GoalState, error)
	ApplicationStatus(ctx context.Context, u state.UnitName) (hooks.ApplicationStatus, error)

	// NewSecret, SealSecret and SecretContent are those of hooks.SecretWriter and hooks.SecretReader, for the unit.
	NewSecret(ctx context.Context, u state.UnitName, application bool, value state.SecretContent) (state.SecretID, state.SealedSecret, error)
	SealSecret(ctx context.Context, u state.UnitName, id state.SecretID, value state.SecretContent) (state.SealedSecret, error)
	SecretContent(ctx context.Context, u state.UnitName, id state.SecretID, revision int) (state.SecretContent, int, error)
	// Resource is the file with this SHA-256, which is to be a resource of u's application: otherwise it wraps hooks.ErrNoResource.
	// Its content is not to be believed.
	Resource(ctx context.Context, u state.UnitName, sha256 string) (io.ReadCloser, error)
	// Credential wraps hooks.ErrDenied for a unit whose application is not trusted.
	Credential(ctx context.Context, u state.UnitName) (hooks.CloudSpec, error)
}

// A World is what the machine's agent knows and its units want to know.
type World struct {
	Settings  state.ModelConfig
	Addresses state.Addresses
	Zone      string
	Network   Network
}

// A Network is how the machine is reached.
type Network struct {
	Public     string
	Private    string
	Egress     []string // CIDRs
	Interfaces []hooks.Interface
}

// An Agent is one unit's agent. It is for one goroutine and starts none; Run drives it.
type Agent struct {
	Config
	do        Doer
	watch     state.Watch
	candidate *coord.Candidate
	presence  *coord.Presence
	dirty     map[string]bool // reported, and not read yet

	view    view
	local   resolve.Local
	version state.Version // of the ledger: the fence
	charm   charm.Charm   // whose files are in place
	lead    lead
	own     own
	told    map[state.StatusType]state.StatusInfo // the last status of each type that Statuses has taken
	turn    chan struct{}                         // holds a value while own is in use: tools of a running hook write too

	placed     map[state.StorageID]bool // storage that is in its place since the agent has begun
	around     map[state.StorageID]bool // storage that may be in its place
	begun      state.TaskID             // the last task that this agent has begun
	unfinished *outcome                 // what has been done and could not be committed yet
	gone       bool
}

// errFenced says that another agent commits for the unit, or has.
var errFenced = errors.New("another agent has committed for this unit")

// New reads the ledger, and finds a hook that was running when the agent before it ended.
// What the Agent watches ends with ctx.
func New(ctx context.Context, c Config, do Doer) (*Agent, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Lines == nil {
		c.Lines = func(Line) {}
	}
	a := &Agent{Config: c, do: do, dirty: map[string]bool{}, placed: map[state.StorageID]bool{}, around: map[state.StorageID]bool{}, told: map[state.StatusType]state.StatusInfo{}, turn: make(chan struct{}, 1)}
	var err error
	if a.local, a.version, err = resolve.Load(ctx, c.Store, c.Model, c.Unit); err != nil {
		return nil, err
	}
	if a.own, err = a.readOwn(ctx); err != nil {
		return nil, err
	}
	a.tellOwn()
	there, err := do.Placed()
	if err != nil {
		return nil, fmt.Errorf("find the storage of %s: %w", c.Unit, err)
	}
	for _, id := range there {
		a.around[id] = true
	}
	a.gone = a.local.Phase == state.Gone // the agent before this one ended before it was told so
	if a.local.Phase != state.New && !a.gone {
		if a.charm, err = do.Charm(); err != nil {
			a.Log.Warn("the charm is not in place and is unpacked again", "err", err)
			if err := a.unpack(ctx, a.local.Charm); err != nil {
				return nil, err
			}
		}
	}
	a.candidate, err = coord.NewCandidate(ctx, coord.Config{
		Store: c.Store, Dir: c.Model.ElectionPath(c.Unit.Application()), Name: c.Unit.Node(), Run: c.Run, Keep: true, Log: c.Log})
	if err != nil {
		return nil, err
	}
	a.presence = coord.NewPresence(ctx, c.Store, c.Model.AgentPath(c.Unit), c.Run)
	a.watch = c.Store.Watch(ctx)
	a.watchAll()
	return a, a.recover()
}

// Gone says whether nothing is left to do, for ever.
func (a *Agent) Gone() bool { return a.gone }

// Step does the next operation and commits it; a Wait says that there is none for now. After an error another Step goes on
// where this one ended: what has been done is not done again. After errFenced the Agent is of no more use.
func (a *Agent) Step(ctx context.Context) (resolve.Op, error) {
	r, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	if o := a.unfinished; o != nil {
		if done, err := a.known(ctx, o); done || err != nil {
			return o.op, err
		}
		if o.ran() {
			return o.op, a.finish(ctx, o)
		}
		a.unfinished = nil // nothing is lost by deciding again
	}
	op := resolve.Next(a.local, r, a.Now())
	if w, ok := op.(resolve.Wait); ok && !a.clear(ctx) {
		if again := a.Now().Add(maxRetry); w.Until.IsZero() || again.Before(w.Until) {
			w.Until = again
		}
		op = w
	}
	group, locked := a.lockOf(op)
	if !locked {
		return op, a.act(ctx, op, r)
	}
	release, waited, err := a.Lock.AcquireGroup(ctx, group, string(a.Unit)+": "+op.String(), func(h Holder) {
		a.Log.Debug("waits for the machine's lock", "op", op.String(), "group", group, "holder", h.Who, "since", h.Since)
		if err := a.waiting(ctx, op, h); err != nil && ctx.Err() == nil {
			a.Log.Debug("status does not show what is waited for", "err", err)
		}
	})
	if err != nil {
		return nil, err
	}
	defer release()
	if waited { // what is wanted may have changed meanwhile
		if r, err = a.look(ctx); err != nil {
			return nil, err
		}
		if now := resolve.Next(a.local, r, a.Now()); now.String() != op.String() {
			return now, nil
		}
	}
	return op, a.act(ctx, op, r)
}

// lockOf says whether op touches what all units of the machine share, and if so, which lock it needs: an action may say
// that it runs beside hooks, and beside which other actions it does not.
func (a *Agent) lockOf(op resolve.Op) (group string, locked bool) {
	switch op := op.(type) {
	case resolve.Run, resolve.Unpack, resolve.RunCommand, resolve.Reboot:
		return "", true
	case resolve.RunTask:
		task := a.view.actions[op.Task]
		action := a.charm.Actions[task.action]
		return task.Lock(action.ExecutionGroup, action.Parallel)
	}
	return "", false
}

func (a *Agent) act(ctx context.Context, op resolve.Op, r resolve.Remote) error {
	if _, waits := op.(resolve.Wait); !waits {
		a.Log.Debug("next", "op", op.String())
		a.tellDoing(op)
	}
	switch op := op.(type) {
	case resolve.Wait:
		return a.settle(ctx, op)
	case resolve.Run:
		return a.runHook(ctx, op, r)
	case resolve.RunTask:
		return a.runTask(ctx, op, r)
	case resolve.RunCommand:
		return a.runCommand(ctx, op, r)
	case resolve.Reboot:
		return a.reboot(ctx)
	case resolve.Unpack:
		if err := a.unpack(ctx, op.Charm); err != nil {
			return err
		}
	case resolve.Mount, resolve.Unmount:
		return a.move(ctx, op, r)
	case resolve.Skip:
		a.Log.Warn("a failed hook is left behind", "hook", resolve.Describe(op.Hook), "why", op.Why)
	case resolve.Leave:
		if !a.view.unit.Exists() { // the controllers have not waited for us
			a.gone = true
			return nil
		}
	}
	return a.finish(ctx, &outcome{op: op, remote: r})
}

func (a *Agent) unpack(ctx context.Context, id charm.ID) error {
	if err := a.do.Unpack(ctx, a.API, id); err != nil {
		return fmt.Errorf("unpack charm %s for %s: %w", id, a.Unit, err)
	}
	c, err := a.do.Charm()
	if err != nil {
		return fmt.Errorf("read charm %s of %s: %w", id, a.Unit, err)
	}
	a.charm = c
	return nil
}
