package client

import (
	"context"
	"net/url"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// Clouds is the clouds that the controller knows.
func (c *Client) Clouds(ctx context.Context) ([]provider.Cloud, error) {
	var out []provider.Cloud
	return out, c.do(ctx, call{route: userapi.CloudsRoute}, &out)
}

// Cloud is one of them.
func (c *Client) Cloud(ctx context.Context, name string) (provider.Cloud, error) {
	var out provider.Cloud
	return out, c.do(ctx, call{route: userapi.CloudRoute, path: []string{name}}, &out)
}

// AddCloud makes a cloud known to the controller.
func (c *Client) AddCloud(ctx context.Context, cloud provider.Cloud) error {
	return c.do(ctx, call{route: userapi.AddCloudRoute, body: cloud}, nil)
}

// UpdateCloud changes what the controller knows of a cloud.
func (c *Client) UpdateCloud(ctx context.Context, cloud provider.Cloud) error {
	return c.do(ctx, call{route: userapi.UpdateCloudRoute, path: []string{cloud.Name}, body: cloud}, nil)
}

// RemoveCloud makes the controller forget a cloud and its credentials.
func (c *Client) RemoveCloud(ctx context.Context, name string) error {
	return c.do(ctx, call{route: userapi.RemoveCloudRoute, path: []string{name}}, nil)
}

// Credentials is the user's credentials: all, or those for a cloud, or the one of a name. Their attributes are there only when
// secrets is true.
func (c *Client) Credentials(ctx context.Context, cloud, name string, secrets bool) ([]userapi.Credential, error) {
	q := url.Values{}
	for k, v := range map[string]string{"cloud": cloud, "credential": name} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if secrets {
		q.Set("secrets", "true")
	}
	var out []userapi.Credential
	return out, c.do(ctx, call{route: userapi.CredentialsRoute, query: q}, &out)
}

// PutCredential adds a credential of the user for a cloud, or changes it.
func (c *Client) PutCredential(ctx context.Context, cloud string, credential provider.Credential) error {
	return c.do(ctx, call{route: userapi.PutCredentialRoute, path: []string{cloud, credential.Name}, body: credential}, nil)
}

// RemoveCredential removes a credential of the user; force removes it also from models that use it.
func (c *Client) RemoveCredential(ctx context.Context, cloud, name string, force bool) error {
	return c.do(ctx, call{route: userapi.RemoveCredentialRoute, path: []string{cloud, name}, query: Removal{Force: force}.query()}, nil)
}

// RetryProvisioning asks again for machines that a provider has refused, or for all that it has, and returns them.
func (m Model) RetryProvisioning(ctx context.Context, all bool, ids ...state.MachineID) ([]state.MachineID, error) {
	var out userapi.AddedMachines
	err := m.do(ctx, call{route: userapi.RetryRoute, body: userapi.RetryProvisioning{Machines: ids, All: all}}, &out)
	return out.Machines, err
}

// SetCredential changes as whom the model's machines are asked for.
func (m Model) SetCredential(ctx context.Context, name string) error {
	return m.do(ctx, call{route: userapi.SetCredentialRoute, body: userapi.SetCredential{Credential: name}}, nil)
}
