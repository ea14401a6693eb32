package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/grigri/grigri/hooks"
)

// A handler is what is executed.
type handler struct {
	path   string
	args   []string
	kind   string // as the log names it
	script string // for its standard input
	dir    string
	env    []string
	user   *syscall.Credential // nil: our own
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
	if c.Hook.Shell() {
		text, _ := c.Hook.ActionInput["command"].(string)
		return shell(text), nil
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

// shell is what runs shell text.
func shell(text string) handler {
	return handler{path: "/bin/bash", args: []string{"/bin/bash", "-s"}, kind: byShell, script: text + "\n"}
}

// dispatchPath names the hook or action below the charm's directory; it is empty for commands.
func dispatchPath(h hooks.Hook) string {
	switch {
	case h.Shell():
		return ""
	case h.Kind == hooks.Action:
		return "actions/" + h.Action
	}
	return "hooks/" + h.Name()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func fail(reason string) *Result { return &Result{Outcome: Failed, Code: -1, Reason: reason} }
