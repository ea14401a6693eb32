package lxd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// Host implements provider.Hoster.
func (p *Provider) Host(ctx context.Context, id provider.InstanceID) (provider.Host, error) {
	for try := 0; ; try++ {
		s, i, err := p.find(ctx, id)
		if err == nil && i.StatusCode == client.Running {
			var status int
			// A container's init may not have made all directories yet when it runs first.
			if status, err = sh(ctx, s, i.Name, "[ -d /run ] && [ -d /tmp ] && [ -d /root ]", io.Discard); err == nil && status == 0 {
				return &host{s, i.Name}, nil
			}
		}
		if errors.Is(err, provider.ErrNotFound) {
			return nil, fmt.Errorf("reach instance %s: %w", id, err)
		}
		if stop := pause(ctx, try); stop != nil {
			return nil, fmt.Errorf("reach instance %s: %w", id, cmp.Or(err, stop))
		}
	}
}

// A host is a container or a virtual machine, reached through LXD.
type host struct {
	s    *client.InstanceServer
	name string
}

// Put implements provider.Host.
func (h *host) Put(ctx context.Context, file string, mode uint32, r io.Reader) error {
	if !path.IsAbs(file) {
		return fmt.Errorf("write %s on %s: the path is not absolute", file, h.name)
	}
	part := file + "." + rand.Text() // others may write the same file at the same time
	if err := h.run(ctx, "mkdir -p -- "+quote(path.Dir(file))); err != nil {
		return fmt.Errorf("write %s on %s: %w", file, h.name, err)
	}
	err := h.s.CreateInstanceFile(ctx, h.name, part, client.InstanceFileArgs{Mode: mode, Content: r})
	if err == nil {
		err = h.run(ctx, "mv -fT -- "+quote(part)+" "+quote(file))
	}
	if err != nil {
		h.run(context.WithoutCancel(ctx), "rm -f -- "+quote(part))
		return fmt.Errorf("write %s on %s: %w", file, h.name, classify(err))
	}
	return nil
}

func (h *host) run(ctx context.Context, script string) error {
	var out strings.Builder
	err := h.Run(ctx, script, &out)
	if err != nil && out.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return err
}

// longest is the longest script that fits into an argument.
const longest = 100 << 10

// Run implements provider.Host.
func (h *host) Run(ctx context.Context, script string, out io.Writer) error {
	if len(script) > longest {
		file := fmt.Sprintf("/run/grigri-%x", sha256.Sum256([]byte(script)))
		if err := h.Put(ctx, file, 0o600, strings.NewReader(script)); err != nil {
			return err
		}
		script = ". " + file
	}
	status, err := sh(ctx, h.s, h.name, script, out)
	if err != nil {
		return classify(err)
	}
	switch status {
	case 0:
		return nil
	case killed:
		return errKilled
	}
	return &provider.ExitError{Status: status}
}

// killed is the exit status of a command that LXD has killed, as it does when the connection breaks off on which it is followed,
// and with an instance that stops.
const killed = 128 + 9

// errKilled says that a command has been cut short.
var errKilled = transient("the command was killed: its connection has broken off, its instance has stopped, or there was not enough memory")

// Close implements provider.Host.
func (h *host) Close() error { return nil }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Shell implements provider.Sheller: on LXD's own host with lxc, from elsewhere with ssh.
func (p *Provider) Shell(ctx context.Context, id provider.InstanceID) (provider.Shell, error) {
	_, i, err := p.find(ctx, id)
	if err != nil {
		return provider.Shell{}, fmt.Errorf("open a shell on instance %s: %w", id, classify(err))
	}
	endpoint := p.endpoint()
	if !local(endpoint) {
		return provider.Shell{SSH: true}, nil
	}
	env := []string{"PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/local/bin:/usr/bin:/bin:/snap/bin"), "TERM=" + cmp.Or(os.Getenv("TERM"), "dumb"),
		"LXD_DIR=" + path.Dir(strings.TrimPrefix(endpoint, "unix://"))}
	if home := os.Getenv("HOME"); home != "" {
		env = append(env, "HOME="+home)
	}
	return provider.Shell{Command: []string{"lxc", "--force-local", "--project", p.project(), "exec", i.Name, "--", "/bin/bash"}, Env: env}, nil
}

func local(endpoint string) bool { return !strings.HasPrefix(endpoint, "https://") }
