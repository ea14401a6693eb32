package userapi

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/grigri/grigri/state"
)

// StatusTypes is the types of statuses that can be asked for. Some are of several of those that are kept: unit is juju-unit and workload; what is
// machine and juju-machine of a machine is container and juju-container of a container.
var StatusTypes = [...]string{"application", "container", "juju-container", "juju-machine", "juju-unit", "machine", "model", "saas", "unit", "workload"}

// A StatusLogFilter says of what the statuses are asked for.
type StatusLogFilter struct {
	Entity string    // web/0, web, 4, 4/lxd/0, the model's name
	Type   string    // one of StatusTypes; empty: all that the entity has
	Last   int       // only so many, the last; zero: all
	After  time.Time // only those since then
}

// Query is the filter in a URL: entity=web/0&type=workload&last=20.
func (f StatusLogFilter) Query() url.Values {
	q := url.Values{"entity": {f.Entity}}
	if f.Type != "" {
		q.Set("type", f.Type)
	}
	if f.Last != 0 {
		q.Set("last", strconv.Itoa(f.Last))
	}
	if !f.After.IsZero() {
		q.Set("after", f.After.UTC().Format(time.RFC3339Nano))
	}
	return q
}

// ParseStatusLogFilter is the filter in a URL.
func ParseStatusLogFilter(q url.Values) (StatusLogFilter, error) {
	f := StatusLogFilter{Entity: q.Get("entity"), Type: q.Get("type")}
	if f.Entity == "" {
		return f, fmt.Errorf("entity: of what is not said")
	}
	if f.Type != "" && !slices.Contains(StatusTypes[:], f.Type) {
		return f, fmt.Errorf("unexpected status type %q", f.Type)
	}
	var err error
	if text := q.Get("last"); text != "" {
		if f.Last, err = strconv.Atoi(text); err != nil || f.Last < 0 {
			return f, fmt.Errorf("last=%q is not a number", text)
		}
	}
	if text := q.Get("after"); text != "" {
		if f.After, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return f, fmt.Errorf("after=%q is not a time: 2026-01-15T10:00:00Z is one", text)
		}
	}
	return f, nil
}

// A StatusLogEntry is one status, as show-status-log prints it.
type StatusLogEntry struct {
	state.StatusInfo
	Type string `json:"type"`
}
