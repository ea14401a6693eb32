package lxd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"

	"github.com/grigri/grigri/provider/lxd/client"
)

// The files of a first-boot script in an image without cloud-init.
const (
	scriptFile = "/var/lib/grigri-init.sh"
	scriptLog  = "/var/log/grigri-init.log"
)

// boot sees to it that the first-boot script runs. With cloud-init in the image it does by itself, for it is the user data;
// otherwise it is put there and started; once, unless again says that it may have died half way. The directory in /run, which ends
// with the boot, keeps it from running twice at once; it is made by what goes on when the one who has started it is killed.
func (p *Provider) boot(ctx context.Context, s *client.InstanceServer, i client.Instance, script []byte, again bool) error {
	// A virtual machine's images have cloud-init. While it boots LXD can ask nothing of it, and writes nothing down: to tell it of a changed
	// key it needs its agent.
	if i.Type == client.VM || i.Config[tagBooted] != "" && !again {
		return nil
	}
	if len(script) > 0 {
		status, err := sh(ctx, s, i.Name, "command -v cloud-init || exit 3", io.Discard)
		if err == nil && status != 0 && status != 3 { // a command whose connection breaks is killed
			err = fmt.Errorf("%w: exit status %d", errKilled, status)
		}
		if err != nil {
			return fmt.Errorf("look for cloud-init: %w", err)
		}
		if status == 3 {
			if err := p.bootByHand(ctx, s, i.Name, script); err != nil {
				return fmt.Errorf("run the first-boot script: %w", err)
			}
		}
	}
	now, etag, err := s.GetInstance(ctx, i.Name)
	if err != nil || now.Config[tagBooted] != "" {
		return err
	}
	put := now.Writable()
	put.Config = maps.Clone(put.Config)
	put.Config[tagBooted] = "yes"
	op, err := s.UpdateInstance(ctx, i.Name, put, etag)
	if err != nil {
		return err
	}
	return op.WaitContext(ctx)
}

func (p *Provider) bootByHand(ctx context.Context, s *client.InstanceServer, name string, script []byte) error {
	h := &host{s, name}
	if err := h.Put(ctx, scriptFile, 0o700, bytes.NewReader(script)); err != nil {
		return err
	}
	return h.run(ctx, "[ -d /run/grigri-init ] || setsid sh -c 'mkdir /run/grigri-init && exec "+scriptFile+"' </dev/null >>"+scriptLog+" 2>&1 &")
}

// sh runs a script of sh as root.
func sh(ctx context.Context, s *client.InstanceServer, name, script string, out io.Writer) (int, error) {
	return s.ExecInstance(ctx, name, client.InstanceExecPost{Command: []string{"/bin/sh", "-c", script}, Cwd: "/",
		Environment: map[string]string{"HOME": "/root", "LANG": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		client.InstanceExecArgs{Stdout: out, Stderr: out})
}
