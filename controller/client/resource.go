package client

import (
	"context"
	"io"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// UploadResource uploads a file of size bytes, for an application to be given. Open is called again for each try.
func (m Model) UploadResource(ctx context.Context, hash string, size int64, open func() (io.ReadCloser, error)) error {
	return m.do(ctx, call{route: userapi.UploadResourceRoute, path: []string{hash}, open: open, size: size}, nil)
}

// AttachResource gives the application a file that has been uploaded, or another revision, and says which it now has.
func (m Model) AttachResource(ctx context.Context, a state.ApplicationName, name string, c userapi.ResourceChoice) (state.UsedResource, error) {
	var out state.UsedResource
	return out, m.do(ctx, call{route: userapi.AttachResourceRoute, path: []string{string(a), name}, body: c}, &out)
}

// Resources is the application's resources and what its units have of them.
func (m Model) Resources(ctx context.Context, a state.ApplicationName) (userapi.Resources, error) {
	var out userapi.Resources
	return out, m.app(ctx, userapi.ResourcesRoute, a, nil, &out)
}

// Payloads is what the units have said of their payloads, by unit.
func (m Model) Payloads(ctx context.Context) ([]userapi.Payload, error) {
	var out []userapi.Payload
	return out, m.do(ctx, call{route: userapi.PayloadsRoute}, &out)
}
