package run_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
)

// Whoever debugs a hook runs it in our place: its outcome is what he makes of it.
func TestDebug(t *testing.T) {
	p := newPlace(t, t.TempDir())
	p.file(t, "hooks/install", 0o755, "#!/bin/bash\necho by itself; exit 5\n")
	install := hooks.Hook{Kind: hooks.Install}
	var got run.Window
	for name, c := range map[string]struct {
		hook  hooks.Hook
		code  int
		taken bool
		err   error
		end   error // why it is cut short, when it is
		want  run.Outcome
	}{
		"left with 0":       {hook: install, taken: true, want: run.Done},
		"left with 3":       {hook: install, taken: true, code: 3, want: run.Failed},
		"abandoned":         {hook: install, taken: true, err: errors.New("closed"), want: run.Failed},
		"not wanted":        {hook: install, code: 5, want: run.Failed},
		"the agent ends":    {hook: install, taken: true, code: -1, end: context.Canceled, want: run.Terminated},
		"cancelled":         {hook: hooks.Hook{Kind: hooks.Action, Action: "hello"}, taken: true, code: -1, end: run.ErrAborted, want: run.Aborted},
		"the machine ends":  {hook: install, taken: true, code: -1, end: run.ErrReboot, want: run.Rebooting},
		"not in the charm":  {hook: hooks.Hook{Kind: hooks.Start}, taken: true, code: 3, want: run.Failed},
		"a shell's command": {hook: hooks.Hook{Kind: hooks.Action, Action: state.ExecAction, ActionInput: map[string]any{"command": "exit 7"}}, code: 7, want: run.Failed},
	} {
		ctx, end := context.WithCancelCause(t.Context())
		p.config.Debug = func(_ context.Context, w run.Window) (int, bool, error) {
			if c.hook.Shell() {
				t.Error("a command was offered")
			}
			if got = w; c.end != nil {
				end(c.end)
				return 0, true, c.end
			}
			return c.code, c.taken, c.err
		}
		res, _ := p.run(t, ctx, c.hook)
		end(nil)
		if c.err != nil {
			c.code = -1
		}
		if res.Outcome != c.want || res.Code != c.code || c.taken != (res.Handler == "debug session") {
			t.Errorf("%s: %+v", name, res)
		}
		if has := c.hook.Kind == hooks.Install; !c.hook.Shell() && (has != strings.HasSuffix(got.Script, "/hooks/install") || got.Name != c.hook.RunName()) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if !slices.Contains(got.Env, "JUJU_UNIT_NAME=web/0") || got.Dir != p.config.CharmDir {
		t.Errorf("%+v", got)
	}
}
