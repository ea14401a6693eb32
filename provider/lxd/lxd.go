// Package lxd makes machines with LXD: containers, or virtual machines where they are asked for.
//
// What is ours there is known by configuration keys that begin with user.grigri-, and nothing is kept on our side. A machine's
// name follows from its controller, model and number, so that it cannot be made twice. Profiles, networks and storage
// that others have made are used as they are and never changed.
package lxd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// How one proves himself to LXD. With provider.AuthEmpty it is spoken to on its unix socket, on this host.
const (
	AuthCertificate = "certificate" // attributes client-cert, client-key, server-cert: PEM. And trust-token, for a client that is not trusted yet
	AuthInteractive = "interactive" // attribute trust-token: Finish makes of it what AuthCertificate needs
)

// Config is what a Provider needs.
type Config struct {
	Spec     provider.Spec
	Patience time.Duration // how long one answer of LXD's may take; zero means 30 s
	Log      *slog.Logger

	// Of an LXD on a machine of ours, one of many that serve the same controller: what tells its machine from the others, so that their
	// networks differ; and addresses, host:port, that must not be in them.
	Where string
	Avoid []string
}

// A Provider is a provider.Provider, Firewaller, Sheller, Hoster, Checker, Profiler, Volumer, Storer and Relocator, and an io.Closer.
type Provider struct {
	Config
	settings settings

	mu     sync.Mutex
	client *client.InstanceServer
	about  *client.Server                 // what the server said of itself when it first trusted us
	seen   map[string]client.InstanceFull // instances, by name, as last seen
	chosen map[machineKey]chosen          // members of a cluster, for machines that are being started
}

// Cloud is the one that nobody has to add: LXD on this host.
func Cloud() provider.Cloud {
	return provider.Cloud{Name: "localhost", Type: "lxd", Description: "LXD on this host: machines are containers, or virtual machines",
		AuthTypes: []string{provider.AuthEmpty, AuthCertificate, AuthInteractive}, Regions: []provider.Region{{Name: "localhost"}}}
}

// Open returns the provider of a cloud. It reaches no one.
func Open(c Config) (*Provider, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{Config: c}
	var err error
	if p.settings, err = readSettings(c.Spec.Cloud.Config); err != nil {
		return nil, fmt.Errorf("open cloud %q: %w", c.Spec.Cloud.Name, err)
	}
	args, err := p.connection()
	if err == nil {
		p.client, err = client.Connect(args)
	}
	if err != nil {
		return nil, fmt.Errorf("open cloud %q: %w", c.Spec.Cloud.Name, err)
	}
	return p, nil
}

// Close closes the connections to LXD.
func (p *Provider) Close() error {
	p.client.Close()
	return nil
}

// sockets is where LXD's unix socket may be, when nobody says where it is.
func sockets() []string {
	if dir := os.Getenv("LXD_DIR"); dir != "" {
		return []string{dir + "/unix.socket"}
	}
	return []string{"/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket"}
}

func socket() string {
	all := sockets()
	for _, path := range all {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return all[0]
}

func (p *Provider) connection() (client.ConnectionArgs, error) {
	cred := p.Spec.Credential
	args := client.ConnectionArgs{Endpoint: p.endpoint(), Project: p.settings.project, Patience: p.Patience}
	switch cred.AuthType {
	case "", provider.AuthEmpty:
		if !local(args.Endpoint) {
			return args, fmt.Errorf("LXD at %s is reached with a certificate: add a credential of the type %s", args.Endpoint, AuthCertificate)
		}
		return args, nil
	case AuthCertificate, AuthInteractive:
	default:
		return args, fmt.Errorf("credential %q is of the type %q, and for LXD it is %s, %s or %s", cred.Name, cred.AuthType, provider.AuthEmpty, AuthCertificate, AuthInteractive)
	}
	if local(args.Endpoint) {
		return args, nil // who may open the socket needs no certificate
	}
	if cred.Attributes[attrCert] == "" || cred.Attributes[attrKey] == "" {
		return args, fmt.Errorf("credential %q has no %s and %s", cred.Name, attrCert, attrKey)
	}
	return args, known(&args, p.Spec)
}

// server is LXD, when it trusts us. If it does not, a token that the credential has is used to change that.
func (p *Provider) server(ctx context.Context) (*client.InstanceServer, error) {
	_, err := p.describe(ctx)
	return p.client, err
}

func (p *Provider) describe(ctx context.Context) (*client.Server, error) {
	p.mu.Lock()
	about := p.about
	p.mu.Unlock()
	if about != nil {
		return about, nil
	}
	about, _, err := p.client.GetServer(ctx)
	if err != nil {
		return nil, classify(err)
	}
	if token := p.Spec.Credential.Attributes[attrToken]; about.Auth != trusted && token != "" {
		given := p.client.CreateCertificate(ctx, client.CertificatesPost{Type: "client", Name: "grigri", Password: token})
		if about, _, err = p.client.GetServer(ctx); err != nil {
			return nil, classify(err)
		}
		if about.Auth != trusted && given != nil { // a token is good once, so another of us may have used it
			return nil, fmt.Errorf("the trust token of credential %q is not accepted; make another with \"lxc config trust add\": %w", p.Spec.Credential.Name, classify(given))
		}
	}
	if about.Auth != trusted {
		return nil, fmt.Errorf("LXD at %s does not trust the certificate of credential %q; on its host: lxc config trust add CERTIFICATE", p.Spec.Endpoint(), p.Spec.Credential.Name)
	}
	p.mu.Lock()
	p.about = about
	p.mu.Unlock()
	return about, nil
}

const trusted = "trusted"
