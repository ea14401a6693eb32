package state

import (
	"context"
	"fmt"
	"time"

	"github.com/grigri/grigri/provider"
)

// A Fitting is what the instance of a machine was fitted with, beside what it was started with. It is written before the provider is
// asked, with Pending, and after it has answered: a leader that dies in between leaves one that the next fits again.
type Fitting struct {
	Instance provider.InstanceID         `json:"instance"`
	Rules    []provider.Rule             `json:"rules,omitempty"` // what may reach it
	Profiles map[string]provider.Profile `json:"profiles,omitempty"`
	Pending  bool                        `json:"pending,omitempty"` // the provider has been asked and has not yet answered
	Since    time.Time                   `json:"since"`

	Failures int             `json:"failures,omitempty"` // since the last success
	Error    string          `json:"error,omitempty"`    // of the last try
	Tried    []provider.Rule `json:"tried,omitempty"`    // what it was about
	Retry    time.Time       `json:"retry,omitzero"`     // not before
}

// FittingPath is where the Fitting of a machine is.
func (m ModelID) FittingPath(id MachineID) string { return m.MachinePath(id) + "/fitting" }

// SetFitting replaces what is known of the machine's fitting by what change makes of it.
func SetFitting(ctx context.Context, r Reader, m ModelID, id MachineID, change func(Fitting) Fitting) (Txn, error) {
	var t Txn
	machine, err := r.Get(ctx, m.MachinePath(id))
	if err != nil {
		return t, missing(err, "machine", string(id))
	}
	rec, err := ReadIf[Fitting](ctx, r, m.FittingPath(id))
	if err != nil {
		return t, fmt.Errorf("note the fitting of machine %s: %w", id, err)
	}
	next := change(rec.Value)
	if rec.Exists() && string(Encode(next)) == string(Encode(rec.Value)) {
		return t, nil
	}
	t.Check(m.MachinePath(id), machine.Version)
	Put(&t, m.FittingPath(id), rec, next)
	return t, nil
}
