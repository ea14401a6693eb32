package controller

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/grigri/grigri/controller/api"
	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// BootstrapConfig says which controller to make.
type BootstrapConfig struct {
	Dir       string // for the controller's files; it exists
	Name      string
	Cloud     string
	Region    string
	Addresses []string          // host:port of its API
	Admin     string            // the first user; "admin" if empty
	Config    map[string]string // settings of the controllers, and of their own model
	Defaults  map[string]string // of all models in Cloud
	Now       time.Time

	UUID       string               // empty: a new one
	Model      state.ModelID        // of the controllers' own model; empty: a new one
	Definition provider.Cloud       // of Cloud; zero: one that is of the type that its name is
	Credential *provider.Credential // of the first user for Cloud; nil: it needs none
	Host       *state.FirstHost     // the machine that the controller is on, if it is one of the model's
}

// A Bootstrapped is all that a user needs to use the new controller.
type Bootstrapped struct {
	UUID      string        `json:"uuid"`
	Name      string        `json:"name"`
	Cloud     string        `json:"cloud"`
	Region    string        `json:"region,omitempty"`
	CA        string        `json:"ca"` // PEM
	Addresses []string      `json:"addresses"`
	User      string        `json:"user"`
	Password  string        `json:"password"` // a secret, kept nowhere else
	Model     state.ModelID `json:"controllerModel"`
	Version   string        `json:"version"`
}

// A founding is what lies in foundingFile.
type founding struct {
	state.Founding
	Host *state.FirstHost `json:"host,omitempty"`
}

const foundingFile = "founding.json" // what is to be the beginning of the tree; it holds no secret but a password's hash

// Bootstrap makes the secrets and the first user of a new controller, and writes down what its tree is to begin with: Run makes the
// tree when it first finds none. So there is nothing to undo but files.
func Bootstrap(c BootstrapConfig) (Bootstrapped, Secrets, error) {
	if c.Admin == "" {
		c.Admin = "admin"
	}
	settings, config, err := api.SplitConfig(c.Config)
	if err != nil {
		return Bootstrapped{}, Secrets{}, err
	}
	defaults, err := api.CheckModelDefaults(c.Defaults)
	if err != nil {
		return Bootstrapped{}, Secrets{}, fmt.Errorf("model defaults: %w", err)
	}
	secrets, err := NewSecrets(c.Name, c.Now)
	if err != nil {
		return Bootstrapped{}, Secrets{}, err
	}
	if c.UUID == "" {
		c.UUID = string(api.NewModelID())
	}
	if c.Model == "" {
		c.Model = api.NewModelID()
	}
	out := Bootstrapped{UUID: c.UUID, Name: c.Name, Cloud: c.Cloud, Region: c.Region, CA: string(secrets.Authority.Certificate()),
		Addresses: c.Addresses, User: c.Admin, Password: rand.Text(), Model: c.Model, Version: version.Juju}
	hash, err := bcrypt.GenerateFromPassword([]byte(out.Password), bcrypt.DefaultCost)
	if err != nil {
		return Bootstrapped{}, Secrets{}, fmt.Errorf("hash the password of %s: %w", c.Admin, err)
	}
	f := founding{Host: c.Host, Founding: state.Founding{
		Cloud:      c.Definition,
		Defaults:   defaults,
		Settings:   settings,
		Controller: state.Controller{UUID: out.UUID, Name: c.Name, Cloud: c.Cloud, Region: c.Region, Version: version.Grigri, CA: out.CA, Created: c.Now},
		Admin:      state.User{Name: c.Admin, Hash: string(hash), Created: c.Now, Superior: true},
		Model:      state.NewModel{UUID: out.Model, Config: config},
	}}
	if c.Credential != nil {
		sealed := state.SealCredential(secrets.Key, c.Cloud, c.Admin, *c.Credential, c.Now)
		f.Credential = &sealed
	}
	data, err := json.Marshal(f)
	if err == nil {
		err = pki.WriteFile(filepath.Join(c.Dir, foundingFile), data)
	}
	if err == nil {
		err = secrets.Save(c.Dir)
	}
	if err != nil {
		return Bootstrapped{}, Secrets{}, fmt.Errorf("write the files of controller %q: %w", c.Name, err)
	}
	return out, secrets, nil
}

