package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// A handler is what is executed.
type handler struct {
	path   string
	args   []string
	kind   string // as the log names it
	script string // for its standard input
}

// The ways a charm can handle a hook.
const (
	byDispatch = "hook dispatching script: dispatch"
	byScript   = "explicit, bespoke hook script"
	byShell    = "shell"
)

// find is what handles the hook, or the result of not running anything. It is decided anew each time: the charm's
// files may have been replaced.
func find(c Config) (handler, *Result) {
	if !exists(filepath.Join(c.CharmDir, "metadata.yaml")) {
		return handler{}, fail("charm missing from disk: there is no metadata.yaml in " + c.CharmDir)
	}
	if c.Hook.Kind == hooks.Action && c.Hook.Action == state.ExecAction {
		text, _ := c.Hook.ActionInput["command"].(string)
		return handler{path: "/bin/bash", args: []string{"/bin/bash", "-s"}, kind: byShell, script: text + "\n"}, nil
	}
	script := filepath.Join(c.CharmDir, dispatchPath(c.Hook))
	h := handler{kind: byScript, path: script}
	if dispatch := filepath.Join(c.CharmDir, "dispatch"); exists(dispatch) {
		h = handler{kind: byDispatch, path: dispatch}
	}
	// A script learns from the name that it is called by which hook it is: the path as it is, links and all.
	h.args = []string{h.path}

	info, err := os.Stat(h.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Hook.Kind == hooks.Action:
		return h, fail(fmt.Sprintf("action not implemented on unit %q", c.Facts.Unit))
	case errors.Is(err, fs.ErrNotExist):
		return h, &Result{Outcome: Skipped}
	case err != nil:
		return h, fail(err.Error())
	case info.IsDir() || info.Mode()&0o111 == 0:
		return h, fail(h.path + " is not executable")
	}
	return h, nil
}

// dispatchPath names the hook or action below the charm's directory; it is empty for commands.
func dispatchPath(h hooks.Hook) string {
	switch {
	case h.Kind != hooks.Action:
		return "hooks/" + h.Name()
	case h.Action == state.ExecAction:
		return ""
	}
	return "actions/" + h.Action
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func fail(reason string) *Result { return &Result{Outcome: Failed, Code: -1, Reason: reason} }
