package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// An environment is a controller with the user's client for it.
type environment struct {
	bin  string
	data string // the client's files and the controller's
}

const controllerName = "bench"

// grigri runs the client.
func (e environment) grigri(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(e.bin, "grigri"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up
	cmd.WaitDelay = time.Minute
	cmd.Env = append(os.Environ(), "GRIGRI_DATA="+e.data)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("grigri %v: %w:\n%s", args, err, out)
	}
	return string(out), nil
}

func (e environment) bootstrap(ctx context.Context) error {
	_, err := e.grigri(ctx, "bootstrap", "local", controllerName)
	return err
}

// kill ends all of the environment, also when ctx has ended.
func (e environment) kill(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(e.data, "controllers", controllerName)); err != nil {
		return nil // it has never been
	}
	_, err := e.grigri(context.WithoutCancel(ctx), "kill-controller", controllerName, "--no-prompt", "--timeout", "60s")
	return err
}

// bootstrap measures the making of a controller until the user may go on, against the start of its ZooKeeper alone until
// that answers. Both make their keys, for without them ZooKeeper does not start.
func bootstrap(ctx context.Context, p place, r *report) error {
	n := 0
	dir := func() string {
		n++
		return filepath.Join(p.dir, fmt.Sprint(n))
	}
	ours := func(ctx context.Context) (took time.Duration, err error) {
		e := environment{p.bin, dir()}
		took, err = timed(func() error { return e.bootstrap(ctx) })
		return took, errors.Join(err, e.kill(ctx))
	}
	alone := func(ctx context.Context) (time.Duration, error) {
		var z *zooKeeper
		took, err := timed(func() (err error) {
			z, err = startZooKeeper(ctx, dir())
			return err
		})
		if err != nil {
			return 0, err
		}
		return took, z.stop()
	}
	pairs, err := inTurns(ctx, p.times(9), ours, alone)
	if err == nil {
		r.ratio("grigri bootstrap local", "the start of ZooKeeper", 2.5, pairs)
	}
	return err
}
