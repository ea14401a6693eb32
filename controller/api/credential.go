package api

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// credential is how the model's cloud is reached, for a unit whose application the user trusts.
func credential(ctx context.Context, s *Server, q *request) (any, error) {
	u, _, err := s.ownUnit(ctx, q)
	if err != nil {
		return nil, err
	}
	m := q.machineOf
	app, err := state.ReadIf[state.Application](ctx, s.Store, m.ApplicationPath(u.Application()))
	if err != nil {
		return nil, err
	}
	if !app.Value.Trust {
		return nil, &userapi.Error{Code: userapi.Forbidden, Message: fmt.Sprintf("application %q is not trusted: see \"trust\"", u.Application())}
	}
	model, err := state.Read[state.Model](ctx, s.Store, m.Path())
	if err != nil {
		return nil, err
	}
	spec, err := state.ReadSpec(ctx, s.Store, s.Key, model.Value.Place())
	if err != nil {
		return nil, err
	}
	controller, err := state.Read[state.Controller](ctx, s.Store, state.ControllersPath)
	if err != nil {
		return nil, err
	}
	s.Log.Info("a unit has been given the credential of its cloud", "model", m, "unit", u, "cloud", model.Value.Place().String())
	return hooks.CloudSpec{Type: spec.Cloud.Type, Name: spec.Cloud.Name, Region: spec.Region, Endpoint: spec.Endpoint(), AuthType: spec.Credential.AuthType,
		Attributes: spec.Credential.Attributes, CACertificates: spec.Cloud.CACertificates, ControllerCloud: controller.Value.Cloud == spec.Cloud.Name}, nil
}
