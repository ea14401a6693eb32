package api

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// mayContain refuses containers on machines that cannot have any: those whose provider says so. Hosts that users have added can.
func (s *Server) mayContain(ctx context.Context, model state.Model, c provider.Constraints, placements ...string) error {
	wants := ""
	if _, boxed := state.WantsContainer(c); boxed {
		wants = "constraint container=" + state.LXD
	}
	for _, text := range placements {
		p, err := state.ParsePlacement(text)
		if err != nil || !p.Container {
			continue // what is wrong with it is told by whoever reads it
		}
		if p.Machine != "" {
			host, err := state.ReadIf[state.Machine](ctx, s.Store, model.UUID.MachinePath(p.Machine))
			if err != nil {
				return err
			}
			if !host.Exists() || host.Value.Manual != "" {
				continue
			}
		}
		wants = fmt.Sprintf("placement %q", text)
	}
	if wants == "" {
		return nil
	}
	p, err := s.Providers(ctx, model.Place())
	if err != nil {
		return err
	}
	if shared, ok := p.(provider.Sharer); ok {
		return &userapi.Error{Code: userapi.BadRequest, Message: fmt.Sprintf("%s: machines of the cloud %q cannot have containers: %s", wants, model.Cloud, shared.Shares())}
	}
	return nil
}

// containerShell is how to open a shell in a container: from its host, whose shell is opened first.
func (s *Server) containerShell(ctx context.Context, model state.Model, id state.MachineID, instance provider.InstanceID) (userapi.Shell, error) {
	host, _ := id.Host()
	out, err := s.shell(ctx, model, host)
	if err != nil {
		return out, err
	}
	out.Machine = id
	out.Inside = []string{"lxc", "--force-local", "exec", string(instance), "--", "/bin/bash"}
	return out, nil
}
