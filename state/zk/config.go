// Package zk is the tree on Apache ZooKeeper, over github.com/go-zookeeper/zk. It is the only package that knows
// either. The library's known weaknesses are guarded here: wire.go gives up a silent server in time and finds the
// servers by their names again, session.go sees the end of a session at once, watch.go keeps one watch of the
// library for each node however often it is read, call.go lets every call end with its context, and never
// sends a write twice.
package zk

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/grigri/grigri/state"
)

// A Config says which ensemble, and as whom.
type Config struct {
	// Servers is host:port of each. Names are looked up again for each connection.
	Servers []string
	// TLS holds the client's certificate. Where it has no ServerName, the server's certificate must be for the host
	// in Servers. Without TLS, which is for tests, there are no identities but secrets.
	TLS *tls.Config
	// Chroot is the node that the paths are below; /grigri if empty.
	Chroot string
	// Timeout is how long a session outlives its connection; 10 seconds if zero. The server may change it.
	Timeout time.Duration
	// Controller is the subject of the controllers' certificates, who may do everything to each node made here.
	Controller pkix.Name
	// Machine is the subject of a machine's certificate.
	Machine func(state.ModelID, state.MachineID) pkix.Name
	// Secret is the secret of a principal who is no machine, for controllers: they know all. If it is nil, the
	// secrets are those of the credentials proved.
	Secret func(state.Principal) (string, bool)
	// Dial connects to address, one of Servers, in place of net.Dialer. It is optional.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log is optional.
	Log *slog.Logger
}

// DefaultChroot is the node below which everything of ours is.
const DefaultChroot = "/grigri"

// check completes the config with what zero values stand for.
func (c Config) check() (Config, error) {
	if c.Chroot == "" {
		c.Chroot = DefaultChroot
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Servers) == 0 {
		return c, errors.New("configure ZooKeeper's client: no servers")
	}
	for _, s := range c.Servers {
		if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
			return c, fmt.Errorf("configure ZooKeeper's client: server %q: want host:port", s)
		}
	}
	switch err := state.ValidPath(c.Chroot); {
	case err != nil:
		return c, fmt.Errorf("configure ZooKeeper's client: chroot: %w", err)
	case c.Chroot == "/" || strings.HasPrefix(c.Chroot+"/", "/zookeeper/"):
		return c, fmt.Errorf("configure ZooKeeper's client: chroot %s is not for us: want one like %s", c.Chroot, DefaultChroot)
	case c.Timeout < time.Second:
		return c, fmt.Errorf("configure ZooKeeper's client: timeout %s is too short: want a second or more", c.Timeout)
	case c.Controller.String() == "" || c.Machine == nil:
		return c, errors.New("configure ZooKeeper's client: the names of controllers or machines are missing")
	}
	return c, nil
}

// logger is the library's log: what it calls errors is for us to handle.
type logger struct{ *slog.Logger }

// Printf implements the library's Logger.
func (l logger) Printf(format string, args ...any) { l.Debug(fmt.Sprintf(format, args...)) }
