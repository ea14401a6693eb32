package unit_test

import (
	"testing"
	"time"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
)

// statuses is what was told since the last call. Each must be later than the one of its type before.
func (w *world) statuses(last map[state.StatusType]time.Time) (out []string) {
	w.Helper()
	w.mu.Lock()
	var told []agentapi.Status
	told, w.told = w.told, nil
	w.mu.Unlock()
	for _, s := range told {
		text := string(s.Type) + " " + s.Status
		if s.Message != "" {
			text += " " + s.Message
		}
		if s.Entity != "unit-web-0" {
			text = s.Entity + ": " + text
		}
		if s.Again.IsZero() && !s.Since.After(last[s.Type]) {
			w.Errorf("%s is since %s, which is not after %s", text, s.Since, last[s.Type])
		} else if !s.Again.IsZero() {
			text += " (again)"
		}
		last[s.Type] = s.Since
		out = append(out, text)
	}
	return out
}

// Each status is told once, in its order; what the tree hears of only when it takes its time is told all the same.
func TestStatusesAreTold(t *testing.T) {
	w := newWorld(t)
	last := map[state.StatusType]time.Time{}
	w.deploy("web", webMeta, "", 1)
	web := w.start("web/0")
	web.on("config-changed", "status-set blocked 'no file'; exit 3")
	web.settle()
	w.same("until a hook fails", w.statuses(last), []string{
		"juju-unit executing unpacking charm local:web-0 (again)", "juju-unit executing running install hook", "workload maintenance installing charm software (again)",
		"juju-unit executing running ring-relation-created hook", "juju-unit executing running leader-elected hook",
		"juju-unit executing running config-changed hook", "workload blocked no file", `juju-unit error hook failed: "config-changed"`})
	w.pass(10 * time.Second)
	web.settle()
	w.same("a try that fails", w.statuses(last), []string{"juju-unit executing running config-changed hook", `juju-unit error hook failed: "config-changed"`})

	web.boot()
	w.same("an agent that begins anew", w.statuses(last), []string{`juju-unit error hook failed: "config-changed" (again)`, "workload blocked no file (again)"})

	web.on("config-changed", "status-set active ready; status-set --application active 'all is well'")
	w.pass(time.Hour)
	web.settle()
	w.same("a try that succeeds", w.statuses(last), []string{"juju-unit executing running config-changed hook", "workload active ready", "application-web: application active all is well",
		"juju-unit executing running start hook", "juju-unit idle"})

	web.exec(commands.Run{Text: "status-set active ready"})
	w.same("a command that changes nothing", w.statuses(last), []string{"juju-unit executing running commands", "juju-unit idle"})

	w.remove("web/0")
	web.settle()
	w.same("the end", w.statuses(last), []string{"juju-unit executing running stop hook", "workload maintenance stopping charm software",
		"juju-unit executing running remove hook", "workload maintenance cleaning up prior to charm deletion", "workload terminated"})
}
