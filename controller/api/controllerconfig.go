package api

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func showControllerConfig(ctx context.Context, s *Server, _ *request) (any, error) {
	controller, err := state.Read[state.Controller](ctx, s.Store, state.ControllersPath)
	if err != nil {
		return nil, fmt.Errorf("read the controller: %w", err)
	}
	config, err := state.ReadIf[state.ControllerConfig](ctx, s.Store, state.ControllerConfigPath)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the controller: %w", err)
	}
	return controllerSettings(controller.Value, s.Addresses, config.Value), nil
}

func setControllerConfig(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.SetControllerConfig
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if err := checkControllerConfig(want.Set); err != nil {
		return nil, err
	}
	return s.ofOwn(ctx, q, func(ctx context.Context, r state.Reader, own state.ModelID, by state.By) (state.Txn, error) {
		return state.SetControllerConfig(ctx, r, own, by, want.Set)
	})
}

// controllerSettings is every setting that controllers have. Those that checkControllerConfig lets nobody set are what they are from the
// making of the controller on.
func controllerSettings(c state.Controller, a state.Addresses, set state.ControllerConfig) map[string]any {
	port := 0
	if len(a.API) > 0 {
		_, text, _ := net.SplitHostPort(a.API[0])
		port, _ = strconv.Atoi(text)
	}
	out := map[string]any{"api-addresses": strings.Join(a.API, ","), "api-port": port, "ca-cert": c.CA, "controller-name": c.Name,
		"controller-uuid": c.UUID, "zookeeper-addresses": strings.Join(a.ZooKeeper, ","),
		state.ModelLogsSize: fmt.Sprintf("%dM", state.DefaultLogSize>>20)}
	for key, value := range set {
		out[key] = value
	}
	return out
}

func isControllerSetting(key string) bool {
	_, ok := controllerSettings(state.Controller{}, state.Addresses{}, nil)[key]
	return ok
}

// checkControllerConfig says whether these settings may be set.
func checkControllerConfig(set map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		switch {
		case key == state.ModelLogsSize:
			n, err := state.ParseSize(set[key])
			if err == nil && n < state.LeastLogSize {
				err = fmt.Errorf("%q is less than %dM", set[key], state.LeastLogSize>>20)
			}
			if err != nil {
				return invalid(fmt.Sprintf("setting %q: %v", key, err))
			}
		case isControllerSetting(key):
			return invalid(fmt.Sprintf("setting %q cannot be changed: it is what it is from the making of the controller on", key))
		default:
			known := slices.Sorted(maps.Keys(controllerSettings(state.Controller{}, state.Addresses{}, nil)))
			return invalid(fmt.Sprintf("%q is not a setting of controllers: those are %s", key, strings.Join(known, ", ")))
		}
	}
	return nil
}

// SplitConfig tells apart, in what a user has said of a new controller, the settings of the controller and those of its own model; or
// says what is wrong with them.
func SplitConfig(set map[string]string) (state.ControllerConfig, state.ModelConfig, error) {
	controller, model := state.ControllerConfig{}, map[string]string{}
	for key, value := range set {
		if isControllerSetting(key) {
			controller[key] = value
		} else {
			model[key] = value
		}
	}
	if err := checkControllerConfig(controller); err != nil {
		return nil, nil, err
	}
	config, _, err := checkModelConfig(model)
	return controller, config, err
}
