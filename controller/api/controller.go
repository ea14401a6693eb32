package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// health is for whoever watches over the controller: it answers when the tree does.
func health(ctx context.Context, s *Server, _ *request) (any, error) {
	if _, err := s.Store.Get(ctx, state.ControllersPath); err != nil {
		return nil, &userapi.Error{Code: userapi.Unavailable, Message: "the tree cannot be read: " + err.Error()}
	}
	return map[string]string{"status": "ok", "version": version.Grigri}, nil
}

func showController(ctx context.Context, s *Server, q *request) (any, error) {
	rec, err := state.Read[state.Controller](ctx, s.Store, state.ControllersPath)
	if err != nil {
		return nil, fmt.Errorf("read the controller: %w", err)
	}
	c := rec.Value
	out := userapi.Controller{UUID: c.UUID, Name: c.Name, Cloud: c.Cloud, Region: c.Region, Version: version.Juju, CA: c.CA,
		Addresses: s.Addresses.API, User: q.user.Name, Superuser: q.user.Superior, Created: c.Created, Format: c.Format, Build: s.Build, Leader: s.Leads != nil && s.Leads(),
		Release: version.Grigri, Arch: runtime.GOARCH}
	if s.Programs != nil && q.user.Superior {
		out.Upgrade = s.Programs.Last()
	}
	models, err := s.models(ctx, q.user)
	if err != nil {
		return nil, err
	}
	out.Models = len(models)
	for _, m := range models {
		ids, err := state.ChildrenIf(ctx, s.Store, m.UUID.MachinesPath())
		if err != nil {
			return nil, err
		}
		out.Machines += len(ids)
	}
	return out, nil
}

// models is every model that the user may see, by owner and name.
func (s *Server) models(ctx context.Context, user state.User) ([]state.Model, error) {
	ids, err := s.Store.Children(ctx, state.ModelsPath)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var out []state.Model
	for _, id := range ids {
		m, err := s.readModel(ctx, state.ModelID(id))
		if err != nil {
			return nil, fmt.Errorf("list models: %w", err)
		}
		if m != nil && (user.Superior || m.Owner == user.Name) {
			out = append(out, *m)
		}
	}
	slices.SortFunc(out, func(a, b state.Model) int { return strings.Compare(a.Owner+"/"+a.Name, b.Owner+"/"+b.Name) })
	return out, nil
}

// destroyController destroys all models but the controllers' own. It is refused while there are some and the user has not said
// that they may go.
func destroyController(ctx context.Context, s *Server, q *request) (any, error) {
	how, err := q.ending()
	if err != nil {
		return nil, err
	}
	models, err := s.models(ctx, q.user)
	if err != nil {
		return nil, err
	}
	var names, effects []string
	for _, m := range models {
		if m.Name != state.ControllerModel {
			names = append(names, m.Owner+"/"+m.Name)
			effects = append(effects, "will remove model "+m.Owner+"/"+m.Name)
		}
	}
	if len(names) > 0 && !q.flag("all-models") {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf(
			"the controller has %d model(s): %s: destroy them first, or give --destroy-all-models", len(names), strings.Join(names, ", "))}
	}
	if q.flag("dry-run") {
		return userapi.Removal{Effects: effects}, nil
	}
	how.Release = q.flag("release-storage")
	for _, m := range models { // before any of them begins to go
		if how.Destroy || how.Release || m.Life != state.Alive {
			continue
		}
		if err := state.KeepsNothing(ctx, s.Store, m.UUID); err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	for _, m := range models {
		if m.Name == state.ControllerModel {
			continue
		}
		_, err := once(ctx, s, q, m.UUID, "."+string(m.UUID), func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Model, error) {
			return state.DestroyModel(ctx, r, m.UUID, by, how, false)
		})
		var missing *state.NotFoundError
		if err != nil && !errors.As(err, &missing) {
			return nil, fmt.Errorf("destroy model %s: %w", m.Name, err)
		}
	}
	return userapi.Removal{Effects: effects}, nil
}

func stopController(ctx context.Context, s *Server, q *request) (any, error) {
	if s.Stop == nil {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: "this controller can only be stopped where it was started"}
	}
	models, err := s.models(ctx, q.user)
	if err != nil {
		return nil, err
	}
	if n := slices.IndexFunc(models, func(m state.Model) bool { return m.Name != state.ControllerModel }); n >= 0 && !q.flag("force") {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("model %s is still there: wait until it has gone", models[n].Name)}
	}
	s.Stop()
	return nil, nil
}

