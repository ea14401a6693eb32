package plugin

import (
	"context"
	"errors"
	"io"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/wire"
)

// A hoster is the hosts of a remote.
type hoster struct{ r *remote }

// Host implements provider.Hoster.
func (h hoster) Host(ctx context.Context, id provider.InstanceID) (provider.Host, error) {
	rpc, err := h.r.running(ctx)
	if err != nil {
		return nil, err
	}
	open, end := context.WithCancel(context.WithoutCancel(ctx)) // it stays open when ctx ends
	waits := context.AfterFunc(ctx, end)
	defer waits()
	s, err := rpc.OpenHost(open, names(id))
	var number *wire.HostNumber
	if err == nil {
		number, err = s.Recv()
	}
	if err != nil {
		end()
		return nil, fromWire(ctx, err)
	}
	return &host{rpc: rpc, number: number.Host, open: open, end: end}, nil
}

// A host is a host of a plugin's provider.
type host struct {
	rpc    wire.ProviderClient
	number int64
	open   context.Context // ended by Close; the plugin hears of it a little later
	end    context.CancelFunc
}

var errHostClosed = errors.New("the host has been closed")

func (h *host) Close() error { h.end(); return nil }

func (h *host) Put(ctx context.Context, path string, mode uint32, r io.Reader) error {
	if h.open.Err() != nil {
		return errHostClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a stream that is not closed writes nothing
	s, err := h.rpc.Put(ctx)
	if err != nil {
		return fromWire(ctx, err)
	}
	chunk := &wire.Chunk{Host: h.number, Path: path, Mode: mode}
	for buf := make([]byte, 64<<10); ; {
		if err := s.Send(chunk); errors.Is(err, io.EOF) {
			break // the other side has ended it, and says why
		} else if err != nil {
			return fromWire(ctx, err)
		}
		n, err := io.ReadFull(r, buf)
		if n == 0 && errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		chunk = &wire.Chunk{Data: buf[:n]}
	}
	_, err = s.CloseAndRecv()
	return fromWire(ctx, err)
}

func (h *host) Run(ctx context.Context, script string, out io.Writer) error {
	if h.open.Err() != nil {
		return errHostClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := h.rpc.Run(ctx, &wire.RunRequest{Host: h.number, Script: script})
	if err != nil {
		return fromWire(ctx, err)
	}
	for {
		o, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fromWire(ctx, err)
		}
		if _, err := out.Write(o.Data); err != nil {
			return err
		}
	}
}
