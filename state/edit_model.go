package state

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/grigri/grigri/provider"
)

// ControllerModel is the name of the model that holds the controllers themselves.
const ControllerModel = "controller"

// A Founding is what a new controller begins with.
type Founding struct {
	Controller Controller
	Admin      User
	Model      NewModel    // the controllers' own; Name and Owner are filled in
	Defaults   ModelConfig // of all models in the controllers' own cloud
	Settings   ControllerConfig

	Cloud      provider.Cloud    // the controllers' own; zero: one that is of the type that its name is
	Credential *SealedCredential // of the first user for it; nil: it needs none
}

// Bootstrap makes the tree: the roots, the controller, its first user and its own model.
func Bootstrap(ctx context.Context, r Reader, by By, f Founding) (Txn, error) {
	var t Txn
	have, err := ReadIf[Controller](ctx, r, ControllersPath)
	if err != nil {
		return t, fmt.Errorf("bootstrap controller %q: %w", f.Controller.Name, err)
	}
	if have.Exists() {
		return t, &ExistsError{Kind: "controller", Name: have.Value.Name}
	}
	f.Controller.Format = FormatNumber
	for _, path := range Roots() {
		if path == ControllersPath {
			t.Create(path, f.Controller)
		} else {
			t.Create(path, nil)
		}
	}
	t.Create(UserPath(f.Admin.Name), f.Admin)
	f.Model.Name, f.Model.Owner = ControllerModel, f.Admin.Name
	f.Model.Cloud, f.Model.Region = f.Controller.Cloud, f.Controller.Region
	if f.Cloud.Name == "" {
		f.Cloud = provider.Cloud{Name: f.Controller.Cloud, Type: f.Controller.Cloud}
	}
	if f.Cloud.Name != "" {
		t.Create(CloudPath(f.Cloud.Name), f.Cloud)
	}
	if c := f.Credential; c != nil {
		f.Model.Credential = NewCredentialName(c.Owner, c.Name)
		t.Create(CredentialPath(f.Cloud.Name, f.Model.Credential), c)
	}
	if len(f.Settings) > 0 {
		t.Create(ControllerConfigPath, f.Settings)
	}
	defaults := ModelDefaults{Controller: f.Defaults}
	if len(f.Defaults) > 0 {
		t.Create(DefaultsPath(f.Cloud.Name), defaults)
	}
	f.Model.make(&t, by, defaults)
	by.record(&t, f.Model.UUID, "bootstrap", f.Controller.Name)
	return t, nil
}

// A NewModel is what a model begins with.
type NewModel struct {
	UUID          ModelID // made by the caller, at random
	Name, Owner   string
	Cloud, Region string
	Credential    CredentialName // empty: the cloud needs none
	Config        ModelConfig
	Constraints   provider.Constraints
	Addresses     Addresses
}

var modelName = regexp.MustCompile(`^[a-z0-9]+[a-z0-9-]*$`)

// AddModel makes an empty model.
func AddModel(ctx context.Context, r Reader, by By, n NewModel) (Txn, Model, error) {
	var t Txn
	if !modelName.MatchString(n.Name) {
		return t, Model{}, invalid("%q is not a valid name: model names may only contain lowercase letters, digits and hyphens", n.Name)
	}
	have, err := ReadIf[ModelID](ctx, r, ModelNamePath(n.Owner, n.Name))
	if err != nil {
		return t, Model{}, fmt.Errorf("add model %q: %w", n.Name, err)
	}
	if have.Exists() {
		text := fmt.Sprintf("model %q for %s already exists (already exists)", n.Name, n.Owner)
		return t, Model{}, &ExistsError{Kind: "model", Name: n.Name, Text: text}
	}
	if err := CheckPlace(ctx, r, &t, Place{n.Cloud, n.Region, n.Credential}); err != nil {
		return Txn{}, Model{}, err
	}
	defaults, err := readDefaults(ctx, r, n.Cloud)
	if err != nil {
		return Txn{}, Model{}, fmt.Errorf("add model %q: %w", n.Name, err)
	}
	model := n.make(&t, by, defaults.Value)
	by.record(&t, n.UUID, "add-model", n.Name)
	t.Tell(n.UUID, TicketModel, "")
	return t, model, nil
}

