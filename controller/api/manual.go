package api

import (
	"context"
	"fmt"
	"runtime"

	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// addHost makes a machine of a host that its user logs in to himself.
func addHost(ctx context.Context, s *Server, q *request) (any, error) {
	var want state.ManualMachine
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if a := want.Hardware.Arch; a != "" && a != runtime.GOARCH {
		return nil, invalid(fmt.Sprintf("host %s is %s, and the agent that this controller has is for %s", want.Target, a, runtime.GOARCH))
	}
	m := q.model.UUID
	id, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.MachineID, error) {
		return state.AddManualMachine(ctx, r, m, by, s.Key, want)
	})
	return userapi.AddedMachines{Machines: []state.MachineID{id}}, err
}

// hostScript is what brings up the host, with the machine's one-time token in it, until the machine has enrolled.
func hostScript(ctx context.Context, s *Server, q *request) (any, error) {
	id, err := q.machineID()
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	machine, err := state.ReadIf[state.Machine](ctx, s.Store, m.MachinePath(id))
	if err != nil {
		return nil, err
	}
	switch {
	case !machine.Exists():
		return nil, notFound("machine", string(id))
	case machine.Value.Manual == "" || machine.Value.Life != state.Alive:
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("machine %s is not a host to be brought up by its user", id)}
	}
	controller, err := state.Read[state.Controller](ctx, s.Store, state.ControllersPath)
	if err != nil {
		return nil, err
	}
	addresses, err := state.Read[state.Addresses](ctx, s.Store, m.AddressesPath())
	if err != nil {
		return nil, err
	}
	var enrol state.Enrolment
	err = state.Edit(ctx, s.Store, func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
		t, enrol, err = state.OpenEnrolment(ctx, r, m, s.Key, id, s.Now())
		return t, err
	})
	if err != nil {
		return nil, err
	}
	if enrol.KeyHash != "" {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("machine %s has enrolled already", id)}
	}
	return userapi.HostScript{Script: string(initscript.Manual(string(m), string(id), provider.Init{
		Addresses: addresses.Value.API, CA: controller.Value.CA, Token: s.Key.EnrolmentToken(m, id), Expires: enrol.Expires, AgentHash: addresses.Value.AgentHash,
	}))}, nil
}
