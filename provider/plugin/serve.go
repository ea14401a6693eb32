package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/wire"
)

// Serve is all that the main function of a plugin does. It returns when the controller ends the plugin. Open opens the provider that the plugin is about. What the provider is
// besides, a provider.Firewaller for example, is served as well. What is written to stderr is in the controller's log; stdout is not to be used.
func Serve(open func(provider.Spec) (provider.Provider, error)) {
	goplugin.Serve(&goplugin.ServeConfig{HandshakeConfig: handshake(),
		Plugins: goplugin.PluginSet{pluginName: &server{open: open, hosts: map[int64]provider.Host{}}}, GRPCServer: goplugin.DefaultGRPCServer})
}

// A server is the plugin's side.
type server struct {
	goplugin.NetRPCUnsupportedPlugin
	wire.UnimplementedProviderServer
	open func(provider.Spec) (provider.Provider, error)

	mu    sync.Mutex
	p     provider.Provider
	hosts map[int64]provider.Host
	last  int64
}

func (s *server) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	wire.RegisterProviderServer(g, s)
	return nil
}

func (*server) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin calls no provider")
}

func (s *server) Open(_ context.Context, q *wire.OpenRequest) (*wire.OpenResponse, error) {
	spec, err := decode[provider.Spec](q.Spec)
	if err != nil {
		return nil, toWire(err)
	}
	p, err := s.open(spec)
	if err != nil {
		return nil, toWire(err)
	}
	s.mu.Lock()
	s.p = p
	s.mu.Unlock()
	out := &wire.OpenResponse{}
	for name, is := range map[string]func() bool{
		firewallerAbility: is[provider.Firewaller](p), profilerAbility: is[provider.Profiler](p), shellerAbility: is[provider.Sheller](p),
		checkerAbility: is[provider.Checker](p), volumerAbility: is[provider.Volumer](p), hosterAbility: is[provider.Hoster](p),
	} {
		if is() {
			out.Abilities = append(out.Abilities, name)
		}
	}
	return out, nil
}

func is[T any](p provider.Provider) func() bool {
	return func() bool { _, ok := p.(T); return ok }
}

// as is the provider with one of its abilities.
func as[T any](s *server) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.p.(T)
	if !ok {
		return t, toWire(fmt.Errorf("the plugin's provider is not open, or is no %T: %w", &t, provider.ErrRefused))
	}
	return t, nil
}

// answer is a document, or an error.
func answer(v any, err error) (*wire.Document, error) {
	if err != nil {
		return nil, toWire(err)
	}
	data, err := encode(v)
	return &wire.Document{Json: data}, toWire(err)
}

// done is nothing, or an error.
func done(err error) (*wire.Nothing, error) {
	if err != nil {
		return nil, toWire(err)
	}
	return &wire.Nothing{}, nil
}

func (s *server) Start(ctx context.Context, q *wire.Document) (*wire.Document, error) {
	p, err := as[provider.Provider](s)
	if err != nil {
		return nil, err
	}
	req, err := decode[provider.StartRequest](q.Json)
	if err != nil {
		return nil, toWire(err)
	}
	return answer(p.Start(ctx, req))
}

func (s *server) Stop(ctx context.Context, q *wire.Names) (*wire.Nothing, error) {
	p, err := as[provider.Provider](s)
	if err != nil {
		return nil, err
	}
	return done(p.Stop(ctx, list[provider.InstanceID](q)...))
}

func (s *server) List(q *wire.Names, out grpc.ServerStreamingServer[wire.Document]) error {
	p, err := as[provider.Provider](s)
	if err != nil {
		return err
	}
	all, err := p.List(out.Context(), name(q, 0))
	return sendAll(out, all, err)
}

