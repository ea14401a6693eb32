package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/grigri/grigri/agent/commands"
	"github.com/grigri/grigri/agent/unit"
)

// ErrReboot says that a hook has asked for the machine to start again, and that whoever keeps it running is to see to that.
var ErrReboot = errors.New("a hook has asked for the machine to start again")

// handle answers programs on this machine: those that need its lock, and those that ask who holds it.
func (m *machine) handle(ctx context.Context, r commands.Request, reply func(commands.Response)) {
	switch {
	case r.Lock != "":
		release, _, err := m.lock.AcquireGroup(ctx, "", r.Lock, func(unit.Holder) {})
		if err != nil {
			return // whoever asked has gone
		}
		defer release()
		reply(commands.Response{})
		<-ctx.Done()
	case r.Show:
		reply(commands.Response{Stdout: []byte(m.holders())})
	default:
		reply(commands.Fail(errors.New("the machine's agent runs no commands: name a unit")))
	}
}

// holders is who holds the machine's locks, and who waits for them, as YAML.
func (m *machine) holders() string {
	now := m.Now()
	show := func(h unit.Holder, doing string) string {
		if h.Who == "" {
			return "none"
		}
		return fmt.Sprintf("%q", fmt.Sprintf("%s, %s for %s", h.Who, doing, now.Sub(h.Since).Round(1e9)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n", m.id.Tag())
	for _, group := range m.lock.Groups() {
		holder, waiting := m.lock.Queue(group)
		indent := "  "
		if group != "" {
			if holder.Who == "" && len(waiting) == 0 {
				continue
			}
			fmt.Fprintf(&b, "  group %s:\n", group)
			indent = "    "
		}
		fmt.Fprintf(&b, "%sholder: %s\n", indent, show(holder, "holding"))
		if len(waiting) > 0 {
			fmt.Fprintf(&b, "%swaiting:\n", indent)
		}
		for _, w := range waiting {
			fmt.Fprintf(&b, "%s- %s\n", indent, show(w, "waiting"))
		}
	}
	return b.String()
}

// reboot starts the machine again, or returns why not. It is called under the machine's lock.
func (m *machine) reboot(ctx context.Context, why string) error {
	m.log.Info("the machine starts again", "unit", why)
	if m.Reboot != nil {
		return m.Reboot(ctx)
	}
	m.end(ErrReboot)
	return nil
}
