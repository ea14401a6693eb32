package api

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func showModelDefaults(ctx context.Context, s *Server, q *request) (any, error) {
	cloud, err := s.cloudOr(ctx, q.URL.Query().Get("cloud"))
	if err != nil {
		return nil, err
	}
	if _, err := s.cloud(ctx, cloud); err != nil {
		return nil, err
	}
	rec, err := state.ReadIf[state.ModelDefaults](ctx, s.Store, state.DefaultsPath(cloud))
	if err != nil {
		return nil, fmt.Errorf("read the defaults of models in cloud %q: %w", cloud, err)
	}
	return modelDefaults(rec.Value), nil
}

func setModelDefaults(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.SetModelDefaults
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	config, warnings, err := checkModelDefaults(want.Set)
	if err != nil {
		return nil, err
	}
	for _, key := range want.Reset {
		if _, both := config[key]; both {
			return nil, invalid(fmt.Sprintf("setting %q cannot be set and reset at once", key))
		}
	}
	cloud, err := s.cloudOr(ctx, want.Cloud)
	if err != nil {
		return nil, err
	}
	_, err = s.ofOwn(ctx, q, func(ctx context.Context, r state.Reader, own state.ModelID, by state.By) (state.Txn, error) {
		return state.SetModelDefaults(ctx, r, own, by, cloud, want.Region, config, want.Reset)
	})
	return userapi.Warnings{Warnings: warnings}, err
}

// cloudOr is the name of the cloud, or if it is empty of the controllers' own.
func (s *Server) cloudOr(ctx context.Context, name string) (string, error) {
	if name != "" && !state.IsCloudName(name) {
		return "", notFound("cloud", name)
	}
	if name != "" {
		return name, nil
	}
	controller, err := state.Read[state.Controller](ctx, s.Store, state.ControllersPath)
	if err != nil {
		return "", fmt.Errorf("read the controller: %w", err)
	}
	return controller.Value.Cloud, nil
}

// CheckModelDefaults is the settings as models inherit them, or what is wrong with them.
func CheckModelDefaults(set map[string]string) (state.ModelConfig, error) {
	config, _, err := checkModelDefaults(set)
	return config, err
}

func checkModelDefaults(set map[string]string) (config state.ModelConfig, warnings []string, err error) {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if isControllerSetting(key) {
			return nil, nil, invalid(fmt.Sprintf("%q is a setting of the controller: models have none of that name", key))
		}
	}
	return checkModelConfig(set)
}

// modelDefaults is all settings that models have with their defaults.
func modelDefaults(d state.ModelDefaults) map[string]userapi.ModelDefault {
	out := map[string]userapi.ModelDefault{}
	known := map[string]setting{}
	for _, s := range settings() {
		known[s.key] = s
		out[s.key] = userapi.ModelDefault{Default: s.value}
	}
	for key, text := range d.Controller {
		it := out[key]
		it.Controller = known[key].shown(text)
		out[key] = it
	}
	for _, region := range slices.Sorted(maps.Keys(d.Regions)) {
		for key, text := range d.Regions[region] {
			it := out[key]
			it.Regions = append(it.Regions, userapi.RegionDefault{Name: region, Value: known[key].shown(text)})
			out[key] = it
		}
	}
	return out
}