// found makes the tree if there is none and this controller is the one to make it. It returns what the controllers are.
func found(ctx context.Context, c Config) (state.Controller, error) {
	path := filepath.Join(c.Dir, foundingFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return existing(ctx, c, "")
	}
	if err != nil {
		return state.Controller{}, fmt.Errorf("read the founding of the tree: %w", err)
	}
	var f founding
	if err := json.Unmarshal(data, &f); err != nil {
		return state.Controller{}, fmt.Errorf("read the founding of the tree: %s: %w", path, err)
	}
	f.Model.Addresses = c.Addresses
	for {
		t, err := state.Bootstrap(ctx, c.Store, state.By{User: f.Admin.Name, Now: f.Controller.Created}, f.Founding)
		var exists *state.ExistsError
		if errors.As(err, &exists) { // made before, by us if it has our UUID
			controller, err := existing(ctx, c, f.Controller.UUID)
			if err == nil && f.Host != nil {
				err = housed(ctx, c, f, controller)
			}
			if err == nil {
				err = os.Remove(path)
			}
			return controller, err
		}
		if err != nil {
			return state.Controller{}, err
		}
		if _, err = c.Store.Commit(ctx, t); err != nil && !errors.Is(err, state.ErrUnknown) && !errors.Is(err, state.ErrConflict) {
			return state.Controller{}, fmt.Errorf("make the tree: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return state.Controller{}, err
		}
	}
}

// InitFile is the script, in the controller's directory, that brings up the agent of the controller's own machine. Whoever has it may
// enrol as that machine: it is to be run, and removed.
const InitFile = "init.sh"

// housed makes the machine that the controller is on, and the script for its agent.
func housed(ctx context.Context, c Config, f founding, controller state.Controller) error {
	m := f.Model.UUID
	err := state.Edit(ctx, c.Store, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.AddFirstMachine(ctx, r, m, state.By{User: f.Admin.Name, Now: time.Now().UTC()}, c.Secrets.Key, *f.Host)
	})
	if err != nil && !errors.Is(err, state.ErrUnknown) { // then it is there, or the next start makes it
		return err
	}
	init := provider.Init{Addresses: c.Addresses.API, CA: controller.CA, Token: c.Secrets.Key.EnrolmentToken(m, state.FirstMachine), AgentHash: c.Addresses.AgentHash}
	script := initscript.Script
	if f.Host.Manual != "" {
		script = initscript.Manual
	}
	if err := pki.WriteFile(filepath.Join(c.Dir, InitFile), script(string(m), string(state.FirstMachine), init)); err != nil {
		return fmt.Errorf("write the script for the agent of the controller's machine: %w", err)
	}
	return nil
}

// existing is the controller that the tree is of, which must be the one with the UUID if that is not empty.
func existing(ctx context.Context, c Config, uuid string) (state.Controller, error) {
	rec, err := state.Read[state.Controller](ctx, c.Store, state.ControllersPath)
	if errors.Is(err, state.ErrNotFound) {
		return rec.Value, errors.New("there is no tree in ZooKeeper, and this controller is not new: has its data been lost, or is it another ensemble?")
	}
	if err != nil {
		return rec.Value, fmt.Errorf("read what the tree is of: %w", err)
	}
	own := rec.Value.CA == string(c.Secrets.Authority.Certificate())
	switch {
	case uuid != "" && rec.Value.UUID != uuid, !own:
		return rec.Value, fmt.Errorf("the tree in ZooKeeper belongs to another controller: %q, %s", rec.Value.Name, rec.Value.UUID)
	case rec.Value.Format != state.FormatNumber:
		return rec.Value, fmt.Errorf("the tree has format %d, this grigrid knows format %d only: use the version of grigrid that made it", rec.Value.Format, state.FormatNumber)
	}
	return rec.Value, nil
}

// Erase deletes everything in the tree but its root.
func Erase(ctx context.Context, s state.Store) error {
	names, err := state.ChildrenIf(ctx, s, "/")
	for i := 0; i < len(names) && err == nil; i++ {
		err = erase(ctx, s, "/"+names[i])
	}
	if err != nil {
		return fmt.Errorf("erase the tree: %w", err)
	}
	return nil
}

func erase(ctx context.Context, s state.Store, path string) error {
	for {
		names, err := state.ChildrenIf(ctx, s, path)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := erase(ctx, s, path+"/"+n); err != nil {
				return err
			}
		}
		var t state.Txn
		t.Delete(path, state.Any)
		_, err = s.Commit(ctx, t)
		if _, gone := s.Get(ctx, path); errors.Is(gone, state.ErrNotFound) {
			return nil
		}
		if err != nil && !errors.Is(err, state.ErrConflict) && !errors.Is(err, state.ErrUnknown) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
