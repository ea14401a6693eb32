package client

import (
	"context"
	"io"

	"github.com/grigri/grigri/internal/userapi"
)

// UploadPrograms uploads an archive of a controller's programs of size bytes. Open is called again for each try.
func (c *Client) UploadPrograms(ctx context.Context, hash string, size int64, open func() (io.ReadCloser, error)) (userapi.Build, error) {
	var out userapi.Build
	return out, c.do(ctx, call{route: userapi.UploadProgramsRoute, path: []string{hash}, open: open, size: size}, &out)
}

// UpgradeController has the controller go on with programs that were uploaded. It ends then; what comes after it says Controller.
func (c *Client) UpgradeController(ctx context.Context, u userapi.UpgradeController) (userapi.Build, error) {
	var out userapi.Build
	return out, c.do(ctx, call{route: userapi.UpgradeControllerRoute, body: u}, &out)
}
