package manual

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/provider"
)

//go:embed hold.sh
var holdScript string

// errHeld is that another one has the host.
var errHeld = errors.New("somebody else is making a machine of it: try again when that has ended")

// Hold has the host to itself: nobody else who makes a machine of it, or takes one off it, gets it until release is called or the connection ends.
func Hold(ctx context.Context, h provider.Host) (release func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	var g errgroup.Group
	g.Go(func() error {
		err := h.Run(ctx, holdScript, w)
		w.CloseWithError(err)
		return err
	})
	release = func() { cancel(); r.Close(); _ = g.Wait() }
	line, err := bufio.NewReader(r).ReadString('\n')
	if err == nil && line == "held\n" {
		return release, nil
	}
	cancel()
	r.Close()
	err = g.Wait()
	var exit *provider.ExitError
	if errors.As(err, &exit) && exit.Status == 75 {
		return nil, errHeld
	}
	return nil, fmt.Errorf("have the host to ourselves: %w: %s", err, line)
}
