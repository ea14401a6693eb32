package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

// InstanceFileArgs is a file to make in an instance, root's.
type InstanceFileArgs struct {
	Content io.Reader
	Mode    uint32
}

// CreateInstanceFile makes a file, or overwrites it; its directory must be there.
func (s *InstanceServer) CreateInstanceFile(ctx context.Context, name, file string, args InstanceFileArgs) error {
	req, err := s.request(ctx, http.MethodPost, path("instances", name, "files"), url.Values{"path": {file}}, args.Content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("X-LXD-Type", "file")
	req.Header.Set("X-LXD-Uid", "0")
	req.Header.Set("X-LXD-Gid", "0")
	req.Header.Set("X-LXD-Mode", fmt.Sprintf("%04o", os.FileMode(args.Mode).Perm()))
	if _, err := s.answer(req); err != nil {
		return fmt.Errorf("write %s in %s: %w", file, name, err)
	}
	return nil
}
