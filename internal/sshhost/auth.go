package sshhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// passwordTries is how often a mistyped password may be typed again.
const passwordTries = 3

// methods is how we log in: with keys, then with a password. The function that it returns is called when that is over.
func methods(ctx context.Context, c Config, p *patience) ([]ssh.AuthMethod, func(), error) {
	var signers []ssh.Signer
	end := func() {}
	for _, file := range c.KeyFiles {
		s, err := readKey(ctx, c, p, file)
		if errors.Is(err, fs.ErrNotExist) && len(c.KeyFiles) > 1 {
			continue
		}
		if err != nil {
			return nil, end, fmt.Errorf("read the private key: %w", err)
		}
		signers = append(signers, s)
	}
	keys := func() ([]ssh.Signer, error) { return signers, nil }
	if c.Agent != "" {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Agent); err == nil {
			end = func() { conn.Close() }
			keys = func() ([]ssh.Signer, error) {
				theirs, err := agent.NewClient(conn).Signers()
				if err != nil { // an agent that does not answer has no keys
					return signers, nil
				}
				return append(signers, theirs...), nil
			}
		}
	}
	out := []ssh.AuthMethod{ssh.PublicKeysCallback(keys)}
	if c.Ask == nil {
		return out, end, nil
	}
	ask := func(prompt string) (answer string, err error) {
		err = p.asking(func() error { answer, err = c.Ask(ctx, prompt); return err })
		return answer, err
	}
	password := func() (string, error) { return ask(fmt.Sprintf("Password of %s: ", Target{c.Login(), c.Host, c.Port})) }
	challenge := func(_, instruction string, questions []string, _ []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i, q := range questions {
			if i == 0 && instruction != "" {
				q = instruction + "\n" + q
			}
			var err error
			if answers[i], err = ask(q); err != nil {
				return nil, err
			}
		}
		return answers, nil
	}
	return append(out, ssh.RetryableAuthMethod(ssh.PasswordCallback(password), passwordTries),
		ssh.RetryableAuthMethod(ssh.KeyboardInteractive(challenge), passwordTries)), end, nil
}

func readKey(ctx context.Context, c Config, p *patience, file string) (ssh.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return s, nil
	}
	if c.Ask == nil {
		return nil, fmt.Errorf("%s has a passphrase: load it into your ssh agent", file)
	}
	k := &lockedKey{public: locked.PublicKey, open: func() (ssh.Signer, error) {
		var phrase string
		err := p.asking(func() (err error) { phrase, err = c.Ask(ctx, fmt.Sprintf("Passphrase of %s: ", file)); return err })
		if err != nil {
			return nil, err
		}
		s, err := ssh.ParsePrivateKeyWithPassphrase(data, []byte(phrase))
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", file, err)
		}
		return s, nil
	}}
	if k.public == nil { // files of an old kind do not say whose they are
		return k.open()
	}
	return k, nil
}

// A lockedKey asks for its passphrase when it is needed, which it is only for a host that takes the key.
// It is an ssh.AlgorithmSigner.
type lockedKey struct {
	public ssh.PublicKey
	open   func() (ssh.Signer, error)
	opened ssh.Signer
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if k.opened == nil {
		s, err := k.open()
		if err != nil {
			return nil, err
		}
		k.opened = s
	}
	if s, ok := k.opened.(ssh.AlgorithmSigner); ok && algorithm != "" {
		return s.SignWithAlgorithm(rand, data, algorithm)
	}
	return k.opened.Sign(rand, data)
}
