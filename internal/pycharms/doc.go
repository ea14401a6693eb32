// Package pycharms tests that charms made with the Python libraries of the charm world (ops, charmhelpers, charms.reactive), just as they
// are published, run on machines of the local provider. It has nothing but tests.
package pycharms
