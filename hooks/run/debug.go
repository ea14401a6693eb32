package run

import (
	"context"
	"fmt"
)

// A Window is what somebody who debugs a hook or an action gets of it.
type Window struct {
	Name   string // "db-relation-changed", or of an action its name
	Script string // what would run; empty when the charm has nothing for it, or nothing that can run
	Dir    string
	Env    []string
}

// byHand is the handler of what somebody has run in our place.
const byHand = "debug session"

// debug lets somebody who debugs the unit run the hook, if there is one who wants to. Shell commands are nobody's to debug.
func debug(ctx context.Context, c Config, h handler, runs bool) (res Result, taken bool) {
	if c.Debug == nil || c.Hook.Shell() || ctx.Err() != nil {
		return Result{}, false
	}
	w := Window{Name: c.Hook.RunName(), Dir: h.dir, Env: h.env}
	if runs {
		w.Script = h.path
	}
	code, taken, err := c.Debug(ctx, w)
	switch {
	case !taken:
		return Result{}, false
	case err != nil && ctx.Err() != nil:
		res = cut(ctx)
	case err != nil:
		res = Result{Outcome: Failed, Code: -1, Reason: err.Error()}
	case code != 0:
		res = Result{Outcome: Failed, Code: code, Reason: fmt.Sprintf("exit status %d", code)}
	default:
		res = Result{Outcome: Done}
	}
	res.Handler = byHand
	return res, true
}
