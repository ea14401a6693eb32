package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/state"
)

// A Cache keeps what was read of models that were asked for, and reads again what has changed since. It is safe for several goroutines.
type Cache struct {
	store state.Store
	ctx   context.Context // of what it follows

	mu          sync.Mutex // guards the rest
	models      map[state.ModelID]*kept
	generations int // there have been
}

// NewCache is a Cache that follows the tree until ctx ends.
func NewCache(ctx context.Context, s state.Store) *Cache {
	return &Cache{store: s, ctx: ctx, models: map[state.ModelID]*kept{}}
}

// patience is how long one reading may take.
const patience = time.Minute

// A kept is one model as it was last read. Its turn guards the rest.
type kept struct {
	turn       chan struct{} // holds a value while someone reads
	end        context.CancelFunc
	tree       state.Follower
	snapshot   status.Snapshot // is never changed: another takes its place
	generation int             // of the snapshot; 0: there is none
}

// Read is the model as it is now, which the caller must not change, and the generation of that: as long as this is the same, and not 0, so
// is the model. It wraps state.ErrNotFound when there is no such model.
func (c *Cache) Read(ctx context.Context, m state.ModelID) (status.Snapshot, int, error) {
	k := c.kept(m)
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return status.Snapshot{}, 0, fmt.Errorf("read model %s: %w", m, ctx.Err())
	}
	if c.ctx.Err() != nil { // nothing is followed any more
		s, err := Read(ctx, c.store, m)
		return s, 0, err
	}
	changed, err := k.tree.Changed(ctx)
	if err != nil {
		return status.Snapshot{}, 0, fmt.Errorf("read model %s: %w", m, err)
	}
	if k.generation > 0 && len(changed) == 0 {
		return k.snapshot, k.generation, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience) // a caller who goes leaves it to the next
	defer cancel()
	next, err := k.next(ctx, m, changed)
	if err != nil { // what had changed is not known any more
		c.forget(m, k)
		return status.Snapshot{}, 0, err
	}
	k.snapshot, k.generation = next, c.generation()
	return k.snapshot, k.generation, nil
}

func (c *Cache) kept(m state.ModelID) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.models[m]
	if k == nil {
		ctx, end := context.WithCancel(c.ctx)
		k = &kept{turn: make(chan struct{}, 1), end: end, tree: c.store.Follow(ctx)}
		c.models[m] = k
	}
	return k
}

// generation is one that no model has had, also none that was forgotten.
func (c *Cache) generation() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generations++
	return c.generations
}

func (c *Cache) forget(m state.ModelID, k *kept) {
	k.end()
	k.generation = 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.models[m] == k {
		delete(c.models, m)
	}
}

// next is the model with what has changed read again: all of it the first time.
func (k *kept) next(ctx context.Context, m state.ModelID, changed []string) (status.Snapshot, error) {
	if k.generation == 0 {
		return Read(ctx, k.tree, m)
	}
	s := k.snapshot
	s.Applications, s.Units, s.Machines = maps.Clone(s.Applications), maps.Clone(s.Units), maps.Clone(s.Machines)
	s.Relations, s.Charms, s.Storage = maps.Clone(s.Relations), maps.Clone(s.Charms), maps.Clone(s.Storage)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(width)
	v := &reading{r: k.tree, m: m, group: g, into: &s}
	err := v.again(within, changed)
	if err = errors.Join(err, g.Wait()); err != nil {
		return s, fmt.Errorf("read model %s: %w", m, err)
	}
	return s, nil
}

// again reads the things to which the changed paths belong.
func (v *reading) again(ctx context.Context, changed []string) error {
	dirs := v.dirs()
	things := make([]map[string]bool, len(dirs)) // by directory: names
	for i := range things {
		things[i] = map[string]bool{}
	}
	lists, head := map[int]bool{}, false
	for _, path := range changed {
		if strings.HasPrefix(path, v.m.CharmsPath()+"/") { // hardly ever
			v.forApplications(func(name state.ApplicationName) { things[applications][string(name)] = true })
			continue
		}
		known := false
		for i, dir := range dirs {
			rest, below := strings.CutPrefix(path, dir.path+"/")
			if path == dir.path {
				lists[i], known = true, true
			} else if below {
				name, _, _ := strings.Cut(rest, "/")
				things[i][name], known = true, true
			}
		}
		head = head || !known
	}
	if head {
		if err := v.head(ctx); err != nil {
			return err
		}
	}
	for i := range lists {
		names, err := state.ChildrenIf(ctx, v.r, dirs[i].path)
		if err != nil {
			return err
		}
		fresh := dirs[i].news(names)
		maps.DeleteFunc(things[i], func(name string, _ bool) bool { return !slices.Contains(names, name) }) // whoever reads them follows them for ever
		for _, name := range fresh {
			things[i][name] = true
		}
	}
	for i, dir := range dirs {
		for name := range things[i] {
			dir.drop(name)
		}
	}
	for i, dir := range dirs {
		for name := range things[i] {
			v.group.Go(func() error { return dir.read(ctx, name) })
		}
	}
	return nil
}

// forApplications calls do with each application that is known.
func (v *reading) forApplications(do func(state.ApplicationName)) {
	for name := range v.into.Applications {
		do(name)
	}
}

// A directory is one of the model's, with what becomes of the things in it. Nodes are their names in the tree.
type directory struct {
	path string
	read func(ctx context.Context, node string) error
	drop func(node string)                     // what is known of one
	news func(nodes []string) (fresh []string) // those of the nodes that are not known; what is known and not among them is dropped
}

// applications is the place of the applications among the directories.
const applications = 2

func (v *reading) dirs() []directory {
	s := v.into
	return []directory{
		directoryOf(v.m.UnitsPath(), v.unit, s.Units, state.UnitOfNode),
		directoryOf(v.m.MachinesPath(), v.machine, s.Machines, state.MachineOfNode),
		directoryOf(v.m.ApplicationsPath(), v.application, s.Applications, func(node string) state.ApplicationName { return state.ApplicationName(node) }),
		directoryOf(v.m.RelationsPath(), v.relation, s.Relations, state.RelationIDOf),
		directoryOf(v.m.StoragesPath(), v.storage, s.Storage, state.StorageOfNode),
	}
}

func directoryOf[K comparable, V any](path string, read func(context.Context, string) error, known map[K]V, key func(node string) K) directory {
	return directory{path, read, func(node string) { delete(known, key(node)) }, func(nodes []string) (fresh []string) {
		there := make(map[K]bool, len(nodes))
		for _, node := range nodes {
			there[key(node)] = true
			if _, ok := known[key(node)]; !ok {
				fresh = append(fresh, node)
			}
		}
		maps.DeleteFunc(known, func(k K, _ V) bool { return !there[k] })
		return fresh
	}}
}
