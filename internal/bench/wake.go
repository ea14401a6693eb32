package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/state"
)

// talkCharm tells its setting to whoever it is related to.
func talkCharm() map[string]string {
	return map[string]string{
		"metadata.yaml": "name: talk\nsummary: Talks.\ndescription: For measurements.\n" +
			"provides:\n  up: {interface: talk}\nrequires:\n  down: {interface: talk}\n",
		"config.yaml":                 "options:\n  v: {type: string, default: \"\", description: what to say}\n",
		"hooks/config-changed":        "#!/bin/sh\nset -e\nv=$(config-get v)\nfor r in $(relation-ids up); do relation-set -r \"$r\" \"v=$v\"; done\n",
		"hooks/down-relation-changed": "#!/bin/sh\nexit 0\n",
	}
}

// wake measures from the moment in which one unit commits its settings until the hook of another begins, against a set and
// the watch it fires in the same ZooKeeper, on plain connections. The set comes at such a moment too, just before a commit:
// when a hook and its tools have ended, it takes half as long again as at a quiet one.
func wake(ctx context.Context, p place, r *report) (err error) {
	dir := filepath.Join(p.dir, "charm")
	if err := writeCharm(dir, talkCharm()); err != nil {
		return err
	}
	s, err := openShop(ctx, p, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	ctx, stop := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	defer func() {
		stop()
		if running := g.Wait(); !errors.Is(running, context.Canceled) {
			err = errors.Join(err, running)
		}
	}()
	stores := map[state.ApplicationName]*commits{}
	paths := map[state.ApplicationName]string{"left": s.model.MemberPath(0, "", "left/0"), "right": s.model.LedgerPath("right/0")}
	for _, name := range []state.ApplicationName{"left", "right"} {
		if err := s.deploy(ctx, name, nil); err != nil {
			return err
		}
		store, err := s.connect(ctx)
		if err != nil {
			return err
		}
		stores[name] = &commits{Store: store, path: paths[name], done: make(chan struct{}, 1)}
		conf, where := s.agent(name, stores[name])
		conf.Log = slog.New(slog.DiscardHandler)
		g.Go(func() error { return unit.Run(ctx, conf, where) })
	}
	err = s.edit(ctx, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, error) {
		t, _, err := state.Relate(ctx, r, s.model, by, s.key, "left:up", "right:down")
		return t, err
	})
	if err != nil {
		return err
	}
	if err := s.heard(ctx); err != nil {
		return err
	}
	_, where := s.agent("right", nil)
	script, err := watchOpened(filepath.Join(where.CharmDir(), "hooks/down-relation-changed"))
	if err != nil {
		return err
	}
	defer script.Close()

	plain, err := s.plainConns(ctx)
	if err != nil {
		return err
	}
	defer plain.close()
	n := 0
	// setting has left commit another setting, and returns when right's hook has begun and when all of it is over.
	setting := func(ctx context.Context) (begun time.Time, err error) {
		n++
		stores["right"].forget()
		if err := script.forget(); err != nil {
			return begun, err
		}
		if err := s.config(ctx, "left", "v", strconv.Itoa(n)); err != nil {
			return begun, err
		}
		if err := script.wait(ctx); err != nil {
			return begun, err
		}
		begun = time.Now()
		return begun, stores["right"].wait(ctx)
	}
	ours := func(ctx context.Context) (time.Duration, error) {
		begun, err := setting(ctx)
		return begun.Sub(stores["left"].began()), err
	}
	yardstick := func(ctx context.Context) (time.Duration, error) {
		set, err := plain.watch()
		if err != nil {
			return 0, err
		}
		type result struct {
			took time.Duration
			err  error
		}
		done := make(chan result, 1)
		stores["left"].precede(func() {
			took, err := set(ctx)
			done <- result{took, err}
		})
		if _, err := setting(ctx); err != nil {
			return 0, err
		}
		r := <-done
		return r.took, r.err
	}
	pairs, err := inTurns(ctx, p.times(500), ours, yardstick)
	if err == nil {
		r.ratio("settings committed until the other's hook begins", "a set then until its watch fires", 2, pairs)
	}
	return err
}

