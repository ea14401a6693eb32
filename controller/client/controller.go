package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/grigri/grigri/internal/userapi"
)

// Controller says what the controller is, and who we are to it.
func (c *Client) Controller(ctx context.Context) (userapi.Controller, error) {
	var out userapi.Controller
	return out, c.do(ctx, call{route: userapi.ControllerRoute}, &out)
}

// A Removal says how to remove a thing.
type Removal struct {
	Force        bool          // do not wait and run no hooks
	DryRun       bool          // change nothing, only say what would go
	Timeout      time.Duration // for the whole removal; zero: the controller's own, ten minutes
	KeepInstance bool          // of a machine: the provider's instance stays
	AllModels    bool          // of a controller: its models go too
	Destroy      bool          // persistent storage goes too
	Release      bool          // of models and of storage: volumes stay where they are
}

func (r Removal) query() url.Values {
	q := url.Values{}
	for name, on := range map[string]bool{"force": r.Force, "dry-run": r.DryRun, "keep-instance": r.KeepInstance, "all-models": r.AllModels,
		"destroy-storage": r.Destroy, "release-storage": r.Release, "release": r.Release} {
		if on {
			q.Set(name, "true")
		}
	}
	if r.Timeout > 0 {
		q.Set("timeout", r.Timeout.String())
	}
	return q
}

// DestroyController destroys every model of the controller, or is refused while there are some.
// When none is left, StopController ends the daemon.
func (c *Client) DestroyController(ctx context.Context, r Removal) ([]string, error) {
	var out userapi.Removal
	err := c.do(ctx, call{route: userapi.DestroyControllerRoute, query: r.query()}, &out)
	return out.Effects, err
}

// StopController ends the daemon, whatever is left when force is true.
func (c *Client) StopController(ctx context.Context, force bool) error {
	return c.do(ctx, call{route: userapi.StopControllerRoute, query: Removal{Force: force}.query()}, nil)
}

// Models lists the models that the user may see, by owner and name.
func (c *Client) Models(ctx context.Context) ([]userapi.Model, error) {
	var out []userapi.Model
	return out, c.do(ctx, call{route: userapi.ModelsRoute}, &out)
}

// CreateModel makes a model.
func (c *Client) CreateModel(ctx context.Context, m userapi.CreateModel) (userapi.Model, error) {
	var out userapi.Model
	return out, c.do(ctx, call{route: userapi.CreateModelRoute, body: m}, &out)
}

// Model is a handle on a model: its UUID, a beginning of it, its name, or owner/name. It asks nothing yet.
func (c *Client) Model(name string) Model { return Model{c, name} }

// A Model is one model of a controller, to speak about.
type Model struct {
	client *Client
	name   string
}

func (m Model) do(ctx context.Context, k call, out any) error {
	k.path = append([]string{m.name}, k.path...)
	return m.client.do(ctx, k, out)
}

func (m Model) remove(ctx context.Context, route, what string, r Removal) ([]string, error) {
	var out userapi.Removal
	k := call{route: route, query: r.query()}
	if what != "" {
		k.path = []string{what}
	}
	err := m.do(ctx, k, &out)
	return out.Effects, err
}

// Info is the model itself.
func (m Model) Info(ctx context.Context) (userapi.Model, error) {
	var out userapi.Model
	return out, m.do(ctx, call{route: userapi.ModelRoute}, &out)
}

// Destroy sets the model dying, and says what goes. It is gone when Info says not found.
func (m Model) Destroy(ctx context.Context, r Removal) ([]string, error) {
	return m.remove(ctx, userapi.DestroyModelRoute, "", r)
}

func number[T ~int](n T) string { return strconv.Itoa(int(n)) }
