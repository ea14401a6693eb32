package unit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/serve"
	"github.com/grigri/grigri/hooks/tool"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// The hook tools of the tests are this program.
func TestMain(m *testing.M) {
	if slices.Contains(serve.Names(), filepath.Base(os.Args[0])) {
		os.Exit(tool.Main(os.Args))
	}
	os.Exit(m.Run())
}

const model state.ModelID = "11111111-1111-4111-8111-111111111111"

// A world is a model with charms, and agents that run real hooks against a tree in memory.
type world struct {
	testing.TB
	tree     *memory.Tree
	admin    state.Store
	key      state.Key
	lock     *unit.Lock
	archives map[string][]byte
	files    map[string][]byte // resources by SHA-256
	cloud    *hooks.CloudSpec
	network  unit.Network
	settings state.ModelConfig

	mu      sync.Mutex
	clock   time.Time
	commits int
	lines   []unit.Line
	told    []agentapi.Status
}

func newWorld(t testing.TB) *world {
	tree := memory.New()
	w := worldOn(t, tree.Connect(memory.Controller))
	w.tree, tree.Key = tree, w.key
	return w
}

// worldOn is a world in any tree. Only one in memory can be started agents in.
func worldOn(t testing.TB, admin state.Store) *world {
	w := &world{TB: t, admin: admin, key: state.Key("key"), archives: map[string][]byte{}, files: map[string][]byte{}, clock: time.Unix(1_700_000_000, 0).UTC(),
		network:  unit.Network{Public: "192.0.2.1", Private: "127.0.0.1", Egress: []string{"127.0.0.1/32"}},
		settings: state.ModelConfig{"update-status-hook-interval": "0"}}
	w.lock = unit.NewLock(w.now)
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.Bootstrap(ctx, r, w.by(), state.Founding{Controller: state.Controller{Name: "test", Cloud: "local"}, Admin: state.User{Name: "admin"}, Model: state.NewModel{UUID: model}})
	})
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Millisecond)
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) id() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits++
	return fmt.Sprint("commit-", w.commits)
}

func (w *world) by() state.By { return state.By{User: "admin", Now: w.now()} }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) edit(decide func(context.Context, state.Reader) (state.Txn, error)) {
	w.Helper()
	w.must(state.Edit(w.Context(), w.admin, decide))
}

// recorder is what every charm of the tests does with every hook: it notes it, and runs the script on-HOOK or on-any that a test
// has put into the unit's directory.
const recorder = `#!/bin/sh
cd "$CHARM_DIR/.."
echo "${JUJU_HOOK_NAME:-$JUJU_DISPATCH_PATH} $JUJU_REMOTE_UNIT" | sed 's/ *$//' >>hooks.log
for f in "on-$JUJU_HOOK_NAME" on-any; do
	[ -e "$f" ] && { sh -eu "./$f" || exit $?; }
done
exit 0
`

// charm adds a charm with this metadata and configuration, and returns its name with its revision.
func (w *world) charm(metadata, config string) string {
	w.Helper()
	files := fstest.MapFS{
		"metadata.yaml": {Data: []byte(metadata), Mode: 0o644},
		"dispatch":      {Data: []byte(recorder), Mode: 0o755},
		"README":        {Data: []byte(fmt.Sprint(len(w.archives))), Mode: 0o644},
		"actions.yaml":  {Data: []byte("backup:\n  description: x\n"), Mode: 0o644},
	}
	if config != "" {
		files["config.yaml"] = &fstest.MapFile{Data: []byte(config), Mode: 0o644}
	}
	c, err := charm.Read(files)
	w.must(err)
	var b bytes.Buffer
	sum, size, err := charm.Archive(&b, files)
	w.must(err)
	w.archives[sum] = b.Bytes()
	var id charm.ID
	w.edit(func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
		t, id, err = state.AddCharm(ctx, r, model, w.by(), c, sum, size)
		return t, err
	})
	return id.String()
}

func (w *world) deploy(app state.ApplicationName, metadata, config string, n int) {
	w.Helper()
	id := w.charm(metadata, config)
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.Deploy(ctx, r, model, w.by(), w.key, state.Deployment{Name: app, Charm: id, Units: n, Base: charm.Base{Name: "debian", Channel: "12"}, Force: true})
		return t, err
	})
}

