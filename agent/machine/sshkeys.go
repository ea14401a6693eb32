package machine

import (
	"context"
	"fmt"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/grigri/grigri/state"
)

// letIn is the script that puts the lines of its input, between two of its own, at the end of the user's authorized_keys in place of those before.
// It is run as the user: what the user's links lead to is his.
const letIn = `set -eu
umask 077
file=$HOME/.ssh/authorized_keys
begin='# grigri: what follows is the model'\''s' end='# grigri: end of the model'\''s'
keys=$(cat)
grep -qsxF "$begin" "$file" || [ -n "$keys" ] || exit 0
mkdir -p "$HOME/.ssh"
touch "$file"
{
	awk -v b="$begin" -v e="$end" '$0 == b { skip = 1 } !skip { print } $0 == e { skip = 0 }' "$file"
	[ -z "$keys" ] || printf '%s\n' "$begin" "$keys" "$end"
} >"$file.grigri"
mv "$file.grigri" "$file"
[ -s "$file" ] || { rm "$file"; rmdir --ignore-fail-on-non-empty "$HOME/.ssh"; }
`

// welcome lets in over ssh the owners of the model's keys, on a machine that is ours. When that cannot be, it is told, and the machine goes on.
func (m *machine) welcome(ctx context.Context, login string, keys []state.SSHKey) {
	var lines strings.Builder
	for _, k := range keys {
		fmt.Fprintln(&lines, k)
	}
	if !m.ours() || m.welcomed != nil && *m.welcomed == lines.String() {
		return
	}
	text := lines.String()
	m.welcomed = &text
	if err := welcomeTo(ctx, login, text); err != nil {
		m.log.Warn("the model's ssh keys are not let in", "err", err)
	}
}

func welcomeTo(ctx context.Context, login, lines string) error {
	u, err := user.Lookup(login)
	if err != nil {
		return fmt.Errorf("look for the user %s: %w", login, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("the id of user %s: %w", login, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("the group of user %s: %w", login, err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", letIn)
	cmd.Env, cmd.Dir = []string{"HOME=" + u.HomeDir, "PATH=/usr/bin:/bin"}, "/"
	cmd.Stdin = strings.NewReader(lines)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("change the authorized_keys of user %s: %w: %s", login, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// loginOf is the user that logs in to the machine over ssh: who added the host, else ubuntu, or root where there is no such user.
func loginOf(manual string) string {
	if login, _, ok := strings.Cut(manual, "@"); ok {
		return login
	}
	if _, err := user.Lookup("ubuntu"); err == nil {
		return "ubuntu"
	}
	return "root"
}
