package nest

import (
	"reflect"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A task is what is to be done about one container.
type task int

const (
	nothing task = iota
	start        // it is to be made, or the making of it to be gone on with
	remove       // it is to end
	gone         // it is no more: that is to be said
	follow       // it is there: how it is is to be said, and what it is fitted with to be made what it is to be
)

// decide says what is to be done about a container now; told is what is wanted of it, was what was said of it last, have what LXD
// has of it, nil for nothing. When it has to wait, again is until when.
func decide(told state.Container, was state.ContainerReport, have *provider.Instance, now time.Time) (t task, again time.Time) {
	waits := was.Again == told.Again && now.Before(was.Retry)
	enrolled := len(told.Start.Init.Script) == 0
	switch {
	case told.Kept:
		return nothing, again
	case told.Gone && have != nil && waits:
		return nothing, was.Retry
	case told.Gone && have != nil:
		return remove, again
	case told.Gone && was.State == provider.Gone:
		return nothing, again
	case told.Gone:
		return gone, again
	case was.State == provider.Gone:
		return nothing, again // what its units had there is gone: only the user can say what is to become of them
	case was.ID == "" && waits:
		return nothing, was.Retry
	case was.ID == "" || have == nil && !enrolled:
		return start, again
	case have == nil:
		return gone, again
	}
	return follow, again
}

// failed is a report of one more failure.
func failed(was state.ContainerReport, told state.Container, err error, now time.Time, wait time.Duration) state.ContainerReport {
	if was.Again != told.Again {
		was.Failures = 0
	}
	was.Again = told.Again
	was.Failures++
	was.Error, was.Message, was.Since = err.Error(), "", now
	was.Retry = now.Add(min(wait<<min(was.Failures-1, 16), mostRetry))
	if was.ID != "" {
		was.Message = err.Error()
	}
	return was
}

// found is a report of what LXD has.
func found(was state.ContainerReport, told state.Container, in provider.Instance, now time.Time) state.ContainerReport {
	if was.ID != "" && was.Error == "" && was.Again == told.Again && reflect.DeepEqual(was.Instance.Instance, in) {
		return was
	}
	return state.ContainerReport{Instance: state.Instance{Instance: in, Since: now}, Again: told.Again, Problem: was.Problem}
}

// The delays between tries.
const (
	firstRetry = 5 * time.Second
	mostRetry  = 5 * time.Minute
)
