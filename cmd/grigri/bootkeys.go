package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/provider"
)

// bootKeys let this process, and no one else, into a new machine over ssh, and tell it that it is the right one: a key to log in with, and
// the key of the host, both made for this one machine and told to it with its first-boot script.
type bootKeys struct {
	dir     string // the file of the key to log in with is here
	login   string // as in authorized_keys
	host    string // private, PEM
	hostKey string // public
}

func newBootKeys() (*bootKeys, error) {
	dir, err := os.MkdirTemp("", "grigri-bootstrap")
	if err != nil {
		return nil, fmt.Errorf("make keys for the machine: %w", err)
	}
	k := &bootKeys{dir: dir}
	private, public, err := sshKey()
	if err == nil {
		k.login = public
		err = os.WriteFile(k.file(), []byte(private), 0o600)
	}
	if err == nil {
		k.host, k.hostKey, err = sshKey()
	}
	if err != nil {
		k.remove()
		return nil, fmt.Errorf("make keys for the machine: %w", err)
	}
	return k, nil
}

func (k *bootKeys) file() string { return filepath.Join(k.dir, "key") }

func (k *bootKeys) remove() {
	if k != nil {
		_ = os.RemoveAll(k.dir) // a key that opens nothing any more
	}
}

// sshKey is a new key: the private one as PEM, the public one as a line.
func sshKey() (private, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(priv, "grigri")
	if err != nil {
		return "", "", err
	}
	sp, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sp))), nil
}

// script is what the machine runs first: from then on it has the host's key, and root may log in with ours.
func (k *bootKeys) script() []byte {
	return []byte(`#!/bin/sh
set -eu
umask 077
cat >/etc/ssh/ssh_host_ed25519_key.new <<'END'
` + k.host + `END
mv /etc/ssh/ssh_host_ed25519_key.new /etc/ssh/ssh_host_ed25519_key
echo '` + k.hostKey + `' >/etc/ssh/ssh_host_ed25519_key.pub
chmod 644 /etc/ssh/ssh_host_ed25519_key.pub
mkdir -p /root/.ssh
grep -qsF '` + k.login + `' /root/.ssh/authorized_keys || echo '` + k.login + ` grigri-bootstrap' >>/root/.ssh/authorized_keys
rm -f /etc/ssh/ssh_host_rsa_key* /etc/ssh/ssh_host_ecdsa_key*
systemctl restart ssh.service 2>/dev/null || systemctl restart sshd.service 2>/dev/null || service ssh restart
`)
}

// forget makes the machine one that nobody has the keys of any more: they were told to it where others may be able to read.
const forget = `sed -i '/ grigri-bootstrap$/d' /root/.ssh/authorized_keys
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub && ssh-keygen -q -A
systemctl reload ssh.service 2>/dev/null || systemctl reload sshd.service 2>/dev/null || true
`

// dial logs in at the first of the addresses that lets us, for as long as ctx lasts.
func (k *bootKeys) dial(ctx context.Context, addresses []string) (provider.Host, error) {
	for {
		var errs []error
		for _, a := range addresses {
			h, err := sshhost.Dial(ctx, sshhost.Config{Target: sshhost.Target{User: "root", Host: a}, HostKey: k.hostKey, KeyFiles: []string{k.file()}, Patience: 10 * time.Second})
			if err == nil {
				return h, nil
			}
			errs = append(errs, err)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errs...)
		case <-time.After(2 * time.Second):
		}
	}
}
