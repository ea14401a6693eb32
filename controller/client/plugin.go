package client

import (
	"context"
	"io"

	"github.com/grigri/grigri/internal/userapi"
)

// HasPlugin says whether the controller has the program of a provider with this SHA-256.
func (c *Client) HasPlugin(ctx context.Context, hash string) (bool, error) {
	err := c.do(ctx, call{route: userapi.PluginRoute, path: []string{hash}}, nil)
	if IsCode(err, userapi.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// UploadPlugin uploads the program of a provider, of size bytes, for a cloud that pins it. Open is called again for each try.
func (c *Client) UploadPlugin(ctx context.Context, hash string, size int64, open func() (io.ReadCloser, error)) error {
	return c.do(ctx, call{route: userapi.UploadPluginRoute, path: []string{hash}, open: open, size: size}, nil)
}
