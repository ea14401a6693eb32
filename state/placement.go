package state

import (
	"strconv"
	"strings"
)

// A Placement is one place that a user asked for with --to. The zero value is anywhere.
type Placement struct {
	Machine   MachineID // this machine
	Container string    // in a new container of this kind; on Machine if that is not empty
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
	case isNumber(text):
		return Placement{Machine: MachineID(text)}, nil
	case strings.Contains(text, "="):
		key, value, _ := strings.Cut(text, "=")
		if key != "" && value != "" && !strings.ContainsAny(text, " ,") {
			return Placement{Directive: text}, nil
		}
	case strings.Contains(text, "/"):
		p := strings.Split(text, "/")
		if len(p) == 3 && isNumber(p[0]) && p[1] == "lxd" && isNumber(p[2]) {
			return Placement{Machine: MachineID(text), Container: p[1]}, nil
		}
	default:
		kind, on, named := strings.Cut(text, ":")
		if kind == "lxd" && (!named || isNumber(on)) {
			return Placement{Machine: MachineID(on), Container: kind}, nil
		}
	}
	return Placement{}, invalid("invalid placement %q: expected a machine's number, \"new\", KEY=VALUE for the cloud, \"lxd\" or \"lxd:MACHINE\"", text)
}

func isNumber(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0 && strconv.Itoa(n) == text
}
