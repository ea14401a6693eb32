package sshhost

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// keys says whether the key that a host shows is its own.
type keys struct {
	algorithms []string // that the host is known by; nil: any
	right      atomic.Bool
	shown      ssh.PublicKey // that is right
	refused    error
	check      ssh.HostKeyCallback
}

func hostKeys(ctx context.Context, c Config, p *patience) (*keys, error) {
	k := &keys{}
	verify, err := k.verifier(ctx, c, p)
	if err != nil {
		return nil, err
	}
	k.check = func(hostname string, remote net.Addr, key ssh.PublicKey) error {
		k.refused = verify(hostname, remote, key)
		if k.refused == nil {
			k.shown = key
		}
		k.right.Store(k.refused == nil)
		return k.refused
	}
	return k, nil
}

func (k *keys) verifier(ctx context.Context, c Config, p *patience) (ssh.HostKeyCallback, error) {
	if c.HostKey != "" {
		return k.given(c.HostKey)
	}
	var files []string
	for _, f := range c.KnownHosts {
		if _, err := os.Stat(f); err == nil {
			files = append(files, f)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the known hosts: %w", err)
		}
	}
	known, err := knownhosts.New(files...)
	if err != nil {
		return nil, fmt.Errorf("read the known hosts: %w", err)
	}
	k.algorithms = algorithmsOf(known, c.HostPort())
	return func(hostname string, remote net.Addr, key ssh.PublicKey) error {
		err := known(hostname, remote, key)
		var changed *knownhosts.KeyError
		var revoked *knownhosts.RevokedError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &revoked):
			return fmt.Errorf("its key %s is revoked in %s", ssh.FingerprintSHA256(key), revoked.Revoked.Filename)
		case errors.As(err, &changed) && len(changed.Want) > 0:
			w := changed.Want[0]
			return fmt.Errorf("its key is %s, and line %d of %s says %s: somebody may be listening, or the host is another one: if you know that it is right, remove that line",
				ssh.FingerprintSHA256(key), w.Line, w.Filename, ssh.FingerprintSHA256(w.Key))
		case changed == nil:
			return err
		}
		return trust(ctx, c, p, hostname, key)
	}, nil
}

// trust is the first use of a key.
func trust(ctx context.Context, c Config, p *patience, hostname string, key ssh.PublicKey) error {
	f := Fingerprint{Host: knownhosts.Normalize(hostname), Type: key.Type(), SHA256: ssh.FingerprintSHA256(key)}
	if c.Trust == nil {
		return fmt.Errorf("its key %s is not known: say that it is right, or log in once with ssh", f.SHA256)
	}
	if err := p.asking(func() error { return c.Trust(ctx, f) }); err != nil {
		return err
	}
	if len(c.KnownHosts) == 0 {
		return nil
	}
	return remember(c.KnownHosts[len(c.KnownHosts)-1], hostname, key)
}

func remember(file, hostname string, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("remember its key: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("remember its key: %w", err)
	}
	_, err = f.WriteString(knownhosts.Line([]string{knownhosts.Normalize(hostname)}, key) + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("remember its key: %w", err)
	}
	return nil
}

// given is the check when the user has said what the key must be.
func (k *keys) given(want string) (ssh.HostKeyCallback, error) {
	want = strings.TrimSpace(want)
	if !strings.HasPrefix(want, "SHA256:") {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(want))
		if err != nil {
			return nil, fmt.Errorf("%q is not a host's key: expected its fingerprint, SHA256:..., or the key, ssh-ed25519 AAAA", want)
		}
		k.algorithms = algorithms(key.Type())
		want = ssh.FingerprintSHA256(key)
	}
	if sum, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimPrefix(want, "SHA256:"), "=")); err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("%q is not the fingerprint of a key: it is not whole: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the host shows it", want)
	}
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if got := ssh.FingerprintSHA256(key); got != strings.TrimRight(want, "=") {
			return fmt.Errorf("its %s key is %s, and must be %s: somebody may be listening, or that is the key of another host", key.Type(), got, want)
		}
		return nil
	}, nil
}

// algorithmsOf is the kinds of keys that the host is known by, so that it shows one of these and not another one it has.
func algorithmsOf(known ssh.HostKeyCallback, address string) []string {
	var all *knownhosts.KeyError
	if err := known(address, &net.TCPAddr{IP: net.IPv4zero}, nobody{}); !errors.As(err, &all) {
		return nil
	}
	var out []string
	for _, w := range all.Want {
		for _, a := range algorithms(w.Key.Type()) {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// nobody is a key that no host has.
type nobody struct{}

func (nobody) Type() string                        { return "nobody" }
func (nobody) Marshal() []byte                     { return []byte("nobody") }
func (nobody) Verify([]byte, *ssh.Signature) error { return errors.New("nobody signs nothing") }