func sendAll[T any](out grpc.ServerStreamingServer[wire.Document], all []T, err error) error {
	if err != nil {
		return toWire(err)
	}
	for _, v := range all {
		doc, err := answer(v, nil)
		if err != nil {
			return err
		}
		if err := out.Send(doc); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) SetPorts(ctx context.Context, q *wire.Change) (*wire.Nothing, error) {
	p, err := as[provider.Firewaller](s)
	if err != nil {
		return nil, err
	}
	want, err := decode[[]provider.Rule](q.Json)
	if err != nil {
		return nil, toWire(err)
	}
	return done(p.SetPorts(ctx, provider.InstanceID(q.Instance), want))
}

func (s *server) SetProfiles(ctx context.Context, q *wire.Change) (*wire.Nothing, error) {
	p, err := as[provider.Profiler](s)
	if err != nil {
		return nil, err
	}
	want, err := decode[map[string]provider.Profile](q.Json)
	if err != nil {
		return nil, toWire(err)
	}
	return done(p.SetProfiles(ctx, provider.InstanceID(q.Instance), want))
}

func (s *server) Shell(ctx context.Context, q *wire.Names) (*wire.Document, error) {
	p, err := as[provider.Sheller](s)
	if err != nil {
		return nil, err
	}
	return answer(p.Shell(ctx, provider.InstanceID(name(q, 0))))
}

func (s *server) Check(ctx context.Context, _ *wire.Nothing) (*wire.Document, error) {
	p, err := as[provider.Checker](s)
	if err != nil {
		return nil, err
	}
	return answer(p.Check(ctx))
}

func (s *server) CreateVolume(ctx context.Context, q *wire.Document) (*wire.Document, error) {
	p, err := as[provider.Volumer](s)
	if err != nil {
		return nil, err
	}
	req, err := decode[provider.VolumeRequest](q.Json)
	if err != nil {
		return nil, toWire(err)
	}
	return answer(p.CreateVolume(ctx, req))
}

func (s *server) AttachVolume(ctx context.Context, q *wire.Names) (*wire.Document, error) {
	p, err := as[provider.Volumer](s)
	if err != nil {
		return nil, err
	}
	return answer(p.AttachVolume(ctx, provider.VolumeID(name(q, 0)), provider.InstanceID(name(q, 1))))
}

func (s *server) DetachVolume(ctx context.Context, q *wire.Names) (*wire.Nothing, error) {
	p, err := as[provider.Volumer](s)
	if err != nil {
		return nil, err
	}
	return done(p.DetachVolume(ctx, provider.VolumeID(name(q, 0)), provider.InstanceID(name(q, 1))))
}

func (s *server) DeleteVolume(ctx context.Context, q *wire.Names) (*wire.Nothing, error) {
	p, err := as[provider.Volumer](s)
	if err != nil {
		return nil, err
	}
	return done(p.DeleteVolume(ctx, list[provider.VolumeID](q)...))
}

func (s *server) ListVolumes(q *wire.Names, out grpc.ServerStreamingServer[wire.Document]) error {
	p, err := as[provider.Volumer](s)
	if err != nil {
		return err
	}
	all, err := p.ListVolumes(out.Context(), name(q, 0))
	return sendAll(out, all, err)
}

func name(q *wire.Names, i int) string {
	if i >= len(q.Names) {
		return ""
	}
	return q.Names[i]
}

func list[T ~string](q *wire.Names) []T {
	var out []T
	for _, n := range q.Names {
		out = append(out, T(n))
	}
	return out
}

// OpenHost keeps a host open until the caller ends the stream.
func (s *server) OpenHost(q *wire.Names, out grpc.ServerStreamingServer[wire.HostNumber]) error {
	p, err := as[provider.Hoster](s)
	if err != nil {
		return err
	}
	h, err := p.Host(out.Context(), provider.InstanceID(name(q, 0)))
	if err != nil {
		return toWire(err)
	}
	defer h.Close()
	s.mu.Lock()
	s.last++
	number := s.last
	s.hosts[number] = h
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.hosts, number)
		s.mu.Unlock()
	}()
	if err := out.Send(&wire.HostNumber{Host: number}); err != nil {
		return err
	}
	<-out.Context().Done()
	return nil
}

func (s *server) host(number int64) (provider.Host, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[number]
	if h == nil {
		return nil, toWire(errors.New("the host is closed"))
	}
	return h, nil
}

func (s *server) Put(in grpc.ClientStreamingServer[wire.Chunk, wire.Nothing]) error {
	first, err := in.Recv()
	if err != nil {
		return err
	}
	h, err := s.host(first.Host)
	if err != nil {
		return err
	}
	if err := h.Put(in.Context(), first.Path, first.Mode, &chunks{in: in, rest: first.Data}); err != nil {
		return toWire(err)
	}
	return in.SendAndClose(&wire.Nothing{})
}

// chunks is what comes in a stream. A stream that breaks off is an error, and not the end.
type chunks struct {
	in   grpc.ClientStreamingServer[wire.Chunk, wire.Nothing]
	rest []byte
}

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		m, err := c.in.Recv()
		if err != nil {
			return 0, err
		}
		c.rest = m.Data
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (s *server) Run(q *wire.RunRequest, out grpc.ServerStreamingServer[wire.Output]) error {
	h, err := s.host(q.Host)
	if err != nil {
		return err
	}
	return toWire(h.Run(out.Context(), q.Script, sender{out}))
}

// sender sends what is written.
type sender struct {
	out grpc.ServerStreamingServer[wire.Output]
}

func (s sender) Write(p []byte) (int, error) {
	if err := s.out.Send(&wire.Output{Data: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}

var _ io.Writer = sender{}
