// Package sshhost is a provider.Host over ssh: a machine that somebody may log in to, and on which he is root or may become it with sudo.
package sshhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/grigri/grigri/provider"
)

// Config is whom to reach, how to know that it is him, and how to prove who we are.
type Config struct {
	Target

	// HostKey is what the host's key must be: its fingerprint, "SHA256:...", or the key as it is in a file of its own,
	// "ssh-ed25519 AAAA...". If it is empty, KnownHosts decides, and of a host that is in none of these files Trust.
	HostKey    string
	KnownHosts []string                                         // files as ssh has them, which need not be there. To the last one is added what Trust takes
	Trust      func(ctx context.Context, key Fingerprint) error // an error refuses the key; nil refuses all

	KeyFiles []string                                                 // private keys; one that is not there is an error if it is the only one
	Agent    string                                                   // the socket of an ssh agent, or ""
	Ask      func(ctx context.Context, prompt string) (string, error) // for a password or passphrase that nobody else may see; nil: there is nobody to ask

	Patience time.Duration // how long a silent host is waited for; zero means 30 s
}

// A Fingerprint is a host's key as it is shown to whoever must say whether it is the right one.
type Fingerprint struct {
	Host   string // as it was asked for, with its port if that is not 22
	Type   string // ssh-ed25519
	SHA256 string // SHA256:...
}

// A Host is a provider.Host. It can be used by several goroutines.
type Host struct {
	Config
	client  *ssh.Client
	key     ssh.PublicKey // its own
	sudo    sudo
	answers *answers
}

var _ provider.Host = (*Host)(nil)

// errSilent is why a connection was given up.
var errSilent = errors.New("the host does not answer")

// Dial connects, logs in, and finds out how to be root there.
func Dial(ctx context.Context, c Config) (*Host, error) {
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	a := &answers{}
	if c.Ask != nil {
		c.Ask = a.remember(c.Ask)
	}
	client, key, err := connect(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Target, err)
	}
	h := &Host{Config: c, client: client, key: key, answers: a}
	if err := h.becomeRoot(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("become root on %s: %w", c.Target, err)
	}
	return h, nil
}

// Close ends the connection, and with it every script that runs over it.
func (h *Host) Close() error { return h.client.Close() }

// Key is the host's public key, which was the right one: "ssh-ed25519 AAAA". Of a certificate it is the key in it.
func (h *Host) Key() string {
	key := h.key
	if c, ok := key.(*ssh.Certificate); ok {
		key = c.Key
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// Address is the IP address of the host, as this process reaches it.
func (h *Host) Address() string {
	host, _, err := net.SplitHostPort(h.client.RemoteAddr().String())
	if err != nil {
		return h.client.RemoteAddr().String()
	}
	return host
}

func connect(ctx context.Context, c Config) (*ssh.Client, ssh.PublicKey, error) {
	p := &patience{for_: c.Patience}
	keys, err := hostKeys(ctx, c, p)
	if err != nil {
		return nil, nil, err
	}
	dialer := net.Dialer{Timeout: c.Patience}
	conn, err := dialer.DialContext(ctx, "tcp", c.HostPort())
	if err != nil {
		return nil, nil, unreached(c, err)
	}
	p.conn = conn
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	auth, closeAuth, err := methods(ctx, c, p)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	defer closeAuth()
	p.again()
	sc, channels, requests, err := ssh.NewClientConn(conn, c.HostPort(), &ssh.ClientConfig{
		User: c.Login(), Auth: auth, HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms, ClientVersion: "SSH-2.0-grigri",
	})
	if err != nil {
		conn.Close()
		return nil, nil, explain(ctx, c, keys, err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		sc.Close()
		return nil, nil, err
	}
	return ssh.NewClient(sc, channels, requests), keys.shown, nil
}

// unreached says what may be the matter with a host that there is no connection to.
func unreached(c Config, err error) error {
	var timeout net.Error
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("%w: write its name as it is, or its address", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens there: start its sshd, or give the port that it has: %s:2222", err, Target{User: c.User, Host: c.Host})
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w within %s: is it on, and is there a way to it that no firewall closes?", err, errSilent, c.Patience)
	}
	return err
}

// explain says of a failed handshake what it came to.
func explain(ctx context.Context, c Config, keys *keys, err error) error {
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case keys.refused != nil:
		return keys.refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return errSilent
	case !keys.right.Load():
		return err
	}
	why := "the host takes no key and no password that it was given"
	if text := err.Error(); !strings.Contains(text, "unable to authenticate") && !strings.Contains(text, "unexpected message type") { // as the library says that
		why = strings.TrimPrefix(strings.TrimPrefix(text, "ssh: handshake failed: "), "ssh: ")
	}
	remedy := "name a private key that the host knows, or load one into your ssh agent"
	if c.Ask == nil {
		remedy += "; at a terminal a password can be given too"
	}
	return fmt.Errorf("log in as %s: %s: %s", c.Login(), why, remedy)
}

// patience is the deadline of the handshake, which does not run while a user is asked.
type patience struct {
	conn net.Conn
	for_ time.Duration
}

func (p *patience) again() { _ = p.conn.SetDeadline(time.Now().Add(p.for_)) }

// asking runs f, which asks a user.
func (p *patience) asking(f func() error) error {
	_ = p.conn.SetDeadline(time.Time{})
	defer p.again()
	return f()
}

// keepAlive asks the host now and then whether it is still there, and gives the connection up when it is not.
func (h *Host) keepAlive(ctx context.Context, silent *atomic.Bool) {
	tick := time.NewTicker(h.Patience / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !h.alive(silent) {
			return
		}
	}
}

// alive asks the host. One that is silent for too long is given up.
func (h *Host) alive(silent *atomic.Bool) bool {
	giveUp := time.AfterFunc(h.Patience, func() { silent.Store(true); h.client.Close() })
	defer giveUp.Stop()
	_, _, err := h.client.SendRequest("keepalive@openssh.com", true, nil)
	return err == nil
}