func listModels(ctx context.Context, s *Server, q *request) (any, error) {
	models, err := s.models(ctx, q.user)
	if err != nil {
		return nil, err
	}
	out := make([]userapi.Model, 0, len(models))
	for _, m := range models {
		info, err := s.modelInfo(ctx, m)
		switch {
		case errors.Is(err, state.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			out = append(out, info)
		}
	}
	return out, nil
}

func showModel(ctx context.Context, s *Server, q *request) (any, error) {
	return s.modelInfo(ctx, q.model)
}

func (s *Server) modelInfo(ctx context.Context, m state.Model) (userapi.Model, error) {
	out := userapi.Model{UUID: m.UUID, Name: m.Name, Owner: m.Owner, Cloud: m.Cloud, Region: m.Region, Credential: string(m.Credential), Life: m.Life.Word(),
		Status: "available", Since: m.Created, Access: "admin", Version: version.Juju, MachineCores: map[state.MachineID]int{}}
	cloud, err := state.ReadIf[provider.Cloud](ctx, s.Store, state.CloudPath(m.Cloud))
	if err != nil {
		return out, fmt.Errorf("read model %s: %w", m.Name, err)
	}
	out.CloudType = cloud.Value.Type
	if m.Life != state.Alive { // what it waits for is to be found out
		snapshot, _, err := s.views.Read(ctx, m.UUID)
		if err != nil {
			return out, err
		}
		info := status.Build(snapshot, s.Now()).Status.Model.Status
		out.Status, out.Message = info.Current, info.Message
	}
	for path, n := range map[string]*int{m.UUID.ApplicationsPath(): &out.Applications, m.UUID.UnitsPath(): &out.Units} {
		node, err := s.Store.Get(ctx, path)
		if err != nil {
			return out, fmt.Errorf("read model %s: %w", m.Name, err)
		}
		*n = node.Children
	}
	ids, err := state.MachinesOf(ctx, s.Store, m.UUID)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		cores, err := s.cores(ctx, m.UUID, id)
		if err != nil {
			return out, fmt.Errorf("read model %s: %w", m.Name, err)
		}
		out.MachineCores[id] = cores
		if !id.IsContainer() { // it has its host's
			out.Cores += cores
		}
	}
	return out, nil
}

// cores is how many cores the machine has: as it says itself, or as the provider says.
func (s *Server) cores(ctx context.Context, m state.ModelID, id state.MachineID) (int, error) {
	report, err := state.ReadIf[state.MachineReport](ctx, s.Store, m.MachineReportPath(id))
	if err != nil || report.Value.Hardware.Cores > 0 {
		return report.Value.Hardware.Cores, err
	}
	instance, err := state.ReadIf[state.Instance](ctx, s.Store, m.InstancePath(id))
	return instance.Value.Hardware.Cores, err
}

func createModel(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.CreateModel
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if want.Owner == "" {
		want.Owner = q.user.Name
	}
	owner, err := state.ReadIf[state.User](ctx, s.Store, state.UserPath(want.Owner))
	if err != nil {
		return nil, err
	}
	if !owner.Exists() {
		return nil, notFound("user", want.Owner)
	}
	config, _, err := checkModelConfig(want.Config)
	if err != nil {
		return nil, err
	}
	place, err := s.place(ctx, q.user, want)
	if err != nil {
		return nil, err
	}
	cloud, err := s.cloud(ctx, place.Cloud)
	if err == nil {
		err = s.reachable(cloud)
	}
	if err != nil {
		return nil, err
	}
	n := state.NewModel{UUID: NewModelID(), Name: want.Name, Owner: want.Owner, Cloud: place.Cloud, Region: place.Region, Credential: place.Credential,
		Config: config, Addresses: s.Addresses}
	model, err := once(ctx, s, q, n.UUID, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Model, error) {
		return state.AddModel(ctx, r, by, n)
	})
	if err != nil {
		return nil, err
	}
	return s.modelInfo(ctx, model)
}

// NewModelID is a random UUID, RFC 9562 version 4.
func NewModelID() state.ModelID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return state.ModelID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

func destroyModel(ctx context.Context, s *Server, q *request) (any, error) {
	how, err := q.ending()
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	how.Release = q.flag("release-storage") || q.flag("dry-run")
	snapshot, _, err := s.views.Read(ctx, m)
	if err != nil {
		return nil, err
	}
	_, err = change(ctx, s, q, m, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Model, error) {
		return state.DestroyModel(ctx, r, m, by, how, false)
	})
	effects := []string{"will remove model " + q.model.Owner + "/" + q.model.Name}
	for _, a := range sortedKeys(snapshot.Applications) {
		effects = append(effects, "- will remove application "+string(a))
	}
	for _, u := range sortedKeys(snapshot.Units) {
		effects = append(effects, "- will remove unit "+string(u))
	}
	for _, id := range sortedKeys(snapshot.Machines) {
		effects = append(effects, "- will remove machine "+string(id))
	}
	for _, id := range sortedKeys(snapshot.Storage) {
		word := "remove"
		if q.flag("release-storage") && snapshot.Storage[id].Persistent {
			word = "release"
		}
		effects = append(effects, "- will "+word+" storage "+string(id))
	}
	return userapi.Removal{Effects: effects}, err
}

// sortedKeys is the names in a map in the order that people count in.
func sortedKeys[K ~string, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b K) int { return status.CompareNatural(string(a), string(b)) })
	return out
}
