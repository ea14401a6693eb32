package client

import (
	"context"
	"net/url"
	"strings"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// Deploy makes an application and its units of a charm that has been uploaded.
func (m Model) Deploy(ctx context.Context, d userapi.Deploy) (userapi.Deployed, error) {
	var out userapi.Deployed
	return out, m.do(ctx, call{route: userapi.DeployRoute, body: d}, &out)
}

// Application is the application.
func (m Model) Application(ctx context.Context, a state.ApplicationName) (userapi.Application, error) {
	var out userapi.Application
	return out, m.app(ctx, userapi.ApplicationRoute, a, nil, &out)
}

// RemoveApplication removes the application and its units.
func (m Model) RemoveApplication(ctx context.Context, a state.ApplicationName, r Removal) ([]string, error) {
	return m.remove(ctx, userapi.RemoveApplicationRoute, string(a), r)
}

// ApplicationConfig is the application's settings.
func (m Model) ApplicationConfig(ctx context.Context, a state.ApplicationName) (userapi.Config, error) {
	var out userapi.Config
	return out, m.app(ctx, userapi.ConfigRoute, a, nil, &out)
}

// SetApplicationConfig changes the application's settings. Values are text, typed by the charm's options.
func (m Model) SetApplicationConfig(ctx context.Context, a state.ApplicationName, s userapi.Settings) error {
	return m.app(ctx, userapi.SetConfigRoute, a, s, nil)
}

// ApplicationConstraints is what machines of new units must have.
func (m Model) ApplicationConstraints(ctx context.Context, a state.ApplicationName) (provider.Constraints, error) {
	var out provider.Constraints
	return out, m.app(ctx, userapi.AppConstraintsRoute, a, nil, &out)
}

// SetApplicationConstraints replaces the application's constraints.
func (m Model) SetApplicationConstraints(ctx context.Context, a state.ApplicationName, c provider.Constraints) error {
	return m.app(ctx, userapi.SetAppConstraintsRoute, a, c, nil)
}

// Refresh gives the application another charm.
func (m Model) Refresh(ctx context.Context, a state.ApplicationName, r userapi.Refresh) (userapi.Refreshed, error) {
	var out userapi.Refreshed
	return out, m.app(ctx, userapi.RefreshRoute, a, r, &out)
}

// Expose opens the application's ports to the world.
func (m Model) Expose(ctx context.Context, a state.ApplicationName, e userapi.Expose) error {
	return m.app(ctx, userapi.ExposeRoute, a, e, nil)
}

// Unexpose closes the application's ports again: those of the endpoints, or all.
func (m Model) Unexpose(ctx context.Context, a state.ApplicationName, endpoints ...string) error {
	k := call{route: userapi.UnexposeRoute, path: []string{string(a)}, query: url.Values{"endpoint": endpoints}}
	return m.do(ctx, k, nil)
}

// Trust gives the application the cloud's credentials, or takes them.
func (m Model) Trust(ctx context.Context, a state.ApplicationName, trust bool) error {
	return m.app(ctx, userapi.TrustRoute, a, userapi.Trust{Trust: trust}, nil)
}

// AddUnits makes units of the application.
func (m Model) AddUnits(ctx context.Context, a state.ApplicationName, u userapi.AddUnits) ([]state.UnitName, error) {
	var out userapi.Added
	err := m.app(ctx, userapi.AddUnitsRoute, a, u, &out)
	return out.Units, err
}

// Unit is the unit, with its relations.
func (m Model) Unit(ctx context.Context, u state.UnitName) (userapi.Unit, error) {
	var out userapi.Unit
	return out, m.do(ctx, call{route: userapi.UnitRoute, path: []string{u.Node()}}, &out)
}

// RemoveUnit removes the unit.
func (m Model) RemoveUnit(ctx context.Context, u state.UnitName, r Removal) ([]string, error) {
	return m.remove(ctx, userapi.RemoveUnitRoute, u.Node(), r)
}

// UnitShell is how to open a shell where the unit is: "web/0" or "web/leader".
func (m Model) UnitShell(ctx context.Context, unit string) (userapi.Shell, error) {
	var out userapi.Shell
	return out, m.do(ctx, call{route: userapi.UnitShellRoute, path: []string{strings.ReplaceAll(unit, "/", "-")}}, &out)
}

// UnitDebug is how to debug the unit: "web/0" or "web/leader".
func (m Model) UnitDebug(ctx context.Context, unit string) (userapi.Debug, error) {
	var out userapi.Debug
	return out, m.do(ctx, call{route: userapi.UnitDebugRoute, path: []string{strings.ReplaceAll(unit, "/", "-")}}, &out)
}

// Resolve answers the failed hooks of units, and returns the units that were told.
func (m Model) Resolve(ctx context.Context, r userapi.Resolve) ([]state.UnitName, error) {
	var out userapi.Resolved
	err := m.do(ctx, call{route: userapi.ResolveRoute, body: r}, &out)
	return out.Units, err
}

func (m Model) app(ctx context.Context, route string, a state.ApplicationName, body, out any) error {
	return m.do(ctx, call{route: route, path: []string{string(a)}, body: body}, out)
}
