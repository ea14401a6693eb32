// Package version is what we say we are. It is pure.
package version

const (
	// Grigri is our own version.
	Grigri = "0.1.0"
	// Juju is the version that charms and the agents' tools are told: frameworks choose their behaviour by it.
	// Digits and dots only; ops refuses anything else.
	Juju = "3.6.28"
)
