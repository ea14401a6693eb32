package status

import (
	"cmp"
	"slices"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// A Snapshot is what Build reads of a model. A pointer is nil where there is no node.
type Snapshot struct {
	Controller   state.Controller
	Model        state.Model
	Config       state.ModelConfig
	Version      string // of the controllers
	Applications map[state.ApplicationName]ApplicationRecord
	Units        map[state.UnitName]UnitRecord
	Machines     map[state.MachineID]MachineRecord
	Relations    map[state.RelationID]RelationRecord
	Charms       map[charm.ID]state.Charm
	Storage      map[state.StorageID]StorageRecord
}

// An ApplicationRecord is what the tree says of an application.
type ApplicationRecord struct {
	state.Application
	Exposed bool
	Status  *state.StatusInfo // what its leader has said
	Leader  state.UnitName    // empty while there is none
}

// A UnitRecord is what the tree says of a unit.
type UnitRecord struct {
	state.Unit
	Status  *state.UnitStatus
	Ledger  *state.Ledger
	Agent   *state.Presence
	Address *state.UnitAddress
	Ports   []state.OpenPort
}

// A MachineRecord is what the tree says of a machine.
type MachineRecord struct {
	state.Machine
	Instance *state.Instance
	Report   *state.MachineReport
	Agent    *state.Presence
	Fitting  *state.Fitting
}

// A RelationRecord is what the tree says of a relation.
type RelationRecord struct {
	state.Relation
	Members []state.UnitName // the units that are in scope
}

// sortedUnits is the names in the order that people count in: by application, then by number.
func sortedUnits(names []state.UnitName) []state.UnitName {
	slices.SortFunc(names, func(a, b state.UnitName) int { return CompareNatural(string(a), string(b)) })
	return names
}

// CompareNatural orders texts so that a number in them counts as a number: a2 before a10.
func CompareNatural(a, b string) int {
	for a != "" && b != "" {
		digitsA, digitsB := leadingDigits(a), leadingDigits(b)
		if digitsA != "" && digitsB != "" {
			x, y := strings.TrimLeft(digitsA, "0"), strings.TrimLeft(digitsB, "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[len(digitsA):], b[len(digitsB):]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func leadingDigits(s string) string { return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))] }
