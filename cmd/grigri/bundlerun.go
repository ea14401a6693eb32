package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/bundle"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// readModel reads what a bundle is compared with.
func readModel(ctx context.Context, m client.Model) (bundle.Model, error) {
	out := bundle.Model{Applications: map[string]bundle.Deployed{}, Machines: map[string]bundle.Host{}}
	report, err := m.Status(ctx)
	if err != nil {
		return out, err
	}
	annotations, err := m.Annotations(ctx)
	if err != nil {
		return out, err
	}
	if err := addMachines(out.Machines, report.Status.Machines, annotations.Machines); err != nil {
		return out, err
	}
	for name, s := range report.Status.Applications {
		if s.Life == "dying" {
			continue // a bundle wants what stays
		}
		a, err := readApplication(ctx, m, name, s)
		if err != nil {
			return out, err
		}
		a.Annotations = annotations.Applications[name]
		out.Applications[string(name)] = a
	}
	relations, err := m.Relations(ctx)
	if err != nil {
		return out, err
	}
	for _, r := range relations {
		if len(r.Endpoints) == 2 && r.Life == state.Alive {
			out.Relations = append(out.Relations, bundle.Relation{r.Endpoints[0].String(), r.Endpoints[1].String()})
		}
	}
	return out, nil
}

func addMachines(out map[string]bundle.Host, machines map[state.MachineID]status.Machine, annotations map[state.MachineID]map[string]string) error {
	for id, machine := range machines {
		c, err := provider.ParseConstraints(machine.Constraints)
		if err != nil {
			return fmt.Errorf("read machine %s: %w", id, err)
		}
		out[string(id)] = bundle.Host{Constraints: c, Annotations: annotations[id]}
		if err := addMachines(out, machine.Containers, annotations); err != nil {
			return err
		}
	}
	return nil
}

func readApplication(ctx context.Context, m client.Model, name state.ApplicationName, s status.Application) (bundle.Deployed, error) {
	shown, err := m.Application(ctx, name)
	if err != nil {
		return bundle.Deployed{}, err
	}
	config, err := m.ApplicationConfig(ctx, name)
	if err != nil {
		return bundle.Deployed{}, err
	}
	constraints, err := m.ApplicationConstraints(ctx, name)
	if err != nil {
		return bundle.Deployed{}, err
	}
	a := bundle.Deployed{Charm: shown.Charm.URL(), Hash: shown.Charm.SHA256, Base: shown.Base.String(), Subordinate: !shown.Principal,
		Options: map[string]string{}, Constraints: constraints.String(), Expose: shown.Exposed, Trust: shown.Trust,
		Storage: shown.Storage, Resources: shown.Resources}
	for k, o := range config.Settings {
		if o.Source == "user" {
			a.Options[k] = fmt.Sprint(o.Value)
		}
	}
	for ep, e := range shown.Endpoints {
		if ep == "" && len(shown.Endpoints) == 1 && openToAll(e) {
			continue // all endpoints to everyone is what expose alone says
		}
		if a.Endpoints == nil {
			a.Endpoints = map[string]*bundle.ExposedEndpoint{}
		}
		a.Endpoints[ep] = &bundle.ExposedEndpoint{CIDRs: e.CIDRs, Spaces: e.Spaces}
	}
	if shown.Principal {
		for _, u := range slices.SortedFunc(maps.Keys(s.Units), state.CompareUnits) {
			a.Units = append(a.Units, bundle.Placed{Unit: string(u), Machine: string(s.Units[u].Machine)})
		}
	}
	return a, nil
}

// openToAll says that an exposed endpoint is open to everyone.
func openToAll(e state.ExposedEndpoint) bool {
	for _, cidr := range e.CIDRs {
		if cidr != "0.0.0.0/0" && cidr != "::/0" {
			return false
		}
	}
	return len(e.Spaces) == 0
}

// A bundleRun carries out the changes of a bundle's deployment.
type bundleRun struct {
	c        *cli
	m        client.Model
	local    map[string]localCharm // by application
	trust    bool
	force    bool
	machines map[string]string // that were made, by the key of the plan
}

func (e *bundleRun) machine(ref bundle.MachineRef) string {
	if ref.Key != "" {
		return e.machines[ref.Key]
	}
	return ref.ID
}

