package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/wire"
)

// pluginName is the one thing that a plugin's process serves.
const pluginName = "provider"

// The abilities that a plugin says it has.
const (
	openAbility       = "provider"
	firewallerAbility = "firewaller"
	profilerAbility   = "profiler"
	shellerAbility    = "sheller"
	checkerAbility    = "checker"
	volumerAbility    = "volumer"
	hosterAbility     = "hoster"
)

// A dialer is the controller's side of go-plugin's interface.
type dialer struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (*dialer) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a controller serves no provider")
}

func (*dialer) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return wire.NewProviderClient(c), nil
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode for the plugin: %w", err)
	}
	return data, nil
}

func decode[T any](data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("read what the other side of the plugin says: %w", err)
	}
	return v, nil
}

// toWire is an error as a status that says what kind it is.
func toWire(err error) error {
	if err == nil {
		return nil
	}
	f := &wire.Failure{NotFound: errors.Is(err, provider.ErrNotFound), Transient: errors.Is(err, provider.ErrTransient), Refused: errors.Is(err, provider.ErrRefused)}
	var exit *provider.ExitError
	if errors.As(err, &exit) {
		f.ExitStatus = int32(exit.Status)
	}
	code := codes.Unknown
	switch {
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case f.NotFound:
		code = codes.NotFound
	case f.Refused:
		code = codes.FailedPrecondition
	case f.Transient:
		code = codes.Unavailable
	}
	st, derr := status.New(code, strings.ToValidUTF8(err.Error(), "?")).WithDetails(f)
	if derr != nil {
		return status.Error(code, err.Error())
	}
	return st.Err()
}

// fromWire is the error again: it wraps what it wrapped on the other side. A connection that has broken is ErrTransient.
func fromWire(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	out := &failure{text: st.Message()}
	said := false
	for _, d := range st.Details() {
		f, ok := d.(*wire.Failure)
		if !ok {
			continue
		}
		said = true
		for kind, is := range map[error]bool{provider.ErrNotFound: f.NotFound, provider.ErrTransient: f.Transient, provider.ErrRefused: f.Refused} {
			if is {
				out.kinds = append(out.kinds, kind)
			}
		}
		if f.ExitStatus != 0 {
			out.kinds = append(out.kinds, &provider.ExitError{Status: int(f.ExitStatus)})
		}
	}
	switch st.Code() {
	case codes.Canceled:
		out.kinds = append(out.kinds, context.Canceled)
	case codes.DeadlineExceeded:
		out.kinds = append(out.kinds, context.DeadlineExceeded)
	case codes.Unavailable:
		if !said {
			out.text = "the plugin ended before it answered: " + out.text
			out.kinds = append(out.kinds, provider.ErrTransient)
		}
	}
	return out
}

// A failure is an error that came over the wire.
type failure struct {
	text  string
	kinds []error
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return f.kinds }
