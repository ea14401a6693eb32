package sshhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/grigri/grigri/provider"
)

// sudo is how to become root: not at all, without a password, or with one.
type sudo struct {
	needed   bool
	password string // a secret
	asked    bool
}

// command is what stands before a command. A password is never taken from an earlier use, so that it is always asked for.
func (s sudo) command() string {
	switch {
	case !s.needed:
		return ""
	case s.asked:
		return "sudo -S -k -p \"\" "
	}
	return "sudo -n "
}

// first is what sudo reads before the command does.
func (s sudo) first() string {
	if s.asked {
		return s.password + "\n"
	}
	return ""
}

func (h *Host) becomeRoot(ctx context.Context) error {
	uid, err := h.ask(ctx, "id -u", "")
	if err != nil {
		return fmt.Errorf("ask who %s is there: %w", h.Login(), err)
	}
	if uid == "0" {
		return nil
	}
	if _, err := h.ask(ctx, "command -v sudo", ""); err != nil {
		return h.failed(err, "%s is not root, and there is no sudo: log in as root, or install sudo there", h.Login())
	}
	h.sudo.needed = true
	said, err := h.ask(ctx, "sudo -n -k true", "")
	if err == nil {
		return nil
	}
	if h.Ask == nil {
		return h.failed(err, "sudo wants a password of %s, and there is nobody to ask: do this at a terminal, or let %s use sudo without one: %s", h.Login(), h.Login(), said)
	}
	h.sudo.asked = true
	for range passwordTries {
		if h.sudo.password, err = h.Ask(ctx, fmt.Sprintf("[sudo] password of %s: ", Target{h.Login(), h.Config.Host, h.Port})); err != nil {
			return err
		}
		if said, err = h.ask(ctx, h.sudo.command()+"true", h.sudo.first()); err == nil {
			return nil
		}
		if !errors.As(err, new(*provider.ExitError)) {
			return err
		}
	}
	return h.failed(err, "sudo does not let %s: %s: log in as root, or as somebody whom sudo lets do everything", h.Login(), strings.Join(strings.Fields(said), " "))
}

// failed is an error of the text when the host has said no, and the connection's otherwise.
func (h *Host) failed(err error, format string, args ...any) error {
	if errors.As(err, new(*provider.ExitError)) {
		return fmt.Errorf(format, args...)
	}
	return err
}

// ask runs a command as who has logged in.
func (h *Host) ask(ctx context.Context, command, input string) (string, error) {
	var out strings.Builder
	err := h.exec(ctx, command, &out, func(w io.Writer) error { _, err := io.WriteString(w, input); return err }, true)
	return strings.TrimSpace(out.String()), err
}
