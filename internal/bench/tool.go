package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/hooks/serve"
)

// settings answers config-get, and no other tool.
type settings struct{ hooks.Reader }

func (settings) Config(context.Context) (map[string]any, error) {
	return map[string]any{"name": "value"}, nil
}

// toolCall measures what a script pays for one call of a hook tool, against what it pays for /bin/true.
func toolCall(ctx context.Context, p place, r *report) error {
	server, err := serve.Listen(filepath.Join(p.dir, "socket"))
	if err != nil {
		return err
	}
	tools := filepath.Join(p.dir, "tools")
	if err := run.InstallTools(tools, filepath.Join(p.bin, "hooktool"), []string{"config-get"}); err != nil {
		return err
	}
	hook := hooks.Hook{Kind: hooks.ConfigChanged}
	session := server.Begin(serve.Config{
		Hook: hook, Unit: "web/0", Model: "00000000-0000-4000-8000-000000000000", Reader: settings{},
		Charm: charm.Charm{Options: charm.Options{"name": {Type: "string"}}},
	})
	defer session.End()
	env := run.Environment(run.Config{Hook: hook, Token: session.Token(), ToolsDir: tools, CharmDir: p.dir,
		Socket: filepath.Join(p.dir, "socket"), Facts: run.Facts{Unit: "web/0"}})

	call := func(path string, args ...string) func(context.Context) (time.Duration, error) {
		return func(ctx context.Context) (time.Duration, error) {
			cmd := exec.CommandContext(ctx, path, args...)
			cmd.Env = env
			return timed(cmd.Run)
		}
	}
	tool := filepath.Join(tools, "config-get")
	ctx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return server.Run(ctx) })
	pairs, err := func() ([]pair, error) {
		cmd := exec.CommandContext(ctx, tool, "name")
		cmd.Env = env
		if out, err := cmd.Output(); err != nil || string(out) != "value\n" {
			return nil, fmt.Errorf("config-get printed %q: %w", out, err)
		}
		return inTurns(ctx, p.times(1000), call(tool, "name"), call("/bin/true"))
	}()
	stop()
	if serving := g.Wait(); err == nil {
		err = serving
	}
	if err == nil {
		r.ratio("a call of a hook tool", "fork and exec of /bin/true", 3, pairs)
	}
	return err
}
