package client

import (
	"context"
	"net/url"

	"github.com/grigri/grigri/internal/userapi"
)

// ModelDefaults is the settings that models in the cloud have whose users have not set them. Without a name it is the controllers' own cloud.
func (c *Client) ModelDefaults(ctx context.Context, cloud string) (map[string]userapi.ModelDefault, error) {
	q := url.Values{}
	if cloud != "" {
		q.Set("cloud", cloud)
	}
	var out map[string]userapi.ModelDefault
	return out, c.do(ctx, call{route: userapi.ModelDefaultsRoute, query: q}, &out)
}

// SetModelDefaults changes them, and returns warnings.
func (c *Client) SetModelDefaults(ctx context.Context, d userapi.SetModelDefaults) ([]string, error) {
	var out userapi.Warnings
	err := c.do(ctx, call{route: userapi.SetModelDefaultsRoute, body: d}, &out)
	return out.Warnings, err
}

// ControllerConfig is the settings of the controller.
func (c *Client) ControllerConfig(ctx context.Context) (map[string]any, error) {
	var out map[string]any
	return out, c.do(ctx, call{route: userapi.ControllerConfigRoute}, &out)
}

// SetControllerConfig changes them.
func (c *Client) SetControllerConfig(ctx context.Context, set map[string]string) error {
	return c.do(ctx, call{route: userapi.SetControllerConfigRoute, body: userapi.SetControllerConfig{Set: set}}, nil)
}
