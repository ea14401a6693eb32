package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func listClouds(ctx context.Context, s *Server, _ *request) (any, error) {
	names, err := s.Store.Children(ctx, state.CloudsPath)
	if err != nil {
		return nil, fmt.Errorf("list clouds: %w", err)
	}
	out := []provider.Cloud{}
	for _, name := range names {
		rec, err := state.ReadIf[provider.Cloud](ctx, s.Store, state.CloudPath(name))
		if err != nil {
			return nil, fmt.Errorf("read cloud %q: %w", name, err)
		}
		if rec.Exists() {
			out = append(out, rec.Value)
		}
	}
	slices.SortFunc(out, func(a, b provider.Cloud) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func showCloud(ctx context.Context, s *Server, q *request) (any, error) {
	return s.cloud(ctx, q.PathValue("cloud"))
}

func (s *Server) cloud(ctx context.Context, name string) (provider.Cloud, error) {
	if !state.IsCloudName(name) {
		return provider.Cloud{}, notFound("cloud", name)
	}
	rec, err := state.ReadIf[provider.Cloud](ctx, s.Store, state.CloudPath(name))
	if err == nil && !rec.Exists() {
		err = notFound("cloud", name)
	}
	return rec.Value, err
}

func addCloud(ctx context.Context, s *Server, q *request) (any, error) {
	return s.editCloud(ctx, q, state.AddCloud)
}

func updateCloud(ctx context.Context, s *Server, q *request) (any, error) {
	return s.editCloud(ctx, q, state.UpdateCloud)
}

func (s *Server) editCloud(ctx context.Context, q *request, edit func(context.Context, state.Reader, state.ModelID, state.By, provider.Cloud) (state.Txn, error)) (any, error) {
	var want provider.Cloud
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if name := q.PathValue("cloud"); name != "" && name != want.Name {
		return nil, invalid(fmt.Sprintf("the cloud is called %q here and %q there", name, want.Name))
	}
	return s.ofOwn(ctx, q, func(ctx context.Context, r state.Reader, own state.ModelID, by state.By) (state.Txn, error) {
		return edit(ctx, r, own, by, want)
	})
}

func removeCloud(ctx context.Context, s *Server, q *request) (any, error) {
	name := q.PathValue("cloud")
	if strings.Contains(name, "/") {
		return nil, notFound("cloud", name)
	}
	controller, err := state.Read[state.Controller](ctx, s.Store, state.ControllersPath)
	if err != nil {
		return nil, err
	}
	if controller.Value.Cloud == name {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("cloud %q is where the controller is", name)}
	}
	return s.ofOwn(ctx, q, func(ctx context.Context, r state.Reader, own state.ModelID, by state.By) (state.Txn, error) {
		return state.RemoveCloud(ctx, r, own, by, name)
	})
}

// ofOwn makes a change that belongs to no model: the history of the controllers' own has it.
func (s *Server) ofOwn(ctx context.Context, q *request, decide edit) (any, error) {
	own, err := s.ownModel(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.alter(ctx, q, own, "", decide)
}

// ownModel is the model of the controllers themselves.
func (s *Server) ownModel(ctx context.Context) (state.ModelID, error) {
	models, err := s.models(ctx, state.User{Superior: true})
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(models, func(m state.Model) bool { return m.Name == state.ControllerModel })
	if i < 0 {
		return "", fmt.Errorf("the model %q of the controllers is not there", state.ControllerModel)
	}
	return models[i].UUID, nil
}

// credentialName is the credential that the user means by a name: his own, or as a superuser another's.
func credentialName(user state.User, text string) (state.CredentialName, error) {
	owner, name, ok := strings.Cut(text, "/")
	if !ok {
		owner, name = user.Name, text
	}
	if owner != user.Name && !user.Superior || name == "" || strings.ContainsAny(name+owner, "/+") {
		return "", notFound("credential", text)
	}
	return state.NewCredentialName(owner, name), nil
}

func listCredentials(ctx context.Context, s *Server, q *request) (any, error) {
	only, secrets := q.URL.Query(), q.flag("secrets")
	clouds, err := s.Store.Children(ctx, state.CloudsPath)
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	models, err := s.models(ctx, state.User{Superior: true})
	if err != nil {
		return nil, err
	}
	slices.Sort(clouds)
	out := []userapi.Credential{}
	for _, cloud := range clouds {
		if want := only.Get("cloud"); want != "" && want != cloud {
			continue
		}
		nodes, err := state.ChildrenIf(ctx, s.Store, state.CloudPath(cloud))
		if err != nil {
			return nil, fmt.Errorf("list credentials: %w", err)
		}
		slices.Sort(nodes)
		for _, node := range nodes {
			name := state.CredentialName(strings.Replace(node, "+", "/", 1))
			owner, short := name.Split()
			if want := only.Get("credential"); owner != q.user.Name || want != "" && want != short {
				continue
			}
			c, err := s.credential(ctx, cloud, name, secrets)
			if err != nil {
				return nil, err
			}
			for _, m := range models {
				if m.Cloud == cloud && m.Credential == name {
					c.Models = append(c.Models, m.Owner+"/"+m.Name)
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *Server) credential(ctx context.Context, cloud string, name state.CredentialName, secrets bool) (userapi.Credential, error) {
	owner, short := name.Split()
	out := userapi.Credential{Cloud: cloud, Owner: owner}
	rec, err := state.Read[state.SealedCredential](ctx, s.Store, state.CredentialPath(cloud, name))
	if err != nil {
		return out, fmt.Errorf("read credential %q for cloud %q: %w", short, cloud, err)
	}
	out.Credential, out.Updated = provider.Credential{Name: short, AuthType: rec.Value.AuthType}, rec.Value.Updated
	if secrets {
		out.Credential, err = rec.Value.Open(s.Key, cloud)
	}
	return out, err
}

func putCredential(ctx context.Context, s *Server, q *request) (any, error) {
	var want provider.Credential
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	cloud := q.PathValue("cloud")
	name, err := credentialName(q.user, q.PathValue("credential"))
	if err != nil {
		return nil, err
	}
	if strings.Contains(cloud, "/") {
		return nil, notFound("cloud", cloud)
	}
	owner, short := name.Split()
	if want.Name != short {
		return nil, invalid(fmt.Sprintf("the credential is called %q here and %q there", short, want.Name))
	}
	return s.ofOwn(ctx, q, func(ctx context.Context, r state.Reader, own state.ModelID, by state.By) (state.Txn, error) {
		return state.PutCredential(ctx, r, own, by, s.Key, cloud, owner, want)
	})
}

func removeCredential(ctx context.Context, s *Server, q *request) (any, error) {
	cloud := q.PathValue("cloud")
	name, err := credentialName(q.user, q.PathValue("credential"))
	if err != nil {
		return nil, err
	}
	if strings.Contains(cloud, "/") {
		return nil, notFound("cloud", cloud)
	}
	return s.ofOwn(ctx, q, func(ctx context.Context, r state.Reader, own state.ModelID, by state.By) (state.Txn, error) {
		return state.RemoveCredential(ctx, r, own, by, cloud, name, q.flag("force"))
	})
}

func setCredential(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.SetCredential
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	name, err := credentialName(q.user, want.Credential)
	if err != nil {
		return nil, err
	}
	return s.ofModel(ctx, q, func(ctx context.Context, r state.Reader, m state.ModelID, by state.By) (state.Txn, error) {
		return state.SetModelCredential(ctx, r, m, by, name)
	})
}

func retryProvisioning(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.RetryProvisioning
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if len(want.Machines) == 0 && !want.All {
		return nil, invalid("no machine specified")
	}
	m := q.model.UUID
	ids, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, []state.MachineID, error) {
		return state.RetryProvisioning(ctx, r, m, by, want.Machines, want.All)
	})
	return userapi.AddedMachines{Machines: ids}, err
}

// place is where a new model goes: the cloud and the region that the user says, or the controllers' own; as the credential that he
// says, the one that he has for the cloud, or that of the controllers' model if it is there.
func (s *Server) place(ctx context.Context, user state.User, want userapi.CreateModel) (state.Place, error) {
	controller, err := state.Read[state.Controller](ctx, s.Store, state.ControllersPath)
	if err != nil {
		return state.Place{}, fmt.Errorf("read the controller: %w", err)
	}
	p := state.Place{Cloud: want.Cloud, Region: want.Region}
	if p.Cloud == "" {
		p.Cloud = controller.Value.Cloud
	}
	cloud, err := s.cloud(ctx, p.Cloud)
	if err != nil {
		return p, err
	}
	if p.Region == "" && p.Cloud == controller.Value.Cloud {
		p.Region = controller.Value.Region
	}
	if p.Region, err = state.RegionOf(cloud, p.Region); err != nil {
		return p, err
	}
	if want.Credential != "" {
		p.Credential, err = credentialName(user, want.Credential)
		return p, err
	}
	own, err := s.ownModel(ctx)
	if err != nil {
		return p, err
	}
	m, err := s.readModel(ctx, own)
	if err != nil {
		return p, err
	}
	if m != nil && m.Cloud == p.Cloud && user.Superior {
		p.Credential = m.Credential
		return p, nil
	}
	nodes, err := state.ChildrenIf(ctx, s.Store, state.CloudPath(p.Cloud))
	if err != nil {
		return p, err
	}
	var his []string
	for _, node := range nodes {
		if owner, name, _ := strings.Cut(node, "+"); owner == user.Name {
			his = append(his, name)
		}
	}
	switch {
	case len(his) == 1:
		p.Credential = state.NewCredentialName(user.Name, his[0])
	case len(his) > 1:
		return p, invalid(fmt.Sprintf("more than one credential is there for cloud %q: choose one with --credential: %s", p.Cloud, strings.Join(his, ", ")))
	}
	return p, nil
}

// reachable says why machines of the cloud could not reach the controllers.
func (s *Server) reachable(cloud provider.Cloud) error {
	if cloud.Type == localCloud {
		return nil
	}
	for _, a := range s.Addresses.API {
		if !strings.HasPrefix(a, "127.") && !strings.HasPrefix(a, "[::1]") && !strings.HasPrefix(a, "localhost:") {
			return nil
		}
	}
	return &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf(
		"machines in cloud %q could not reach this controller, which only has addresses of its own host: %s: bootstrap a controller in that cloud", cloud.Name, strings.Join(s.Addresses.API, ", "))}
}

// localCloud is the type of the cloud whose machines are on the controller's host.
const localCloud = "local"
