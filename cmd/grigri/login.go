package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/grigri/grigri/internal/sshhost"
)

// A login is how the user wants to log in to a host.
type login struct {
	privateKey, hostKey *string
}

func (c *cli) loginFlags(cmd *cobra.Command) login {
	return login{
		privateKey: cmd.Flags().String("private-key", "", "with ssh: the file of the private key to log in with, instead of your agent's and your own"),
		hostKey:    cmd.Flags().String("host-key", "", "with ssh: what the host's key must be: its fingerprint SHA256:..., or the key itself"),
	}
}

func (l login) given() bool { return *l.privateKey != "" || *l.hostKey != "" }

// config is how to reach the target as this user does: with his keys, the hosts that he knows, and himself to be asked.
func (c *cli) sshConfig(target sshhost.Target, l login, p *progress) (sshhost.Config, error) {
	store, err := c.openStore()
	if err != nil {
		return sshhost.Config{}, err
	}
	out := sshhost.Config{Target: target, HostKey: *l.hostKey, Trust: func(ctx context.Context, key sshhost.Fingerprint) error {
		p.end()
		return c.trustKey(ctx, key)
	}}
	home, _ := os.UserHomeDir() // without one there is nothing in it
	if home != "" {
		out.KnownHosts = append(out.KnownHosts, filepath.Join(home, ".ssh", "known_hosts"))
	}
	out.KnownHosts = append(out.KnownHosts, filepath.Join(store.dir, "ssh", "known_hosts"))
	if *l.privateKey != "" {
		out.KeyFiles = []string{*l.privateKey}
	} else {
		out.Agent = os.Getenv("SSH_AUTH_SOCK")
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			if home != "" {
				out.KeyFiles = append(out.KeyFiles, filepath.Join(home, ".ssh", name))
			}
		}
	}
	if tty(c.in) {
		out.Ask = func(ctx context.Context, prompt string) (string, error) {
			p.end()
			return c.askSecret(ctx, prompt)
		}
	}
	return out, nil
}

// trustKey shows a key that is not known yet.
func (c *cli) trustKey(_ context.Context, key sshhost.Fingerprint) error {
	fmt.Fprintf(c.errw, "The key of %s is not known. It is %s %s.\nIf that is the right one, it will be remembered.\n", key.Host, key.Type, key.SHA256)
	if !c.confirm() {
		return errors.New("its key was not confirmed: give it with --host-key, or confirm it")
	}
	return nil
}

// askSecret reads a line that nobody sees.
func (c *cli) askSecret(ctx context.Context, prompt string) (string, error) {
	f, ok := c.in.(*os.File)
	if !ok {
		return "", errors.New("there is nobody to ask")
	}
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for a password: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = term.Restore(fd, before) })() // an interrupt leaves the terminal as it was
	fmt.Fprint(c.errw, prompt)
	text, err := term.ReadPassword(fd)
	fmt.Fprintln(c.errw)
	if err != nil {
		return "", fmt.Errorf("ask for a password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
