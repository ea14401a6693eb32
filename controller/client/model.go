package client

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// Status is the model's status. Selectors choose applications, units and machines; none means everything.
func (m Model) Status(ctx context.Context, selectors ...string) (status.Report, error) {
	report, _, err := m.StatusAfter(ctx, "", 0, selectors...)
	return report, err
}

// StatusAfter is Status once it is no longer what it was at the revision after, or when wait has passed.
// It returns the revision to give the next time.
func (m Model) StatusAfter(ctx context.Context, after string, wait time.Duration, selectors ...string) (status.Report, string, error) {
	var out status.Report
	q := url.Values{"select": selectors}
	if after != "" {
		q.Set("after", after)
		q.Set("wait", wait.String())
	}
	resp, err := m.client.send(ctx, call{route: userapi.StatusRoute, path: []string{m.name}, query: q})
	if err != nil {
		return out, "", err
	}
	defer resp.Body.Close()
	return out, resp.Header.Get(userapi.RevisionHeader), decode(resp.Body, &out)
}

// History is the last changes that users made, the newest last.
func (m Model) History(ctx context.Context, limit int) ([]state.Change, error) {
	var out []state.Change
	return out, m.do(ctx, call{route: userapi.HistoryRoute, query: url.Values{"limit": {strconv.Itoa(limit)}}}, &out)
}

// StatusLog is what the statuses of the entity that f names have been.
func (m Model) StatusLog(ctx context.Context, f userapi.StatusLogFilter) ([]userapi.StatusLogEntry, error) {
	var out []userapi.StatusLogEntry
	return out, m.do(ctx, call{route: userapi.StatusLogRoute, query: f.Query()}, &out)
}

// Config is the model's settings, with where each comes from.
func (m Model) Config(ctx context.Context) (map[string]userapi.ModelSetting, error) {
	var out map[string]userapi.ModelSetting
	return out, m.do(ctx, call{route: userapi.ModelConfigRoute}, &out)
}

// SetConfig changes settings of the model, and returns warnings.
func (m Model) SetConfig(ctx context.Context, s userapi.Settings) ([]string, error) {
	var out userapi.Warnings
	err := m.do(ctx, call{route: userapi.SetModelConfigRoute, body: s}, &out)
	return out.Warnings, err
}

// Constraints is what every new machine of the model must have.
func (m Model) Constraints(ctx context.Context) (provider.Constraints, error) {
	var out provider.Constraints
	return out, m.do(ctx, call{route: userapi.ConstraintsRoute}, &out)
}

// Upgrade has the model's machines run the agent that the controller has.
func (m Model) Upgrade(ctx context.Context, u userapi.UpgradeModel) (userapi.UpgradedModel, error) {
	var out userapi.UpgradedModel
	return out, m.do(ctx, call{route: userapi.UpgradeModelRoute, body: u}, &out)
}

// SetConstraints replaces the model's constraints.
func (m Model) SetConstraints(ctx context.Context, c provider.Constraints) error {
	return m.do(ctx, call{route: userapi.SetConstraintsRoute, body: c}, nil)
}

// Annotations is all annotations of the model.
func (m Model) Annotations(ctx context.Context) (state.Annotations, error) {
	var out state.Annotations
	return out, m.do(ctx, call{route: userapi.AnnotationsRoute}, &out)
}

// Annotate changes annotations: an empty value removes one.
func (m Model) Annotate(ctx context.Context, a state.Annotations) error {
	return m.do(ctx, call{route: userapi.AnnotateRoute, body: a}, nil)
}

// Charm is the model's charm whose archive has this SHA-256. It is not found until it has been uploaded.
func (m Model) Charm(ctx context.Context, hash string) (state.Charm, error) {
	var out state.Charm
	return out, m.do(ctx, call{route: userapi.CharmRoute, path: []string{hash}}, &out)
}

// UploadCharm uploads an archive of size bytes. The same archive is always the same charm.
// Open is called again for each try.
func (m Model) UploadCharm(ctx context.Context, hash string, size int64, open func() (io.ReadCloser, error)) (state.Charm, error) {
	var out state.Charm
	return out, m.do(ctx, call{route: userapi.UploadCharmRoute, path: []string{hash}, open: open, size: size}, &out)
}

// Relations is every relation of the model, by id.
func (m Model) Relations(ctx context.Context) ([]userapi.Relation, error) {
	var out []userapi.Relation
	return out, m.do(ctx, call{route: userapi.RelationsRoute}, &out)
}

// Integrate relates two endpoints: "web" or "web:db". The relation's traffic comes from the CIDRs in via, if there are any.
func (m Model) Integrate(ctx context.Context, a, b string, via ...string) (userapi.Relation, error) {
	var out userapi.Relation
	return out, m.do(ctx, call{route: userapi.IntegrateRoute, body: userapi.Integrate{Endpoints: []string{a, b}, Via: via}}, &out)
}

// RemoveRelation removes a relation, named by its number, or by its endpoints: "web:db db".
func (m Model) RemoveRelation(ctx context.Context, which string, r Removal) ([]string, error) {
	return m.remove(ctx, userapi.RemoveRelationRoute, which, r)
}

// AddMachines makes machines.
func (m Model) AddMachines(ctx context.Context, a userapi.AddMachines) ([]state.MachineID, error) {
	var out userapi.AddedMachines
	err := m.do(ctx, call{route: userapi.AddMachinesRoute, body: a}, &out)
	return out.Machines, err
}

// AddHost makes a machine of a host that the user has and brings up himself, with HostScript.
func (m Model) AddHost(ctx context.Context, h state.ManualMachine) (state.MachineID, error) {
	var out userapi.AddedMachines
	if err := m.do(ctx, call{route: userapi.AddHostRoute, body: h}, &out); err != nil {
		return "", err
	}
	if len(out.Machines) != 1 {
		return "", fmt.Errorf("the controller has made %d machines of one host", len(out.Machines))
	}
	return out.Machines[0], nil
}

// HostScript is what brings up the host of a machine, run as root there. It holds a secret.
func (m Model) HostScript(ctx context.Context, id state.MachineID) ([]byte, error) {
	var out userapi.HostScript
	err := m.do(ctx, call{route: userapi.HostScriptRoute, path: []string{string(id)}}, &out)
	return []byte(out.Script), err
}

// RemoveMachine removes a machine.
func (m Model) RemoveMachine(ctx context.Context, id state.MachineID, r Removal) ([]string, error) {
	return m.remove(ctx, userapi.RemoveMachineRoute, string(id), r)
}

// MachineShell is how to open a shell on the machine.
func (m Model) MachineShell(ctx context.Context, id state.MachineID) (userapi.Shell, error) {
	var out userapi.Shell
	return out, m.do(ctx, call{route: userapi.MachineShellRoute, path: []string{string(id)}}, &out)
}

// Actions is what the application's charm can be asked to run.
func (m Model) Actions(ctx context.Context, a state.ApplicationName) (map[string]charm.Action, error) {
	var out map[string]charm.Action
	return out, m.do(ctx, call{route: userapi.ActionsRoute, path: []string{string(a)}}, &out)
}
