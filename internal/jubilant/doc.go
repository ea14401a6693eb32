// Package jubilant has no code: its tests run Jubilant, the Python library with which operators' scripts drive juju, as it is published,
// against our program under the name juju.
package jubilant
