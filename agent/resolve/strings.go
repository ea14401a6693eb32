package resolve

import (
	"fmt"
	"strings"
	"time"

	"github.com/grigri/grigri/hooks"
)

func (o Unpack) String() string     { return "unpack " + o.Charm.String() }
func (o Run) String() string        { return Describe(o.Hook) }
func (o Enter) String() string      { return fmt.Sprintf("enter %s:%d", o.Endpoint, o.Relation) }
func (o Exit) String() string       { return fmt.Sprintf("exit %s:%d", o.Endpoint, o.Relation) }
func (o Skip) String() string       { return "skip " + Describe(o.Hook) + ": " + string(o.Why) }
func (o RunTask) String() string    { return fmt.Sprintf("task %d", o.Task) }
func (o RunCommand) String() string { return fmt.Sprintf("command %d", o.Command) }
func (o Reboot) String() string     { return "reboot" }
func (o Leave) String() string      { return "leave" }

func (o Wait) String() string {
	if o.Until.IsZero() {
		return "wait: " + o.Reason
	}
	return fmt.Sprintf("wait until %s: %s", clock(o.Until), o.Reason)
}

// Describe is the hook with all that its environment says of it: "db-relation-departed db:7 mysql/0 departing=mysql/0".
func Describe(h hooks.Hook) string {
	if h.Kind == hooks.Action {
		return fmt.Sprintf("action %s %d", h.Action, h.Task)
	}
	if h.Kind == hooks.Command {
		return "command"
	}
	words := []string{h.Name()}
	if h.Storage != "" {
		words = append(words, string(h.Storage))
	}
	if h.Endpoint != "" {
		words = append(words, fmt.Sprintf("%s:%d", h.Endpoint, h.Relation))
		if h.RemoteUnit != "" {
			words = append(words, string(h.RemoteUnit))
		} else {
			words = append(words, string(h.RemoteApp))
		}
		if h.Departing != "" {
			words = append(words, "departing="+string(h.Departing))
		}
	}
	if h.Secret != "" {
		words = append(words, h.Secret.URI())
		if h.Kind == hooks.SecretExpired || h.Kind == hooks.SecretRemove {
			words = append(words, fmt.Sprintf("revision=%d", h.SecretRevision))
		}
		if h.SecretLabel != "" {
			words = append(words, "label="+h.SecretLabel)
		}
	}
	return strings.Join(words, " ")
}

// clock is a moment as a Reason says it.
func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }
