package state

import (
	"strconv"
	"strings"
)

// A Placement is one place that a user asked for with --to. The zero value is anywhere.
type Placement struct {
	Machine   MachineID // this machine, which may be a container
	Container bool      // in a new container; on Machine if that is not empty, else on a new machine
	Directive string    // on a new machine that the provider puts there: "zone=a"
	New       bool      // on a new machine
}

// ParsePlacement reads "3", "new", "zone=a", "lxd", "lxd:3" and "3/lxd/0".
func ParsePlacement(text string) (Placement, error) {
	switch {
	case text == "":
		return Placement{}, nil
	case text == "new":
		return Placement{New: true}, nil
	case strings.Contains(text, "="):
		key, value, _ := strings.Cut(text, "=")
		if key != "" && value != "" && !strings.ContainsAny(text, " ,") {
			return Placement{Directive: text}, nil
		}
	default:
		if id, err := ParseMachine(text); err == nil {
			return Placement{Machine: id}, nil
		}
		kind, on, named := strings.Cut(text, ":")
		if kind == LXD && (!named || isNumber(on)) {
			return Placement{Machine: MachineID(on), Container: true}, nil
		}
		if id, err := ParseMachine(on); kind == LXD && err == nil && id.IsContainer() {
			return Placement{}, invalid("invalid placement %q: a container cannot have containers", text)
		}
	}
	return Placement{}, invalid("invalid placement %q: expected a machine (3, or 3/lxd/0 for a container), \"new\", KEY=VALUE for the cloud, \"lxd\" or \"lxd:MACHINE\"", text)
}

func isNumber(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0 && strconv.Itoa(n) == text
}
