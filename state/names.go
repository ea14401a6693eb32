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
	MachineID       string // 4
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

// Tag is the machine as logs name it: "machine-4".
func (m MachineID) Tag() string { return "machine-" + string(m) }

// String is the number of the relation as a node's name.
func (r RelationID) String() string { return strconv.Itoa(int(r)) }

// RelationIDOf is the relation whose node is at path.
func RelationIDOf(path string) RelationID {
	n, _ := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
	return RelationID(n)
}
