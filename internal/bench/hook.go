package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks"
)

// noopCharm has hooks that do nothing.
func noopCharm() map[string]string {
	return map[string]string{
		"metadata.yaml":        "name: noop\nsummary: Does nothing.\ndescription: For measurements.\n",
		"config.yaml":          "options:\n  v: {type: string, default: \"\", description: something to change}\n",
		"hooks/config-changed": "#!/bin/sh\nexit 0\n",
	}
}

// yardNode is a node for the yardsticks, beside the tree. What they write is about as large as a ledger.
const yardNode = "/yardstick"

// noopHook measures the step of a unit's agent that finds its configuration changed, runs a hook that does nothing, and
// commits: against the same script and one transaction in the same ZooKeeper, without an agent.
func noopHook(ctx context.Context, p place, r *report) (err error) {
	dir := filepath.Join(p.dir, "charm")
	if err := writeCharm(dir, noopCharm()); err != nil {
		return err
	}
	s, err := openShop(ctx, p, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.deploy(ctx, "web", nil); err != nil {
		return err
	}
	store, err := s.connect(ctx)
	if err != nil {
		return err
	}
	conf, paths := s.agent("web", store)
	host, err := unit.OpenHost(paths)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	defer func() {
		stop()
		err = errors.Join(err, g.Wait())
	}()
	g.Go(func() error { return host.Serve(ctx) })
	agent, err := unit.New(ctx, conf, host)
	if err != nil {
		return err
	}
	if _, err := stepTo(ctx, agent, hooks.Start); err != nil {
		return err
	}

	n := 0
	ours := func(ctx context.Context) (time.Duration, error) {
		n++
		if err := s.config(ctx, "web", "v", strconv.Itoa(n)); err != nil {
			return 0, err
		}
		return stepTo(ctx, agent, hooks.ConfigChanged)
	}
	yardstick, end, err := s.plainHook(ctx, paths)
	if err != nil {
		return err
	}
	defer end()
	pairs, err := inTurns(ctx, p.times(500), ours, yardstick)
	if err == nil {
		r.ratio("a hook that does nothing, with its commit", "fork and exec of it, and one multi", 1.5, pairs)
	}
	return err
}

// stepTo steps until the agent has run a hook of the kind and then waits, and returns how long that one step took.
func stepTo(ctx context.Context, a *unit.Agent, kind hooks.Kind) (took time.Duration, err error) {
	for ran := false; ; {
		var op resolve.Op
		last, err := timed(func() (err error) {
			op, err = a.Step(ctx)
			return err
		})
		if err != nil {
			return 0, err
		}
		switch op := op.(type) {
		case resolve.Run:
			if op.Hook.Kind == kind {
				ran, took = true, last
			}
		case resolve.Wait:
			if ran {
				return took, nil
			}
		}
	}
}

// plainHook is the same script run from its directory, and a transaction on a plain connection.
func (s *shop) plainHook(ctx context.Context, paths unit.Paths) (run func(context.Context) (time.Duration, error), end func(), err error) {
	conn, err := s.zk.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.Create(yardNode, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("make %s: %w", yardNode, err)
	}
	data := make([]byte, 500)
	return func(ctx context.Context) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, filepath.Join(paths.CharmDir(), "hooks/config-changed"))
		cmd.Dir = paths.CharmDir()
		return timed(func() error {
			if err := cmd.Run(); err != nil {
				return err
			}
			_, err := conn.Multi(&zk.SetDataRequest{Path: yardNode, Data: data, Version: -1})
			return err
		})
	}, conn.Close, nil
}