func (e *bundleRun) do(ctx context.Context, change bundle.Change) error {
	switch c := change.(type) {
	case bundle.Upload:
		_, err := e.local[c.Application].upload(ctx, e.m)
		return err
	case bundle.AddMachine:
		return e.addMachine(ctx, c)
	case bundle.Deploy:
		return e.deploy(ctx, c)
	case bundle.Refresh:
		files := e.local[c.Name].resources
		if err := e.c.uploadResources(ctx, e.m, files); err != nil {
			return err
		}
		_, err := e.m.Refresh(ctx, state.ApplicationName(c.Name), userapi.Refresh{Charm: e.charm(c.Name, c.Path), Force: e.force, Resources: choicesOf(files)})
		return err
	case bundle.SetOptions:
		return e.m.SetApplicationConfig(ctx, state.ApplicationName(c.Name), userapi.Settings{Set: c.Options})
	case bundle.SetConstraints:
		wanted, err := provider.ParseConstraints(c.Constraints)
		if err != nil {
			return err
		}
		return e.m.SetApplicationConstraints(ctx, state.ApplicationName(c.Name), wanted)
	case bundle.Expose:
		return e.expose(ctx, c)
	case bundle.Trust:
		return e.m.Trust(ctx, state.ApplicationName(c.Name), true)
	case bundle.Annotate:
		if c.Application != "" {
			return e.m.Annotate(ctx, state.Annotations{Applications: map[state.ApplicationName]map[string]string{state.ApplicationName(c.Application): c.Annotations}})
		}
		return e.m.Annotate(ctx, state.Annotations{Machines: map[state.MachineID]map[string]string{state.MachineID(e.machine(c.Machine)): c.Annotations}})
	case bundle.AddRelation:
		_, err := e.m.Integrate(ctx, c.Relation[0], c.Relation[1])
		return err
	case bundle.AddUnit:
		_, err := e.m.AddUnits(ctx, state.ApplicationName(c.Application), userapi.AddUnits{N: 1, To: []string{e.machine(c.To)}})
		return err
	}
	return fmt.Errorf("no way is known to do this")
}

// charm names the charm of an application to the controller: by its hash, or as the model does.
func (e *bundleRun) charm(application, path string) string {
	if l := e.local[application]; l.hash != "" {
		return l.hash
	}
	return path
}

func (e *bundleRun) addMachine(ctx context.Context, c bundle.AddMachine) error {
	wanted, err := provider.ParseConstraints(c.Constraints)
	if err != nil {
		return err
	}
	add := userapi.AddMachines{N: 1, Base: c.Base, Constraints: wanted}
	if c.Container != "" {
		add.Placement = c.Container + ":" + e.machine(c.On)
	}
	made, err := e.m.AddMachines(ctx, add)
	if err == nil && len(made) == 1 {
		e.machines[c.Key] = string(made[0])
	}
	return err
}

func (e *bundleRun) deploy(ctx context.Context, c bundle.Deploy) error {
	settings, err := c.Application.Settings()
	if err != nil {
		return err
	}
	wanted, err := provider.ParseConstraints(c.Constraints)
	if err != nil {
		return err
	}
	files := e.local[c.Name].resources
	if err := e.c.uploadResources(ctx, e.m, files); err != nil {
		return err
	}
	_, err = e.m.Deploy(ctx, userapi.Deploy{Name: state.ApplicationName(c.Name), Charm: e.charm(c.Name, c.Charm), Config: settings, Base: c.Base,
		Constraints: wanted, Trust: c.Application.Trust && e.trust, Force: e.force, Resources: choicesOf(files),
		Storage: c.Application.Storage})
	return err
}

func (e *bundleRun) expose(ctx context.Context, c bundle.Expose) error {
	name := state.ApplicationName(c.Name)
	if len(c.Endpoints) == 0 {
		return e.m.Expose(ctx, name, userapi.Expose{})
	}
	for _, ep := range slices.Sorted(maps.Keys(c.Endpoints)) {
		want := userapi.Expose{}
		if ep != "" {
			want.Endpoints = []string{ep}
		}
		if given := c.Endpoints[ep]; given != nil {
			for _, space := range given.Spaces {
				if space != "alpha" {
					return fmt.Errorf("space %q not found: there is only the space alpha", space)
				}
			}
			want.CIDRs = slices.Clone(given.CIDRs)
		}
		if err := e.m.Expose(ctx, name, want); err != nil {
			return fmt.Errorf("endpoint %q: %w", strings.TrimSpace(ep), err)
		}
	}
	return nil
}