// heard waits until right has heard of left what it has to say at first.
func (s *shop) heard(ctx context.Context) error {
	for end := time.Now().Add(time.Minute); ; {
		rec, err := state.ReadIf[state.Heard](ctx, s.tree, s.model.HeardPath("right/0", 0))
		if err != nil {
			return err
		}
		known, err := state.ChildrenIf(ctx, s.tree, s.model.HeardPath("right/0", 0))
		if err != nil {
			return err
		}
		if len(known) == 1 && rec.Value.Pending == "" {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("right has not heard of left")
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// opened tells when a file is opened: a script is by the kernel, when it begins to run it.
type opened struct{ *os.File }

func watchOpened(path string) (opened, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return opened{}, fmt.Errorf("watch %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN); err != nil {
		return opened{}, errors.Join(fmt.Errorf("watch %s: %w", path, err), f.Close())
	}
	return opened{f}, nil
}

// wait returns when the file has been opened since the last wait. It gives up when it is not for long.
func (o opened) wait(ctx context.Context) error {
	if err := o.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = o.SetReadDeadline(time.Now()) })()
	_, err := o.Read(make([]byte, 4096))
	if err != nil {
		err = errors.Join(fmt.Errorf("wait for a hook to begin: %w", err), ctx.Err())
	}
	return err
}

// forget forgets that the file has been opened: its interpreter opens it again.
func (o opened) forget() error {
	if err := o.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	for {
		_, err := o.Read(make([]byte, 4096))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// commits notes when the transactions of a unit's agent that set one node begin and end.
type commits struct {
	state.Store
	path string
	done chan struct{} // has a value when one has ended

	mu    sync.Mutex
	start time.Time // of the last
	first func()    // to do before the next
}

// Commit implements state.Store.
func (c *commits) Commit(ctx context.Context, t state.Txn) ([]string, error) {
	ours := slices.ContainsFunc(t.Ops, func(op state.Op) bool { return op.Kind == state.OpSet && op.Path == c.path })
	if !ours {
		return c.Store.Commit(ctx, t)
	}
	c.mu.Lock()
	first := c.first
	c.first = nil
	c.mu.Unlock()
	if first != nil {
		first()
	}
	c.mu.Lock()
	c.start = time.Now()
	c.mu.Unlock()
	created, err := c.Store.Commit(ctx, t)
	select {
	case c.done <- struct{}{}:
	default:
	}
	return created, err
}

// precede has the next such transaction wait for do.
func (c *commits) precede(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = do
}

func (c *commits) began() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start
}

// forget forgets that a transaction has ended.
func (c *commits) forget() {
	select {
	case <-c.done:
	default:
	}
}

// wait returns when a transaction has ended since the last wait.
func (c *commits) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// plainConns is two connections of the library, and nothing of ours.
type plainConns struct{ left, right *zk.Conn }

func (s *shop) plainConns(ctx context.Context) (p plainConns, err error) {
	if p.left, err = s.zk.connect(ctx); err != nil {
		return p, err
	}
	if p.right, err = s.zk.connect(ctx); err != nil {
		p.left.Close()
		return p, err
	}
	if _, err := p.left.Create(yardNode, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		p.close()
		return p, fmt.Errorf("make %s: %w", yardNode, err)
	}
	return p, nil
}

func (p plainConns) close() {
	p.left.Close()
	p.right.Close()
}

// watch watches a node. Set is how long a set of it takes until the watch fires.
func (p plainConns) watch() (set func(context.Context) (time.Duration, error), err error) {
	_, _, events, err := p.right.GetW(yardNode)
	return func(ctx context.Context) (time.Duration, error) {
		return timed(func() error {
			if _, err := p.left.Set(yardNode, make([]byte, 500), -1); err != nil {
				return err
			}
			select {
			case e := <-events:
				return e.Err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}, err
}
