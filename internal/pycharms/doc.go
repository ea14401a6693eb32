// Package pycharms tests that charms made with the Python libraries of the charm world (ops, charmhelpers, charms.reactive), just as they
// are published, run on machines of the local provider. Beside its tests it has what builds those charms, for tests elsewhere.
package pycharms