func (n NewModel) make(t *Txn, by By, d ModelDefaults) Model {
	m := n.UUID
	model := Model{UUID: m, Name: n.Name, Owner: n.Owner, Cloud: n.Cloud, Region: n.Region, Credential: n.Credential, Created: by.Now}
	n.Addresses.Name = n.Name
	t.Create(ModelNamePath(n.Owner, n.Name), m)
	t.Create(m.Path(), model)
	config, from := d.Under(n.Config, n.Region)
	t.Create(m.ConfigPath(), config)
	if len(from) > 0 {
		t.Create(m.InheritedPath(), from)
	}
	t.Create(m.ConstraintsPath(), n.Constraints)
	t.Create(m.AddressesPath(), n.Addresses)
	for _, path := range m.Directories() {
		t.Create(path, nil)
	}
	return model
}

// FindModel is the model of this owner and name.
func FindModel(ctx context.Context, r Reader, owner, name string) (ModelID, error) {
	rec, err := Read[ModelID](ctx, r, ModelNamePath(owner, name))
	return rec.Value, missing(err, "model", owner+"/"+name)
}

// DestroyModel begins the end of the model and all in it. The controllers' own goes only when controller is set.
func DestroyModel(ctx context.Context, r Reader, m ModelID, by By, how Ending, controller bool) (Txn, Model, error) {
	var t Txn
	rec, err := Read[Model](ctx, r, m.Path())
	if err != nil {
		return t, Model{}, missing(err, "model", string(m))
	}
	if rec.Value.Name == ControllerModel && !controller {
		return t, Model{}, refused("%q is a controller; use 'juju destroy-controller' to destroy it", rec.Value.Name)
	}
	model := rec.Value
	model.End = how.end(by, model.End)
	if model.End.same(rec.Value.End) {
		return t, model, nil
	}
	if rec.Value.Life == Alive && !how.Destroy && !how.Release {
		if err := keepsNothing(ctx, r, &t, m); err != nil {
			return Txn{}, model, err
		}
	}
	t.Set(m.Path(), model, rec.Version)
	by.record(&t, m, "destroy-model", model.Name)
	t.Tell(m, TicketModel, "")
	return t, model, nil
}

// aliveModel is the model, which must not be going; t holds only while it does not begin to.
func aliveModel(ctx context.Context, r Reader, t *Txn, m ModelID) (Model, error) {
	rec, err := Read[Model](ctx, r, m.Path())
	if err != nil {
		return Model{}, missing(err, "model", string(m))
	}
	if rec.Value.Life != Alive {
		return Model{}, refused("model %q is being destroyed", rec.Value.Name)
	}
	t.Check(m.Path(), rec.Version)
	return rec.Value, nil
}

// SetModelConfig changes settings of the model: those in set get new values, those in reset lose theirs, and are what the
// defaults of the model's cloud say now. Which settings there are, and of which form, is the caller's to check.
func SetModelConfig(ctx context.Context, r Reader, m ModelID, by By, set ModelConfig, reset []string) (Txn, ModelConfig, error) {
	var t Txn
	model, err := Read[Model](ctx, r, m.Path())
	if err != nil {
		return t, nil, missing(err, "model", string(m))
	}
	s, err := readSettings(ctx, r, m)
	if err != nil {
		return t, nil, err
	}
	defaults, err := readDefaults(ctx, r, model.Value.Cloud)
	if err != nil {
		return t, nil, err
	}
	config, from := s.changed(defaults.Value, model.Value.Region, set, reset)
	if maps.Equal(config, s.config.Value) && maps.Equal(from, s.from.Value) {
		return t, config, nil
	}
	t.Set(s.config.Path, config, s.config.Version)
	if !maps.Equal(from, s.from.Value) {
		Put(&t, m.InheritedPath(), s.from, from)
	}
	by.record(&t, m, "model-config", keys(slices.Sorted(maps.Keys(set)), reset))
	t.Tell(m, TicketModel, "")
	return t, config, nil
}

// SetModelConstraints replaces the constraints of the model. They hold for machines that are made from now on.
func SetModelConstraints(ctx context.Context, r Reader, m ModelID, by By, c provider.Constraints) (Txn, error) {
	var t Txn
	rec, err := Read[provider.Constraints](ctx, r, m.ConstraintsPath())
	if err != nil {
		return t, missing(err, "model", string(m))
	}
	if c.String() == rec.Value.String() {
		return t, nil
	}
	t.Set(m.ConstraintsPath(), c, rec.Version)
	by.record(&t, m, "set-model-constraints", c.String())
	return t, nil
}
