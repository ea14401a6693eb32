// Package state is the model: what users want, what agents report, where each lives in the tree,
// who may see it, and which single transaction makes each change.
// The package is pure. Its sub-packages hold the trees: zk is the real one, memory a model of it.
package state

import (
	"fmt"
	"strconv"
	"strings"
)

// Names of things. Each is a distinct type so that one cannot be passed for another.
type (
	ModelID         string // the UUID of a model
	ApplicationName string // web
	UnitName        string // web/0
	MachineID       string // 4; of a container on it, 4/lxd/0
	RelationID      int    // 7: users and charms see it as db:7
	OperationID     int    // 3
	TaskID          int    // 12
)

// Application is the application that the unit is of.
func (u UnitName) Application() ApplicationName {
	a, _, _ := strings.Cut(string(u), "/")
	return ApplicationName(a)
}

// Number is the unit's number in its application.
func (u UnitName) Number() int {
	_, n, _ := strings.Cut(string(u), "/")
	i, _ := strconv.Atoi(n)
	return i
}

// Node is the unit as the name of a node and in file names: "web-0".
func (u UnitName) Node() string { return strings.ReplaceAll(string(u), "/", "-") }

// Tag is the unit as charms see it in file names and logs: "unit-web-0".
func (u UnitName) Tag() string { return "unit-" + u.Node() }

// Unit is the nth unit of the application.
func (a ApplicationName) Unit(n int) UnitName { return UnitName(fmt.Sprintf("%s/%d", a, n)) }

// UnitOfNode is the unit whose Node is n.
func UnitOfNode(n string) UnitName {
	i := strings.LastIndexByte(n, '-')
	if i < 0 {
		return UnitName(n)
	}
	return UnitName(n[:i] + "/" + n[i+1:])
}

// ParseUnit checks that s is the name of a unit.
func ParseUnit(s string) (UnitName, error) {
	a, n, ok := strings.Cut(s, "/")
	if i, err := strconv.Atoi(n); !ok || a == "" || err != nil || i < 0 || strconv.Itoa(i) != n || strings.ContainsAny(a, " :@") {
		return "", fmt.Errorf("%q is not a valid unit name: want application/number", s)
	}
	return UnitName(s), nil
}

// Tag is the machine as logs and file names have it: "machine-4", "machine-4-lxd-0".
func (m MachineID) Tag() string { return "machine-" + m.Node() }

// Node is the machine as the name of a node: "4", "4-lxd-0".
func (m MachineID) Node() string { return strings.ReplaceAll(string(m), "/", "-") }

// Host is the machine that a container is on. What is not in a container has none.
func (m MachineID) Host() (MachineID, bool) {
	host, _, in := strings.Cut(string(m), "/")
	return MachineID(host), in
}

// IsContainer says whether the machine is a container on another one.
func (m MachineID) IsContainer() bool { _, in := m.Host(); return in }

// LXD is the kind of containers that machines can have.
const LXD = "lxd"

// Container is the nth container of the machine.
func (m MachineID) Container(n int) MachineID {
	return MachineID(fmt.Sprintf("%s/%s/%d", m, LXD, n))
}

// MachineOfNode is the machine whose Node, or whose name, is n.
func MachineOfNode(n string) MachineID { return MachineID(strings.ReplaceAll(n, "-", "/")) }

// ParseMachine checks that s is the name of a machine, or of a container on one.
func ParseMachine(s string) (MachineID, error) {
	p := strings.Split(s, "/")
	if ok := isNumber(p[0]) && (len(p) == 1 || len(p) == 3 && p[1] == LXD && isNumber(p[2])); !ok {
		return "", fmt.Errorf("%q is not a valid machine: want a number, or NUMBER/%s/NUMBER for a container", s, LXD)
	}
	return MachineID(s), nil
}

// String is the number of the relation as a node's name.
func (r RelationID) String() string { return strconv.Itoa(int(r)) }

// RelationIDOf is the relation whose node is at path.
func RelationIDOf(path string) RelationID {
	n, _ := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
	return RelationID(n)
}