func (w *world) relate(a, b string) (id state.RelationID) {
	w.Helper()
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, rel, err := state.Relate(ctx, r, model, w.by(), w.key, a, b)
		id = rel.ID
		return t, err
	})
	return id
}

func (w *world) unrelate(a, b string) {
	w.Helper()
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveRelation(ctx, r, model, w.by(), a, b, state.Ending{})
		return t, err
	})
}

func (w *world) remove(u state.UnitName) {
	w.Helper()
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.RemoveUnits(ctx, r, model, w.by(), []state.UnitName{u}, state.Ending{})
		return t, err
	})
}

func get[T any](w *world, path string) T {
	w.Helper()
	rec, err := state.Read[T](w.Context(), w.admin, path)
	w.must(err)
	return rec.Value
}

func put[T any](w *world, path string, value T) {
	w.Helper()
	w.edit(func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
		rec, err := state.ReadIf[T](ctx, r, path)
		state.Put(&t, path, rec, value)
		return t, err
	})
}

// The world is the API too.
func (w *world) Charm(_ context.Context, sum string) (io.ReadCloser, error) {
	data, ok := w.archives[sum]
	if !ok {
		return nil, errors.New("no such archive")
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (w *world) GoalState(context.Context, state.UnitName) (hooks.GoalState, error) {
	return hooks.GoalState{Units: map[state.UnitName]hooks.Goal{}}, nil
}

func (w *world) ApplicationStatus(context.Context, state.UnitName) (hooks.ApplicationStatus, error) {
	return hooks.ApplicationStatus{}, nil
}

func (w *world) Resource(_ context.Context, _ state.UnitName, sum string) (io.ReadCloser, error) {
	data, ok := w.files[sum]
	if !ok {
		return nil, hooks.ErrNoResource
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (w *world) Credential(context.Context, state.UnitName) (hooks.CloudSpec, error) {
	if w.cloud == nil {
		return hooks.CloudSpec{}, hooks.ErrDenied
	}
	return *w.cloud, nil
}

// A driver steps one agent.
type driver struct {
	*world
	name   state.UnitName
	client *memory.Client
	store  *counting
	host   *unit.Host
	paths  unit.Paths
	agent  *unit.Agent
	runs   int
	end    context.CancelFunc
	onLog  func() // called when the agent says that it waits for the machine's lock
	onLine func() // called while a hook waits for what it says to be taken

	queue        *unit.Commands
	bootID       string
	rebooted     int // how often the machine was to start again
	cannotReboot bool
}

// counting counts the transactions that reach the tree.
type counting struct {
	*memory.Client
	mu      sync.Mutex
	commits []state.Txn
	before  func(state.Txn) // called before each that moves a ledger
	onlyOne error           // what the next of those returns, without doing it

	begins        func() // called once before one that begins a task
	lostBeginning bool   // the reply to the next of those is lost
	leads         func() // called once before one that sets the leader's settings
}

func (c *counting) Commit(ctx context.Context, t state.Txn) ([]string, error) {
	if len(t.Ops) > 0 && strings.HasSuffix(t.Ops[0].Path, "/ledger") && t.Ops[0].Kind != state.OpCheck {
		if c.before != nil {
			c.before(t)
		}
		if err := c.onlyOne; err != nil {
			c.onlyOne = nil
			return nil, err
		}
	}
	if slices.ContainsFunc(t.Ops, func(op state.Op) bool { return op.Kind == state.OpSet && strings.HasSuffix(op.Path, "/leader") }) {
		if do := c.leads; do != nil { // only the hook's own call reads it: a status may be set at the same time
			c.leads = nil
			do()
		}
	}
	c.mu.Lock()
	c.commits = append(c.commits, t)
	c.mu.Unlock()
	if n := len(t.Ops); n == 2 && t.Ops[1].Kind == state.OpCreate && strings.HasSuffix(t.Ops[1].Path, "/result") {
		if do := c.begins; do != nil {
			c.begins = nil
			do()
		}
		if c.lostBeginning {
			c.lostBeginning = false
			paths, err := c.Client.Commit(ctx, t)
			return paths, errors.Join(err, state.ErrUnknown)
		}
	}
	return c.Client.Commit(ctx, t)
}

func (w *world) start(u state.UnitName) *driver {
	w.Helper()
	d := &driver{world: w, name: u, paths: unit.PathsBelow(w.TempDir(), u, os.Args[0]), queue: unit.NewCommands(), bootID: "boot-1"}
	d.boot()
	return d
}

// boot is a new run of the agent, with a session of its own, over what the last one has left.
func (d *driver) boot() {
	d.Helper()
	if d.end != nil {
		d.end()
	}
	ctx, end := context.WithCancel(context.Background())
	d.client = d.tree.Connect()
	d.store = &counting{Client: d.client}
	for _, p := range []state.Principal{d.modelAgents(), model.UnitPrincipal(d.name), model.ApplicationPrincipal(d.name.Application())} {
		d.must(d.client.Prove(ctx, d.key.Credential(p)))
	}
	var err error
	d.host, err = unit.OpenHost(d.paths)
	d.must(err)
	served := make(chan struct{})
	go func() { defer close(served); d.host.Serve(ctx) }()
	d.end = func() { end(); <-served }
	d.Cleanup(d.end)
	d.runs++
	d.agent, err = unit.New(ctx, d.config(), d.host)
	d.must(err)
}

func (w *world) modelAgents() state.Principal { return model.ModelAgents() }

func (d *driver) config() unit.Config {
	c := d.plainConfig()
	c.Commands, c.Boot = d.queue, d.bootID
	if !d.cannotReboot {
		c.Reboot = func(context.Context, string) error { d.rebooted++; return errors.New("it is going down") }
	}
	return c
}

func (d *driver) plainConfig() unit.Config {
	return unit.Config{
		Model: model, Unit: d.name, Machine: "0", Store: d.store, API: d.world, Lock: d.lock,
		World: func() unit.World {
			return unit.World{Settings: d.settings, Network: d.network, Addresses: state.Addresses{Name: "test"}}
		},
		Run: state.Presence{Boot: fmt.Sprintf("%s-run-%d", d.name.Node(), d.runs), Since: d.now()}, Now: d.now, ID: d.id,
		Log: slog.New(waitHandler{slog.DiscardHandler, d}),
		Lines: func(l unit.Line) {
			if d.onLine != nil {
				d.onLine()
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.lines = append(d.lines, l)
		},
		Statuses: func(s agentapi.Status) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.told = append(d.told, s)
		},
	}
}

// A waitHandler hears an agent say that it waits for the machine's lock.
type waitHandler struct {
	slog.Handler
	d *driver
}

func (h waitHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h waitHandler) Handle(_ context.Context, r slog.Record) error {
	if h.d.onLog != nil && strings.HasPrefix(r.Message, "waits for the machine's lock") {
		h.d.onLog()
	}
	return nil
}

// settle steps until there is nothing to do, and returns the hooks that have run since the last call.
func (d *driver) settle() []string {
	d.Helper()
	for range 200 {
		op, err := d.agent.Step(d.Context())
		if err != nil {
			d.Fatalf("%s: %v: %v", d.name, op, err)
		}
		if _, waits := op.(resolve.Wait); waits || d.agent.Gone() {
			return d.ran()
		}
	}
	d.Fatalf("%s does not come to rest", d.name)
	return nil
}

// ran is the hooks that have run since the last call.
func (d *driver) ran() []string {
	log := filepath.Join(d.paths.Agent, "hooks.log")
	data, _ := os.ReadFile(log)
	os.Remove(log)
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

// on makes the unit run the script in every hook of this name.
func (d *driver) on(hook, script string) {
	d.Helper()
	d.must(os.WriteFile(filepath.Join(d.paths.Agent, "on-"+hook), []byte(script), 0o644))
}

func (d *driver) status() state.UnitStatus {
	return get[state.UnitStatus](d.world, model.StatusPath(d.name))
}

func (w *world) same(what string, got, want []string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

const (
	webMeta   = "name: web\nsummary: x\ndescription: x\nrequires:\n  db: {interface: sql}\npeers:\n  ring: {interface: ring}\n"
	storeMeta = "name: store\nsummary: x\ndescription: x\nprovides:\n  sql: {interface: sql}\n"
	agentMeta = "name: logger\nsummary: x\ndescription: x\nsubordinate: true\nrequires:\n  host: {interface: juju-info, scope: container}\n"
)
