package logs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// levels is every level, the least first.
var levels = []string{"TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}

// Check says whether the filter can be used.
func Check(f userapi.LogFilter) error {
	if f.Level != "" && !slices.Contains(levels, f.Level) {
		return fmt.Errorf("level %q is not one of %s", f.Level, strings.Join(levels, ", "))
	}
	for _, p := range slices.Concat(f.Include, f.Exclude) {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("entity %q: %w", p, err)
		}
	}
	return nil
}

// Match says whether the filter chooses the line.
func Match(f userapi.LogFilter, l agentapi.LogLine) bool {
	entity := func(p string) bool { return isEntity(p, l.Entity) }
	module := func(p string) bool { return l.Module == p || strings.HasPrefix(l.Module, p+".") }
	switch {
	case f.Level != "" && slices.Index(levels, l.Level) < slices.Index(levels, f.Level):
		return false
	case len(f.Include) > 0 && !slices.ContainsFunc(f.Include, entity), slices.ContainsFunc(f.Exclude, entity):
		return false
	case len(f.IncludeModule) > 0 && !slices.ContainsFunc(f.IncludeModule, module), slices.ContainsFunc(f.ExcludeModule, module):
		return false
	}
	return true
}

// isEntity says whether the pattern of a user means the entity unit-web-0 or machine-4.
func isEntity(pattern, entity string) bool {
	meanings := []string{entity}
	if unit, ok := strings.CutPrefix(entity, "unit-"); ok {
		name := state.UnitOfNode(unit)
		meanings = append(meanings, string(name), string(name.Application()))
	}
	if machine, ok := strings.CutPrefix(entity, "machine-"); ok {
		meanings = append(meanings, machine, string(state.MachineOfNode(machine)))
	}
	return slices.ContainsFunc(meanings, func(m string) bool {
		ok, err := path.Match(pattern, m)
		return err == nil && ok
	})
}
