package manual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/provider"
)

// Install runs the init script, which ends when the machine has enrolled and its agent has been started. What it says goes to out.
func Install(ctx context.Context, h provider.Host, script []byte, out io.Writer) error {
	last := &tail{w: out}
	err := h.Run(ctx, string(script), last)
	if errors.As(err, new(*provider.ExitError)) {
		return fmt.Errorf("the init script failed with %w, and said last:\n%s", err, last)
	}
	if err != nil {
		return fmt.Errorf("run the init script: %w", err)
	}
	return nil
}

// Remove makes the host what it was before, also when Install has not come to its end.
func Remove(ctx context.Context, h provider.Host, machine string) error {
	last := &tail{}
	if err := h.Run(ctx, string(initscript.Removal(machine)), last); err != nil {
		return fmt.Errorf("take what has been installed off the host: %w: %s", err, last)
	}
	return nil
}

// Authorize lets who has the private key of a public key log in as the user from now on.
func Authorize(ctx context.Context, h provider.Host, user, public string) error {
	last := &tail{}
	quoted := func(s string) string { return "'" + strings.ReplaceAll(strings.TrimSpace(s), "'", `'\''`) + "'" }
	script := "user=" + quoted(user) + "\nkey=" + quoted(public) + `
home=$(getent passwd "$user" | cut -d: -f6)
[ -d "$home" ] || { echo "$user has no home"; exit 1; }
file=$home/.ssh/authorized_keys
[ -d "$home/.ssh" ] || install -d -m 700 -o "$user" "$home/.ssh" || exit
grep -qxF "$key" "$file" 2>/dev/null && exit
[ -e "$file" ] || install -m 600 -o "$user" /dev/null "$file" || exit
printf '%s\n' "$key" >>"$file"
`
	if err := h.Run(ctx, script, last); err != nil {
		return fmt.Errorf("let the key of %s in: %w: %s", user, err, last)
	}
	return nil
}

// tail passes on what is written to it and keeps the end of it.
type tail struct {
	w    io.Writer
	text []byte
}

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = t.text[len(t.text)-tailSize:]
	}
	if t.w == nil {
		return len(p), nil
	}
	return t.w.Write(p)
}

func (t *tail) String() string { return strings.TrimSpace(string(t.text)) }
